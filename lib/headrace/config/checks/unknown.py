"""What a name that is nowhere is told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.config.file.complaints import meant
from headrace.config.sql.reads import Read, reads

Found = tuple[str, str]
Columns = frozenset[str] | None
"""Names in lower case; None where they are not known."""

_LISTED = 12


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """No such column, and what could be meant.

    >>> unknown("the table flights", "arr_dely", ["arr_delay", "dest"])
    "no column of the table flights is called 'arr_dely'; did you mean 'arr_delay'?"
    """
    there = sorted(known)
    listed = ", ".join(there[:_LISTED]) + (", ..." if len(there) > _LISTED else "")
    hint = meant(name, there) or f"; there are: {listed or 'none'}"
    return f"no column of {what} is called {name!r}{hint}"


def no_such(kind: str, name: str, known: Iterable[str]) -> str:
    """No table or feature table of this name, and what could be meant."""
    known = list(known)
    return f"no {kind} is called {name!r}; there are: {', '.join(known) or 'none'}{meant(name, known)}"


def named(where: str, what: str, names: Iterable[str], known: Columns) -> Iterator[Found]:
    """Names in a list that are no columns."""
    for number, name in enumerate(names):
        yield from single(f"{where}[{number}]", what, name, known)


def single(where: str, what: str, name: str | None, known: Columns) -> Iterator[Found]:
    """A name that is no column."""
    if known is not None and name and name.lower() not in known and not name.startswith("_"):
        yield where, unknown(what, name, known)


def missing(text: str | None, row: Columns, tables: dict[str, Columns]) -> Iterator[tuple[Read, frozenset[str]]]:
    """What an expression reads and is nowhere, and what there is."""
    for read in reads(text) if text else ():
        known = read.missing(row, tables)
        if known is not None:
            yield read, known


def expression(where: str, what: str, text: str | None, row: Columns, tables: dict[str, Columns]) -> Iterator[Found]:
    """Columns of an expression, and of the tables in its subqueries, that are nowhere."""
    for read, known in missing(text, row, tables):
        yield where, unknown_read(what, read, known)


def unknown_read(what: str, read: Read, known: Iterable[str]) -> str:
    """The same as `unknown`, naming the tables of the subquery too."""
    pools = ([what] if read.row else []) + [f"the table {name}" for name in read.tables]
    return unknown(" or ".join(pools), read.name, known)
