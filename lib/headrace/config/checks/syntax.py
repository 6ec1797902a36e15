"""SQL expressions that are none, or that ask for more than their place has."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.sql import expressions as sql
from headrace.config.sql.reads import aggregated, unsteady

Found = tuple[str, str]


def expression(where: str, text: str | None) -> Iterator[Found]:
    """A sure mistake of syntax."""
    wrong = sql.check(text) if text is not None else None
    if wrong:
        yield where, f"no SQL expression: {wrong}"


def of_a_row(where: str, text: str | None) -> Iterator[Found]:
    """An expression over one row, which has nothing to add up."""
    yield from expression(where, text)
    found = aggregated(text) if text is not None else []
    if found:
        yield where, f"{', '.join(found)} adds up rows, and this is SQL over one row; aggregate in a feature table"


def alone(where: str, text: str | None) -> Iterator[Found]:
    """An expression over one row that may not ask other tables: the step it belongs to does not read them."""
    yield from of_a_row(where, text)
    yield from _asks(where, text)


def _asks(where: str, text: str | None) -> Iterator[Found]:
    asked = sorted(sql.tables(text)) if text is not None else []
    if asked:
        message = f"a subquery over {', '.join(asked)} cannot stand here; compute it under `columns` of a table"
        yield where, f"{message}, or look it up with a feature table"


def steady(where: str, text: str | None) -> Iterator[Found]:
    """An expression whose value may not differ from run to run: what is made of it is kept, and added to."""
    yield from alone(where, text)
    yield from _chance(where, text)


def of_events(where: str, text: str | None) -> Iterator[Found]:
    """The same of an expression over aggregates of events."""
    yield from expression(where, text)
    yield from _asks(where, text)
    yield from _chance(where, text)


def _chance(where: str, text: str | None) -> Iterator[Found]:
    found = unsteady(text) if text is not None else []
    if found:
        message = f"{', '.join(found)}: another value in each run, so that old rows would not be those of a new build"
        yield where, f"{message}; compare with a column, as the event's own time"
