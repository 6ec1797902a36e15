"""When two scorers agree: numbers but for a millionth, classes but for ties; and the rows that they are asked about."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest

from headrace.models.card import ModelCard
from headrace.models.compiled.agreement import different
from headrace.models.compiled.extremes import rows

BINARY = ModelCard("binary", {}, "boolean", (False, True))
MANY = ModelCard("multiclass", {}, "string", ("a", "b", "c"))
NUMBER = ModelCard("regression", {}, "double")


def told(prediction, probability, kind=None):
    return pa.table({"prediction": pa.array(prediction), "probability": pa.array(probability, kind or pa.float64())})


def test_numbers_may_differ_by_a_millionth():
    theirs = told([1.0, -2e9, math.nan, math.inf, 1e-300, 0.0], [None] * 6)
    near = told([1 + 9e-7, -2e9 + 1000, math.nan, math.inf, 0.0, 1e-13], [None] * 6)
    assert different(NUMBER, near, theirs) is None
    for value in (1 + 2e-6, math.nan, -1.0, None):
        other = told([value, *near.column("prediction").to_pylist()[1:]], [None] * 6)
        assert different(NUMBER, other, theirs).startswith("1 of 6 rows have another prediction")
    assert different(NUMBER, near.slice(1), theirs) == "5 rows and 6"


def test_a_class_may_be_another_on_the_border_only():
    theirs = told([True, False, True], [0.5000001, 0.2, 1e-9])
    assert different(BINARY, told([False, False, True], [0.5000001, 0.2, 1.0000005e-9]), theirs) is None
    assert (
        different(BINARY, told([True, True, True], [0.5000001, 0.2, 1e-9]), theirs) == "1 of 3 rows have another class"
    )
    wrong = different(BINARY, told([True, False, True], [0.5000001, 0.3, None]), theirs)
    assert wrong == "2 of 3 rows have another probability (by up to 0.1)"
    cut = ModelCard("binary", {}, "boolean", (False, True), learned={"threshold": 0.2})
    assert different(cut, told([True, True, True], [0.5000001, 0.2, 1e-9]), theirs) is None


def test_probabilities_of_classes_are_compared_by_their_names():
    kind = pa.map_(pa.string(), pa.float64())
    theirs = told(["a", "c"], [[("a", 0.4), ("b", 0.4), ("c", 0.2)], [("a", 0.1), ("b", 0.1), ("c", 0.8)]], kind)
    same = told(["b", "c"], [[("c", 0.2), ("b", 0.4), ("a", 0.4)], [("a", 0.1), ("b", 0.1), ("c", 0.8)]], kind)
    assert different(MANY, same, theirs) is None
    other = told(["a", "b"], [[("c", 0.2), ("b", 0.4), ("a", 0.4)], [("a", 0.1), ("b", 0.1), ("c", 0.8)]], kind)
    assert different(MANY, other, theirs) == "1 of 2 rows have another class"
    none = told(["a", None], [[("c", 0.2), ("b", 0.4), ("a", 0.4)], None], kind)
    assert different(MANY, none, theirs).startswith("1 of 2 rows have another probability")


@pytest.mark.parametrize("count", [0, 3])
def test_made_up_rows_try_each_feature_in_turn(count):
    kinds = {
        "x": pa.float64(), "f": pa.float32(), "n": pa.int16(), "m": pa.decimal128(5, 2), "b": pa.bool_(),
        "d": pa.date32(), "t": pa.timestamp("us", "UTC"), "w": pa.timestamp("us"), "s": pa.string(),
    }  # fmt: skip
    real = pa.table({name: pa.nulls(count, kind) for name, kind in kinds.items()})
    if count:
        real = real.set_column(0, "x", pa.array([7.0, 8.0, 9.0]))
    made = rows(real)
    assert made.schema.equals(real.schema)
    assert all(value is None for value in made.slice(0, 1).to_pylist()[0].values())
    assert {"", " 1e3 ", "NaN"} < set(made.column("s").to_pylist())
    assert {-32768, 32767} < set(made.column("n").to_pylist())
    x = made.column("x").to_pylist()
    assert (x.count(7.0) == made.num_rows - 12) == bool(count)
    assert np.isnan([one for one in x if one is not None]).sum() == 1
