"""Which labels quality counts, and when: once known, old enough, and of rows of the time to come."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.monitoring import quality
from tests.spark.monitored import NOW

DAY = timedelta(days=1)
KINDS = [(["No", "Yes"], "string", "Yes"), ([False, True], "boolean", True), ([0, 1], "int", 1)]


def spine_of(spark: SparkSession, rows: list[tuple[Any, ...]], kind: str) -> DataFrame:
    """`id, predict_at, label, label_known_at`, and a split."""
    schema = f"id int, predict_at timestamp, label {kind}, label_known_at timestamp"
    return spark.createDataFrame(rows, schema).withColumn("split", F.lit("score"))


@pytest.mark.parametrize(("labels", "kind", "truth"), KINDS)
def test_a_label_counts_only_once_known_and_old_enough(spark, labels, kind, truth):
    spine = spine_of(
        spark,
        [
            (1, NOW - 9 * DAY, truth, NOW - 8 * DAY),  # known
            (2, NOW - 9 * DAY, labels[0], NOW),  # known just now
            (3, NOW - 9 * DAY, truth, NOW + timedelta(microseconds=1)),  # not known yet
            (4, NOW - DAY, truth, NOW - DAY),  # too young
            (5, NOW - 9 * DAY, None, NOW - DAY),  # none
            (6, NOW - 2 * DAY, labels[0], NOW - DAY),  # just old enough
            (8, NOW - DAY, None, NOW + 3 * DAY),  # to come
            (9, NOW - DAY, None, None),  # never to come
        ],
        kind,
    )
    predictions = spark.createDataFrame(
        [(i, NOW - d * DAY, truth, 0.9, revision, 1) for i, d, revision in
         ((1, 9, 1), (1, 9, 2), (2, 9, 1), (3, 9, 1), (4, 1, 1), (5, 9, 1), (6, 2, 1), (7, 9, 1), (8, 1, 1), (9, 1, 1))],
        f"id int, predict_at timestamp, prediction {kind}, probability double, revision int, model_version int",
    )  # fmt: skip
    found = quality.judged(predictions, spine, ["id"], labels, NOW, 2 * 86_400_000_000).collect()
    seen = [(r.label, r.prediction, r.probability, r.p_true and round(r.p_true, 9)) for r in found]
    hit, miss, none = (1.0, 1.0, 0.9, 0.9), (0.0, 0.0, 0.9, 0.1), (None,) * 4
    assert sorted(seen, key=str) == sorted([hit, miss, none, none, none, miss, none, none, none], key=str)
    soon = sorted(r.next_due.replace(tzinfo=UTC) for r in found if r.next_due)
    assert soon == [NOW + timedelta(microseconds=1), NOW + DAY, NOW + 3 * DAY]


def test_rows_scored_for_want_of_a_label_in_the_periods_learned_from_are_left_out(spark):
    spine = spark.createDataFrame(
        [
            (1, NOW - 9 * DAY, None, None, "score"),  # cancelled, in the time trained on
            (2, NOW - 9 * DAY, True, NOW - 8 * DAY, "train"),  # predicted before the split moved on
            (3, NOW - 2 * DAY, None, None, "score"),
            (4, NOW - 2 * DAY, True, NOW - DAY, "score"),
        ],
        "id int, predict_at timestamp, label boolean, label_known_at timestamp, split string",
    )
    predictions = spine.selectExpr("id", "predict_at", "true prediction", "0.9D probability", "1 model_version")
    found = quality.judged(predictions, spine, ["id"], [False, True], NOW, 0, learned_until=NOW - 5 * DAY)
    assert sorted((r.predict_at.replace(tzinfo=UTC), r.label) for r in found.where("label = 1").collect()) == [
        (NOW - 9 * DAY, 1.0),
        (NOW - 2 * DAY, 1.0),
    ]
    assert found.count() == 3
