"""What the YAML says of sinks: where predictions and feature tables are written on to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from headrace.config.section import Name, Section

KAFKA = (
    "a Kafka topic cannot be a sink: Spark's connector does not write a batch in one transaction, so that a run that is "
    "killed would send rows twice; write to jdbc or parquet, and let Kafka Connect read from there"
)


class Sink(Section):
    """Where a table is written on to, whenever it has new rows."""

    from_: Name = Field(alias="from", description="the predictions' table, or a feature table")
    format: Literal["jdbc", "parquet"]
    path: str | None = Field(None, description="of parquet: a folder of its own")
    options: dict[str, Any] = Field({}, description="of Spark's writer; jdbc: url, dbtable, user, password, driver")

    @model_validator(mode="before")
    @classmethod
    def _possible(cls, value: Any) -> Any:
        if isinstance(value, dict) and str(value.get("format")).lower() == "kafka":
            raise ValueError(KAFKA)
        return value

    @model_validator(mode="after")
    def _placed(self) -> Sink:
        if self.format == "parquet" and not self.path:
            raise ValueError("a sink of Parquet needs `path`: a folder of its own")
        if self.format == "jdbc":
            lacking = [name for name in ("url", "dbtable") if not self.options.get(name)]
            if lacking:
                raise ValueError(f"a JDBC sink needs {' and '.join(f'options.{name}' for name in lacking)}")
            if self.path:
                raise ValueError("a JDBC sink has no `path`; its table is options.dbtable")
        return self
