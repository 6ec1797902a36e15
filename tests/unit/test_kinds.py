"""Kinds of values and what is kept of a column, without Spark."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from headrace.clean.inference import ColumnProfile, column_profile
from headrace.clean.kinds import KINDS, moments, narrow, tell
from headrace.clean.sketch import MOST_VALUES, Labels, Sketch
from headrace.clean.survey import MOST_SKETCHES, Sample, _key, _tasks
from headrace.cli.profiling.readings import also_read_as, pattern_of, repair, type_of


def kind_of(text: str) -> str:
    return KINDS[tell(pa.array([text])).kinds[0]]


@pytest.mark.parametrize(
    ("kind", "texts"),
    {
        "integers": ["0", "-0", "+5", "999999999999999999"],
        "long_integers": ["1234567890123456789", "-12345678901234567890"],
        "zero_led": ["007", "00", "00.5", "-01"],
        "decimals": ["1.5", "3.", "-.5", "1e5", "0.5E-3"],
        "specials": ["NaN", "inf", "-Infinity"],
        "booleans": ["true", "FALSE"],
        "dates": ["2012-02-29", "9999-12-31"],
        "timestamps": ["2013-01-01 05:00", "2013-01-01T05:00:00.123456789Z", "2013-01-01 05:00:00+0200"],
        "thousands": ["1,234", "-12,345,678.9"],
        "texts": ["2013-02-30", "0000-00-00", "2013-01-01 25:00", "0x1F", "1d", "1,23", "é", "1 2", "1\n", "+"],
    }.items(),
)
def test_kinds(kind: str, texts: list[str]) -> None:
    assert [(text, kind_of(text)) for text in texts] == [(text, kind) for text in texts]


@pytest.mark.parametrize(
    ("text", "pattern", "iso"),
    [
        ("31.12.2024", "dd.MM.yyyy", "2024-12-31"),
        ("1.2.2024 9:05", "d.M.yyyy H:mm", "2024-02-01T09:05"),
        ("12/31/2024", "MM/dd/yyyy", "2024-12-31"),
        ("31/12/2024 23:59:58", "dd/MM/yyyy HH:mm:ss", "2024-12-31T23:59:58"),
        ("2024/12/31", "yyyy/MM/dd", "2024-12-31"),
        ("03-Mar-2024", "dd-MMM-yyyy", "2024-03-03"),
        ("Jan 3, 2024", "MMM d, yyyy", "2024-01-03"),
        ("20240229", "yyyyMMdd", "2024-02-29"),
    ],
)
def test_days_in_other_forms(text: str, pattern: str, iso: str) -> None:
    sketch = Sketch()
    sketch.add(pa.array([text, None, "NA"]), None)
    assert pattern_of(column_profile("x", sketch)) == pattern
    wide = next(p for p in tell(pa.array([text])).forms if pattern in (p, narrow(p)))
    wanted = datetime.fromisoformat(iso).replace(tzinfo=UTC).timestamp() * 1e6
    assert moments(pa.array([text]), wide).tolist() == [wanted]


@pytest.mark.parametrize("text", ["32.01.2024", "30.02.2024", "13/13/2024", "20240230", "1.2.3", "10.20.30.40", "1-2"])
def test_what_is_no_day(text: str) -> None:
    assert tell(pa.array([text])).forms == {}


def test_the_order_of_day_and_month_may_be_open() -> None:
    both, only = Sketch(), Sketch()
    both.add(pa.array(["01/02/2024", "03/04/2024"]), None)
    only.add(pa.array(["01/02/2024", "13/04/2024"]), None)
    assert (pattern_of(column_profile("x", both)), also_read_as(column_profile("x", both))) == (
        "MM/dd/yyyy",
        "dd/MM/yyyy",
    )
    assert (pattern_of(column_profile("x", only)), also_read_as(column_profile("x", only))) == ("dd/MM/yyyy", None)


def sketched(parts: list[list[str | None]], labels: list[list[str]]) -> Sketch:
    whole = Sketch()
    for values, names in zip(parts, labels, strict=True):
        part, known = Sketch(), sorted(set(names))
        part.add(
            pa.array(values, pa.string()), Labels([*known], np.array([known.index(n) for n in names], dtype=np.int64))
        )
        whole.merge(part)
    return whole


def test_parts_merged_are_the_whole() -> None:
    rng = random.Random(5)
    values = [
        rng.choice([None, "", "a", " a ", "NA", "7", "1.5", "2024-01-05", "05.01.2024", "yes"]) for _ in range(500)
    ]
    labels = [rng.choice("xy") for _ in values]
    cuts = [0, 1, 200, 200, 500]
    parts = [values[a:b] for a, b in pairwise(cuts)]
    merged = sketched(parts, [labels[a:b] for a, b in pairwise(cuts)])
    whole = sketched([values], [labels])
    assert column_profile("c", merged) == column_profile("c", whole)
    for name in ("marks", "pairs", "gaps"):
        assert getattr(merged, name) == getattr(whole, name)
    there = [(v.strip(), n) for v, n in zip(values, labels, strict=True) if v and v.strip()]
    assert merged.pairs == {cell: there.count(cell) for cell in there}
    assert merged.gaps == {
        n: sum(not (v or "").strip() and m == n for v, m in zip(values, labels, strict=True)) for n in "xy"
    }


def test_many_values_are_counted_and_not_kept() -> None:
    sketch = Sketch()
    for start in range(0, 60_000, 5_000):
        sketch.add(pa.array([f"v{i}" for i in range(start, start + 5_000)]), None)
    assert sketch.many
    assert len(sketch.values) == MOST_VALUES
    assert sketch.distinct == pytest.approx(60_000, rel=0.07)
    few = Sketch()
    few.add(pa.array(["a", "b", "a", "B"]), None)
    assert (few.distinct, dict(few.values)) == (3, {"a": 2, "b": 1, "B": 1})


def test_nothing_but_blanks() -> None:
    sketch = Sketch()
    sketch.add(pa.array([None, "", "  "], pa.string()), None)
    assert column_profile("x", sketch) == ColumnProfile("x", 3)


@pytest.mark.parametrize(
    ("values", "kind", "sql"),
    [
        (
            ["1,234", "NA", "5"],
            "double",
            "cast(replace(case when trim(x) not in ('NA') then trim(x) end, ',', '') as double)",
        ),
        (["1", "?", "-"], "bigint", "cast(case when trim(x) not in ('?', '-') then trim(x) end as bigint)"),
        (["Yes", "no"], "boolean", None),
        (["3.4.2024", "12.04.2024"], "date", "to_date(x, 'd.M.yyyy')"),
        (["3.4.2024", "soon"], "string", None),
        (["NA", "?"], "string", None),
        (["007", "8"], "string", None),
    ],
)
def test_types_and_their_sql(values: list[str], kind: str, sql: str | None) -> None:
    sketch = Sketch()
    sketch.add(pa.array(values), None)
    profile = column_profile("x", sketch)
    found, harder = type_of(profile, text_source=True, keep_words=False)
    assert (found, repair(profile, found) if harder else None) == (kind, sql)


def test_keys_of_several_columns_do_not_run_together() -> None:
    keys = _key([pa.array(["a", "ab", None]), pa.array(["bc", "c", "abc"])])
    assert len(keys.unique()) == 3


def test_a_sample_stands_for_all_rows() -> None:
    rng = np.random.default_rng(3)
    sample = Sample(200)
    for _ in range(20):
        names = ["rare" if i == 0 else "often" for i in range(1_000)]
        rows = pa.table([pa.array([f"{n} " for n in names]), pa.array(["x" * 500] * 1_000)], names=["a", "b"])
        labels = Labels(["rare", "often"], np.array([0 if n == "rare" else 1 for n in names]))
        other = Sample(200)
        other.add(rows, labels, rng.random(1_000))
        sample.merge(other)
    found, weights, names = sample.rows()
    assert found is not None
    assert {name: names.count(name) for name in set(names)} == {"rare": 20, "often": 100}
    assert weights.sum() == pytest.approx(20_000)
    assert set(found["a"].to_pylist()) == {"rare", "often"}
    assert {len(text) for text in found["b"].to_pylist()} == {200}


def test_states_of_wide_frames_stay_small_together() -> None:
    assert [_tasks(columns, 1_000) for columns in (1, 100, 500, 10_000, 100_000)] == [200, 200, 40, 2, 1]
    assert _tasks(10, 4) == 4
    assert all(_tasks(columns, 1_000) * columns <= max(MOST_SKETCHES, columns) for columns in range(1, 30_000, 7))
