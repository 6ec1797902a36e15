"""Numbers as features: filled, curved, cut into intervals, scaled; one stage of plain SQL with what was learned.

All that is learned of all numbers takes three Spark jobs at most, whatever their number.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from headrace.engine.outliers import number
from headrace.search.columns import Columns, as_number
from headrace.search.curves import PARTS, curved, exponent
from headrace.search.moments import PERIODS, around, part
from headrace.search.plan import Number, Plan

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ACCURACY = 10_000
"""Of quantiles: their rank is off by at most a ten-thousandth of the rows; of few rows they are exact."""


@dataclass(frozen=True)
class Source:
    """A number before it is prepared: a column, or a part of a moment.

    Attributes:
        name: What columns made of it are called by.
        sql: Its value, a double; null where it is missing or not finite.
        how: It is prepared.
    """

    name: str
    sql: str
    how: Number

    @property
    def filled(self) -> str:
        """Its column without missing values, where they are filled."""
        return f"{self.name}__filled" if self.how.impute else f"{self.name}__number"

    @property
    def value(self) -> str:
        """Its column on the curve."""
        return f"{self.name}__curved" if self.how.curve != "none" else self.filled

    @property
    def last(self) -> str:
        """Its column as a feature."""
        return f"{self.name}__scaled" if self.how.scale != "none" else self.value

    @property
    def cut(self) -> bool:
        """Whether intervals take its place."""
        return bool(self.how.edges) or self.how.bins != "none"


@dataclass(frozen=True)
class Numbers:
    """What is made of numbers.

    Attributes:
        statement: SQL over `__THIS__`.
        features: Columns that become features, in order.
    """

    statement: str
    features: tuple[str, ...]


def fit_numbers(train: DataFrame, columns: Columns, plan: Plan, extra: Mapping[str, str] | None = None) -> Numbers:
    """Learn what numbers are prepared with. Runs Spark jobs: none up to three.

    Args:
        train: Training rows; nothing else is looked at.
        columns: What was learned of them.
        plan: How.
        extra: Columns that are made beside: name -> SQL.
    """
    found = sources(columns, plan)
    flags = {name: as_number(name, columns.types[name]) for name, how in plan.numbers if how.indicator}
    flags = {f"{n}__missing": f"cast({sql} is null as double)" for n, sql in flags.items() if n in columns.missing}
    circles = _circles(columns, plan)
    levels = [{f"{one.name}__number": one.sql for one in found} | flags | circles | dict(extra or {})]
    learned = _learn(_shown(train, levels), found)
    levels.append({one.filled: _fill(one, learned) for one in found if one.how.impute})
    curves = {one.value: _curve(one, learned) for one in found if one.how.curve != "none"}
    cuts = {one.name: _cuts(one, learned, plan.kind == "linear") for one in found if one.cut}
    levels.append(curves | {name: sql for made in cuts.values() for name, sql in made.items()})
    scales = _scales(_shown(train, levels), [one for one in found if one.how.scale != "none"])
    levels.append({one.last: _scaled(one.value, *scales[one.name]) for one in found if one.name in scales})
    last = {one.name: one.last for one in found}
    levels.append({f"{one}__x__{other}": f"`{last[one]}` * `{last[other]}`" for one, other in columns.products})
    values = [one.last for one in found if not one.cut]
    made = [*values, *flags, *(name for cut in cuts.values() for name in cut), *circles, *levels[-1]]
    return Numbers(statement(levels), tuple(made))


def sources(columns: Columns, plan: Plan) -> list[Source]:
    """All numbers: columns, and of moments the parts that are no circle."""
    moments, found = dict(plan.moments), []
    for name, how in plan.numbers:
        kind, moment = columns.types[name], moments.get(name)
        if moment is None or moment.elapsed:
            found.append(Source(name, as_number(name, kind), how))
        for one in moment.parts if moment else ():
            if not (moment and moment.cyclic and one in PERIODS):
                found.append(Source(f"{name}__{one}", part(name, kind, one), replace(how, indicator=False)))
    return found


def _circles(columns: Columns, plan: Plan) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, how in plan.moments:
        for one in how.parts if how.cyclic else ():
            found |= around(name, columns.types[name], one) if one in PERIODS else {}
    return found


def statement(levels: Sequence[Mapping[str, str]]) -> str:
    """SQL that makes columns out of those of the level before."""
    inner = "__THIS__"
    for level in levels:
        if level:
            parts = "".join(f", {sql} as `{name}`" for name, sql in level.items())
            inner = f"(select *{parts} from {inner})"
    return f"select * from {inner}"


def _shown(train: DataFrame, levels: Sequence[Mapping[str, str]]) -> DataFrame:
    from pyspark.ml.feature import SQLTransformer

    return SQLTransformer(statement=statement(levels)).transform(train)


def _learn(frame: DataFrame, found: Iterable[Source]) -> dict[str, Any]:
    """What is learned of the numbers themselves: `<name>:<what>` -> value."""
    asked: dict[str, str] = {}
    for one in found:
        column = f"`{one.name}__number`"
        if one.how.impute in ("median", "mean"):
            asked[f"{one.name}:fill"] = _quantiles(column, 0.5) if one.how.impute == "median" else f"avg({column})"
        if one.how.curve == "yeo_johnson":
            asked[f"{one.name}:points"] = _quantiles(column, PARTS)
        if one.how.bins == "quantile":
            count = one.how.bin_count
            asked[f"{one.name}:edges"] = _quantiles(column, [step / count for step in range(count)])
        if one.how.bins == "uniform":
            asked[f"{one.name}:edges"] = f"array(min({column}), max({column}))"
    learned = _asked(frame, asked)
    modes = [one.name for one in found if one.how.impute == "mode"]
    return learned | ({f"{name}:fill": value for name, value in _modes(frame, modes).items()} if modes else {})


def _quantiles(column: str, parts: float | Sequence[float]) -> str:
    wanted = number(parts) if isinstance(parts, float) else f"array({', '.join(map(number, parts))})"
    return f"percentile_approx({column}, {wanted}, {ACCURACY})"


def _asked(frame: DataFrame, asked: Mapping[str, str]) -> dict[str, Any]:
    if not asked:
        return {}
    row = frame.selectExpr(*[f"{sql} as a{place}" for place, sql in enumerate(asked.values())]).collect()[0]
    return dict(zip(asked, row, strict=True))


def _modes(frame: DataFrame, names: Sequence[str]) -> dict[str, float]:
    """The most frequent value of each, of several the least. A row for each comes to the driver."""
    from pyspark.sql import functions as F

    each = ", ".join(f"named_struct('name', {place}, 'value', `{name}__number`)" for place, name in enumerate(names))
    counted = frame.selectExpr(f"inline(array({each}))").where("value is not null").groupBy("name", "value").count()
    most = counted.groupBy("name").agg(F.expr("max_by(value, struct(count, -value))").alias("value")).collect()
    return {names[row["name"]]: float(row["value"]) for row in most}


def _fill(one: Source, learned: Mapping[str, Any]) -> str:
    value = one.how.fill if one.how.impute == "constant" else learned.get(f"{one.name}:fill")
    value = float(value) if value is not None and math.isfinite(value) else 0.0
    return f"coalesce(`{one.name}__number`, {number(value)})"


def _curve(one: Source, learned: Mapping[str, Any]) -> str:
    points = learned.get(f"{one.name}:points") or ()
    return curved(f"`{one.filled}`", one.how.curve, exponent(points) if one.how.curve == "yeo_johnson" else 0.0)


def edges_of(how: Number, learned: Sequence[float] | None) -> list[float]:
    """Where intervals begin, but for the first."""
    if how.edges:
        return list(how.edges)
    if not learned or learned[0] is None:
        return []
    low = learned[0]
    if how.bins == "uniform":
        step = learned[1] / how.bin_count - low / how.bin_count
        learned = [low + step * place for place in range(how.bin_count)]
    return sorted({edge for edge in learned if edge > low})


def _cuts(one: Source, learned: Mapping[str, Any], hot: bool) -> dict[str, str]:
    """The number of the interval; for linear models a column for each."""
    edges = edges_of(one.how, learned.get(f"{one.name}:edges"))
    column = f"`{one.filled}`"
    if not hot:
        above = [f"cast({column} >= {number(edge)} as double)" for edge in edges]
        return {f"{one.name}__bin": " + ".join(above) or "0.0D"}
    ends = [None, *edges, None]
    made = {}
    for place, (low, high) in enumerate(itertools.pairwise(ends)):
        within = [f"{column} >= {number(low)}"] if low is not None else []
        within += [f"{column} < {number(high)}"] if high is not None else []
        made[f"{one.name}__bin_{place}"] = f"cast({' and '.join(within) or 'true'} as double)"
    return made


def _scales(frame: DataFrame, found: Sequence[Source]) -> dict[str, tuple[float, float]]:
    """Middle and width of each number."""
    asked: dict[str, str] = {}
    for one in found:
        value = f"`{one.value}`"
        spread = f"avg({value}), stddev_samp({value})"
        if one.how.scale == "min_max":
            spread = f"min({value}), max({value}) - min({value})"
        elif one.how.scale == "robust":
            spread = f"{_quantiles(value, (0.25, 0.5, 0.75))}, stddev_samp({value})"
        asked[one.name] = f"struct({spread})"
    return {name: _middle(tuple(row)) for name, row in _asked(frame, asked).items()}


def _middle(found: tuple[Any, Any]) -> tuple[float, float]:
    """Of a robust scale median and distance of the quartiles; where that is 0 the standard deviation."""
    first, width = found
    if isinstance(first, list):
        low, first, high = first
        width = high - low if high > low else width
    return (float(first or 0.0), float(width or 0.0))


def _scaled(column: str, middle: float, width: float) -> str:
    factor = 1 / width if width > 0 else 0.0
    if not (factor > 0 and math.isfinite(factor) and math.isfinite(middle)):
        return "0.0D"
    return f"(`{column}` - {number(middle)}) * {number(factor)}"
