"""A publish into PostgreSQL: executors copy rows into a staging table, and one transaction moves what differs."""

from __future__ import annotations

import csv
import io
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from headrace.errors import HeadraceError
from headrace.serving.online.postgres import SCHEMA, Address, connected, plain, transaction
from headrace.serving.online.store import Publish, Row, Written, next_number

if TYPE_CHECKING:
    from pg8000.native import Connection

_TABLES = (
    f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.publish "
    "(pipeline text PRIMARY KEY, number bigint NOT NULL, content text NOT NULL, published_at timestamptz DEFAULT now())",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.features (pipeline text, feature_table text, entity text, content text NOT NULL, "
    "holds_until bigint, PRIMARY KEY (pipeline, feature_table, entity))",
    f"CREATE TABLE IF NOT EXISTS {SCHEMA}.staging (name text PRIMARY KEY, pipeline text NOT NULL)",
)
_COLUMNS = "feature_table, entity, content, holds_until"


@dataclass
class Publishing:
    """A publish at work: it holds a lock, that ends with its connection.

    Attributes:
        address: Of the database.
        pipeline: The pipeline's schema.
        connection: The driver's.
        staging: The table that executors copy into.
    """

    address: Address
    pipeline: str
    connection: Connection
    staging: str

    def close(self) -> None:
        """Drop the staging table, and let others publish."""
        _drop(self.connection, self.staging)
        self.connection.close()


def begin(url: str, pipeline: str) -> Publishing:
    """Make what is missing, clear away what an interrupted publish left, and make a staging table.

    Raises:
        HeadraceError: If another publish of this pipeline is at work.
    """
    address = Address.of(url)
    connection = connected(address)
    run = connection.run
    with transaction(connection):
        run("SELECT pg_advisory_xact_lock(hashtext('headrace_online'))")  # CREATE IF NOT EXISTS of two at once collides
        for statement in _TABLES:
            run(statement)
    if not run("SELECT pg_try_advisory_lock(hashtext('headrace_online'), hashtext(:p))", p=pipeline)[0][0]:
        connection.close()
        raise HeadraceError(f"another publish of {pipeline} is at work; run this one again when it is done")
    for (name,) in run(f"SELECT name FROM {SCHEMA}.staging WHERE pipeline = :p", p=pipeline):
        _drop(connection, name)
    staging = f"staging_{uuid.uuid4().hex}"
    run(f"INSERT INTO {SCHEMA}.staging VALUES (:n, :p)", n=staging, p=pipeline)
    run(f"CREATE UNLOGGED TABLE {SCHEMA}.{staging} (feature_table text, entity text, content text, holds_until bigint)")
    return Publishing(address, pipeline, connection, staging)


def copied(address: Address, staging: str, batches: Iterable[Sequence[Row]]) -> int:
    """Copy rows into a staging table, from an executor: all of these or none, and perhaps twice (a task may be repeated)."""
    count, connection = 0, connected(address)
    try:
        with transaction(connection):
            for rows in batches:
                count += len(rows)
                text = io.StringIO()
                csv.writer(text).writerows(
                    [r.table, plain(r.entity), r.values, "" if r.holds_until is None else r.holds_until] for r in rows
                )
                stream = io.BytesIO(text.getvalue().encode())
                connection.run(
                    f"COPY {SCHEMA}.{staging} FROM STDIN WITH (FORMAT csv, FORCE_NOT_NULL (feature_table, entity, content))",
                    stream=stream,
                )
    finally:
        connection.close()
    return count


def moved(work: Publishing, publish: Publish, whole: Sequence[str]) -> Written:
    """Make the store hold the staged rows, in one transaction.

    Args:
        work: The publish.
        publish: What the store is to hold; its number is given here.
        whole: The feature tables that the staged rows are all of.
    """
    run, staged, mine = work.connection.run, f"{SCHEMA}.{work.staging}", {"p": work.pipeline}
    run(f"CREATE INDEX ON {staged} (feature_table, entity)")
    run(f"ANALYZE {staged}")
    with transaction(work.connection):
        there = run(f"SELECT number, content FROM {SCHEMA}.publish WHERE pipeline = :p FOR UPDATE", **mine)
        if there and Publish.from_json(*there[0]).as_of > publish.as_of:
            return Written(superseded=True)
        deleted = run(
            f"WITH gone AS (DELETE FROM {SCHEMA}.features f WHERE f.pipeline = :p AND (NOT f.feature_table = ANY(:t) OR ("
            f"f.feature_table = ANY(:w) AND NOT EXISTS (SELECT 1 FROM {staged} s WHERE s.feature_table = f.feature_table "
            "AND s.entity = f.entity))) RETURNING 1) SELECT count(*) FROM gone",
            **mine, t=list(publish.tables), w=list(whole),
        )[0][0]  # fmt: skip
        moved_rows = run(
            f"WITH put AS (INSERT INTO {SCHEMA}.features AS f (pipeline, {_COLUMNS}) "
            f"SELECT CAST(:p AS text), {_COLUMNS} FROM (SELECT DISTINCT ON (feature_table, entity) {_COLUMNS} FROM {staged}) s "
            "ON CONFLICT (pipeline, feature_table, entity) DO UPDATE SET content = excluded.content, "
            "holds_until = excluded.holds_until WHERE (f.content, f.holds_until) IS DISTINCT FROM "
            "(excluded.content, excluded.holds_until) RETURNING (xmax = 0) AS fresh) "
            "SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM put",
            **mine,
        )[0]
        number = next_number(there[0][0] if there else 0)
        run(
            f"INSERT INTO {SCHEMA}.publish (pipeline, number, content) VALUES (:p, :n, :c) ON CONFLICT (pipeline) DO UPDATE "
            "SET number = excluded.number, content = excluded.content, published_at = now()",
            **mine, n=number, c=publish.to_json(),
        )  # fmt: skip
        rows = run(f"SELECT count(*) FROM {SCHEMA}.features WHERE pipeline = :p", **mine)[0][0]
    return Written(moved_rows[0], moved_rows[1], deleted, rows)


def _drop(connection: Connection, staging: str) -> None:
    connection.run(f"DROP TABLE IF EXISTS {SCHEMA}.{staging}")
    connection.run(f"DELETE FROM {SCHEMA}.staging WHERE name = :n", n=staging)
