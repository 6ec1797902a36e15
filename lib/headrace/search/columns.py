"""What the feature columns of the rows that train are like: learned once, of those rows only, of all folds in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import or_

from pyspark.sql import Column, DataFrame, Row, Window
from pyspark.sql import functions as F

from headrace.config.preparation import FEW_WORDS, WORDS, Preparation
from headrace.engine.outliers import group_key
from headrace.search import roles
from headrace.search.roles import MOMENTS, NUMBERS, Role

__all__ = ["MOMENTS", "NUMBERS", "Columns", "as_category", "as_number", "columns"]

Facts = Mapping[str, Mapping[str, float]]
"""Of columns; see `looked`."""
SKETCH = 12
"""Binary logarithm of the places of a sketch, a byte each: some hundred values are counted one by one, any number to 2 %."""
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
        many: Those of `categories` that have more values than that, and are told apart by the label's mean, where
            nothing else is said.
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
    many: tuple[str, ...] = ()

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
    facts: Facts | None = None,
    by_label: bool = False,
) -> Columns:
    """Look at the features of the training rows. Runs Spark jobs.

    Args:
        train: Training rows.
        features: Candidate columns, in order.
        max_categories: Values kept per text column.
        preparation: What the configuration says of columns.
        texts: Whether text of many words is told from categories, where the configuration does not say it.
        facts: What `looked` found of these rows, where somebody has looked.
        by_label: Whether the label has a mean that tells many values of a category apart.

    Raises:
        ConfigError: If it speaks of columns that are not there, or are of another kind.
    """
    conf = preparation or Preparation()
    types = _types(train, features)
    given = roles.given(conf, types)
    dropped = {name: f"a {kind}" for name, kind in types.items() if name not in given}
    facts = facts or looked(train, features, conf, {0: F.lit(True)})[0]
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
    wanted = {name: roles.most_kept(conf, name, max_categories, MANY, by_label) for name in found.categories}
    kept = _categories(train, found, wanted)
    many = tuple(name for name, values in kept.items() if by_label and len(values) > max_categories)
    return replace(found, categories=kept, many=many)


def _role(role: Role | None, facts: Mapping[str, float], keep: float) -> Role:
    """As given, or of text by its words, and by how seldom values come again: of such no category can be made."""
    if role:
        return role
    least = FEW_WORDS if facts["values"] > facts["known"] / 2 else WORDS
    return "text" if facts["words"] >= least and facts["values"] > keep else "category"


def _types(rows: DataFrame, features: Sequence[str]) -> dict[str, str]:
    every = {one.name: one.dataType.simpleString() for one in rows.schema if one.name in set(features)}
    return {name: every[name] for name in features}


def looked(
    rows: DataFrame, features: Sequence[str], conf: Preparation, parts: Mapping[int, Column]
) -> dict[int, Facts]:
    """Facts of columns, per part of the rows; parts may share rows. Runs one Spark job, however many they are.

    Args:
        rows: That have the features.
        features: Candidate columns.
        conf: What the configuration says of columns.
        parts: Number -> whether a row belongs to it.

    Returns:
        Part -> column -> `rows`; `known`: those that are not null; `differ`: whether there is more than one value; of text
        `words` and, nearly, `values`.
    """
    given = roles.given(conf, _types(rows, features))
    asked = [_asked(index, name, kind, given[name]) for index, (name, kind) in enumerate(_types(rows, features).items())
             if name in given]  # fmt: skip
    some, merged = ([one for each in asked for one in each[place]] for place in (0, 1))
    of = F.array_compact(F.array(*[F.when(belongs, F.lit(number)) for number, belongs in parts.items()]))
    cells = rows.groupBy(of.alias("parts")).agg(F.count("*").alias("rows"), *some)  # rows of the same parts
    each = cells.withColumn("part", F.explode("parts")).groupBy("part").agg(F.sum("rows").alias("rows"), *merged)
    found = {row["part"]: row for row in each.collect()}  # one row per part
    names = [name for name in features if name in given]
    return {
        part: {name: _facts(found.get(part), features.index(name), given[name] is None) for name in names}
        for part in parts
    }


def _asked(index: int, name: str, kind: str, role: Role | None) -> tuple[list[Column], list[Column]]:
    """Aggregates over rows, and how two of them become one."""
    value: Column = F.expr(as_number(name, kind)) if role in ("number", "moment") else F.col(f"`{name}`")
    known, low, high, words, values = (f"{what}{index}" for what in "nlhwv")
    some = [F.count(value).alias(known), F.min(value).alias(low), F.max(value).alias(high)]
    merged = [F.sum(known).alias(known), (F.min(low) != F.max(high)).alias(f"d{index}")]
    if role is None:
        some += [F.sum(F.size(F.split(F.trim(value), r"\s+"))).alias(words), _sketch(value).alias(values)]
        merged += [F.sum(words).alias(words), F.hll_sketch_estimate(F.hll_union_agg(values)).alias(values)]
    return some, merged


def _sketch(value: Column) -> Column:
    """Tells nearly how many values there are, and can be put together (Flajolet et al., HyperLogLog, AofA 2007)."""
    return F.hll_sketch_agg(F.when(value.isNotNull(), F.xxhash64(value)), F.lit(SKETCH))  # it passes empty text over


def _facts(row: Row | None, index: int, text: bool) -> dict[str, float]:
    if row is None:  # nothing belongs to the part
        return {"rows": 0, "known": 0, "differ": 0.0} | ({"words": 0.0, "values": 0} if text else {})
    found = {"rows": row["rows"], "known": row[f"n{index}"], "differ": float(bool(row[f"d{index}"]))}
    if text:
        words = row[f"w{index}"] or 0
        found |= {"words": words / row[f"n{index}"] if words else 0.0, "values": row[f"v{index}"]}
    return found


def _categories(train: DataFrame, found: Columns, wanted: Mapping[str, int]) -> dict[str, tuple[str, ...]]:
    """The most frequent values of each category, so many as are wanted."""
    kept: dict[str, list[str]] = {name: [] for name in found.categories}
    if not kept:
        return {}
    each = (F.struct(F.lit(n).alias("name"), F.expr(as_category(n, found)).alias("value")) for n in kept)
    frequent = Window.partitionBy("name").orderBy(F.desc("count"), "value")
    counted = (
        train.select(F.explode(F.array(*each)).alias("pair"))
        .select("pair.*")
        .where("value is not null")
        .groupBy("name", "value")
        .count()
        .withColumn("rank", F.row_number().over(frequent))
        .where(_among(wanted))
        .orderBy("name", "rank")
        .select("name", "value")
        .collect()  # bounded: so many per column as are wanted
    )
    for row in counted:
        kept[row["name"]].append(row["value"])
    return {name: tuple(values) for name, values in kept.items()}


def _among(wanted: Mapping[str, int]) -> Column:
    """Whether a value's rank is among those that are wanted of its column."""
    alike = {most: [name for name in wanted if wanted[name] == most] for most in set(wanted.values())}
    return reduce(or_, [F.col("name").isin(names) & (F.col("rank") <= most) for most, names in alike.items()])
