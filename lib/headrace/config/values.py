"""What stands in many parts of the YAML: names of columns, points in time, SQL."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic_core import PydanticKnownError

from headrace.config.file.document import shown

DATABASES = ("sqlite", "postgresql", "mysql", "mssql")
SERVERS = ("http", "https", "databricks")
"""Where MLflow keeps runs and models: schemes of its tracking and registry."""


def listed(value: object) -> object:
    """One where a list may stand."""
    return [value] if isinstance(value, str) else value


def whole(value: object) -> object:
    """`true` is no number, though pydantic takes it for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("int_type")
    return value


def number(value: object) -> object:
    """As `whole`, of real numbers."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


def moment_of(text: str) -> datetime:
    """A point in time: a date is 00:00 UTC, a time without a zone is UTC.

    >>> moment_of("2013-12-01").isoformat()
    '2013-12-01T00:00:00+00:00'

    Raises:
        ValueError: If the text is no ISO date or time.
    """
    value = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
    return _utc(value)


def _utc(value: datetime) -> datetime:
    try:
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("isoformat: before the year 1 or after 9999 in UTC") from error


def _moment(value: object) -> object:
    if isinstance(value, str):
        return moment_of(value)
    if isinstance(value, int | float):  # pydantic would take it for seconds since 1970
        raise ValueError(f"{shown(value)} is no time; write 2013-12-01 or 2013-12-01T06:00:00Z (UTC)")
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    return _utc(value) if isinstance(value, datetime) else value


def _store(value: str) -> str:
    """What MLflow takes as tracking and registry. Messages hold no more of it than the scheme: it may have a password."""
    scheme, sign, _ = value.partition(":")
    kind = scheme.lower().partition("+")[0]
    if not value or value.startswith("${secret:") or value == "databricks":
        return value
    if sign and kind in (*DATABASES, *SERVERS):
        return value
    came = "a path" if not sign or kind == "file" else f"the scheme {shown(scheme)}"
    why = "MLflow takes no folder of files any more" if came == "a path" else "MLflow knows no such store"
    raise ValueError(
        f"{came} came; {why}: write sqlite:////absolute/path/mlflow.db, a database ({', '.join(DATABASES)}), or a server "
        f"({', '.join(SERVERS)})"
    )


def _lower(value: object) -> object:
    """Column names are lower case inside, as SQL does not tell the cases apart."""
    return value.lower() if isinstance(value, str) else value


def _plain(value: str) -> str:
    if not re.fullmatch(r"\w+|\*", value):
        name = re.sub(r"\W+", "_", value.strip()).strip("_")
        raise ValueError(f"{shown(value)} is no column; other signs become underscores: {shown(name)}")
    return value


Names = Annotated[tuple[str, ...], BeforeValidator(listed)]
Column = Annotated[str, BeforeValidator(_lower), AfterValidator(_plain)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(listed)]
Moment = Annotated[datetime, BeforeValidator(_moment)]
ModelStoreUri = Annotated[str, AfterValidator(_store)]
LONGEST_SQL = 10_000
Sql = Annotated[str, Field(min_length=1, max_length=LONGEST_SQL)]
