"""Graphs of ONNX say what the compiled scorer says: its SQL, its stages and its models, on odd rows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings

from headrace.models.card import ModelCard
from headrace.models.compiled import admitting, extremes
from headrace.models.compiled.agreement import different
from headrace.models.compiled.scorer import KINDS, Compiled
from headrace.models.compiled.sql import levels
from headrace.models.exporting.graphs import boosting, build
from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.graphs.run import asked
from headrace.models.exporting.graphs.sql import _FUNCTIONS, _SPECIAL
from tests.unit.test_compiled import NAN, ODD, forests

pytest.importorskip("onnxruntime")

TYPES = {
    "x": "double", "y": "double", "n": "bigint", "c": "string", "d": "string", "flag": "boolean", "day": "date",
    "at": "timestamp", "money": "decimal(10,2)",
}  # fmt: skip
NAMES = {"raw": "raw", "probability": "probability", "prediction": "prediction", "input": "features"}


def rows() -> pa.Table:
    """A real row, and all odd ones; and all pairs of odd numbers."""
    pairs = [(a, b) for a in [*ODD, None] for b in [*ODD, None]]
    first = {
        "x": [a for a, _ in pairs], "y": [b for _, b in pairs], "n": [3] * len(pairs), "c": ["a"] * len(pairs),
        "d": ["p"] * len(pairs), "flag": [True, False, None, True] * 30 + [None],
        "day": [19_000] * len(pairs), "at": [1_709_208_000_123_456] * len(pairs), "money": [None] * len(pairs),
    }  # fmt: skip
    kinds = {
        "x": pa.float64(), "y": pa.float64(), "n": pa.int64(), "c": pa.string(), "d": pa.string(), "flag": pa.bool_(),
        "day": pa.date32(), "at": pa.timestamp("us", "UTC"), "money": pa.decimal128(10, 2),
    }  # fmt: skip
    table = pa.table({name: pa.array(first[name], kinds[name]) for name in kinds})
    words = table.slice(0, 7).set_column(3, "c", pa.array(["b", "", "z", None, 'q"', "a", "b"]))
    words = words.set_column(4, "d", pa.array([None, "p", "q", "q", "z", '","', ""]))
    every = pa.concat_tables([table, words, extremes.rows(table)])
    for place in (0, 1):  # in a graph NaN is null: it has no other
        column = every.column(place)
        every = every.set_column(place, every.field(place), pc.if_else(pc.is_nan(column), None, column))
    return every


ROWS = rows()


def agrees(compiled: Compiled, table: pa.Table = ROWS, tolerance: float = 1e-9) -> None:
    content = build.graph_of(compiled, {"headrace.model": "demo"}).SerializeToString()
    wrong = different(compiled.card, asked(content, compiled, table), compiled.score(table), tolerance)
    assert wrong is None, wrong


def number_of(*made: str) -> Compiled:
    """A scorer of nothing but SQL: the sum of what is finite among numbers that it makes."""
    steps = [("sql", {"make": level}, {}) for sql in made for level in levels(sql)]
    card = ModelCard("regression", TYPES, "double")
    return Compiled(card, tuple(TYPES), steps)


def one(sql: str) -> Compiled:
    return number_of(
        f"select *, cast({sql} as double) as told from __THIS__",
        "select *, coalesce(told, -7D) as prediction from __THIS__",
    )


M = "unix_micros(cast(`at` as timestamp))"
DAY = f"date_from_unix_date(cast(({M} - pmod({M}, 86400000000L)) div 86400000000L as int))"
WEIGHTS = "element_at(cast(split('1.5,2.5,-3e-07', ',') as array<double>), case when c is null then 2 else 0 end + 1)"
SQL = [
    "x", "case when abs(x) < double('Infinity') then cast(x as double) end", "x + y", "x - y", "x * y", "x / 3D", "x < y",
    "x <= y", "x > y", "x >= y", "x = y", "x < y and y < 1D", "x < y or flag", "not flag", "flag and x is null",
    "if(flag, x, y)", "if(flag, flag, x < y)", "x - x < y", "x - x = y - y", "least(x - x, y)", "greatest(x - x, y)", "coalesce(x / x, y)",
    "case when flag then 1.0D when x > 0 then 2.0D end", "least(x, y)",
    "greatest(x, y, 0D)", "coalesce(x, y, 2D)", "sign(x) * sqrt(abs(x))", "exp(least(x, 3D))", "ln(x)", "sin(least(abs(x), 9D))",
    "cos(least(abs(x), 9D)) * pi()", "log1p(abs(x))", "isnan(x)", "-x", "n", "n + 0.5D", "n * 2.5D", "flag", "money", "c = 'a'",
    "c = ''", "c is null", "if(c = '', 'none', c) = 'none'", "coalesce(c, d) = 'p'", "cast(n as string) = '3'",
    "cast(flag as string) = 'true'", "unix_date(day)", f"{M} / 1000000", f"pmod({M}, 86400000000L) div 3600000000L", WEIGHTS,
    *(f"{part}({of})" for part in ("year", "quarter", "month", "day", "weekday") for of in ("`day`", DAY)),
]  # fmt: skip


@pytest.mark.parametrize("sql", SQL)
def test_sql_is_the_same_in_the_graph(sql):
    agrees(one(sql), tolerance=1e-12)


def test_every_function_and_every_step_of_the_compiled_form_is_known():
    from headrace.models.compiled.expressions import _SPECIAL as special
    from headrace.models.compiled.expressions import FUNCTIONS

    of_rows = {"from_utc_timestamp", "unix_seconds", "dayofyear", "dayofweek", "hour", "minute", "second", "tan"}
    of_rows |= {"radians", "degrees", "power", "floor", "ceil", "%", "<>", "nullif"}  # no model is made of these
    assert set(_FUNCTIONS) == set(FUNCTIONS) - of_rows
    assert set(_SPECIAL) == set(special)
    assert set(build.KINDS) == set(KINDS)


def test_an_empty_category_that_is_kept_is_found():
    made = levels("select *, if(cast(`c` as string) = '', '\\u0000', cast(`c` as string)) as c_ from __THIS__")
    (last,) = levels("select *, place + 0.0D as prediction from __THIS__")
    steps = [
        *[("sql", {"make": level}, {}) for level in made],
        ("index", {"labels": ["b", "\0", "a"], "input": "c_", "output": "place"}, {}),
        ("sql", {"make": last}, {}),
    ]
    scorer = Compiled(ModelCard("regression", TYPES, "double"), tuple(TYPES), steps)
    assert {0.0, 1.0, 2.0, 3.0} == set(scorer.score(ROWS).column("prediction").to_pylist())
    agrees(scorer, ROWS.filter(pc.not_equal(pc.coalesce(ROWS["c"], ""), "\0")))


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("try_cast(c as double)", "text that is read as double"),
        ("cast(x as string) = '1.0'", "a number with a fraction that is taken for a category"),
        ("cast(`day` as string) = '2000-01-01'", "a date that is taken for a category"),
    ],
)
def test_what_cannot_be_expressed_says_which_part(sql, why):
    with pytest.raises(NotExported, match=why):
        build.graph_of(one(sql), {})


def prepared() -> list:
    (make,) = levels(
        "select *, coalesce(case when abs(x) < double('Infinity') then x end, 0.5D) as x_, to_json(array(c, d)) as pair, "
        "cast(n as double) as n_, cast(flag is null as double) as lost from __THIS__"
    )
    labels = ['["a","p"]', '["b",null]', '[null,"q"]', '["","p"]']
    return [
        ("sql", {"make": make}, {}),
        ("index", {"labels": ["b", "a", ""], "input": "c", "output": "i"}, {}),
        ("index", {"labels": labels, "input": "pair", "output": "j"}, {}),
        ("hot", {"inputs": ["i", "j"], "outputs": ["h", "k"], "sizes": [4, 5]}, {}),
        ("assemble", {"inputs": ["x_", "h", "n_", "k", "lost"], "output": "features", "keep": True}, {}),
    ]


WIDTH = 12
RNG = np.random.default_rng(3)
W = {count: RNG.normal(size=(count, WIDTH)) * 0.1 for count in (1, 2, 3)}


def learner(task: str, *steps: tuple, labels: tuple | None = None, kind: str | None = None) -> Compiled:
    own = labels or {"binary": (False, True), "multiclass": ("a", "b", "c"), "regression": ()}[task]
    told = kind or {"binary": "boolean", "multiclass": "string", "regression": "double"}[task]
    return Compiled(ModelCard(task, TYPES, told, own), tuple(TYPES), [*prepared(), *steps])


def with_intercepts(count: int) -> dict:
    return {"weights": W[count], "intercepts": np.arange(count) / 2}


def nodes(outputs: int) -> dict:
    """Three trees over the assembled features, thresholds at values that come."""
    one_ = {
        "feature": [0, -1, 6, -1, 5, -1, -1], "threshold": [0.5, 0, 0, 0, 3.0, 0, 0], "left": [1, -1, 3, -1, 5, -1, -1],
        "right": [2, -1, 4, -1, 6, -1, -1],
    }  # fmt: skip
    made = {name: np.array(of * 3) for name, of in one_.items()}
    made["tree"] = np.repeat([0, 1, 2], 7)
    made["threshold"] = made["threshold"].astype(float) + np.repeat([0.0, 1e-12, 0.25], 7)
    return made | {"value": np.abs(RNG.normal(size=(21, outputs))), "weights": np.array([1.0, 0.5, 0.25])}


PLACES = {"input": "features", "output": "features"}
CUT = {**NAMES, "threshold": 0.5}
PLAIN = {**NAMES, "link": "identity"}
RISING = {"input": "features", "place": 0, "output": "prediction"}


def weighing(width: int) -> tuple:
    return ("linear", PLAIN, {"weights": W[1][:, :width], "intercepts": np.zeros(1)})


def machine(place: int) -> tuple:
    named = {"raw": f"m{place}", "probability": None, "prediction": f"s{place}", "threshold": 0.0}
    return ("machine", {**NAMES, **named}, {"weights": W[3][place : place + 1], "intercepts": np.zeros(1)})


def generalised(link: str, family: str) -> Compiled:
    return learner("regression", ("linear", {**NAMES, "link": link, "family": family}, with_intercepts(1)))


def steps_of(*points: tuple[float, float]) -> Compiled:
    boundaries, predictions = (np.array(side) for side in zip(*points, strict=True))
    return learner("regression", ("rising", RISING, {"boundaries": boundaries, "predictions": predictions}))


BAYES = {"pi": np.log([0.2, 0.3, 0.5]), "theta": W[3], "sigma": np.abs(W[3]) + 0.1}
ENDS = {"low": np.array([0.0, 0.0, -1.0, 2.0]), "high": np.array([4.0, 1.0, 9.0, 2.0])}
LEARNERS = {
    "logistic": learner("binary", ("logistic", {**NAMES, "threshold": 0.3}, with_intercepts(1))),
    "logistic of three": learner("multiclass", ("logistic", CUT, with_intercepts(3))),
    "whole labels": learner("binary", ("logistic", CUT, with_intercepts(1)), labels=(7, 9), kind="int"),
    "labels with fractions": learner("binary", ("logistic", CUT, with_intercepts(1)), labels=(0.5, 1.5), kind="double"),
    "linear": learner("regression", ("linear", PLAIN, with_intercepts(1))),
    "linear log": generalised("log", "poisson"),
    "linear sqrt": generalised("sqrt", "gamma"),
    "linear inverse": generalised("inverse", "gamma"),
    "linear logit": generalised("logit", "binomial"),
    "gaussian": learner("multiclass", ("bayes", {**NAMES, "model": "gaussian"}, BAYES)),
    "forest": learner("multiclass", ("forest", {**NAMES, "count": 1}, nodes(3))),
    "forest of two": learner("binary", ("forest", {**NAMES, "count": 1}, nodes(2))),
    "boosted": learner("binary", ("boosted", {**NAMES, "count": 1}, nodes(1))),
    "values": learner("regression", ("values", {**NAMES, "count": 3}, nodes(1))),
    "components": learner("regression", ("components", PLACES, {"weights": W[3]}), weighing(3)),
    "vectors": learner(
        "regression",
        ("picked", {**PLACES, "places": [0, 3, 5, 11]}, {}),
        ("times", PLACES, {"factors": np.array([2.0, 1.0, 0.5, 1.0])}),
        ("spread", PLACES, ENDS),
        ("normal", {**PLACES, "p": 2.0}, {}),
        weighing(4),
    ),
    "rising": steps_of((0.0, 1.0), (0.5, 1.5), (1.0, 4.0)),
    "one step": steps_of((0.5, 1.5)),
    "machines": learner(
        "multiclass",
        *map(machine, range(3)),
        ("against_the_rest", {"margins": ["m0", "m1", "m2"], "raw": "margins", "prediction": "side"}, {}),
        ("logistic", {**CUT, "input": "margins"}, {"weights": np.eye(3) * 2, "intercepts": np.zeros(3)}),
    ),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_models_say_the_same_in_the_graph(name):
    agrees(LEARNERS[name], tolerance=1e-8)


def test_counted_bayes_gives_nothing_where_spark_refuses():
    arrays = {"pi": np.zeros(3), "theta": -np.abs(W[3])}
    for kind in ("multinomial", "complement"):
        step = ("bayes", {**NAMES, "model": kind}, arrays)
        made = learner("multiclass", step)
        table = admitting.scorable(made, ROWS)
        assert 40 < table.num_rows < ROWS.num_rows
        agrees(made, table)
        below = table.slice(0, 1).set_column(2, "n", pa.array([-1]))
        told = asked(build.graph_of(made, {}).SerializeToString(), made, below).column("probability").to_pylist()
        assert all(np.isnan(p) for _, p in told[0])


@settings(max_examples=40, deadline=None)
@given(forests())
def test_trees_decide_alike_at_their_thresholds(made):
    arrays, found = made
    names = [f"f{place}" for place in range(found.shape[1])]
    card = ModelCard("regression", dict.fromkeys(names, "double"), "double")
    outputs = {**arrays, "value": arrays["value"][:, :1]}
    steps = [
        ("assemble", {"inputs": names, "output": "features", "keep": True}, {}),
        ("values", {"input": "features", "prediction": "prediction", "count": 1}, outputs),
    ]
    table = pa.table({name: np.ascontiguousarray(found[:, place]) for place, name in enumerate(names)})
    agrees(Compiled(card, tuple(names), steps), table, 1e-12)


def boosted(objective: str, labels: int) -> tuple[np.ndarray, np.ndarray]:
    import xgboost

    features = RNG.normal(size=(300, WIDTH))
    features[RNG.random(features.shape) < 0.1] = NAN
    features[:, 5] = RNG.integers(0, 9, 300)
    told = (np.nan_to_num(features[:, 0]) + features[:, 5] / 4 + 0.1 * RNG.normal(size=300)) % max(labels, 1)
    label = told if labels < 2 else told.astype(int) % labels
    params = {"objective": objective, "max_depth": 4, "base_score": 0.3, "nthread": 1}
    if objective.startswith("multi"):
        params = {**params, "num_class": labels}
    trained = xgboost.train(params, xgboost.DMatrix(features, label), 20)
    return np.frombuffer(bytes(trained.save_raw("ubj")), np.uint8), features


@pytest.mark.parametrize(
    ("task", "objective", "labels"),
    [("binary", "binary:logistic", 2), ("multiclass", "multi:softprob", 3), ("regression", "reg:squarederror", 1)],
)
def test_xgboost_says_the_same_but_for_the_seventh_digit(task, objective, labels):
    held, features = boosted(objective, labels)
    params = {**NAMES, "task": task, "missing": NAN, "iterations": 0}
    made = learner(task, ("xgboost", params, {"booster": held}))
    agrees(made, tolerance=boosting.TOLERANCE)
    names = [f"f{place}" for place in range(WIDTH)]
    card = ModelCard(task, dict.fromkeys(names, "double"), made.card.label_type, made.card.labels)
    assemble = ("assemble", {"inputs": names, "output": "features", "keep": True}, {})
    for missing, rounds in ((NAN, 0), (NAN, 7), (3.0, 0)):
        step = ("xgboost", {**params, "missing": missing, "iterations": rounds}, {"booster": held})
        table = pa.table({name: np.ascontiguousarray(features[:, place]) for place, name in enumerate(names)})
        agrees(Compiled(card, tuple(names), [assemble, step]), table, boosting.TOLERANCE)
