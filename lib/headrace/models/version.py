"""A registered version, as Headrace sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

PREFIX = "headrace."
COMPILED, ADMITTED = "compiled", "admitted"
"""Tag of a version: `admitted`, or why there is no compiled scorer; and the folder of its run that has it."""


@dataclass(frozen=True)
class Version:
    """A registered version.

    Attributes:
        name: Of the registered model.
        number: From 1.
        run_id: MLflow's run in which it was logged.
        tags: With Headrace's prefix removed.
        created: When it was registered, in UTC; None where nobody asked.
    """

    name: str
    number: int
    run_id: str
    tags: Mapping[str, str]
    created: datetime | None = None

    @property
    def uri(self) -> str:
        """`models:/name/number`."""
        return f"models:/{self.name}/{self.number}"


def version_of(found: ModelVersion) -> Version:
    """A version as MLflow returns it."""
    created = datetime.fromtimestamp((found.creation_timestamp or 0) / 1000, UTC)
    return Version(found.name, int(found.version), found.run_id or "", ours(found.tags), created)


def ours(tags: Mapping[str, str]) -> dict[str, str]:
    """The tags that Headrace set, with its prefix removed."""
    return {key.removeprefix(PREFIX): value for key, value in tags.items() if key.startswith(PREFIX)}
