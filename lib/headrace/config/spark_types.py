"""`spark:` and `on_failure:`, of a pipeline or an environment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from headrace.config.section import Section


def _plain(value: Any) -> Any:
    if isinstance(value, dict | list):
        raise ValueError(
            f"a setting is text, a number, true or false; {'a list' * isinstance(value, list) or 'a mapping'} came"
        )
    return value


Value = Annotated[Any, AfterValidator(_plain), WithJsonSchema({"type": ["boolean", "number", "string"]})]
Stage = Literal[
    "ingest", "validate", "clean", "features", "training_set", "search", "evaluate", "register", "score", "monitor"
]


class Spark(Section):
    """Settings of Spark by their names; under `stages` those that hold while a stage runs."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, Value] = Field(init=False)

    stages: dict[Stage, dict[str, Value]] = Field({}, description="settings for a stage alone, restored after it")

    @property
    def application(self) -> dict[str, Any]:
        """The settings with which Spark starts."""
        return dict(self.__pydantic_extra__ or {})

    def of_stage(self, stage: str) -> dict[str, Any]:
        """The settings that hold while a stage runs."""
        return next((dict(found) for name, found in self.stages.items() if name == stage), {})


class OnFailure(Section):
    """Who is told when a run ends with another exit code than 0."""

    webhook: str = Field(pattern=r"^(https?://|\$\{secret:)", description="URL that gets a POST with JSON")
