"""Each transformation against a slow reference; what is learned knows training rows alone, and no row its own label."""

from __future__ import annotations

import math
import subprocess
import sys
from datetime import UTC, datetime

import numpy as np
import pytest
from pyspark.sql import functions as F

from headrace.config.preparation import Preparation
from headrace.errors import ConfigError
from headrace.runtime.settings import held
from headrace.search.columns import columns
from headrace.search.plan import Category, plan
from headrace.search.tallies import ROW
from tests.spark.preparing import (
    FEATURES,
    NUMBERS,
    encoded,
    features,
    fitted,
    folds,
    framed,
    new_rows,
    numbers,
    rows,
)

TRAIN, NEW = rows(150, 1), new_rows()


@pytest.fixture(scope="module")
def train(spark):
    frame = framed(spark, TRAIN).cache()
    yield frame
    frame.unpersist()


@pytest.fixture(scope="module")
def new(spark):
    frame = framed(spark, NEW).cache()
    yield frame
    frame.unpersist()


EACH = {
    "x": {"curve": "yeo_johnson", "impute": "mean", "scale": "standard"},
    "z": {"bins": "quantile", "bin_count": 4, "impute": "mean"},
    "flat": {"scale": "robust", "impute": "constant", "fill": 7},
    "gross": {"curve": "yeo_johnson", "scale": "min_max"},
    "count": {"edges": [0, 1, 3], "impute": "mode"},
    "money": {"curve": "sqrt", "scale": "robust", "indicator": False},
}


@pytest.mark.parametrize(
    ("kind", "conf"),
    [
        ("linear", {}),
        ("tree", {"numbers": {"impute": "mode", "curve": "log"}}),
        ("native", {}),
        ("native", {"numbers": {"bins": "quantile", "indicator": True}}),
        ("linear", {"numbers": {"bins": "uniform", "bin_count": 3, "impute": "constant", "fill": -1}}),
        ("linear", {"numbers": {"scale": "robust", "impute": "mean"}}),
        ("tree", {"numbers": {"scale": "min_max"}, "columns": EACH}),
        ("linear", {"columns": EACH}),
    ],
)
def test_numbers(train, new, kind, conf):
    made = fitted(train, conf, kind, NUMBERS)
    found = Preparation.model_validate(conf)
    how = dict(plan(kind, columns(train, NUMBERS, 5, found), found).numbers)
    assert list(how) == list(NUMBERS)
    for model, frame, side in ((made.training, train, TRAIN), (made.model, new, NEW)):
        wanted = numbers(TRAIN, side, how, kind == "linear")
        np.testing.assert_allclose(features(model, frame), wanted, rtol=1e-9, atol=1e-9)


def test_one_row(train):
    one = train.where("id = 8")
    for kind in ("linear", "tree", "native"):
        made = fitted(one, {"numbers": {"curve": "yeo_johnson"}, "columns": {"z": {"role": "category"}}}, kind, ["z"])
        assert made
    known = columns(one, NUMBERS, 5)
    assert set(known.dropped.values()) <= {"always null", "always the same"}
    assert not known.numeric


@pytest.mark.parametrize("kind", ["linear", "tree"])
def test_target_and_woe_are_those_of_other_folds_in_training_and_of_all_rows_later(train, new, kind):
    conf = {
        "categories": {"encode": "target", "keep": 12},
        "columns": {"carrier": {"encode": "woe", "keep": 2, "smoothing": 0}},
    }
    made = fitted(train, conf, kind, ["carrier", "tail"])
    known = columns(train, ["carrier", "tail"], 5, Preparation.model_validate(conf))
    ways = {"carrier": Category("woe", 2, 0.0, 0), "tail": Category("target", 12, 20.0, 0)}
    fold = folds(train)
    for model, frame, side, of in ((made.training, train, TRAIN, fold), (made.model, new, NEW, None)):
        wanted = []
        for name, how in ways.items():
            keep = known.categories[name][: how.keep]
            values = np.array(encoded(TRAIN, side, name, how, keep, of))
            if kind == "linear":
                whole = np.array(encoded(TRAIN, TRAIN, name, how, keep, None))
                values = (values - whole.mean()) / whole.std(ddof=1)
            wanted.append(values)
        np.testing.assert_allclose(features(model, frame)[:, -2:][:, ::1], np.array(wanted[::-1]).T, rtol=1e-9)


def test_no_row_sees_its_own_label(train):
    conf = {"categories": {"encode": ["target"], "smoothing": 0}, "interactions": [["carrier", "tail"]]}
    before = features(fitted(train, conf, "tree", ["carrier", "tail"]).training, train)
    for one in (0, 3, 77):
        turned = train.selectExpr(
            *[f"if(id = {one}, 1 - label, label) label" if c == "label" else c for c in train.columns]
        )
        after = features(fitted(turned, conf, "tree", ["carrier", "tail"]).training, turned)
        assert (after[one] == before[one]).all()
        assert (after != before).any()


@pytest.mark.parametrize(("classes", "label"), [(3, "double(id % 3)"), (0, "id * 1.5D")])
def test_target_of_classes_and_of_numbers(train, classes, label):
    rows_ = train.withColumn("label", train["id"] * 0.0).selectExpr("*", f"{label} as l").drop("label")
    rows_ = rows_.withColumnRenamed("l", "label")
    made = fitted(rows_, {"columns": {"carrier": {"encode": "target", "smoothing": 0}}}, "tree", ["carrier"], classes)
    means = {
        row["carrier"]: [row[f"m{i}"] for i in range(max(classes, 1))]
        for row in rows_.groupBy("carrier")
        .agg(*[_mean(f"double(label = {i})" if classes else "label", f"m{i}") for i in range(max(classes, 1))])
        .collect()
    }
    wanted = [means[row["carrier"]] for row in TRAIN]
    np.testing.assert_allclose(features(made.model, rows_), wanted, rtol=1e-9)


def _mean(sql, name):

    return F.avg(F.expr(sql)).alias(name)


def test_frequency_and_hash(train, new):
    made = fitted(train, {"categories": {"encode": "frequency", "keep": 3}}, "tree", ["carrier"])
    kept = [value for value in ("AA", "BB", "CC", "") if value in columns(train, ["carrier"], 3).categories["carrier"]]
    counts = {value: sum(row["carrier"] == value for row in TRAIN) for value in [None, *kept]}
    other = len(TRAIN) - sum(counts.values())
    for frame, side in ((train, TRAIN), (new, NEW)):
        wanted = [[counts.get(row["carrier"], other) / len(TRAIN)] for row in side]
        np.testing.assert_allclose(features(made.model, frame), wanted)
    hashed = features(
        fitted(train, {"categories": {"encode": "hash", "size": 64}}, "linear", ["carrier", "tail"]).model, train
    )
    assert hashed.shape == (150, 64)
    assert [row.sum() for row in hashed] == [2.0 if row["carrier"] is not None else 1.0 for row in TRAIN]


def test_parts_of_moments_are_utc_also_before_1970(train, new):
    parts = {"moments": {"parts": ["year", "quarter", "month", "day", "weekday", "hour", "minute"]}}
    made = fitted(train, parts | {"numbers": {"scale": "none"}}, "native", ["at", "day"])
    at = datetime(1970, 1, 1, tzinfo=UTC)
    for frame, side in ((train, TRAIN), (new, NEW)):
        wanted = [
            [
                *([(t - at).total_seconds(), *_date(t), t.hour, t.minute] if (t := row["at"]) else [math.nan] * 8),
                *([(d - at.date()).days, *_date(d)] if (d := row["day"]) else [math.nan] * 6),
            ]
            for row in side
        ]
        np.testing.assert_allclose(features(made.model, frame), wanted)
    circle = fitted(train, {"moments": {"elapsed": False}, "numbers": {"indicator": False}}, "linear", ["at"])
    turns = [(t.hour / 24, t.weekday() / 7) if (t := row["at"]) else None for row in TRAIN]
    wanted = [[f(2 * math.pi * p) for p in pair for f in (np.sin, np.cos)] if pair else [0] * 4 for pair in turns]
    np.testing.assert_allclose(features(circle.model, train), wanted, atol=1e-12)


def _date(t):
    return [t.year, (t.month + 2) // 3, t.month, t.day, t.weekday()]


@pytest.mark.parametrize(
    "conf", [{}, {"tokens": "characters", "ngrams": 2, "size": 512}, {"ngrams": 2, "weights": "counts"}]
)
def test_text_of_many_words_is_found_and_weighted(train, new, conf):
    size = conf.get("size", 16_384)
    known = columns(train, FEATURES, 5)
    assert known.texts == ("note",)
    assert "tail" in known.categories
    made = fitted(train, {"texts": conf}, "linear", ["note"])
    tokens = [_tokens(row["note"], conf) for row in TRAIN]
    fresh = [_tokens(row["note"], conf) for row in NEW]
    words = sorted({word for one in [*tokens, *fresh] for word in one})
    places = _places(train.sparkSession, words, size)
    for frame, side in ((train, tokens), (new, fresh)):
        counts = np.zeros((len(side), size))
        for row, one in enumerate(side):
            for word in one:
                counts[row, places[word]] += 1
        if conf.get("weights") != "counts":
            there = np.zeros((len(tokens), size), dtype=bool)
            for row, one in enumerate(tokens):
                there[row, [places[word] for word in one]] = True
            counts *= np.log((len(tokens) + 1) / (there.sum(axis=0) + 1))
            counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-300)
        np.testing.assert_allclose(features(made.model, frame), counts, atol=1e-12)


def _tokens(text, conf):
    text = (text or "").lower()
    most = conf.get("ngrams", 1)
    if conf.get("tokens") == "characters":
        return [text[i : i + n] for n in range(1, most + 1) for i in range(len(text) - n + 1)]
    words = "".join(c if c.isalnum() else " " for c in text).split()
    return [" ".join(words[i : i + n]) for n in range(1, most + 1) for i in range(len(words) - n + 1)]


def _places(spark, words, size):
    from pyspark.ml.feature import HashingTF

    frame = spark.createDataFrame([(word, [word]) for word in words], "word string, tokens array<string>")
    found = HashingTF(numFeatures=size, inputCol="tokens", outputCol="at").transform(frame).collect()
    return {row["word"]: int(row["at"].indices[0]) for row in found}


@pytest.mark.parametrize("kind", ["linear", "tree", "native"])
def test_every_role_at_once_as_it_comes(train, new, kind):
    made = fitted(train, {}, kind)
    known = columns(train, FEATURES, 5)
    assert (known.texts, known.moments) == (("note",), ("at", "day"))
    assert columns(train, FEATURES, 5, texts=False).categories.keys() == {"carrier", "tail", "note"}
    for frame, side in ((train, TRAIN), (new, NEW)):
        found = features(made.model, frame)
        assert len(found) == len(side)
        assert np.isnan(found).any() == (kind == "native")


def test_interactions(train):
    conf = {"interactions": [["x", "count"], ["carrier", "tail"]], "categories": {"encode": "ordinal"}}
    made = fitted(train, conf, "native", ["x", "count", "carrier", "tail"])
    out = features(made.model, train)
    np.testing.assert_allclose(out[:, 2], out[:, 0] * out[:, 1])
    crossed = {(row["carrier"], row["tail"]): value for row, value in zip(TRAIN, out[:, 5], strict=True)}
    counts = {pair: sum((row["carrier"], row["tail"]) == pair for row in TRAIN) for pair in crossed}
    by_rank = sorted(crossed, key=lambda pair: crossed[pair])
    assert [counts[pair] for pair in by_rank[:5]] == sorted(counts.values(), reverse=True)[:5]
    with pytest.raises(ConfigError, match="'x' is a number, 'carrier' a category"):
        fitted(train, {"interactions": [["x", "carrier"]]}, "tree", ["x", "carrier"])


def test_selection_and_components(train):
    base = {"numbers": {"scale": "standard", "indicator": False, "impute": "median"}}
    names = ["x", "z", "count", "gross", "flag", "money"]
    whole = features(fitted(train, base, "tree", names).model, train)
    label = np.array([row["label"] for row in TRAIN])
    kept = features(fitted(train, base | {"select": {"top": 2}}, "tree", names).model, train)
    from sklearn.feature_selection import f_classif

    best = sorted(np.argsort(-f_classif(whole, label)[0])[:2])
    np.testing.assert_allclose(kept, whole[:, best])
    twice = {"interactions": [["flag", "flag"]], "select": {"correlation": 0.99, "variance": 0}}
    assert features(fitted(train, base | twice, "tree", names).model, train).shape[1] <= 7
    pca = features(fitted(train, base | {"reduce": {"pca": 3}}, "native", names).model, train)
    from sklearn.decomposition import PCA

    wanted = PCA(3).fit_transform(whole)
    np.testing.assert_allclose(np.abs(pca), np.abs(wanted), atol=1e-8)
    few = features(fitted(train, base | {"select": {"top": 2, "test": "importance"}}, "tree", names).model, train)
    assert few.shape == (150, 2)


WHOLE = {
    "columns": {**EACH, "carrier": {"encode": "woe"}, "tail": {"encode": "target"}},
    "texts": {"size": 64},
    "interactions": [["carrier", "tail"], ["x", "gross"]],
    "categories": {"encode": "hash", "size": 32},
    "select": {"variance": 0},
}
READ = """
import sys
sys.modules["headrace"] = None
from pyspark.ml import PipelineModel
from pyspark.sql import SparkSession
spark = (SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
         .config("spark.sql.session.timeZone", "Asia/Tokyo").config("spark.sql.shuffle.partitions", "1")
         .config("spark.driver.extraJavaOptions", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
         .config("spark.sql.codegen.wholeStage", "false").getOrCreate())
model = PipelineModel.load(sys.argv[1] + "/model")
rows = spark.read.parquet(sys.argv[1] + "/rows")
model.transform(rows).select("id", "features").write.parquet(sys.argv[1] + "/out")
"""


def test_what_is_saved_is_read_without_headrace_in_another_zone(spark, train, new, tmp_path):
    model = fitted(train, WHOLE).model
    model.write().save(str(tmp_path / "model"))
    new.drop(ROW).coalesce(1).write.parquet(str(tmp_path / "rows"))
    command = [sys.executable, "-c", READ, str(tmp_path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = spark.read.parquet(str(tmp_path / "out")).collect()
    read = np.array([row["features"].toArray() for row in sorted(found, key=lambda row: row["id"])])
    np.testing.assert_array_equal(read, features(model, new))


def test_jobs_do_not_grow_with_columns(spark, train):
    context = spark.sparkContext

    def jobs(names):
        context.setJobGroup(f"prepare-{len(names)}", "")
        wide = train.selectExpr("label", ROW, *names)
        found = [one.split(" as ")[-1] for one in names]
        conf = {"numbers": {"impute": "mode", "curve": "yeo_johnson"}, "categories": {"encode": "target"}}
        fitted(wide, conf, "linear", found)
        context.setLocalProperty("spark.jobGroup.id", None)
        return len(context.statusTracker().getJobIdsForGroup(f"prepare-{len(names)}"))

    many = [f"{name} as {name}{i}" for i in range(8) for name in ("x", "carrier", "note")]
    with held(spark, {"spark.sql.adaptive.enabled": "false"}):  # it makes jobs of stages, more or fewer
        few, more = jobs(["x", "carrier", "note"]), jobs(many)
    assert 0 < few <= 12
    assert more <= few + 1


@pytest.mark.parametrize(
    ("conf", "says"),
    [
        ({"columns": {"carier": {"encode": "hash"}}}, "no feature is called 'carier'.*did you mean 'carrier'"),
        ({"columns": {"x": {"role": "text"}}}, "'x' is double; it can be number, category, and no text"),
        ({"columns": {"x": {"encode": "hash"}}}, "'x' is prepared as a number, which has impute"),
        ({"interactions": [["x", "y"]]}, r"interactions\[0\]: no feature is called 'y'"),
    ],
)
def test_what_does_not_fit_is_told(train, conf, says):
    with pytest.raises(ConfigError, match=says):
        columns(train, ["x", "carrier"], 5, Preparation.model_validate(conf))
