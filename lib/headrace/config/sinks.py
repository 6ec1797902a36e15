"""What the YAML says of sinks: where predictions and feature tables are written on to."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from headrace.config.section import Name, Section

SERVERS = "kafka.bootstrap.servers"


class Sink(Section):
    """Where a table is written on to, whenever it has new rows."""

    from_: Name = Field(alias="from", description="the predictions' table, or a feature table")
    format: Literal["jdbc", "parquet", "kafka"]
    path: str | None = Field(None, description="of parquet: a folder of its own")
    options: dict[str, Any] = Field(
        {}, description="of Spark's writer; jdbc: url, dbtable, user, password, driver; kafka: topic, kafka.*"
    )

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
        if self.format == "kafka":
            lacking = [name for name in (SERVERS, "topic") if not self.options.get(name)]
            if lacking:
                raise ValueError(f"a sink of Kafka needs {' and '.join(f'options.{name}' for name in lacking)}")
            if self.path:
                raise ValueError("a sink of Kafka has no `path`; its topic is options.topic")
        return self
