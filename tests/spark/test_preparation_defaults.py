"""What becomes of columns of which nothing is said: text or category, and how many values of it."""

from __future__ import annotations

import pytest
from pyspark.sql import functions as F

from headrace.config.preparation import Preparation
from headrace.search.columns import _role, columns, looked
from headrace.search.plan import plan
from tests.spark.preparing import FEATURES, framed, rows

TRAIN = rows(150, 1)


@pytest.fixture(scope="module")
def train(spark):
    frame = framed(spark, TRAIN).cache()
    yield frame
    frame.unpersist()


def test_many_values_are_told_apart_by_the_label_where_nothing_else_is_said(train):
    known = columns(train, ["carrier", "tail", "x"], 5, by_label=True)
    assert known.many == ("tail",)
    assert set(known.categories["tail"]) == {row["tail"] for row in TRAIN}
    for kind in ("tree", "native"):
        told = dict(plan(kind, known).categories)
        assert (told["tail"].encode, told["carrier"].encode) == ("target", "ordinal")
        asked = Preparation.model_validate({"categories": {"encode": "ordinal"}})
        assert dict(plan(kind, known, asked).categories)["tail"].encode == "ordinal"
    assert dict(plan("linear", known).categories)["tail"].encode == "one_hot"
    assert columns(train, ["carrier", "tail"], 5).many == ()


def test_only_so_many_values_are_asked_for_as_a_plan_can_keep(train):
    conf = Preparation.model_validate(
        {"columns": {"tail": {"encode": "ordinal"}}, "interactions": [["carrier", "tail"]]}
    )
    known = columns(train, ["carrier", "tail"], 5, conf, by_label=True)
    assert known.many == ("carrier__x__tail",)
    assert {name: len(values) for name, values in known.categories.items()} == {
        "carrier": len({row["carrier"] for row in TRAIN} - {None}),
        "tail": 5,
        "carrier__x__tail": len({(row["carrier"], row["tail"]) for row in TRAIN}),
    }
    plain = columns(train, ["carrier", "tail"], 5, conf)
    assert {len(values) for values in plain.categories.values()} == {5}
    for name in plain.categories:
        assert plain.categories[name] == known.categories[name][:5]
        counts = (
            [sum(row[name] == value for row in TRAIN) for value in known.categories[name]] if name in FEATURES else []
        )
        assert counts == sorted(counts, reverse=True)
    asked = Preparation.model_validate(
        {"categories": {"encode": ["auto", "frequency"]}, "columns": {"tail": {"keep": 7}}}
    )
    wide = columns(train, ["carrier", "tail"], 2, asked)
    assert {name: len(values) for name, values in wide.categories.items()} == {"carrier": 5, "tail": 7}


def test_a_thousand_categories_and_more_are_too_many_as_well(spark):
    codes = spark.range(2_500).selectExpr("string(id % 1200) as code")
    known = columns(codes, ["code"], 1_100, by_label=True)
    assert (known.many, len(known.categories["code"])) == (("code",), 1_101)
    how = dict(plan("tree", known).categories)["code"]
    assert (how.encode, how.keep) == ("target", 1_100)
    assert columns(codes, ["code"], 1_200, by_label=True).many == ()


def test_any_number_of_values_is_counted(spark):
    """More than any bitmap of a few kilobytes can tell apart: text that comes again is a category all the same."""
    rows_ = spark.range(0, 1_000_000, 1, 2).selectExpr(
        "concat('new york ', id % 400000) as city",
        "concat('no ', id) as title",
        "if(id % 3 = 0, '', string(id % 5)) as few",
    )
    facts = looked(rows_, ["city", "title", "few"], Preparation(), {0: F.lit(True), 1: F.col("city") < "new york 2"})
    for part, counts in {0: (400_000, 1_000_000), 1: (111_112, 333_336)}.items():
        found = facts[part]
        assert [found[name]["values"] for name in ("city", "title")] == pytest.approx(counts, rel=0.05)
        assert found["few"]["values"] == 6
        assert [_role(None, found[name], 100) for name in ("city", "title", "few")] == ["category", "text", "category"]


def test_text_of_a_few_words_is_a_category_only_where_it_comes_again(spark):
    titles = [f"dress {number} red" if number % 4 else None for number in range(400)]
    cities = [f"new york {number % 120}" for number in range(400)]  # as long, and each three times or more
    codes = [f"n{number}" for number in range(400)]  # each once, and one word
    train = spark.createDataFrame(
        list(zip(titles, cities, codes, strict=True)), "title string, city string, code string"
    )
    known = columns(train, ["title", "city", "code"], 100)
    assert known.texts == ("title",)
    assert set(known.categories) == {"city", "code"}
