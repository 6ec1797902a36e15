"""Adversarial rows to prepare, and slow, obvious references in plain Python for what is made of them."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from pyspark.sql import DataFrame, SparkSession
from scipy.stats import yeojohnson

from headrace.config.preparation import Preparation
from headrace.search.columns import columns
from headrace.search.curves import PARTS, exponent
from headrace.search.plan import Category, Number, plan
from headrace.search.preparation import Preparation as Fitted
from headrace.search.preparation import fit_preparation
from headrace.search.tallies import FOLDS, ROW, Goal, with_rows

Row = dict[str, Any]
SCHEMA = (
    "id bigint, label double, split string, x double, z double, flat double, gross double, count bigint, flag boolean, "
    "money decimal(10,2), carrier string, tail string, note string, at timestamp, day date"
)
FEATURES = [part.split()[0] for part in SCHEMA.split(", ")[3:]]
NUMBERS = ("x", "z", "flat", "gross", "count", "flag", "money")
WORDS = ["late", "Bag", "lost", "crew", "über", "rude", "food", "seat", "42", "x-ray", "the", "and"]


def rows(count: int, seed: int, first: int = 0) -> list[Row]:
    """Nulls, NaN, infinities, ties, negative and huge numbers, a value that is there once, a rare class."""
    draw = random.Random(seed)
    made = []
    for number in range(first, first + count):
        x = draw.choice([None, math.nan, math.inf, -math.inf, -0.0, 0.0, 1.0, 1.0, -3.5, draw.gauss(0, 9)])
        made.append(
            {
                "id": number,
                "label": float(draw.random() < 0.15),
                "split": "train",
                "x": x,
                "z": draw.choice([None, draw.expovariate(0.1), draw.expovariate(0.1) * 50]),
                "flat": draw.choice([None, 7.0]),
                "gross": draw.choice([1e150, -1e150, draw.gauss(0, 1)]),
                "count": draw.choice([None, 0, 0, 0, 0, 1, 5, -2]),
                "flag": draw.choice([None, True, False]),
                "money": draw.choice([None, 1, 2, 700]),
                "carrier": draw.choice([None, "", "AA", "AA", "AA", "BB", "BB", "CC"]),
                "tail": f"N{draw.randrange(30)}",
                "note": draw.choice([None, "", " ".join(draw.choices(WORDS, k=draw.randrange(3, 12)))]),
                "at": draw.choice([None, datetime(1969, 12, 28, tzinfo=UTC) + timedelta(minutes=61 * number)]),
                "day": draw.choice([None, date(1969, 12, 20) + timedelta(days=number)]),
            }
        )
    made[0] |= {"carrier": "once", "tail": "once"}
    return made


def new_rows() -> list[Row]:
    """What training has not seen."""
    nothing = dict.fromkeys(FEATURES) | {"label": 0.0, "split": "validation"}
    strange = rows(6, 99, 9000)
    for one in strange:
        one |= {"carrier": "new", "tail": "new", "split": "validation", "note": "never heard of"}
    return [nothing | {"id": 8000}, *strange]


def framed(spark: SparkSession, found: Sequence[Row], parts: int = 2) -> DataFrame:
    names = [part.split()[0] for part in SCHEMA.split(", ")]
    from decimal import Decimal

    def plain(name: str, value: Any) -> Any:
        return Decimal(value) if name == "money" and value is not None else value

    values = [tuple(plain(name, row[name]) for name in names) for row in found]
    return with_rows(spark.createDataFrame(values, SCHEMA).repartition(parts), ["id"])


def fitted(
    train: DataFrame, conf: dict[str, Any], kind: str = "linear", features: Sequence[str] = FEATURES, classes: Any = 2
) -> Fitted:
    """Prepared by a configuration."""
    found = Preparation.model_validate(conf)
    known = columns(train, list(features), 5, found)
    return fit_preparation(train, known, plan(kind, known, found), Goal(classes))  # type: ignore[arg-type]


def features(model: Any, frame: DataFrame) -> np.ndarray:
    """Prepared rows by id."""
    found = model.transform(frame).select("id", "features").collect()
    return np.array([row["features"].toArray() for row in sorted(found, key=lambda row: row["id"])])


def known(row: Row, name: str) -> float | None:
    """A number; None where it is missing or not finite."""
    value = row[name]
    return None if value is None or not math.isfinite(value) else float(value)


def quantile(values: Sequence[float], part: float) -> float:
    """The least value up to which no smaller part of the rows lies."""
    return next(v for v in sorted(values) if sum(one <= v for one in values) >= part * len(values))


def numbers(train: list[Row], of: list[Row], how: dict[str, Number], hot: bool) -> np.ndarray:
    """Values, then flags, then intervals; a row each of `of`."""
    values, flags, cuts = [], [], []
    for name, one in how.items():
        learned = [value for row in train if (value := known(row, name)) is not None]
        fill = {
            "median": lambda learned=learned: quantile(learned, 0.5),
            "mean": lambda learned=learned: sum(learned) / len(learned),
            "mode": lambda learned=learned: min(learned, key=lambda v: (-learned.count(v), v)),
            "constant": lambda one=one: one.fill,
            None: lambda: math.nan,
        }[one.impute]()
        curve = _curve(one, learned)
        made = [[curve(fill if (v := known(row, name)) is None else v) for row in side] for side in (train, of)]
        if one.indicator and len(learned) < len(train):
            flags.append([float(known(row, name) is None) for row in of])
        if one.bins != "none" or one.edges:
            cuts += _cuts(one, learned, made[1], hot)
        else:
            values.append(_scaled(one.scale, made[0], made[1]))
    return np.array([*values, *flags, *cuts]).T


def _curve(how: Number, learned: list[float]) -> Callable[[float], float]:
    power = exponent([quantile(learned, part) for part in PARTS]) if how.curve == "yeo_johnson" else 1.0
    return {
        "none": lambda v: v,
        "log": lambda v: math.copysign(math.log1p(abs(v)), v),
        "sqrt": lambda v: math.copysign(math.sqrt(abs(v)), v),
        "yeo_johnson": lambda v: min(max(float(yeojohnson(np.array([v]), power)[0]), -1e100), 1e100),
    }[how.curve]


def _scaled(scale: str, train: list[float], of: list[float]) -> list[float]:
    if scale == "none":
        return of
    deviation = float(np.std(np.array(train), ddof=1)) if len(train) > 1 else 0.0
    if scale == "standard":
        middle, width = float(np.mean(train)), deviation
    elif scale == "min_max":
        middle, width = min(train), max(train) - min(train)
    else:
        middle = quantile(train, 0.5)
        width = quantile(train, 0.75) - quantile(train, 0.25) or deviation
    return [(value - middle) / width if width and math.isfinite(width) else 0.0 for value in of]


def _cuts(how: Number, learned: list[float], of: list[float], hot: bool) -> list[list[float]]:
    if how.edges:
        edges = list(how.edges)
    elif how.bins == "quantile":
        edges = [quantile(learned, step / how.bin_count) for step in range(how.bin_count)]
    else:
        step = (max(learned) - min(learned)) / how.bin_count
        edges = [min(learned) + step * place for place in range(how.bin_count)]
    edges = edges if how.edges else sorted({edge for edge in edges if edge > min(learned)})
    places = [sum(value >= edge for edge in edges) for value in of]
    if not hot:
        return [[float(place) for place in places]]
    return [[float(place == one) for place in places] for one in range(len(edges) + 1)]


def folds(frame: DataFrame) -> dict[int, int]:
    return {row["id"]: row[ROW] % FOLDS for row in frame.select("id", ROW).collect()}


def encoded(
    train: list[Row], of: list[Row], name: str, how: Category, keep: Sequence[str], fold: dict[int, int] | None
) -> list[float]:
    """A binary label's mean, or weight of evidence, per category: over all training rows, or those of other folds."""

    def code(row: Row) -> Any:
        return row[name] if row[name] is None or row[name] in keep else "<other>"

    def odds(part: float, count: int) -> float:
        least = 0.5 / (count + 1)
        part = min(max(part, least), 1 - least)
        return math.log(part / (1 - part))

    made = []
    for row in of:
        others = [one for one in train if fold is None or fold[one["id"]] != fold[row["id"]]]
        mean = sum(one["label"] for one in others) / len(others)
        same = [one["label"] for one in others if code(one) == code(row)]
        weight = len(same) + how.smoothing
        value = (sum(same) + how.smoothing * mean) / weight if weight else mean
        made.append(odds(value, len(others)) - odds(mean, len(others)) if how.encode == "woe" else value)
    return made
