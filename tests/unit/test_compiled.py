"""The compiled scorer without a JVM: its SQL and its trees against slow, obvious references."""

from __future__ import annotations

import math
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.errors import DataError
from headrace.models.card import ModelCard
from headrace.models.compiled import stages
from headrace.models.compiled.columns import Hot, Vector, column
from headrace.models.compiled.expressions import ready
from headrace.models.compiled.ranks import FEW, MANY, Cuts
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled, levels
from headrace.models.compiled.texts import as_text, joined, numbers, written
from headrace.models.compiled.trees import Forest

NAN, INF = float("nan"), float("inf")
ODD = [0.0, -0.0, 1.0, -1.0, 5e-324, 1e300, -1e300, INF, -INF, NAN]
numbers_ = st.one_of(st.sampled_from(ODD), st.floats(allow_subnormal=True))


@st.composite
def forests(draw):
    """Trees as Spark saves them: preorder, a few thresholds that come again, weights."""
    width, outputs = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    cuts = draw(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
    made = {name: [] for name in ("tree", "feature", "threshold", "left", "right")}

    def node(tree, depth):
        at = len(made["tree"])
        decides = depth < 4 and draw(st.booleans())
        made["tree"].append(tree)
        made["feature"].append(draw(st.integers(0, width - 1)) if decides else -1)
        made["threshold"].append(draw(st.sampled_from(cuts)) if decides else 0.0)
        for side in ("left", "right"):
            made[side].append(-1)
        if decides:
            for side in ("left", "right"):
                made[side][at] = node(tree, depth + 1) - starts[tree]
        return at

    starts = []
    for tree in range(draw(st.integers(1, 4))):
        starts.append(len(made["tree"]))
        node(tree, 0)
    arrays = {name: np.array(one) for name, one in made.items()}
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays |= {"value": rng.normal(size=(len(made["tree"]), outputs)), "weights": rng.normal(size=len(starts))}
    values = st.one_of(numbers_, st.sampled_from(cuts), st.sampled_from([math.nextafter(c, INF) for c in cuts]))
    rows = draw(st.lists(st.lists(values, min_size=width, max_size=width), min_size=1, max_size=20))
    return arrays, np.array(rows)


def walked(arrays, row):
    """The sum over the trees of the value of the leaf that a row comes to, one step after the other."""
    total = np.zeros(arrays["value"].shape[1])
    for tree, weight in enumerate(arrays["weights"]):
        start = int(np.flatnonzero(arrays["tree"] == tree)[0])
        at = start
        while arrays["feature"][at] >= 0:
            side = "left" if row[arrays["feature"][at]] <= arrays["threshold"][at] else "right"
            at = start + arrays[side][at]
        total += arrays["value"][at] * weight
    return total


@given(forests())
def test_trees_come_to_the_leaves_that_a_walk_comes_to(made):
    arrays, rows = made
    found = Forest(arrays).votes(Vector(list(np.ascontiguousarray(rows.T))))
    np.testing.assert_array_equal(found, [walked(arrays, row) for row in rows])


@pytest.mark.parametrize("count", [FEW, FEW + 1, MANY + 1, 300])
def test_a_feature_with_many_thresholds_is_compared_exactly_too(count):
    cuts = np.sort(np.random.default_rng(1).normal(size=count))
    size = 2 * count + 1  # a chain: each cut's right is the next cut
    places = np.arange(size)
    decides = places % 2 == 0
    decides[-1] = False
    arrays = {
        "tree": np.zeros(size, int),
        "feature": np.where(decides, 0, -1),
        "threshold": np.append(np.repeat(cuts, 2), 0.0),
        "left": np.where(decides, places + 1, -1),
        "right": np.where(decides, places + 2, -1),
        "value": places[:, None].astype(float),
        "weights": np.ones(1),
    }
    rows = np.concatenate([cuts, np.nextafter(cuts, INF), np.nextafter(cuts, -INF), [NAN, INF, -INF]])
    found = Forest(arrays).votes(Vector([rows]))
    np.testing.assert_array_equal(found, [walked(arrays, [row]) for row in rows])


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=FEW + 1, max_size=60, unique=True), st.data()
)
def test_a_rank_is_the_number_of_thresholds_below(made, data):
    cuts = np.unique(np.array(made) + 0.0)
    even = np.arange(len(cuts)) + np.random.default_rng(len(cuts)).uniform(0, 0.3, len(cuts))
    assert Cuts.of(even).below is not None  # looked up in ranges
    for one in (cuts, even):
        with np.errstate(over="ignore"):
            near = np.concatenate([one, np.nextafter(one, INF), np.nextafter(one, -INF), ODD])
        column_ = near[np.isfinite(near)] if data.draw(st.booleans()) else near
        expected = (~(column_[:, None] <= one)).sum(axis=1)
        with np.errstate(all="ignore"):
            assert Cuts.of(one).rank(column_).tolist() == expected.tolist()


def run(sql, **columns):
    """What SQL gives of columns, nulls as None."""
    (level,) = levels(f"select *, {sql} as made from __THIS__")
    table = pa.table({name: pa.array(*one) if isinstance(one, tuple) else one for name, one in columns.items()})
    frame = {name: column(table.column(name).combine_chunks()) for name in columns}
    with np.errstate(all="ignore"):
        stages.sql({"make": level}, {})(frame, table.num_rows)
    made = frame["made"]
    if made.kind == "text":
        return made.values.to_pylist()
    nulls = np.zeros(table.num_rows, bool) if made.nulls is None else made.nulls
    return [None if null else value for value, null in zip(np.asarray(made.values).tolist(), nulls, strict=True)]


THREE = [True, False, None]


def test_logic_has_three_values():
    pairs = [(a, b) for a in THREE for b in THREE]
    a, b = (pa.array(side, pa.bool_()) for side in zip(*pairs, strict=True))
    both = [False if False in pair else None if None in pair else True for pair in pairs]
    either = [True if True in pair else None if None in pair else False for pair in pairs]
    assert run("a and b", a=a, b=b) == both
    assert run("a or b", a=a, b=b) == either
    assert run("not a", a=a) == [None if x is None else not x for x in a.to_pylist()]
    assert run("case when a then 1.0D when b then 2.0D end", a=a, b=b) == [
        1.0 if x else 2.0 if y else None for x, y in pairs
    ]
    assert run("if(a, 1.0D, 2.0D)", a=a) == [1.0 if x else 2.0 for x in a.to_pylist()]


def test_nan_is_the_greatest_number_and_null_is_none():
    pairs = [(a, b) for a in [*ODD, None] for b in [*ODD, None]]
    a, b = (pa.array(side, pa.float64()) for side in zip(*pairs, strict=True))

    def key(x):
        return (1, 0.0) if x != x else (0, x)

    def expected(of):
        return [None if None in pair else of(*map(key, pair)) for pair in pairs]

    assert run("a < b", a=a, b=b) == expected(lambda x, y: x < y)
    assert run("a <= b", a=a, b=b) == expected(lambda x, y: x <= y)
    assert run("a > b", a=a, b=b) == expected(lambda x, y: x > y)
    assert run("a >= b", a=a, b=b) == expected(lambda x, y: x >= y)
    assert run("a = b", a=a, b=b) == expected(lambda x, y: x == y)
    for name, pick in (("least", min), ("greatest", max)):
        wanted = [pick((x for x in pair if x is not None), key=key, default=None) for pair in pairs]
        np.testing.assert_equal(run(f"{name}(a, b)", a=a, b=b), wanted)
    np.testing.assert_equal(
        run("coalesce(a, b, 7D)", a=a, b=b), [next(x for x in (*p, 7.0) if x is not None) for p in pairs]
    )
    assert run("a is null", a=a) == [x is None for x in a.to_pylist()]


def test_a_number_is_what_is_finite_and_moments_are_read_in_utc():
    values = pa.array([*ODD, None], pa.float64())
    sql = "case when abs(`x`) < double('Infinity') then cast(`x` as double) end"
    assert run(sql, x=values) == [x if x is not None and math.isfinite(x) else None for x in values.to_pylist()]
    moments = [-1, 0, 951_782_399_999_999, 1_709_208_000_123_456, None]  # ..., 28 and 29 February
    at = pa.array(moments, pa.timestamp("us", "UTC"))
    micros = "unix_micros(cast(`t` as timestamp))"
    day = f"date_from_unix_date(cast(({micros} - pmod({micros}, 86400000000L)) div 86400000000L as int))"
    told = [None if one is None else one.as_py() for one in at]
    for name, of in {
        "year": lambda one: one.year, "quarter": lambda one: (one.month + 2) // 3, "month": lambda one: one.month,
        "day": lambda one: one.day, "weekday": lambda one: one.weekday(),
    }.items():  # fmt: skip
        assert run(f"cast({name}({day}) as double)", t=at) == [None if one is None else of(one) for one in told], name
    assert run("cast(unix_date(d) as double)", d=pa.array([-3, 0, None], pa.date32())) == [-3.0, 0.0, None]


def test_values_in_a_list_are_looked_up_and_structs_opened():
    sql = "element_at(cast(split('1.5,2.5,-3e-07', ',') as array<double>), case when c is null then 2 else cast(i as int) end + 1)"
    assert run(sql, c=pa.array(["a", "b", None]), i=pa.array([0.0, 1.0, 0.0])) == [1.5, 2.5, -3e-07]
    both = levels(
        "select * except (e), e.low + e.high as made from (select *, named_struct('low', 1D, 'high', x) as e from __THIS__)"
    )
    frame = {"x": column(pa.array([2.0, None]))}
    for level in both:
        frame |= {name: ready(node)(frame) for name, node in level.items()}
    assert (frame["made"].values[0], frame["made"].nulls.tolist()) == (3.0, [False, True])


def test_text_is_read_and_written_as_java_does():
    given_ = ["1.5", " -2e3\t", "7d", "+.5F", "NaN", "-Infinity", "inf", "", "x", "1,5", "0x1p3", "1_0", None]
    wanted = [1.5, -2000.0, 7.0, 0.5, NAN, -INF, INF, None, None, None, None, None, None]
    np.testing.assert_equal(numbers(pa.array(given_)).to_pylist(), wanted)
    shown = {
        1.0: "1.0",
        0.001: "0.001",
        0.00012: "1.2E-4",
        1e7: "1.0E7",
        123456.789: "123456.789",
        -0.0: "-0.0",
        1e300: "1.0E300",
    }
    assert [written(one) for one in shown] == list(shown.values())
    assert [written(one) for one in (NAN, INF, -INF)] == ["NaN", "Infinity", "-Infinity"]
    assert as_text(pa.array([True, None])).to_pylist() == ["true", None]
    assert joined([pa.array(["a", None, 'q"\x1f']), pa.array(["é", "", "a"])]).to_pylist() == [
        '["a","é"]', '[null,""]', '["q\\"\\u001F","a"]'
    ]  # fmt: skip


def test_decimals_become_the_nearest_doubles():
    values = [Decimal("0.1"), Decimal("-12345678.91"), None, Decimal("0.00")]
    for digits in (10, 38):
        found = column(pa.array(values, pa.decimal128(digits, 2)).slice(1))
        assert found.values[[0, 2]].tolist() == [-12345678.91, 0.0]
    huge = Decimal("123456789012345678901234.56")
    assert column(pa.array([huge], pa.decimal128(38, 2))).values.tolist() == [float(huge)]


@given(st.lists(st.tuples(numbers_, numbers_, st.integers(0, 2)), min_size=1, max_size=8))
def test_a_vector_is_the_same_in_parts_and_whole(rows):
    a, b, place = (np.array(one) for one in zip(*rows, strict=True))
    vector = Vector([a, Hot(place, 3), np.stack([b, a], axis=1)])
    whole = np.array([[x, *(float(p == k) for k in range(3)), y, x] for x, y, p in zip(a, b, place, strict=True)])
    np.testing.assert_array_equal(vector.dense(), whole)
    for place_, found in enumerate(vector.picked(range(6))):
        np.testing.assert_array_equal(found, whole[:, place_])
    tame = np.where(np.abs(whole) < 1e100, whole, 1.0)
    parts = Vector([tame[:, 0], Hot(place, 3), tame[:, 4:]])
    weights = np.random.default_rng(0).normal(size=(2, 6))
    np.testing.assert_allclose(parts.dot(weights), tame @ weights.T, rtol=1e-9, atol=1e-200)


@pytest.mark.parametrize("sql", ["rand()", "x in (select 1)", "upper(x)", "(select 1)", "cast(x as binary)", "x -> 1"])
def test_what_is_not_known_is_refused(sql):
    with pytest.raises(NotCompiled):
        levels(f"select *, {sql} as made from __THIS__")
    for other in ("select * from __THIS__ where x > 1", "select a from t join u", "select distinct x from __THIS__"):
        with pytest.raises(NotCompiled):
            levels(other)


def small() -> Compiled:
    """Two numbers, a category, a logistic regression."""
    card = ModelCard(
        "binary", {"x": "double", "n": "bigint", "c": "string", "unread": "double"}, "string", ("no", "yes")
    )
    (make,) = levels("select *, coalesce(`x`, 0.5D) as x__filled from __THIS__")
    steps = [
        ("sql", {"make": make}, {}),
        ("index", {"labels": ["a", "b"], "input": "c", "output": "i"}, {}),
        ("hot", {"inputs": ["i"], "outputs": ["h"], "sizes": [3]}, {}),
        ("assemble", {"inputs": ["x__filled", "n", "h"], "output": "features", "keep": False}, {}),
        ("logistic", {"input": "features", "raw": "r", "probability": "probability", "prediction": "prediction", "threshold": 0.5},
         {"weights": np.array([[1.0, -1.0, 0.5, 0.0, 0.25]]), "intercepts": np.array([0.1])}),
    ]  # fmt: skip
    return Compiled(card, ("x", "n", "c"), steps)


def test_a_scorer_is_the_same_when_read_again_and_empty_tables_have_its_columns(tmp_path):
    made = small()
    made.save(tmp_path / "compiled")
    again = Compiled.read(tmp_path / "compiled")
    table = pa.table({"c": ["a", "z", None], "n": [0, 1, 2], "x": [1.0, None, -1.0], "more": [1, 2, 3]})
    found = again.score(table)
    margins = [0.1 + 1 + 0.5, 0.1 + 0.5 - 1 + 0.25, 0.1 - 1 - 2 + 0.25]
    assert found.column("prediction").to_pylist() == ["yes" if one > 0 else "no" for one in margins]
    np.testing.assert_allclose(found.column("probability"), [1 / (1 + math.exp(-one)) for one in margins], rtol=1e-12)
    assert found.equals(made.score(table))
    assert again.score(table.slice(0, 0)).schema == found.schema == again.schema
    assert again.score(table.to_batches()[0].slice(1)).equals(found.slice(1))
    kinds = {"c": pa.large_string(), "n": pa.int32(), "x": pa.float32()}
    other = table.select(list(kinds)).cast(pa.schema(list(kinds.items())))
    assert again.score(other).equals(found)


def test_columns_that_do_not_fit_are_told():
    made = small()
    with pytest.raises(DataError, match=r"the column c \(string\) is missing"):
        made.score(pa.table({"x": [1.0], "n": [1]}))
    with pytest.raises(DataError, match="n is string, and the model reads int64"):
        made.score(pa.table({"x": [1.0], "n": ["many"], "c": ["a"]}))
    with pytest.raises(stages.Unscorable, match="n is null or NaN"):
        made.score(pa.table({"x": [1.0], "n": pa.array([None], pa.int64()), "c": ["a"]}))


def test_it_needs_no_spark():
    heavy = "('pyspark', 'py4j', 'mlflow', 'sqlglot')"
    code = f"import sys, headrace.models.compiled.scorer; print([m for m in sys.modules if m.startswith({heavy})])"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
