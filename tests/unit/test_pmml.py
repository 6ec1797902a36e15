"""Documents of PMML say what the compiled scorer says, asked by PMML4S: its SQL, its stages and its models, on odd rows."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headrace.errors import ConfigError, HeadraceError
from headrace.models.card import ModelCard
from headrace.models.compiled import admitting
from headrace.models.compiled.agreement import different
from headrace.models.compiled.scorer import KINDS, Compiled
from headrace.models.compiled.sql import levels
from headrace.models.exporting import documents
from headrace.models.exporting.graphs.boosting import TOLERANCE
from headrace.models.exporting.graphs.graph import NotExported
from headrace.models.exporting.pmml import boosting, build, run
from headrace.models.exporting.pmml.sql import _FUNCTIONS, _SPECIAL
from tests.support.pmml import told
from tests.unit import test_graphs as graphs
from tests.unit.test_compiled import forests
from tests.unit.test_graphs import CUT, NAMES, ROWS, SQL, W, learner, nodes, number_of, one

N = f"{{{build.NAMESPACE}}}"


def agrees(compiled: Compiled, table: pa.Table = ROWS, tolerance: float = 1e-9) -> None:
    expected = compiled.score(table)
    if compiled.card.task == "regression":  # JSON has no infinity: PMML4S tells nothing where there is one
        said = expected["prediction"]
        finite = pc.if_else(pc.is_finite(said), said, np.nan)
        expected = expected.set_column(0, "prediction", finite)
    wrong = different(compiled.card, told(compiled, table), expected, tolerance)
    assert wrong is None, wrong


OF_NAN = (
    "x - x < y",
    "x - x = y - y",
    "least(x - x, y)",
    "greatest(x - x, y)",
    "coalesce(x / x, y)",
    "x + y",
    "x - y",
    "x * y",
)
"""These make NaN of what is none, which is missing here."""
FINITE = ROWS.filter(
    pc.and_(pc.less(pc.fill_null(pc.abs(ROWS["x"]), 1.0), 1e301), pc.less(pc.fill_null(pc.abs(ROWS["y"]), 1.0), 1e301))
)


@pytest.mark.parametrize("sql", [sql for sql in SQL if sql != "coalesce(x / x, y)"])
def test_sql_is_the_same_in_the_document(sql):
    table = FINITE if sql in OF_NAN else ROWS
    if "`at`" in sql:  # PMML is given milliseconds
        whole = table["at"].cast(pa.int64())
        cut = pc.multiply(pc.divide(pc.subtract(whole, pc.if_else(pc.less(whole, 0), 999, 0)), 1000), 1000)
        table = table.set_column(7, "at", cut.cast(pa.timestamp("us", "UTC")))
    agrees(one(sql), table, 1e-12)


def test_every_function_and_every_step_of_the_compiled_form_is_known():
    assert set(_FUNCTIONS) == set(graphs._FUNCTIONS)
    assert set(_SPECIAL) == set(graphs._SPECIAL)
    assert set(KINDS) == set(build.KINDS)


DEEP = " ".join(f"when x < {bound}D then {bound}D" for bound in range(400))


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (one("try_cast(c as double)"), "text that is read as double"),
        (one("cast(x as string) = '1.0'"), "a number with a fraction that is taken for a category"),
        (one("cast(`day` as string) = '2000-01-01'"), "a date that is taken for a category"),
        (graphs.LEARNERS["forest"], "a forest whose trees, or their leaves, weigh differently"),
        (one("coalesce(c, 'a&b') = d"), "SQL that makes the text 'a&b'"),
        (one("c = '\u0007'"), "a category of characters that XML cannot hold"),
        (one(f"case {DEEP} end"), "SQL of more than 320 levels"),
    ],
)
def test_what_cannot_be_expressed_says_which_part_and_what_works(made, why):
    with pytest.raises(NotExported, match=why):
        build.document_of(made, {})
    with pytest.raises(
        ConfigError, match=rf"--format pmml cannot be written: PMML cannot express {why}.* --format pickle"
    ):
        documents.content("pmml", made, {})


def votes(outputs: int, trees: int) -> dict:
    """A forest as Spark has it: leaves with shares, trees of equal weight; or one tree with counts."""
    arrays = nodes(outputs)
    value = np.round(arrays["value"] * 100) + 1
    if trees == 1:
        return {name: of[:7] for name, of in arrays.items() if name != "weights"} | {
            "value": value[:7], "weights": np.ones(1)
        }  # fmt: skip
    return {**arrays, "value": value / value.sum(axis=1, keepdims=True), "weights": np.ones(3)}


def calibrated() -> Compiled:
    """A forest of two with an isotonic regression and a threshold after it, as `search.calibration` writes them."""
    inner = "select * except (probability, prediction, __p), __p as __yes from __THIS__"
    both = levels(f"select *, 1 - __yes as __no, if(__yes >= 0.4D, 1D, 0D) as prediction from ({inner})")
    bends = {"boundaries": np.array([0.2, 0.35, 0.35, 0.6]), "predictions": np.array([0.1, 0.3, 0.5, 0.9])}
    return learner(
        "binary",
        ("forest", {**NAMES, "count": 1}, votes(2, 3)),
        ("rising", {"input": "probability", "place": 1, "output": "__p"}, bends),
        *[("sql", {"make": level}, {}) for level in both],
        ("assemble", {"inputs": ["__no", "__yes"], "output": "probability", "keep": True}, {}),
    )


def sigmoid() -> Compiled:
    """A support vector machine, its margin made a probability; and that bent once more."""
    inside = "least(greatest(__p, 1e-9D), 1 - 1e-9D)"
    says = f"select *, 1 / (1 + exp(-(1.7D * ln({inside} / (1 - {inside})) + 0.2D))) as __yes from __THIS__"
    machine = {"raw": "margin", "probability": None, "prediction": "side", "threshold": 0.0}
    made = [
        *levels(says),
        *levels("select *, 1 - __yes as __no, if(__yes >= 0.3D, 1D, 0D) as prediction from __THIS__"),
    ]
    return learner(
        "binary",
        ("machine", {**NAMES, **machine}, {"weights": W[1], "intercepts": np.ones(1)}),
        ("logistic", {**CUT, "input": "margin"}, {"weights": np.array([[-0.3, 0.9]]), "intercepts": np.zeros(1)}),
        ("rising", {"input": "probability", "place": 1, "output": "__p"},
         {"boundaries": np.array([0.0, 1.0]), "predictions": np.array([0.0, 1.0])}),
        *[("sql", {"make": level}, {}) for level in made],
        ("assemble", {"inputs": ["__no", "__yes"], "output": "probability", "keep": True}, {}),
    )  # fmt: skip


def balanced() -> Compiled:
    """Classes that were balanced, their probabilities made those of the true shares."""
    arrays = {"weights": W[3], "intercepts": np.arange(3) / 2}
    named = levels("select * except (probability), probability as __balanced from __THIS__")
    return learner(
        "multiclass",
        ("logistic", CUT, arrays),
        *[("sql", {"make": level}, {}) for level in named],
        ("times", {"input": "__balanced", "output": "__odds"}, {"factors": np.array([0.5, 1.0, 2.0])}),
        ("normal", {"input": "__odds", "output": "probability", "p": 1.0}, {}),
    )


def of_many() -> Compiled:
    """Boosted trees per class against all others, and a logistic regression of their margins."""
    of = [{"raw": f"m{at}", "probability": None, "prediction": f"s{at}", "count": 1} for at in range(3)]
    each = [("boosted", {**NAMES, **one}, nodes(1)) for one in of]
    margins = ("against_the_rest", {"margins": ["m0", "m1", "m2"], "raw": "margins", "prediction": "side"}, {})
    arrays = {"weights": np.eye(3) * 2 - 0.3, "intercepts": np.array([0.0, 0.1, -0.4])}
    return learner("multiclass", *each, margins, ("logistic", {**CUT, "input": "margins"}, arrays))


def bayes(kind: str, task: str = "multiclass") -> Compiled:
    count = 3 if task == "multiclass" else 2
    arrays = {"pi": np.log(np.ones(count) / count), "theta": -np.abs(W[3][:count])}
    return learner(task, ("bayes", {**NAMES, "model": kind}, arrays))


MADE = {name: made for name, made in graphs.LEARNERS.items() if name not in ("forest", "forest of two")}
MADE |= {
    "forest": learner("multiclass", ("forest", {**NAMES, "count": 1}, votes(3, 3))),
    "forest of two": learner("binary", ("forest", {**NAMES, "count": 1}, votes(2, 3))),
    "tree": learner("multiclass", ("forest", {**NAMES, "count": 1}, votes(3, 1)), labels=(1, 2, 5), kind="int"),
    "tree of two": learner("binary", ("forest", {**NAMES, "count": 1}, votes(2, 1)), labels=("no", "y&s"), kind="string"),
    "boosted of many": of_many(), "multinomial": bayes("multinomial", "binary"), "complement": bayes("complement"),
    "calibrated": calibrated(), "sigmoid": sigmoid(), "balanced": balanced(),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_models_say_the_same_in_the_document(name):
    made = MADE[name]
    table = admitting.scorable(made, ROWS) if name in ("multinomial", "complement") else ROWS
    agrees(made, table, 1e-8)


def test_categories_of_all_kinds_of_text_are_told_apart():
    words = ["b", "\0", "a", " ", " a", "a ", "x\ty", 'q"', "<&>'", "\u2603", "a\nb", "\ue001"]
    made = levels("select *, if(cast(`c` as string) = '', '\\u0000', cast(`c` as string)) as c_ from __THIS__")
    (last,) = levels("select *, place + 0.0D as prediction from __THIS__")
    steps = [
        *[("sql", {"make": level}, {}) for level in made],
        ("index", {"labels": words, "input": "c_", "output": "place"}, {}),
        ("sql", {"make": last}, {}),
    ]
    scorer = Compiled(ModelCard("regression", {"c": "string"}, "double"), ("c",), steps)
    table = pa.table({"c": ["", *words[:1], *words[2:], "never", None, "B", "aa", "&lt;"]})
    assert set(scorer.score(table).column("prediction").to_pylist()) == {float(at) for at in range(len(words) + 1)}
    agrees(scorer, table)
    hot = [
        *steps[:-1],
        ("hot", {"inputs": ["place"], "outputs": ["ones"], "sizes": [len(words) + 1]}, {}),
        ("assemble", {"inputs": ["ones"], "output": "features", "keep": True}, {}),
        ("linear", graphs.PLAIN, {"weights": np.arange(13.0)[None, :] ** 2, "intercepts": np.ones(1)}),
    ]
    agrees(Compiled(scorer.card, ("c",), hot), table)


@settings(max_examples=30, deadline=None)
@given(forests())
def test_trees_decide_alike_at_their_thresholds(made):
    arrays, found = made
    names = [f"f{place}" for place in range(found.shape[1])]
    card = ModelCard("regression", dict.fromkeys(names, "double"), "double")
    steps = [
        ("assemble", {"inputs": names, "output": "features", "keep": True}, {}),
        (
            "values",
            {"input": "features", "prediction": "prediction", "count": 1},
            {**arrays, "value": arrays["value"][:, :1]},
        ),
    ]
    table = pa.table({name: np.ascontiguousarray(found[:, place]) for place, name in enumerate(names)})
    agrees(Compiled(card, tuple(names), steps), table, 1e-12)


@pytest.mark.parametrize(
    ("task", "objective", "labels"),
    [("binary", "binary:logistic", 2), ("multiclass", "multi:softprob", 3), ("regression", "reg:squarederror", 1)],
)
def test_xgboost_says_the_same_but_for_the_seventh_digit(task, objective, labels):
    held, features = graphs.boosted(objective, labels)
    params = {**NAMES, "task": task, "missing": np.nan, "iterations": 0}
    made = learner(task, ("xgboost", params, {"booster": held}))
    agrees(made, tolerance=TOLERANCE)
    names = [f"f{place}" for place in range(graphs.WIDTH)]
    card = ModelCard(task, dict.fromkeys(names, "double"), made.card.label_type, made.card.labels)
    assemble = ("assemble", {"inputs": names, "output": "features", "keep": True}, {})
    table = pa.table({name: np.ascontiguousarray(features[:, place]) for place, name in enumerate(names)})
    for rounds in (0, 7):
        step = ("xgboost", {**params, "iterations": rounds}, {"booster": held})
        agrees(Compiled(card, tuple(names), [assemble, step]), table, TOLERANCE)
    step = ("xgboost", {**params, "missing": 3.0}, {"booster": held})
    with pytest.raises(NotExported, match="a number that XGBoost takes for missing"):
        build.document_of(Compiled(card, tuple(names), [assemble, step]), {})


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=9))
def test_doubles_are_below_a_float_where_they_are_once_they_are_floats(cuts):
    thresholds = np.array(cuts, np.float32)
    middle, odd = boosting.middle(thresholds)
    for cut, half, at_it in zip(thresholds, middle, odd, strict=True):
        near = [half, np.nextafter(half, np.inf), np.nextafter(half, -np.inf), cut, 0.0, -half]
        for value in map(float, near):
            with np.errstate(over="ignore"):
                below = np.float32(value) < cut
            assert below == (value <= half if at_it else value < half)


def test_an_integer_is_a_category():
    made = number_of(
        "select *, cast(n as string) as n_ from __THIS__",
        "select *, case when n_ = '1234567' then 1D when n_ = '-3' then 2D when n_ is null then 3D end as told from __THIS__",
        "select *, coalesce(told, -7D) as prediction from __THIS__",
    )
    table = ROWS.slice(0, 4).set_column(2, "n", pa.array([1234567, -3, None, 4]))
    assert made.score(table).column("prediction").to_pylist() == [1.0, 2.0, 3.0, -7.0]
    agrees(made, table)


def test_a_document_says_what_it_is_of_and_is_asked_by_a_process_of_its_own():
    made = MADE["calibrated"]
    about = {"model": "shop", "version": 3, "signature": {"inputs": "[]"}}
    content = documents.content("pmml", made, about)
    root = ElementTree.fromstring(content)
    assert root.attrib == {"version": "4.4"}
    header = {one.attrib["name"]: json.loads(one.attrib["value"]) for one in root.iter(f"{N}Extension")}
    assert (header["headrace.model"], header["headrace.version"]) == ("shop", 3)
    assert header["headrace.card"]["task"] == "binary"
    assert header["headrace.inputs"]["at"] == "timestamp"
    kinds = {one.attrib["name"]: one.attrib["dataType"] for one in root.iter(f"{N}DataField")}
    assert (kinds["x"], kinds["n"], kinds["c"], kinds["flag"], kinds["day"]) == (
        "double", "integer", "string", "boolean", "integer"
    )  # fmt: skip
    final = [one.attrib["name"] for one in root.iter(f"{N}OutputField") if "isFinalResult" not in one.attrib]
    assert final == ["prediction", "probability"]
    names = [one.attrib["name"] for one in root.iter() if one.tag in (f"{N}DerivedField", f"{N}DataField")]
    assert len(set(names)) == len(names)
    found = documents.asked("pmml", content, made, ROWS)
    assert different(made.card, found, made.score(ROWS), 1e-9) is None
    with pytest.raises(HeadraceError, match="what was written cannot be read by PMML4S: "):
        run.asked(content[:2000], made, ROWS)
