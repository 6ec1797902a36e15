"""Ready-made rules as SQL: what a row must fulfil, NULL and true pass. No Spark is needed to write it.

None of it aborts on a value: what a column's text cannot be read as breaks the rule. Rules that look at other rows
are windows over `SPREAD` and their own columns; `SPREAD` keeps rows that have no value there, and pass, apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from headrace.config.rules import OnFail, Rule
from headrace.config.sql.castable import castable
from headrace.config.types import Table

SPREAD = "_spread"
_WHOLE = ("tinyint", "smallint", "int", "bigint")
_TIMES = ("date", "timestamp", "timestamp_ntz")
_EXACT_DOUBLE = 2**53


@dataclass(frozen=True)
class Check:
    """A rule over rows.

    Attributes:
        name: What quarantine and reports call it.
        sql: True or NULL where a row passes.
        on_fail: What becomes of a row that does not.
        at_most: The share of rows that may break it, as `1%`; None: no matter how many.
        together: Columns whose equal values bring rows together; empty where a row is judged alone.
        groups: Columns of the groups that have thresholds of their own, in the column `bounds`.
    """

    name: str
    sql: str
    on_fail: OnFail = "quarantine"
    at_most: str | None = None
    together: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """Name of the column with the thresholds of a row's group, a struct of `low` and `high`."""
        return f"_bounds_{self.name}"


def checks_of(table: Table, kinds: Mapping[str, str]) -> tuple[Check, ...]:
    """The rules over rows of a table.

    Args:
        table: The table.
        kinds: Spark's type of each of its columns, in lower case, and of the foreign keys' as `airports.faa`; text
            where it is not there.
    """
    return tuple(
        Check(
            name,
            _outlier(name, column, kinds) if rule.outlier and column else _sql(rule, column, table, kinds),
            rule.on_fail,
            rule.at_most,
            rule.unique or rule.by,
            rule.outlier.by if rule.outlier else (),
        )
        for rule in table.rules
        if rule.kind not in ("freshness", "row_count_within")
        for name, column in rule.parts.items()
    )


def shuffles(checks: Sequence[Check]) -> list[list[Check]]:
    """The checks that look at other rows, those in a list sharing a shuffle: all have the columns of its first."""
    groups: list[list[Check]] = []
    for check in sorted((c for c in checks if c.together), key=lambda c: len(set(c.together))):
        home = next((g for g in groups if set(g[0].together) <= set(check.together)), None)
        if home is None:
            groups.append([check])
        else:
            home.append(check)
    return groups


def moment(column: str, kind: str) -> str:
    """A clock as whole microseconds since 1970 in UTC."""
    if kind == "date":  # there are dates beyond all timestamps
        return f"try_multiply(cast(unix_date({_quoted(column)}) as bigint), 86400000000L)"
    cast = "cast" if kind in _TIMES else "try_cast"
    return f"unix_micros({cast}({_quoted(column)} as timestamp))"


def literal(value: str | bool | int | float) -> str:
    r"""A value in SQL.

    >>> print(literal("it's"), literal(True), literal(-0.5))
    'it\'s' true -0.5
    """
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _sql(rule: Rule, column: str | None, table: Table, kinds: Mapping[str, str]) -> str:
    if rule.check is not None:
        return rule.check
    if rule.ordered:
        return _ordered(rule.ordered, kinds)
    if column is None:
        return _unique(rule.unique)
    kind, name = kinds.get(column, "string"), _quoted(column)
    if rule.not_null:
        return f"{name} is not null"
    if rule.foreign:
        return _foreign(name, kind, *rule.foreign, kinds)
    if rule.in_ is not None:
        return _among(name, kind, rule.in_)
    if rule.between is not None:
        return _between(name, kind, rule.between)
    if rule.matches is not None:
        return f"cast({name} as string) rlike " + literal(r"\A(?:" + rule.matches + r")\z")
    if rule.parses is not None:
        text = _text(name, kind)
        read = castable(name, rule.parses) if _is_text(kind) else name
        return f"{text} is null or try_cast({read} as {rule.parses}) is not null"
    clock = rule.time or str(table.event_time)
    of_clock = kinds.get(clock, "string")
    whole = f"cast({_quoted(clock)} as decimal(20,0))"  # of a bigint the least can be negated, too
    return _monotonic(rule, name, whole if of_clock in _WHOLE else moment(clock, of_clock))


def _quoted(column: str) -> str:
    return f"`{column}`"


def _numeric(kind: str) -> bool:
    return kind in (*_WHOLE, "float", "double") or kind.startswith("decimal")


def _is_text(kind: str) -> bool:
    return re.match(r"string|(var)?char\b", kind) is not None


def _text(name: str, kind: str) -> str:
    """Text without the blanks around it; blank text is a value that is missing, as in all casts."""
    return f"nullif(trim({name}), '')" if _is_text(kind) else name


def _read(name: str, kind: str, compared: Iterator[str]) -> str:
    """A comparison of numbers with a column that may be text: what is no number breaks it."""
    if _numeric(kind):
        return " and ".join(f"{name} {one}" for one in compared)
    text = _text(name, kind)
    held = " and ".join(f"try_cast({text} as double) {one}" for one in compared)
    return f"{text} is null or coalesce({held}, false)"


def _among(name: str, kind: str, values: Sequence[str | bool | int | float]) -> str:
    numbers = [v for v in values if not isinstance(v, str | bool) and abs(v) <= _EXACT_DOUBLE]
    if len(numbers) == len(values):
        return _read(name, kind, iter([f"in ({', '.join(map(literal, numbers))})"]))
    texts = [v if isinstance(v, str) else literal(v) for v in values]
    return f"cast({name} as string) in ({', '.join(map(literal, texts))})"


def _foreign(name: str, kind: str, table: str, column: str, kinds: Mapping[str, str]) -> str:
    """Spark's own `in` fails on text that is no number, and calls NULL not found."""
    key = f"{table}.{_quoted(column)}"
    if _is_text(kind) == _is_text(kinds.get(f"{table}.{column}", kind)):
        return f"{name} is null or {name} in (select {key} from {table})"
    return f"{name} is null or cast({name} as string) in (select cast({key} as string) from {table})"


def _between(name: str, kind: str, bounds: Sequence[str | int | float | None]) -> str:
    ends = [f"{sign} {literal(end)}" for sign, end in zip((">=", "<="), bounds, strict=True) if end is not None]
    if isinstance(bounds[0] if bounds[0] is not None else bounds[1], str):
        return " and ".join(f"{name} {end}" for end in ends)
    return _read(name, kind, iter(ends))


def _ordered(columns: Sequence[str], kinds: Mapping[str, str]) -> str:
    """Every two of them, for one between them may be NULL. Text beside other types is read as the first of these."""
    of = [kinds.get(column, "string") for column in columns]
    other = next((kind for kind in of if not _is_text(kind)), None)
    texts = [_text(_quoted(c), k) if other and _is_text(k) else None for c, k in zip(columns, of, strict=True)]
    read = [f"try_cast({text} as {other})" if text else _quoted(c) for c, text in zip(columns, texts, strict=True)]
    legible = [f"({text} is null or {value} is not null)" for text, value in zip(texts, read, strict=True) if text]
    pairs = [f"coalesce({a} <= {b}, true)" for a, b in combinations(read, 2)]
    return " and ".join([*legible, *pairs])


def _outlier(name: str, column: str, kinds: Mapping[str, str]) -> str:
    """Open ends, and what has no threshold, are NULL. What is no number is an outlier, as is NaN beyond any end."""
    value, legible = number_of(column, kinds.get(column, "string"))
    low, high = f"`_bounds_{name}`.low", f"`_bounds_{name}`.high"
    return f"{legible} and coalesce({value} >= {low}, true) and coalesce({value} <= {high}, true)"


def number_of(column: str, kind: str) -> tuple[str, str]:
    """A column as a double in SQL, and whether it can be read as one."""
    if _numeric(kind):
        return f"cast({_quoted(column)} as double)", "true"
    text = _text(_quoted(column), kind)
    return f"try_cast({text} as double)", f"({text} is null or try_cast({text} as double) is not null)"


def _unique(columns: Sequence[str]) -> str:
    names = [_quoted(column) for column in columns]
    window = ", ".join((SPREAD, *names))
    return f"{' or '.join(f'{n} is null' for n in names)} or count(1) over (partition by {window}) = 1"


def _monotonic(rule: Rule, name: str, clock: str) -> str:
    """Against the value at the latest earlier time that has one; of several at that time the one hardest to follow."""
    names = [_quoted(column) for column in rule.by]
    window = f"partition by {', '.join((SPREAD, *names))} order by {clock}"
    earlier = f"over ({window} range between unbounded preceding and 1 preceding)"
    known = f"{clock} is not null and {name} is not null"
    pick, at, sign = ("max", clock, ">=") if rule.monotonic == "increasing" else ("min", f"-{clock}", "<=")
    before = f"({pick}(case when {known} then named_struct('at', {at}, 'value', {name}) end) {earlier}).value"
    return f"{' or '.join(f'{n} is null' for n in names)} or {name} {sign} {before}"
