"""What a column alone tells, against scikit-learn and scipy; and which finding that is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import spearmanr
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score, roc_auc_score

from headrace.config.leakage import FINDINGS, LEVELS, Leakage
from headrace.config.reading import read_pipeline
from headrace.leakage import cells as cut
from headrace.leakage import measures, numbers
from headrace.leakage.advice import advice, line
from headrace.leakage.alone import Rows, Told, look
from headrace.leakage.findings import Finding, Limits, levelled, of_feature
from headrace.leakage.sampled import shares
from tests.conftest import PROJECT

small = st.integers(0, 9)
tables = st.integers(2, 4).flatmap(
    lambda k: st.lists(st.lists(small, min_size=k, max_size=k), min_size=2, max_size=6).map(
        lambda t: np.array(t, dtype=np.int64)
    )
)


def rows_of(table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The cell and the class of each row that a table counts."""
    cells, classes = np.indices(table.shape)
    return np.repeat(cells.ravel(), table.ravel()), np.repeat(classes.ravel(), table.ravel())


@given(st.lists(st.tuples(st.integers(-3, 3), small, small), min_size=1, max_size=8))
def test_area_is_that_of_scikit_learn(cells: list[tuple[int, int, int]]) -> None:
    scores, up, down = (np.array(part) for part in zip(*cells, strict=True))
    if up.sum() and down.sum():
        truth = np.concatenate([np.ones(up.sum()), np.zeros(down.sum())])
        said = np.concatenate([np.repeat(scores, up), np.repeat(scores, down)])
        assert measures.area(scores, up, down) == pytest.approx(roc_auc_score(truth, said))


@given(tables, tables)
def test_power_and_copy_are_those_of_rows(learned: np.ndarray, judged: np.ndarray) -> None:
    count = min(learned.shape[1], judged.shape[1])
    size = min(len(learned), len(judged))
    learned, judged = learned[:size, :count], judged[:size, :count]
    cell, label = rows_of(judged)
    known = [k for k in range(count) if (label == k).sum() >= 5 and (label != k).sum() >= 5]
    power, copy = measures.power([(learned, judged)], ordered=False), measures.told([(learned, judged)], ordered=False)
    if len(known) < 2:
        assert (power, copy) == (None, None)
        return
    total = learned.sum()
    share = learned.sum(axis=0) / total if total else np.zeros(count)
    rate = [[(row[k] + share[k]) / (row.sum() + 1) for k in range(count)] for row in learned]
    wanted = [1] if count == 2 else known
    areas = [roc_auc_score(label == k, [rate[c][k] for c in cell]) for k in wanted]
    assert power == pytest.approx(np.mean(areas))
    usual = int(np.argmax(learned.sum(axis=0)))
    guess = [int(np.argmax(learned[c])) if learned[c].sum() else usual for c in cell]
    at_first = len(label) - max((label == k).sum() for k in range(count))
    assert copy == pytest.approx(max(0.0, 1 - (np.array(guess) != label).sum() / at_first))


@given(
    st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=60).filter(lambda v: len(set(v)) > 2),
    st.integers(0, 5),
)
def test_numbers_are_measured_as_scipy_and_scikit_learn_do(values: list[float], seed: int) -> None:
    x, rng = np.array(values), np.random.default_rng(seed)
    y = x + rng.normal(size=len(x)) * (np.abs(x).max() + 1)
    assert numbers.rank_correlation(x, y) == pytest.approx(spearmanr(x, y).statistic, abs=1e-9)
    known = np.arange(len(x)) % 2 == 0
    if np.ptp(x[known]) > 1e-3:
        said = numbers.line(x, y, known)
        fitted = LinearRegression().fit(x[known, None], y[known]).predict(x[:, None])
        assert np.allclose(said, fitted, rtol=1e-6, atol=1e-6 * np.abs(y).max())
        assert numbers.r2(said, y) == pytest.approx(max(0.0, r2_score(y, said)), abs=1e-9)


@given(
    st.lists(
        st.one_of(st.just(float("nan")), st.floats(allow_nan=False, allow_infinity=False)), min_size=1, max_size=200
    ),
    st.integers(1, 4),
)
def test_cells_of_numbers_keep_their_order_and_set_missing_ones_apart(values: list[float], classes: int) -> None:
    x, rng = np.array(values), np.random.default_rng(1)
    known, label = rng.random(len(x)) < 0.7, rng.integers(0, classes, len(x))
    found = cut.of_numbers(x, known, label, classes)
    filled = ~np.isnan(x)
    assert np.array_equal(found.filled, filled)
    assert found.codes.min() >= 0
    assert found.codes.max() < found.size
    order = np.argsort(x[filled])
    assert (np.diff(found.codes[filled][order]) >= 0).all()
    counts = cut.counted(found, label, classes, known)
    assert counts.shape == (found.size, classes)
    assert counts.sum() == known.sum()


ROWS = 4_000
rng = np.random.default_rng(0)
PART = rng.choice([0, 1, 2], ROWS, p=[0.35, 0.35, 0.3])
Y = (rng.random(ROWS) < 0.2).astype(float)
NOISE = rng.normal(size=ROWS)
NAN = float("nan")
RARE = np.isin(np.arange(ROWS), rng.choice(ROWS, 10, replace=False)).astype(float)


def looked(values: Sequence | np.ndarray, label: np.ndarray = Y, classes: Sequence[str] = ("no", "yes")) -> Told:
    values = np.asarray(values)
    if values.dtype.kind in "fib":
        return look(Rows(PART, label, classes, values=values.astype(float)))
    texts, codes = np.unique(values.astype(str), return_inverse=True)
    codes = np.where(texts[codes] == "None", -1, codes)
    return look(Rows(PART, label, classes, codes=codes.astype(np.int64), texts=texts.tolist()))


def found(told: Told, task: str = "binary", kind: str = "double") -> list[str]:
    return [one.kind for one in of_feature("x", told, Limits(task, Leakage(), {"x": kind}))]


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (NOISE, []),
        (NOISE + Y, []),
        (Y, ["copy"]),
        (1 - Y, ["copy"]),
        (np.where(rng.random(ROWS) < 0.002, 1 - Y, Y), ["copy"]),
        (np.where(rng.random(ROWS) < 0.007, 1 - Y, Y), ["power"]),
        (Y + 0.9 * rng.random(ROWS), ["copy"]),
        (np.where(Y > 0, NOISE / 20, np.sign(NOISE) * (1 + np.abs(NOISE))), ["copy"]),
        (np.where(Y > 0, NOISE, NAN), ["missing"]),
        (np.where(Y > 0, NAN, NOISE), ["missing"]),
        (np.where((Y > 0) & (rng.random(ROWS) < 0.6), NOISE, NAN), ["one_sided"]),
        (np.where(rng.random(ROWS) < 0.5, Y, NAN), ["copy"]),
        (np.where(PART < 2, Y, rng.random(ROWS)), ["collapse"]),
        (np.where(PART < 2, 1.0, NOISE), ["constant"]),
        (np.full(ROWS, NAN), []),
        (np.full(ROWS, 3.0), []),
        (np.where(Y > 0, rng.choice(["a", "b"], ROWS), rng.choice(["c", "d"], ROWS)), ["copy"]),
        (rng.choice(["a", "b", "None"], ROWS), []),
        (np.array([f"id {i}" for i in range(ROWS)]), ["id"]),
        (np.array([f"id {i // 2}" for i in range(ROWS)]), []),
        (np.array([f"the bill of month {i}" for i in range(ROWS)]), []),  # text, of which words are learned
    ],
)
def test_leaks_are_found_and_nothing_else_is(values: np.ndarray, kinds: list[str]) -> None:
    text = values.dtype.kind not in "fib"
    assert found(looked(values), kind="string" if text else "double") == kinds


def test_ten_rows_of_a_class_are_enough_to_see_a_leak_and_too_few_to_make_one() -> None:
    assert [found(looked(rng.normal(size=ROWS), RARE)) for _ in range(20)] == [[]] * 20
    assert found(looked(RARE * 20 + NOISE, RARE)) == ["copy"]
    told = looked(RARE * 4 + NOISE, RARE)
    assert told.judged_on == "train"
    assert found(told) in (["power"], ["copy"])
    few = np.isin(np.arange(ROWS), np.flatnonzero(PART == 0)[:3]).astype(float)
    assert looked(few, few).power is None
    assert found(looked(few, few)) == []


def test_one_class_or_no_validation_rows_say_nothing() -> None:
    assert found(looked(NOISE, np.zeros(ROWS))) == []
    assert look(Rows(PART % 2, Y, ("no", "yes"), values=Y)).judged_on == "train"
    tiny = look(Rows(np.array([0, 1, 2]), np.array([0.0, 1.0, 0.0]), ("no", "yes"), values=np.array([0.0, 1.0, 0.0])))
    assert (tiny.power, tiny.copy) == (None, None)


def test_several_classes_and_numbers() -> None:
    names, label = tuple("abcde"), rng.integers(0, 5, ROWS).astype(float)
    assert found(looked(label * 3 + rng.random(ROWS), label, names), "multiclass") == ["copy"]
    assert found(looked((label.astype(int) * 7 % 5).astype(str), label, names), "multiclass", "string") == ["copy"]
    assert found(looked(label + NOISE, label, names), "multiclass") == []
    money = rng.gamma(1, 100, ROWS)
    assert found(looked(np.log(money), money, ()), "regression") == ["copy"]
    assert found(looked(np.where(NOISE > 0, money, NAN), money, ()), "regression") == ["copy"]
    assert found(looked(money.astype(str), money, ()), "regression", "string") == ["copy"]
    assert found(looked(money + NOISE, money, ()), "regression") == ["power"]
    assert found(looked(money + 100 * NOISE, money, ()), "regression") == []
    assert found(looked(np.where(PART < 2, money, 100 * np.abs(NOISE)), money, ()), "regression") == ["collapse"]
    assert found(look(Rows(PART, np.full(ROWS, 2.0), (), values=NOISE)), "regression") == []


def test_words_of_evidence() -> None:
    label = np.array([0.0, 0, 0, 1, 1, 1] * 20)
    part = np.arange(120) % 3
    town = Rows(part, label, ("no", "yes"), codes=np.array([0, 0, 1, 1, 1, -1] * 20), texts=["a", "b" * 40])
    assert look(town).examples == f"'{'b' * 27}...': 20 of no, 40 of yes; 'a': 40 of no, 0 of yes"
    assert look(town).gaps == "filled: 60 of no, 40 of yes; empty: 0 of no, 20 of yes"


def test_what_a_finding_does() -> None:
    pipeline, _ = read_pipeline(str(PROJECT / "conf" / "flights.yaml"))
    one = Finding("dest", "copy", "share of errors removed", 0.99, 0.98, 100, "it is the label", "so it is")
    assert set(LEVELS) == set(FINDINGS)
    rules = [
        Leakage(policy="error"), Leakage(), Leakage(levels={"copy": "off"}), Leakage(allow={"DEST": "known"}),  # type: ignore[dict-item]
    ]  # fmt: skip
    levels = [None if found is None else (found.level, found.reason) for found in (levelled(one, r) for r in rules)]
    assert levels == [("error", None), ("warn", None), None, ("allowed", "known")]
    assert line(one) == "dest: it is the label (share of errors removed 0.99, from 0.98 on; so it is)"
    names = ("dest", "weekday", "plane__year", "origin_weather__temp")
    said = {name: advice(Finding(name, "power", "m", 1, 1, 1, ""), pipeline) for name in names}
    assert said["dest"].startswith(
        "take it out of tables.flights.known_early if it is known only afterwards; leave it out"
    )
    assert said["weekday"].startswith("see what training_set.row_features.weekday is made of")
    assert said["plane__year"].startswith("when is it known? tables.planes.available_at: it says none")
    assert said["origin_weather__temp"].startswith("when is it known? tables.weather.available_at: is that known_at?")


def test_shares_of_a_sample() -> None:
    assert shares({}, 10) == {}
    part = shares({("train", 0): 1_000_000, ("train", 1): 50, ("validation", 0): 10}, 1_000)
    assert part == {("train", 0): 0.00045, ("train", 1): 1.0, ("validation", 0): 1.0}
