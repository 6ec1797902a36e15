"""Which columns an expression surely reads, and of which tables; where that is not sure, nothing is said."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import exp

from headrace.config.sql.expressions import parsed, variables

_NO_COLUMNS = frozenset(
    "year years quarter month months week weeks day days dayofyear hour hours minute minutes second seconds "
    "millisecond milliseconds microsecond microseconds localtimestamp current_date current_time current_timestamp "
    "current_user session_user user current_catalog current_schema current_database default all".split()
)
"""Words that mean something of their own where there is no column of that name."""
_UNSURE = (exp.With, exp.Lateral, exp.Unnest, exp.Values, exp.Pivot, exp.Command, exp.SetOperation, exp.UDTF)


_UNSTEADY = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentTime, exp.Localtimestamp, exp.Rand, exp.Randn, exp.Uuid,
             exp.Shuffle)  # fmt: skip
_AGGREGATES = (exp.Sum, exp.Avg, exp.Count, exp.CountIf, exp.Min, exp.Max, exp.Stddev, exp.StddevSamp, exp.StddevPop)
_UNSTEADY_NAMES = {
    *("now", "monotonically_increasing_id", "spark_partition_id", "input_file_name", "input_file_block_start"),
    *("input_file_block_length", "randstr", "uniform", "reflect", "java_method", "current_user", "session_user"),
    *("current_database", "current_schema", "current_catalog"),
}


def unsteady(expression: str) -> list[str]:
    """What in an expression gives another value in another run: the clock's time, chance, where a row lies.

    >>> unsteady("at > now() - interval 1 day and rand() < 0.1")
    ['current_timestamp', 'rand']
    """
    tree = parsed(expression)
    if tree is None:
        return []
    functions = tree.find_all(exp.Func)
    named = {(f.name if isinstance(f, exp.Anonymous) else f.sql_name()).lower() for f in functions}
    known = {node.sql_name().lower() for node in tree.find_all(*_UNSTEADY)}
    return sorted(named & _UNSTEADY_NAMES | known)


def of_one_row(expression: str) -> bool:
    """Whether an expression surely gives each row what it would give it among any other rows, and in any run.

    >>> of_one_row("a + 1 > b"), of_one_row("count(*) over (partition by a) = 1"), of_one_row("at < now()")
    (True, False, False)
    """
    tree = parsed(expression)
    if tree is None or any(tree.find_all(exp.Window)) or unsteady(expression):
        return False
    elsewhere = any(table.db for table in tree.find_all(exp.Table))  # of which nobody knows when it changes
    return not elsewhere and not any(is_clock(text.name) for text in tree.find_all(exp.Literal) if text.is_string)


def is_clock(text: str) -> bool:
    """Whether a text, read as a time, is another one each day."""
    return text.strip().lower() in ("now", "today", "yesterday", "tomorrow")


def aggregated(expression: str) -> list[str]:
    """Aggregates of SQL over one row, where there is nothing to add up; inside of subqueries and windows they are right.

    >>> aggregated("sum(a) > 1 or b in (select max(c) from t) or count(*) over (partition by d) > 1")
    ['sum']
    """
    tree = parsed(expression)
    found = tree.find_all(*_AGGREGATES) if tree is not None else ()
    return sorted({node.sql_name().lower() for node in found if not _apart(node)})


def _apart(node: exp.AggFunc) -> bool:
    """Whether a node stands in a subquery, or is over a window."""
    around = node.find_ancestor(exp.Select)
    return node.find_ancestor(exp.Window) is not None or (around is not None and around.parent is not None)


@dataclass(frozen=True)
class Read:
    """A column that an expression reads.

    Attributes:
        name: As written, without backquotes.
        tables: Tables of the subqueries around it that may have it, in lower case.
        row: Whether the row that the expression is about may have it.
        field: The last part of a dotted name: `name` may also be a table's.
    """

    name: str
    tables: tuple[str, ...] = ()
    row: bool = True
    field: str | None = None

    def missing(self, row: frozenset[str] | None, tables: dict[str, frozenset[str] | None]) -> frozenset[str] | None:
        """What it could have meant, if it surely means nothing; None where it is found, or that is not known.

        Args:
            row: Names, in lower case, that the row has; None where that is not known.
            tables: The same of the tables.
        """
        pools = [tables.get(name) for name in self.tables] + ([row] if self.row else [])
        known = frozenset[str]().union(*(pool for pool in pools if pool is not None))
        names = {self.name.lower(), (self.field or self.name).lower()}
        sure = None not in pools and not names & (known | _NO_COLUMNS) and not self.name.startswith("_")
        return known if sure else None


def reads(expression: str) -> tuple[Read, ...]:
    """The columns that an expression surely reads, each once, in the order written.

    >>> [read.name for read in reads("a.b > 1 and c in (select d from t where t.e = f)")]
    ['a', 'c', 'd', 'e', 'f']
    """
    tree = parsed(expression)
    if tree is None or isinstance(tree, exp.Alias) or tree.find(*_UNSURE):
        return ()
    try:
        return tuple(dict.fromkeys(_reads(tree)))
    except _UnsureError:
        return ()


class _UnsureError(Exception):
    """A subquery that reads something else than tables."""


def _reads(tree: exp.Expression) -> Iterator[Read]:
    for column in tree.find_all(exp.Column, bfs=False):
        parts = [part.name for part in column.parts]
        if isinstance(column.this, exp.Star) or parts[0].lower() in variables(column):
            continue
        tables, made = _around(column)
        if parts[0].lower() in tables:
            if len(parts) > 1:
                yield Read(parts[1], (tables[parts[0].lower()],), row=False)
        elif parts[0].lower() not in made:
            field = parts[-1] if len(parts) > 1 else None
            yield Read(parts[0], tuple(dict.fromkeys(tables.values())), field=field)


def _around(column: exp.Expression) -> tuple[dict[str, str], set[str]]:
    """Of the subqueries around a column: their tables by the name they go by, and the names that they make."""
    tables: dict[str, str] = {}
    made: set[str] = set()
    parent = column.parent
    while parent is not None:
        if isinstance(parent, exp.Select) and parent.parent is not None:
            for name, table in _from(parent):
                tables.setdefault(name, table)
            made |= {part.alias.lower() for part in parent.expressions if part.alias}
        parent = parent.parent
    return tables, made


def _from(select: exp.Select) -> Iterator[tuple[str, str]]:
    start = select.args.get("from_")
    for source in [start, *(select.args.get("joins") or ())]:
        table = source.this if source is not None else None
        if table is None:
            continue
        if not isinstance(table, exp.Table) or not isinstance(table.this, exp.Identifier) or table.db:
            raise _UnsureError
        yield table.alias_or_name.lower(), table.name.lower()
