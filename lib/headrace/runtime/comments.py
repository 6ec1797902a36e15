"""What tables and columns mean, as Delta's comments and properties.

Comments of columns go with the rows where a table is written whole; what a write cannot carry is altered, and only
where it differs: each commit carries digests of what was said when it was made.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headrace.config.texts import TableText

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

METADATA = "spark.databricks.delta.commitInfo.userMetadata"
CONFLICTS = ("DELTA_CONCURRENT", "DELTA_METADATA_CHANGED", "DELTA_PROTOCOL_CHANGED", "ConcurrentTransaction")
"""How Delta's errors of a lost race are told apart: they have no common base class."""

Digests = list[str | None]
"""Of the table's comment and properties, of its columns' comments; None: nothing was ever said."""


def lost_race(error: Exception) -> bool:
    """Whether another writer was first."""
    return any(word in str(error) for word in CONFLICTS)


def digests(text: TableText) -> Digests:
    """What a table's commits carry of its text."""
    return [_digest(text.properties), _digest(text.columns)]


def _digest(words: Mapping[str, str]) -> str | None:
    said = {key: value for key, value in words.items() if value}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:12] if said else None


def commented(frame: DataFrame, columns: Mapping[str, str]) -> DataFrame:
    """The frame with comments on those of the columns that it has."""
    for name in frame.columns:
        if columns.get(name.lower()):
            frame = frame.withMetadata(name, {"comment": columns[name.lower()]})
    return frame


def alter(spark: SparkSession, path: str, text: TableText, told: Digests) -> None:
    """Make a table say what it should; nothing where it does. A lost race leaves it to the next run.

    Args:
        spark: The session.
        path: Of the table.
        text: What it should say.
        told: Digests of what it says.
    """
    wanted = digests(text)
    if told == wanted:
        return
    session = spark.newSession()  # the conf below must not reach what other threads write
    session.conf.set("spark.sql.variable.substitute", "false")
    table = f"delta.`{path.replace('`', '``')}`"
    columns = _differing(session, path, text) if told[1] != wanted[1] else {}
    try:
        if columns:
            _note(session, [told[0], wanted[1]])
            listed = ", ".join(f"`{name.replace('`', '``')}` COMMENT {_quoted(c)}" for name, c in columns.items())
            session.sql(f"ALTER TABLE {table} ALTER COLUMN {listed}")
        if told[0] != wanted[0] or not columns:
            _note(session, wanted)
            listed = ", ".join(f"{_quoted(key)} = {_quoted(value)}" for key, value in text.properties.items())
            session.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({listed})")
    except Exception as error:  # Delta's conflicts have no common base class
        if not lost_race(error):
            raise


def _differing(spark: SparkSession, path: str, text: TableText) -> dict[str, str]:
    fields = spark.read.format("delta").load(path).schema.fields
    wanted = {field: text.columns.get(field.name.lower()) for field in fields}
    return {f.name: comment for f, comment in wanted.items() if comment and f.metadata.get("comment") != comment}


def _note(session: SparkSession, said: Digests) -> None:
    session.conf.set(METADATA, json.dumps({"headrace": uuid.uuid4().hex, "described": said}))


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
