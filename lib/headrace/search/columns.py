"""What the training part's feature columns are like: learned once, in two Spark jobs, on training rows only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
MOMENTS = ("timestamp", "timestamp_ntz", "date")


@dataclass(frozen=True)
class Columns:
    """Feature columns as they will be used.

    Attributes:
        numeric: Columns that become one double each.
        missing: Those of `numeric` that are null in some training rows.
        categories: Text columns -> values kept, the most frequent first.
        types: Spark's simple type of each raw feature, in order, also of dropped ones.
        dropped: Columns that can teach nothing -> why.
    """

    numeric: tuple[str, ...]
    missing: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    types: Mapping[str, str]
    dropped: Mapping[str, str]

    @property
    def used(self) -> dict[str, str]:
        """Raw columns that the model reads -> type, in order."""
        return {name: kind for name, kind in self.types.items() if name in self.numeric or name in self.categories}


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
    return f"cast({quoted} as double)"


def columns(train: DataFrame, features: Sequence[str], max_categories: int) -> Columns:
    """Look at the features of the training rows. Runs one or two Spark jobs.

    Args:
        train: Training rows.
        features: Candidate columns, in order.
        max_categories: Values kept per text column.
    """
    types = {field.name: field.dataType.simpleString() for field in train.schema if field.name in set(features)}
    types = {name: types[name] for name in features}
    dropped = {name: f"a {kind}" for name, kind in types.items() if not (_number(kind) or kind == "string")}
    rows, facts = _look(train, {name: kind for name, kind in types.items() if name not in dropped})
    numeric, missing, text = [], [], []
    for name, (known, distinct) in facts.items():
        if known == 0:
            dropped[name] = "always null"
        elif not distinct and known == rows:
            dropped[name] = "always the same"
        elif types[name] == "string":
            text.append(name)
        else:
            numeric.append(name)
            if known < rows:
                missing.append(name)
    return Columns(tuple(numeric), tuple(missing), _categories(train, text, max_categories), types, dropped)


def _number(kind: str) -> bool:
    return kind in NUMBERS or kind in MOMENTS or kind == "boolean" or kind.startswith("decimal")


def _look(train: DataFrame, types: Mapping[str, str]) -> tuple[int, dict[str, tuple[int, bool]]]:
    """Rows, and per column: rows that are not null, and whether there is more than one value."""
    parts = [F.count("*").alias("rows")]
    for index, (name, kind) in enumerate(types.items()):
        value: Column = F.col(f"`{name}`") if kind == "string" else F.expr(as_number(name, kind))
        parts += [F.count(value).alias(f"n{index}"), (F.min(value) != F.max(value)).alias(f"d{index}")]
    row = train.agg(*parts).collect()[0]
    return row["rows"], {name: (row[f"n{i}"], bool(row[f"d{i}"])) for i, name in enumerate(types)}


def _categories(train: DataFrame, names: Sequence[str], keep: int) -> dict[str, tuple[str, ...]]:
    if not names:
        return {}
    pairs = F.explode(F.array(*[F.struct(F.lit(n).alias("name"), F.col(f"`{n}`").alias("value")) for n in names]))
    frequent = Window.partitionBy("name").orderBy(F.desc("count"), "value")
    found = (
        train.select(pairs.alias("pair"))
        .select("pair.*")
        .where("value is not null")
        .groupBy("name", "value")
        .count()
        .withColumn("rank", F.row_number().over(frequent))
        .where(F.col("rank") <= keep)
        .orderBy("name", "rank")
        .collect()  # bounded: max_categories per column
    )
    return {name: tuple(row["value"] for row in found if row["name"] == name) for name in names}
