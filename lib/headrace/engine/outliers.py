"""Thresholds of outliers: learned from some rows, as plain numbers; how they are written in SQL."""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from headrace.config.outliers import Outlier

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MOST_GROUPS = 1_000
"""Groups with thresholds of their own, those with most rows first: they are kept in a commit, and in the model."""
SIGMA = 1.4826
"""A standard deviation in units of the MAD, for normally distributed values."""
_ACCURACY = 10_000
"""Of quantiles: their rank is off by at most a ten-thousandth of the rows; of few rows they are exact."""
_ALL = ""
_PER_MAP = 8

Pair = tuple[float | None, float | None]
"""Least and greatest value that is no outlier; None: open."""


@dataclass(frozen=True)
class Thresholds:
    """What was learned of a column.

    Attributes:
        whole: Of all rows; for groups that have none of their own.
        groups: By the group's values as JSON text.
        rows: With a finite value, that it was learned from.
    """

    whole: Pair = (None, None)
    groups: Mapping[str, Pair] = field(default_factory=dict)
    rows: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"whole": list(self.whole), "groups": {k: list(v) for k, v in self.groups.items()}, "rows": self.rows}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> Thresholds:
        """What `as_dict` gave."""
        low, high = kept["whole"]
        return cls((low, high), {key: (pair[0], pair[1]) for key, pair in kept["groups"].items()}, int(kept["rows"]))


def group_key(columns: Sequence[str]) -> str:
    """SQL of a group's name: its values as text, in JSON, so that no two groups share one; null is a value."""
    return f"to_json(array({', '.join(f'cast(`{column}` as string)' for column in columns)}))"


def table_of(pairs: Mapping[str, Sequence[float | None]], names: Sequence[str]) -> str:
    """Numbers per group as a table in SQL: the group's name, then its numbers."""
    rows = (f"({', '.join([_text(key), *map(number, pair)])})" for key, pair in sorted(pairs.items()))
    return f"values {', '.join(rows)} as thresholds({', '.join(names)})"


def number(value: float | None) -> str:
    """A double in SQL.

    >>> number(-0.5), number(1e300), number(None)
    ('-0.5D', '1e+300D', 'cast(null as double)')
    """
    return "cast(null as double)" if value is None else f"{float(value)!r}D"


def _text(value: str) -> str:
    """Text in SQL; what could mean anything to a parser, or to Spark's substitution of variables, is spelled out."""
    plain = (c if c.isalnum() or ord(c) > 127 else f"\\u{ord(c):04x}" for c in value)
    return f"'{''.join(plain)}'"


def learn(frame: DataFrame, value: str, outlier: Outlier) -> Thresholds:
    """Learn thresholds. Runs a Spark job, for zscore two.

    Args:
        frame: The rows to learn from; nothing else is looked at.
        value: SQL of the number, a double; what is null or not finite teaches nothing.
        outlier: Method and groups.

    Returns:
        Of zscore median -+ factor * 1.4826 * MAD, of iqr the quartiles -+ factor * their distance, of quantiles
        these themselves. A quantile is the least value up to which no smaller part of the rows lies. Where MAD or
        the distance of the quartiles is 0, and without a row, both ends are open.
    """
    names = f"array('{_ALL}', {group_key(outlier.by)})" if outlier.by else f"array('{_ALL}')"
    rows = frame.selectExpr(f"{value} as v", f"{names} as names").where("abs(v) < double('Infinity')")
    tall = rows.selectExpr("v", "explode(names) as name")
    low, high = outlier.ends if outlier.method == "quantiles" else (0.25, 0.75)
    found = _quantiles(tall, (low, 0.5, high), outlier.min_rows)
    if outlier.method == "zscore" and found:
        spread = _quantiles(_from_middle(tall, {name: q[1] for name, (_, q) in found.items()}), (0.5,), 1)
        pairs = {
            name: _around(q[1], q[1], outlier.reach * SIGMA * spread[name][1][0]) for name, (_, q) in found.items()
        }
    elif outlier.method == "iqr":
        pairs = {name: _around(q[0], q[2], outlier.reach * (q[2] - q[0])) for name, (_, q) in found.items()}
    else:
        pairs = {name: (q[0], q[2]) for name, (_, q) in found.items()}
    whole = pairs.pop(_ALL, (None, None))
    return Thresholds(whole, pairs, found[_ALL][0] if found else 0)


def _around(low: float, high: float, reach: float) -> Pair:
    """What lies beyond the reach of numbers is open, too."""
    ends = (low - reach, high + reach) if reach > 0 else (-math.inf, math.inf)
    return (ends[0] if math.isfinite(ends[0]) else None, ends[1] if math.isfinite(ends[1]) else None)


def _quantiles(tall: DataFrame, parts: Sequence[float], least: int) -> dict[str, tuple[int, list[float]]]:
    """Per name: rows, and quantiles; of all rows, and of groups with `least` rows or more, the largest first."""
    from pyspark.sql import functions as F

    wanted = f"percentile_approx(v, array({', '.join(number(part) for part in parts)}), {_ACCURACY})"
    made = tall.groupBy("name").agg(F.count("*").alias("rows"), F.expr(wanted).alias("quantiles"))
    kept = made.where((F.col("rows") >= least) | (F.col("name") == _ALL))
    largest = kept.orderBy(F.col("name") != _ALL, F.col("rows").desc(), "name").limit(MOST_GROUPS + 1)
    return {row["name"]: (int(row["rows"]), list(row["quantiles"])) for row in largest.collect()}


def _from_middle(tall: DataFrame, middles: Mapping[str, float]) -> DataFrame:
    from pyspark.sql import functions as F

    table = table_of({name: (middle,) for name, middle in middles.items()}, ("name", "middle"))
    known = tall.sparkSession.sql(f"select * from {table}")
    return tall.join(F.broadcast(known), "name").selectExpr("name", "abs(v - middle) as v")


def beside(thresholds: Thresholds, by: Sequence[str]) -> str:
    """SQL of a row's thresholds, by its group: a struct of `low` and `high`.

    No join: it would be a Spark job more. The groups are in maps by the remainder of a checksum of their names, for Spark looks
    through a map from its beginning.
    """
    whole = _pair(thresholds.whole)
    if not (by and thresholds.groups):
        return whole
    # no map is empty: it would be one of nothing to nothing
    maps = [[_text(_ALL), whole] for _ in range(1 + len(thresholds.groups) // _PER_MAP)]
    for key, pair in sorted(thresholds.groups.items()):
        maps[zlib.crc32(key.encode()) % len(maps)] += [_text(key), _pair(pair)]
    kind = "map<string, struct<low: double, high: double>>"
    each = ", ".join(f"cast(map({', '.join(entries)}) as {kind})" for entries in maps)
    key = group_key(by)
    return f"coalesce(try_element_at(get(array({each}), int(crc32(binary({key})) % {len(maps)})), {key}), {whole})"


def _pair(pair: Pair) -> str:
    return f"named_struct('low', {number(pair[0])}, 'high', {number(pair[1])})"
