"""Some rows of a table put in, replaced or taken out, as one commit: Delta's MERGE."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.runtime.comments import METADATA

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

CHANGE = "_change"
"""Column of what is merged: `insert`, `update` or `delete`."""
ROWS_PER_FILE = 100_000
"""Each task that writes makes a file of rows, and one of the change feed."""
TXN = "spark.databricks.delta.write"
MEANING = ("spark.sql.session.timeZone", "spark.sql.ansi.enabled", "spark.sql.shuffle.partitions")


def merge(
    changes: DataFrame,
    path: str,
    keys: Sequence[str],
    only: str | None,
    note: Mapping[str, Any],
    txn: tuple[str, int],
    rows: int | None = None,
) -> None:
    """Merge changes into a table.

    Args:
        changes: The table's columns, and `_change`; at most one row per key. Without keys, any number of inserts, and
            each row that is to be deleted once.
        path: Of the table.
        keys: Columns that make a row unique; null equals null. Empty: whole rows, of which several may be alike: a delete
            takes them all, an insert adds one.
        only: SQL over the table (`t`) that all rows fulfil which can be concerned: files without any are not read.
        note: What the commit carries.
        txn: Delta's transaction id; a repeat is a no-op.
        rows: How many changes there are, where that is known.
    """
    spark = changes.sparkSession
    session = spark.newSession()  # MERGE takes these settings from its session; they must not reach other threads
    for key in MEANING:
        session.conf.set(key, str(spark.conf.get(key)))
    session.conf.set("spark.sql.variable.substitute", "false")
    if changes.is_cached and rows is not None:  # if not, fewer tasks would compute them, too
        changes = changes.coalesce(1 + rows // ROWS_PER_FILE)
    session.conf.set(METADATA, json.dumps(note, default=str))
    session.conf.set(f"{TXN}.txnAppId", txn[0])
    session.conf.set(f"{TXN}.txnVersion", str(txn[1]))
    view = f"headrace_changes_{uuid.uuid4().hex}"
    changes.createGlobalTempView(view)
    try:
        columns = [name(c) for c in changes.columns if c != CHANGE]
        parts = [f"t.{name(key)} <=> s.{name(key)}" for key in (keys or [c for c in changes.columns if c != CHANGE])]
        same = " AND ".join([*parts, *([] if keys else [f"s.{CHANGE} = 'delete'"])])
        session.sql(
            f"MERGE INTO delta.{name(path)} t USING global_temp.{view} s ON {same}{f' AND {only}' if only else ''} "
            f"WHEN MATCHED AND s.{CHANGE} = 'delete' THEN DELETE "
            f"WHEN MATCHED THEN UPDATE SET {', '.join(f't.{c} = s.{c}' for c in columns)} "
            f"WHEN NOT MATCHED AND s.{CHANGE} <> 'delete' THEN INSERT ({', '.join(columns)}) "
            f"VALUES ({', '.join(f's.{c}' for c in columns)})"
        )
    finally:
        spark.catalog.dropGlobalTempView(view)


def name(identifier: str) -> str:
    """An identifier in quotes."""
    return "`" + identifier.replace("`", "``") + "`"


def rows_written(operation: str, metrics: dict[str, Any]) -> tuple[int | None, int | None]:
    """How many rows an operation wrote, and by how many the table grew."""
    if operation == "MERGE":
        put, changed, taken = (int(metrics.get(f"numTargetRows{w}", 0)) for w in ("Inserted", "Updated", "Deleted"))
        return put + changed + taken, put - taken
    rows = metrics.get("numOutputRows")
    written = None if rows is None else int(rows)
    return written, written if operation == "WRITE" else None
