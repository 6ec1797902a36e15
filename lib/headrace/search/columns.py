"""What the training part's feature columns are like: learned once, in two Spark jobs, on training rows only."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from headrace.config.preparation import WORDS, Preparation
from headrace.engine.outliers import group_key
from headrace.search import roles
from headrace.search.roles import MOMENTS, NUMBERS, Role

__all__ = ["MOMENTS", "NUMBERS", "Columns", "as_category", "as_number", "columns"]

MANY = 1_000
"""Values kept per column where they take no column each."""
EMPTY = "\\u0000"
"""In SQL, what stands for empty text among categories: no text of anybody's."""


@dataclass(frozen=True)
class Columns:
    """Feature columns as they will be used.

    Attributes:
        numeric: Columns that become one double each.
        missing: Those of `numeric` that are null in some training rows.
        categories: Text columns, and pairs of them -> values kept, the most frequent first.
        types: Spark's simple type of each raw feature, in order, also of dropped ones.
        dropped: Columns that can teach nothing -> why.
        texts: Columns of many words.
        moments: Those of `numeric` that are dates or times.
        crosses: Those of `categories` that are pairs of columns.
        products: Pairs of `numeric` that are multiplied.
        keep: Values that are kept of a category, where nothing else is said.
    """

    numeric: tuple[str, ...]
    missing: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    types: Mapping[str, str]
    dropped: Mapping[str, str]
    texts: tuple[str, ...] = ()
    moments: tuple[str, ...] = ()
    crosses: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    products: tuple[tuple[str, str], ...] = ()
    keep: int = 100

    @property
    def used(self) -> dict[str, str]:
        """Raw columns that the model reads -> type, in order."""
        read = {*self.numeric, *self.categories, *self.texts}
        return {name: kind for name, kind in self.types.items() if name in read}


def as_number(name: str, kind: str) -> str:
    """SQL of a column as double; what is not finite is null."""
    quoted = f"`{name}`"
    if kind == "boolean" or kind.startswith("decimal"):
        return f"cast({quoted} as double)"
    if kind == "date":
        return f"cast(unix_date({quoted}) as double)"
    if kind in MOMENTS:
        return f"cast(unix_micros(cast({quoted} as timestamp)) as double) / 1000000"
    if kind in ("float", "double"):
        return f"case when abs({quoted}) < double('Infinity') then cast({quoted} as double) end"
    if kind == "string":
        number = f"try_cast({quoted} as double)"
        return f"case when abs({number}) < double('Infinity') then {number} end"
    return f"cast({quoted} as double)"


def as_category(name: str, columns: Columns) -> str:
    """SQL of a category as text; null of a column that is null, never of a pair.

    Spark names one-hot columns by their values, and refuses an empty name.
    """
    pair = columns.crosses.get(name)
    if pair:
        return group_key(pair)
    text = f"cast(`{name}` as string)"
    return f"if({text} = '', '{EMPTY}', {text})" if "" in columns.categories[name] else text


def columns(
    train: DataFrame,
    features: Sequence[str],
    max_categories: int,
    preparation: Preparation | None = None,
    texts: bool = True,
) -> Columns:
    """Look at the features of the training rows. Runs one or two Spark jobs.

    Args:
        train: Training rows.
        features: Candidate columns, in order.
        max_categories: Values kept per text column.
        preparation: What the configuration says of columns.
        texts: Whether text of many words is told from categories, where the configuration does not say it.

    Raises:
        ConfigError: If it speaks of columns that are not there, or are of another kind.
    """
    conf = preparation or Preparation()
    every = {one.name: one.dataType.simpleString() for one in train.schema if one.name in set(features)}
    types = {name: every[name] for name in features}
    given = roles.given(conf, types)
    dropped = {name: f"a {kind}" for name, kind in types.items() if name not in given}
    facts = _look(train, {name: types[name] for name in given}, given)
    for name, why in roles.useless(given, facts).items():
        dropped[name] = why
    most = max_categories if texts else math.inf
    told = {name: _role(role, facts[name], most) for name, role in given.items() if name not in dropped}
    numeric = tuple(name for name, role in told.items() if role in ("number", "moment"))
    crosses, products = roles.pairs(conf, types, told)
    text = [name for name, role in told.items() if role == "category"]
    found = Columns(
        numeric=numeric,
        missing=tuple(name for name in numeric if facts[name]["known"] < facts[name]["rows"]),
        categories=dict.fromkeys([*text, *crosses], ()),
        types=types,
        dropped={name: dropped[name] for name in types if name in dropped},
        texts=tuple(name for name, role in told.items() if role == "text"),
        moments=tuple(name for name, role in told.items() if role == "moment"),
        crosses=crosses,
        products=products,
        keep=max_categories,
    )
    kept = _categories(train, found, max(max_categories, roles.most_kept(conf, MANY)))
    return Columns(**{**found.__dict__, "categories": kept})


def _role(role: Role | None, facts: Mapping[str, float], keep: float) -> Role:
    """As given, or of text by its words."""
    if role:
        return role
    return "text" if facts["words"] >= WORDS and facts["values"] > keep else "category"


def _look(train: DataFrame, types: Mapping[str, str], given: Mapping[str, Role | None]) -> dict[str, dict[str, float]]:
    """Per column: rows, those that are not null, whether there is more than one value; of text words and values."""
    parts = [F.count("*").alias("rows")]
    for index, (name, kind) in enumerate(types.items()):
        number = given[name] in ("number", "moment")
        value: Column = F.expr(as_number(name, kind)) if number else F.col(f"`{name}`")
        parts += [F.count(value).alias(f"n{index}"), (F.min(value) != F.max(value)).alias(f"d{index}")]
        if given[name] is None:
            parts.append(F.avg(F.size(F.split(F.trim(value), r"\s+"))).alias(f"w{index}"))
            parts.append(F.approx_count_distinct(value).alias(f"v{index}"))
    row = train.agg(*parts).collect()[0]
    return {name: _facts(row, index, given[name] is None) for index, name in enumerate(types)}


def _facts(row: Row, index: int, text: bool) -> dict[str, float]:
    found = {"rows": row["rows"], "known": row[f"n{index}"], "differ": float(bool(row[f"d{index}"]))}
    if text:
        found |= {"words": row[f"w{index}"] or 0.0, "values": row[f"v{index}"]}
    return found


def _categories(train: DataFrame, found: Columns, keep: int) -> dict[str, tuple[str, ...]]:
    names = list(found.categories)
    if not names:
        return {}
    each = (F.struct(F.lit(n).alias("name"), F.expr(as_category(n, found)).alias("value")) for n in names)
    frequent = Window.partitionBy("name").orderBy(F.desc("count"), "value")
    counted = (
        train.select(F.explode(F.array(*each)).alias("pair"))
        .select("pair.*")
        .where("value is not null")
        .groupBy("name", "value")
        .count()
        .withColumn("rank", F.row_number().over(frequent))
        .where(F.col("rank") <= keep)
        .orderBy("name", "rank")
        .collect()  # bounded: `keep` per column
    )
    return {name: tuple(row["value"] for row in counted if row["name"] == name) for name in names}
