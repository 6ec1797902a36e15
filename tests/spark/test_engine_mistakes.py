"""Arguments of the engine's functions that cannot be are refused in words, before anything runs."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from headrace.engine.point_in_time import lookup_join, point_in_time_join
from headrace.engine.windows import window_features
from headrace.errors import ConfigError
from tests.spark.test_engine import frames

MALFORMED: list[Any] = [
    ("x", "mean"),
    ("x", "mean", "1 day", "more"),
    "mean",
    None,
    ("x", "mean", 3),
    ("x", None, "1 day"),
    {"x": "mean"},
]


def test_mistakes_are_refused_before_anything_runs(spark: SparkSession) -> None:
    spine, events = frames(spark, 1)
    common: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t"}
    with pytest.raises(ConfigError, match=r"'ID' .* 'id'"):
        point_in_time_join(spine, events.withColumnRenamed("x", "ID"), feature_time="s", **common)
    with pytest.raises(ConfigError, match=r"'T' .* 't'"):
        window_features(spine, events, event_time="s", aggregates={"T": ("*", "count", "1 day")}, **common)
    for spec, says in [
        (("x", "median", "1 day"), "'median' is not one of"),
        (("x", "mean", "1 month"), "no fixed length"),
        (("nope", "mean", "1 day"), "'nope' is not there"),
        (("w", "mean", "1 day"), "needs a number"),
        (("*", "mean", "1 day"), "goes with count and since_last"),
        (("w", "trend", "1 day"), "trend needs a number"),
        (("w", "mode", "1 day / 2 days"), "mode over two windows needs a number"),
        (("x", "mean", "1 day / 24 hours"), "divides a window by itself"),
    ]:
        with pytest.raises(ConfigError, match=says):
            window_features(spine, events, event_time="s", aggregates={"f": spec}, **common)
    with pytest.raises(ConfigError, match="string on one side and int"):
        point_in_time_join(spine, events.withColumn("k1", F.lit(1)), feature_time="s", columns=["x"], **common)
    with pytest.raises(ConfigError, match="not a timestamp"):
        point_in_time_join(spine, events, feature_time="x", **common)


def test_malformed_arguments_are_told_in_words(spark: SparkSession) -> None:
    spine, events = frames(spark, 1)
    common: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t"}
    for spec in MALFORMED:
        with pytest.raises(ConfigError, match=r"'f': .* is not \(column, function, window\)"):
            window_features(spine, events, event_time="s", aggregates={"f": spec}, **common)
    for aggregates in ([("f", "x", "mean", "1 day")], "mean", None):
        with pytest.raises(ConfigError, match=r"aggregates: .* is no mapping"):
            window_features(spine, events, event_time="s", aggregates=aggregates, **common)  # type: ignore[arg-type]
    for count in (0, -1, "3"):
        with pytest.raises(ConfigError, match=r"num_buckets: .* above zero"):
            point_in_time_join(spine, events, feature_time="s", columns=["x"], num_buckets=count, **common)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'x' is no list of columns"):
        point_in_time_join(spine, events, feature_time="s", columns="x", **common)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="'x' is no list of columns"):
        lookup_join(spine, events, entity=["k1"], columns="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="max_age: '3' is not a duration"):
        point_in_time_join(spine, events, feature_time="s", max_age=3, columns=["x"], **common)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="slice_by: '3' is not a duration"):
        window_features(spine, events, event_time="s", aggregates={"f": ("x", "sum", "1 day")}, slice_by=3, **common)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"spine: column 'id' stands more than once"):
        point_in_time_join(spine.select("*", F.lit(1).alias("ID")), events, feature_time="s", columns=["x"], **common)
    with pytest.raises(ConfigError, match=r"events: pandas\..*DataFrame is no DataFrame of Spark"):
        window_features(spine, events.toPandas(), event_time="s", aggregates={"f": ("x", "sum", "1 day")}, **common)
    with pytest.raises(ConfigError, match="did you mean 'distinct'"):
        window_features(spine, events, event_time="s", aggregates={"f": ("x", "distnct", "1 day")}, **common)


def test_texts_that_are_equal_though_their_bytes_are_not_are_refused(spark: SparkSession) -> None:
    spine, events = frames(spark, 1)
    common: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t"}
    plain, folded = (f.withColumn("k1", F.expr("k1 collate UTF8_LCASE")) for f in (spine, events))
    with pytest.raises(ConfigError, match=r"entity: column 'k1' is string collate UTF8_LCASE: .* write lower\(k1\)"):
        point_in_time_join(plain, folded, feature_time="s", columns=["x"], **common)
    values = events.withColumn("w", F.expr("w collate UTF8_LCASE"))
    with pytest.raises(ConfigError, match="'w' is string collate UTF8_LCASE"):
        window_features(spine, values, event_time="s", aggregates={"f": ("w", "distinct", "1 day")}, **common)
    kept = window_features(spine, values, event_time="s", aggregates={"f": ("w", "count", "1 day")}, **common)
    assert kept.agg(F.sum("f")).first()[0] > 0  # type: ignore[index]


def test_the_end_of_a_row_is_a_time_and_no_feature(spark: SparkSession) -> None:
    spine, events = frames(spark, 6)
    common: dict[str, Any] = {"entity": ["k1", "k2"], "spine_time": "t", "feature_time": "s"}
    assert "a" not in point_in_time_join(spine, events.drop("x"), valid_until="a", **common).columns
    with pytest.raises(ConfigError, match="valid_until: column 'x' is double, not a timestamp"):
        point_in_time_join(spine, events, valid_until="x", columns=["w"], **common)
