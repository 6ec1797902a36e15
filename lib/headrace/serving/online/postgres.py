"""An online store in PostgreSQL, for a team: many servers read what one publish writes."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from headrace.config import secrets
from headrace.errors import ConfigError, HeadraceError
from headrace.serving.online.store import Found, Key, Publish, decoded

if TYPE_CHECKING:
    from pg8000.native import Connection

SCHEMA = "headrace_online"
PATIENCE = 5
"""Seconds that a server waits for an answer."""
ENDED = ("57", "08")
"""Classes of errors that end a connection, as when the database is started anew."""


@dataclass(frozen=True)
class Address:
    """Where a database is, and who asks; never printed with its password."""

    host: str
    port: int
    database: str
    user: str
    password: str | None = field(repr=False, default=None)

    @classmethod
    def of(cls, url: str) -> Address:
        """From `postgresql://user:${secret:NAME}@host:5432/database`; a password in the URL itself is percent-encoded."""
        parts = urlsplit(url)
        user, password = (secrets.reveal(unquote(one)) if one else None for one in (parts.username, parts.password))
        database = parts.path.lstrip("/") or "postgres"
        return cls(parts.hostname or "localhost", parts.port or 5432, database, user or "postgres", password)


class PostgresStore:
    """Read by servers; each thread has a connection of its own.

    Args:
        url: `postgresql://user:${secret:NAME}@host:5432/database`.
        pipeline: The pipeline's schema.
    """

    remote = True

    def __init__(self, url: str, pipeline: str) -> None:
        self._address, self._pipeline = Address.of(url), pipeline
        self._mine = threading.local()
        self._known: Publish | None = None

    def publish(self) -> Publish | None:
        """What was published last; None where nothing was."""
        there = self._ask(f"SELECT to_regclass('{SCHEMA}.publish') IS NOT NULL")
        if not there[0][0]:
            return None
        found = self._ask(f"SELECT number FROM {SCHEMA}.publish WHERE pipeline = :p", p=self._pipeline)
        return self._of(found[0][0]) if found else None

    def fetch(self, keys: Sequence[Key]) -> tuple[Publish, dict[Key, Found]]:
        """Rows by their keys, all of one publish: one statement sees one state."""
        stored = {plain(entity): entity for _, entity in keys}
        rows = self._ask(
            f"SELECT p.number, f.feature_table, f.entity, f.content, f.holds_until FROM {SCHEMA}.publish p "
            f"LEFT JOIN (unnest(CAST(:t AS text[]), CAST(:e AS text[])) AS k (feature_table, entity) "
            f"JOIN {SCHEMA}.features f USING (feature_table, entity)) ON f.pipeline = p.pipeline WHERE p.pipeline = :p",
            t=[table for table, _ in keys],
            e=[plain(entity) for _, entity in keys],
            p=self._pipeline,
        )
        if not rows:
            raise HeadraceError(f"the online store has no publish of {self._pipeline} any more; run headrace publish")
        found = {(row[1], stored[row[2]]): decoded(row[3], row[4]) for row in rows if row[1] is not None}
        return self._of(rows[0][0]), found

    def close(self) -> None:
        """Close this thread's connection."""
        connection = getattr(self._mine, "connection", None)
        self._mine.connection = None
        if connection is not None:
            connection.close()

    def _of(self, number: int) -> Publish:
        known = self._known
        if known is None or known.number != number:
            asked = f"SELECT number, content FROM {SCHEMA}.publish WHERE pipeline = :p"
            found = self._ask(asked, p=self._pipeline)
            known = self._known = Publish.from_json(*found[0])
        return known

    def _ask(self, sql: str, **values: Any) -> list[Any]:
        """Ask; once more over a new connection, where the one at hand has died since it was last used."""
        from pg8000.exceptions import DatabaseError, InterfaceError

        for _ in range(2):
            old = getattr(self._mine, "connection", None)
            if old is None:
                self._mine.connection = connected(self._address, PATIENCE)
            try:
                return list(self._mine.connection.run(sql, **values) or [])
            except (DatabaseError, InterfaceError, OSError) as error:
                self._mine.connection = None
                if old is None or (isinstance(error, DatabaseError) and not _code(error).startswith(ENDED)):
                    raise HeadraceError(f"the online store did not answer: {_said(error)}") from error
        raise AssertionError("the second attempt returns or raises")


def _code(error: Exception) -> str:
    """PostgreSQL's code of an error."""
    return str(error.args[0].get("C", "")) if error.args and isinstance(error.args[0], dict) else ""


def _said(error: Exception) -> str:
    return str(error.args[0].get("M", error)) if _code(error) else str(error)


def plain(entity: str) -> str:
    """A key as PostgreSQL takes it: no text there has a character 0."""
    return entity.replace("\\", "\\\\").replace("\x00", "\\0")


def connected(address: Address, timeout: float | None = None) -> Connection:
    """A connection.

    Args:
        address: Of the database.
        timeout: Seconds to wait for answers; None: as long as it takes.

    Raises:
        ConfigError: If the driver is missing, or the server refuses; without a password.
    """
    try:
        from pg8000.exceptions import DatabaseError, InterfaceError
        from pg8000.native import Connection
    except ModuleNotFoundError as error:
        raise ConfigError("PostgreSQL needs a package: pip install 'headrace[serve]' (pg8000)") from error
    a = address
    try:
        return Connection(a.user, a.host, a.database, a.port, a.password, timeout=timeout, application_name="headrace")
    except (DatabaseError, InterfaceError, OSError) as error:
        said = _said(error)
        where = f"{a.user}@{a.host}:{a.port}/{a.database}"
        raise ConfigError(f"PostgreSQL at {where}: {said}; look whether it runs, and at --to") from error


@contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """All that is done inside, or nothing."""
    connection.run("START TRANSACTION")
    try:
        yield
    except BaseException:
        connection.run("ROLLBACK")
        raise
    connection.run("COMMIT")
