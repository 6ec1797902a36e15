"""SQL expressions that are none, or that ask for more than their place has."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.sql import expressions as sql
from headrace.config.sql.reads import unsteady

Found = tuple[str, str]


def expression(where: str, text: str | None) -> Iterator[Found]:
    """A sure mistake of syntax."""
    wrong = sql.check(text) if text is not None else None
    if wrong:
        yield where, f"no SQL expression: {wrong}"


def alone(where: str, text: str | None) -> Iterator[Found]:
    """An expression that may not ask other tables: the step it belongs to does not read them."""
    yield from expression(where, text)
    asked = sorted(sql.tables(text)) if text is not None else []
    if asked:
        message = f"a subquery over {', '.join(asked)} cannot stand here; compute it under `columns` of a table"
        yield where, f"{message}, or look it up with a feature table"


def steady(where: str, text: str | None) -> Iterator[Found]:
    """An expression whose value may not differ from run to run: what is made of it is kept, and added to."""
    yield from alone(where, text)
    found = unsteady(text) if text is not None else []
    if found:
        message = f"{', '.join(found)}: another value in each run, so that old rows would not be those of a new build"
        yield where, f"{message}; compare with a column, as the event's own time"
