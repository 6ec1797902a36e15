"""The type of a source: where rows come from."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict

from headrace.config.hook_types import Hook
from headrace.config.source_types import FILES, KEYS, Kind, Place, kind_of
from headrace.config.values import Sql


def _or_python(schema: JsonDict) -> None:
    """For editors: with `python` there is neither format nor path, and only files need a path."""
    of_files: JsonDict = {"enum": list(FILES)}
    schema["anyOf"] = [
        {"required": ["python"]},
        {"required": schema.pop("required")},
        {"required": ["format"], "properties": {"format": {"not": of_files}}},
    ]


class Source(Place):
    """Where a table's rows come from: files, a database, Delta, any reader of Spark, or Python."""

    model_config = ConfigDict(json_schema_extra=_or_python)

    format: str
    path: str = Field(description="a file, a folder or a glob; `example:<package>/<file>` for the packaged examples")
    python: Hook | None = Field(
        None, description="in place of format and path: function(spark, **options) -> DataFrame, or a DataSource"
    )
    options: dict[str, Any] = Field({}, description="options of Spark's reader")
    mode: Literal["append", "snapshot", "upsert"] | None = Field(
        None,
        description="default: a single file is a snapshot, a folder or glob is appended file by file; upsert: of each key "
        "the row with the latest event_time counts, however late it came",
    )
    delete_when: Sql | None = Field(
        None, description="upsert: SQL over the row that says that its key is deleted, as op = 'D'"
    )
    on_drift: Literal["fail", "evolve", "rescue"] = Field(
        "fail",
        description="files of other columns: fail prints the difference, evolve adds columns, rescue keeps in _rescued what "
        "has no place",
    )
    on_corrupt: Literal["fail", "skip"] = Field(
        "fail", description="files that cannot be read: fail, or skip: left out, named and counted"
    )

    @model_validator(mode="before")
    @classmethod
    def _of_python(cls, value: Any) -> Any:
        if not isinstance(value, dict) or value.get("python") is None:
            return value
        if (value.get("format"), value.get("path")) == ("python", value["python"]):
            return value
        own = ("packages", *KEYS["python"])
        given = [
            key for key in ("format", "path", "mode", "schema", *Place.model_fields) if key in value and key not in own
        ]
        if given:
            raise ValueError(f"with `python` a source has no {', '.join(given)}; what it needs stands under `options`")
        mode = "snapshot" if value.get("watermark") is None else "append"
        return {**value, "format": "python", "path": str(value["python"]), "mode": mode}

    @property
    def kind(self) -> Kind:
        """How it is followed: file by file, by a watermark, by version, by content."""
        return kind_of(self.format, self.path, python=self.python is not None)
