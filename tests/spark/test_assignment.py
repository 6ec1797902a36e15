"""Spark and Python put every entity in the same place, however odd its key is."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import types as T

from headrace.config.strategies import Strategy
from headrace.errors import ConfigError
from headrace.models.assigned import assigned_column, entity_column, place_column
from headrace.models.assignment import assigned, place
from headrace.models.entities import entity_text

AT = datetime(2026, 1, 5, tzinfo=UTC)
TEXTS = ["", "n", ":", "1:a", "a:1", "a\x00b", "é", "日本", "\U0001f600", "\ud7ff", " a ", "a\n", "%_'\"\\", "0", None]
NUMBERS = [0, -1, 1, 2**63 - 1, -(2**63), 10**15, None]
TIMES = [
    datetime(1970, 1, 1), datetime(1969, 12, 31, 23, 59, 59, 999999), datetime(1, 1, 1), datetime(9999, 12, 31, 23),
    datetime(2026, 3, 29, 2, 30, 0, 1), datetime(1883, 11, 18, 12), None,
]  # fmt: skip
DECIMALS = [Decimal(t) for t in ("0", "-0.5", "1.50", "100", "-123456.123456", "10.000001", "0.000001")] + [None]


def rows() -> list[tuple[Any, ...]]:
    days = [None if at is None else at.date() for at in TIMES]
    found = []
    for i in range(60):
        text, number, at = TEXTS[i % len(TEXTS)], NUMBERS[i % len(NUMBERS)], TIMES[i % len(TIMES)]
        utc = None if at is None else at.replace(tzinfo=UTC)
        flag = [True, False, None][i % 3]
        found.append(
            (i, text, TEXTS[(i * 7 + 3) % len(TEXTS)], number, utc, at, days[(i + 2) % len(days)],
             DECIMALS[i % len(DECIMALS)], flag)
        )  # fmt: skip
    return found


SCHEMA = T.StructType(
    [
        T.StructField(name, kind)
        for name, kind in (
            ("i", T.IntegerType()), ("a", T.StringType()), ("b", T.StringType()), ("n", T.LongType()),
            ("at", T.TimestampType()), ("ntz", T.TimestampNTZType()), ("day", T.DateType()),
            ("price", T.DecimalType(14, 6)), ("ok", T.BooleanType()),
        )
    ]
)  # fmt: skip
KEY = [field.name for field in SCHEMA if field.name != "i"]


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_the_same_text_place_and_version(spark: SparkSession, zone: str) -> None:
    canary = Strategy.model_validate({"canary": {"share": 0.3}, "salt": "s:é"})
    arms = Strategy.model_validate({"ab": {"arms": {"champion": 0.2, "3": 0.3, "challenger": 0.5}}})
    before = spark.conf.get("spark.sql.session.timeZone")
    try:
        frame = spark.createDataFrame(rows(), SCHEMA).localCheckpoint()
        spark.conf.set("spark.sql.session.timeZone", zone)
        found = frame.select(
            "i",
            entity_column(frame, KEY).alias("text"),
            place_column(frame, KEY, "s:é").alias("place"),
            assigned_column(frame, canary, KEY, AT).alias("canary"),
            assigned_column(frame, arms, KEY, AT).alias("arm"),
            assigned_column(frame, Strategy(), KEY, AT).alias("champion"),
        ).collect()
    finally:
        spark.conf.set("spark.sql.session.timeZone", str(before))
    want = {
        i: (
            entity_text(key), place(key, "s:é"), assigned(canary, key, AT), assigned(arms, key, AT), "champion",
        )
        for i, *key in rows()
    }  # fmt: skip
    assert {r["i"]: (r["text"], r["place"], r["canary"], r["arm"], r["champion"]) for r in found} == want
    assert len({one[2] for one in want.values()}) == 2
    assert len({one[3] for one in want.values()}) == 3


def test_fractions_are_no_identity(spark: SparkSession) -> None:
    frame = spark.sql("select 1.5D x, cast(1 as decimal(20, 10)) y")
    for name, kind in (("x", "double"), ("y", r"decimal\(20,10\)")):
        with pytest.raises(ConfigError, match=f"{name} is {kind}, which is no key of a strategy; cast it"):
            place_column(frame, [name])


def test_days_are_days() -> None:
    assert entity_text([date(1969, 12, 31)]) == "2:-1"
