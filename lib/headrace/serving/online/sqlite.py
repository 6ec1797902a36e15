"""The embedded online store: one SQLite file, read by servers while a publish writes it."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from headrace.errors import ConfigError, HeadraceError
from headrace.serving.online.store import Batches, Found, Key, Publish, Written, decoded, next_number

PATIENCE = 60
"""Seconds that a publish waits for another one."""
ASKED_AT_ONCE = 400
"""Keys in one query: SQLite takes some thousand parameters."""
_TABLES = """
CREATE TABLE IF NOT EXISTS publish (number INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS features (
  feature_table TEXT NOT NULL, entity TEXT NOT NULL, content TEXT NOT NULL, holds_until INTEGER,
  PRIMARY KEY (feature_table, entity)) WITHOUT ROWID;
"""
_STAGED = """
CREATE TEMP TABLE staged (
  feature_table TEXT, entity TEXT, content TEXT, holds_until INTEGER, PRIMARY KEY (feature_table, entity)) WITHOUT ROWID
"""
_DIFFERS = "(f.content, f.holds_until) IS NOT (s.content, s.holds_until)"
_SAME_KEY = "f.feature_table = s.feature_table AND f.entity = s.entity"


class SqliteStore:
    """Read by servers; each thread has a connection of its own, that cannot write.

    Args:
        path: The file.
    """

    remote = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = threading.local()
        self._known: Publish | None = None

    def publish(self) -> Publish | None:
        """What was published last; None where nothing was."""
        if not self._path.exists():
            return None
        with self._reading() as connection:
            return self._publish(connection)

    def fetch(self, keys: Sequence[Key]) -> tuple[Publish, dict[Key, Found]]:
        """Rows by their keys, all of one publish."""
        found: dict[Key, Found] = {}
        with self._reading() as connection:
            publish = self._publish(connection)
            if publish is None:
                raise HeadraceError(f"{self._path} has no publish any more; run headrace publish")
            for start in range(0, len(keys), ASKED_AT_ONCE):
                some = keys[start : start + ASKED_AT_ONCE]
                pairs = ", ".join(["(?, ?)"] * len(some))
                asked = connection.execute(
                    "SELECT feature_table, entity, content, holds_until FROM features "
                    f"WHERE (feature_table, entity) IN (VALUES {pairs})",
                    [part for key in some for part in key],
                )
                for table, entity, content, until in asked:
                    found[table, entity] = decoded(content, until)
        return publish, found

    def close(self) -> None:
        """Close this thread's connection; others close with their threads."""
        connection = getattr(self._mine, "connection", None)
        if connection is not None:
            connection.close()
            del self._mine.connection

    def _publish(self, connection: sqlite3.Connection) -> Publish | None:
        row = connection.execute("SELECT max(number) FROM publish").fetchone()
        if row[0] is None:
            return None
        known = self._known
        if known is None or known.number != row[0]:
            content = connection.execute("SELECT content FROM publish WHERE number = ?", row).fetchone()[0]
            known = self._known = Publish.from_json(row[0], content)
        return known

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all that is read in it is of one publish."""
        try:
            connection = self._connection()
            connection.execute("BEGIN")
            try:
                yield connection
            finally:
                connection.execute("COMMIT")
        except sqlite3.Error as error:
            self.close()
            raise HeadraceError(
                f"the online store {self._path} cannot be read: {error}; run headrace publish"
            ) from error

    def _connection(self) -> sqlite3.Connection:
        connection: sqlite3.Connection | None = getattr(self._mine, "connection", None)
        if connection is None:
            connection = sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
            connection.execute("PRAGMA busy_timeout = 1000")  # milliseconds; a publish keeps no reader waiting
            self._mine.connection = connection
        return connection


def write(path: Path, publish: Publish, batches: Batches, whole: Sequence[str]) -> Written:
    """Make the store hold these rows: what differs is written, what is no longer there is deleted; all of it or nothing.

    Args:
        path: The file; made where there is none.
        publish: What it is to hold; its number is given here.
        batches: Rows of the feature tables.
        whole: The feature tables that these rows are all of; others stay as they are, or go where `publish` has them not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA temp_store = FILE")  # memory does not grow with the rows
            connection.executescript(_TABLES)
            connection.execute(_STAGED)
            for rows in batches:
                connection.execute("BEGIN")
                connection.executemany("INSERT OR REPLACE INTO temp.staged VALUES (?, ?, ?, ?)", rows)
                connection.execute("COMMIT")
            connection.execute("BEGIN IMMEDIATE")
            written = _moved(connection, publish, whole)
            connection.execute("COMMIT")
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        except sqlite3.DatabaseError as error:
            raise ConfigError(f"{path}: {error}; nothing was published") from error
    return written


def _moved(connection: sqlite3.Connection, publish: Publish, whole: Sequence[str]) -> Written:
    newest = connection.execute("SELECT number, content FROM publish ORDER BY number DESC LIMIT 1").fetchone()
    if newest and Publish.from_json(*newest).as_of > publish.as_of:
        return Written(superseded=True)
    run = connection.execute
    among = f"feature_table IN ({', '.join('?' * len(whole))})"
    kept = f"feature_table NOT IN ({', '.join('?' * len(publish.tables))})"
    deleted = run(
        f"DELETE FROM features AS f WHERE {kept} OR ({among} AND NOT EXISTS (SELECT 1 FROM temp.staged s WHERE {_SAME_KEY}))",
        [*publish.tables, *whole],
    ).rowcount
    changed = run(
        "UPDATE features AS f SET content = s.content, holds_until = s.holds_until FROM temp.staged s "
        f"WHERE {_SAME_KEY} AND {_DIFFERS}"
    ).rowcount
    added = run("INSERT OR IGNORE INTO features SELECT * FROM temp.staged").rowcount
    number = next_number(newest[0] if newest else 0)
    run("DELETE FROM publish")
    run("INSERT INTO publish VALUES (?, ?)", (number, publish.to_json()))
    rows = run("SELECT count(*) FROM features").fetchone()[0]
    return Written(added, changed, deleted, rows)
