"""Metrics of clusters, lists and odd rows against slow references, on awkward frames."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from pyspark.ml.evaluation import ClusteringEvaluator, RankingEvaluator
from pyspark.ml.functions import array_to_vector
from pyspark.sql import functions as F

from headrace.config.learning import TrainingSet
from headrace.metrics.lists import list_metrics
from headrace.metrics.rowwise import difference_of_rows, measure_rows
from headrace.metrics.silhouette import SILHOUETTE, with_silhouette
from headrace.models import recommend
from headrace.runtime.checkpoints import checkpoints
from headrace.search.columns import Columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.factors import fit_ids
from headrace.search.plan import Plan
from headrace.search.special import Clustering, Recommendation


def silhouettes(points: np.ndarray, clusters: np.ndarray) -> list[float]:
    """By definition, pair by pair."""
    found = []
    for i, own in enumerate(clusters):
        distances = {c: [((points[i] - points[j]) ** 2).sum() for j in range(len(points)) if clusters[j] == c and j != i]
                     for c in set(clusters)}  # fmt: skip
        if not distances[own]:
            found.append(0.0)
            continue
        inside = float(np.mean(distances[own]))
        outside = min(float(np.mean(d)) for c, d in distances.items() if c != own)
        found.append(0.0 if inside == outside else (outside - inside) / max(inside, outside))
    return found


def test_silhouettes_are_those_of_the_definition_and_their_mean_is_sparks(spark):
    rng = np.random.default_rng(0)
    points = np.vstack([rng.normal(size=(30, 2)), rng.normal(size=(20, 2)) + 4, [[9.0, 9.0]], np.full((4, 2), 1.5)])
    clusters = np.array([0] * 30 + [5] * 20 + [2] + [7] * 4)  # gaps, one alone, four equal ones
    clusters[:3] = 5  # in the wrong one
    frame = spark.createDataFrame(
        [(i, [float(x) for x in p], int(c)) for i, (p, c) in enumerate(zip(points, clusters, strict=True))],
        "id int, xs array<double>, prediction int",
    ).withColumn("features", array_to_vector("xs"))
    found = [row[0] for row in with_silhouette(frame).orderBy("id").select(SILHOUETTE).collect()]
    assert found == pytest.approx(silhouettes(points, clusters), abs=1e-9)
    [measure] = measure_rows(with_silhouette(frame), {"silhouette": F.col(SILHOUETTE)}, ["id"])
    assert measure.value == pytest.approx(ClusteringEvaluator().evaluate(frame), abs=1e-9)
    assert measure.lower < measure.value < measure.upper
    one = frame.withColumn("prediction", F.lit(3))
    assert {row[0] for row in with_silhouette(one).select(SILHOUETTE).collect()} == {None}
    assert measure_rows(with_silhouette(one), {"silhouette": F.col(SILHOUETTE)}, ["id"])[0].value is None


LISTS = [
    ([3, 1, 2, 9, 8], [1, 2, 7]),
    ([3, 1, 2], [4]),
    ([5, 6, 7, 8, 9, 10, 11], [11, 5]),
    ([], [1]),
    ([1], [1, 2, 3, 4, 5, 6]),
    ([2, 1], []),
]


def test_list_metrics_are_sparks(spark):
    frame = spark.createDataFrame(
        [(i, *pair) for i, pair in enumerate(LISTS)], "id int, items array<bigint>, relevant array<bigint>"
    )
    for k in (1, 3, 5):
        values = list_metrics(F.col("items"), F.col("relevant"), k)
        row = frame.agg(*[F.avg(value).alias(name) for name, value in values.items()]).first()
        doubles = frame.where(F.size("relevant") > 0).selectExpr(
            "cast(items as array<double>) prediction", "cast(relevant as array<double>) label"
        )
        for name in values:
            spark_s = RankingEvaluator(metricName=name, k=k).evaluate(doubles)
            assert row[name] == pytest.approx(spark_s), (name, k)


RATINGS = [  # user, item, rating, part
    *[(u, i, float(1 + (u + ord(i)) % 5), "learned") for u in range(6) for i in "abcd" if (u * 3 + ord(i)) % 4],
    *[(6, i, 5.0, "learned") for i in "abcdef"],  # has had everything
    (0, "e", 5.0, "judged"), (0, "f", 1.0, "judged"), (0, "new", 5.0, "judged"), (0, "newer", 4.0, "judged"),
    (1, "e", 4.0, "judged"), (1, "a", 5.0, "judged"),
    (6, "new", 5.0, "judged"), (7, "a", 5.0, "judged"), (7, "e", 2.0, "judged"), (8, "a", 1.0, "judged"),
    (None, "a", 5.0, "judged"), (2, None, 5.0, "judged"),
]  # fmt: skip


@pytest.fixture(scope="module")
def rated(spark):
    frame = spark.createDataFrame(RATINGS, "who bigint, what string, label double, part string").coalesce(1).cache()
    yield frame.where("part = 'learned'"), frame.where("part = 'judged'")
    frame.unpersist()


def slow(recommender, factors, rows, k, relevant):
    """Lists and metrics, user by user in Python."""
    learned = [r for r in rows if r[3] == "learned"]
    items = list(recommender.items)
    means = {}
    mean = np.mean([r[2] for r in learned])
    for item in items:
        its = [r[2] for r in learned if r[1] == item]
        means[item] = (sum(its) + 10 * mean) / (len(its) + 10)
    assert items == sorted(items, key=lambda item: (-means[item], item))
    users, them = factors
    found = {}
    for user in {r[0] for r in rows if r[3] == "judged" and r[0] is not None}:
        had = {r[1] for r in learned if r[0] == user}
        wanted = {r[1] for r in rows if r[0] == user and r[3] == "judged" and r[2] >= relevant and r[1]} - had
        if not wanted:
            continue
        score = {i: float(np.dot(users[user], them[i])) if user in users else means[i] for i in items if i not in had}
        best = sorted(score, key=lambda item: (-score[item], items.index(item)))[:k]
        hits = [item in wanted for item in best]
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits) if hit)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(wanted))))
        precise = sum(sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(hits) if hit)
        found[user] = (best, {"ndcgAtK": gain / ideal, "precisionAtK": sum(hits) / k,
                              "recallAtK": sum(hits) / len(wanted),
                              "meanAveragePrecisionAtK": precise / min(k, len(wanted))})  # fmt: skip
    return found


def test_lists_are_those_of_a_slow_search_cold_users_and_items_too(spark, rated):
    with checkpoints(spark):
        check_lists(*rated)


def check_lists(learned, judged):
    training = TrainingSet.model_validate({"from": "t", "user": "who", "item": "what", "rating": "r", "top_k": 3})
    way = Recommendation(training, relevant=4.0)
    preparation = fit_ids(learned, "who", "what", implicit=False)
    before, after = preparation.transform(learned), preparation.transform(judged)
    estimator = ESTIMATORS["als"].build("recommendation", {**ESTIMATORS["als"].first, "rank": 2}, 1, 1)
    model = way.fit(estimator, preparation, before)
    recommender = recommend.Recommender.of(preparation, model)
    users = {row["id"]: row["features"] for row in model.userFactors.collect()}
    them = {recommender.items[row["id"]]: row["features"] for row in model.itemFactors.collect()}
    known = {"implicit": False, "relevant": 4.0}
    for of, factors in ((recommender, (users, them)), (recommend.Recommender.of(preparation, None), ({}, them))):
        expected = slow(of, factors, RATINGS, 3, 4.0)
        listed = recommend.with_lists(recommend.judged_users(before, after, known), of, 3)
        rows = listed.select("*", *[v.alias(n) for n, v in list_metrics(F.col("items"), F.col("relevant"), 3).items()])
        found = {row["__who"]: row for row in rows.collect()}
        assert set(found) == set(expected) == {0, 1, 6, 7}
        for user, (best, metrics) in expected.items():
            assert [of.items[number] for number in found[user]["items"]] == best
            assert {name: found[user][name] for name in metrics} == pytest.approx(metrics)
    assert found[6]["items"] == []
    whole = [m for _, m in slow(recommender, (users, them), RATINGS, 3, 4.0).values()]
    for metric in whole[0]:
        value = way.value(model, preparation, before, after, metric)
        assert value == pytest.approx(np.mean([one[metric] for one in whole]))
    stages = way.stages(model)
    given = stages[1].transform(stages[0].transform(after)).select("prediction").collect()
    assert len(given) == len([r for r in RATINGS if r[3] == "judged"])
    assert all(row[0] is not None and math.isfinite(row[0]) for row in given)


def test_rowwise_metrics_are_means_with_intervals_and_slices(spark):
    rng = np.random.default_rng(3)
    data = pd.DataFrame(
        {"id": np.arange(600), "x": rng.normal(size=600), "kind": rng.choice(["a", "b"], 600, p=[0.9, 0.1])}
    )
    data.loc[::7, "x"] = np.nan
    frame = spark.createDataFrame(data).withColumn("kind", F.when(F.col("kind") == "b", F.col("kind")))
    found = measure_rows(frame, {"silhouette": F.col("x"), "rmse": F.col("x") * F.col("x")}, ["id"], ["kind"], 100)
    by = {(m.metric, m.slice_column, m.slice_value): m for m in found}
    assert set(by) == {(m, *s) for m in ("silhouette", "rmse") for s in ((None, None), ("kind", "null"))}  # b is small
    x = data["x"].dropna()
    whole = by["silhouette", None, None]
    assert (whole.value, whole.rows) == (pytest.approx(x.mean()), 600)
    assert by["rmse", None, None].value == pytest.approx(np.sqrt((x**2).mean()))
    width = 2 * 1.96 * x.std() / np.sqrt(len(x))
    assert whole.upper - whole.lower == pytest.approx(width, rel=0.25)
    better = difference_of_rows(frame, frame.withColumn("x", F.col("x") - 1), F.col("x"), "silhouette", ["id"])
    assert (better.value, better.lower, better.upper) == pytest.approx((1.0, 1.0, 1.0))


@pytest.mark.parametrize("name", ["bisecting_kmeans", "gaussian_mixture"])
def test_clusters_that_there_are_are_found(spark, name):
    rng = np.random.default_rng(5)
    points = np.vstack([rng.normal(size=(40, 2)) * 0.5 + centre for centre in ([0, 0], [8, 0], [0, 8])])
    frame = spark.createDataFrame(
        [([float(x) for x in p], i // 40) for i, p in enumerate(points)], "xs array<double>, own int"
    )
    rows = frame.coalesce(1).select(array_to_vector("xs").alias("features"), "own").cache()
    way = Clustering(Columns((), (), {}, {}, {}), Plan("linear"))
    model = way.fit(ESTIMATORS[name].build("clustering", {"clusters": 3}, 1, 1), None, rows)
    assert way.value(model, None, rows, rows, "silhouette") > 0.9
    found = {(row["own"], row["prediction"]) for row in model.transform(rows).select("own", "prediction").collect()}
    assert len(found) == 3
    rows.unpersist()
