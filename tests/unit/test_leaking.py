"""Columns that tell the label, from what one pass kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from headrace.clean.inference import column_profile
from headrace.clean.sketch import Labels, Sketch
from headrace.clean.survey import Sample
from headrace.cli.profiling.facts import ColumnFacts, LabelFacts
from headrace.cli.profiling.leaking import leaks
from headrace.cli.profiling.sampled import Sampled

N = 1_000
LABEL = ["yes" if i % 5 == 0 else "no" for i in range(N)]


def found(
    values: list[str | None], kind: str, label: list[str] | None = None, label_kind: str = "string"
) -> dict[str, str]:
    label = label or LABEL
    names = sorted(set(label))
    labels = Labels([*names], np.array([names.index(name) for name in label]))
    many = len(names) > 101
    beside = Labels([None], np.zeros(N, dtype=np.int64)) if many else labels
    table = pa.table([pa.array(values, pa.string()), pa.array(label)], names=["x", "label"])
    sketches = {"x": Sketch(), "label": Sketch()}
    for name, sketch in sketches.items():
        sketch.add(table[name].combine_chunks(), beside)
    sample = Sample(500)
    sample.add(table, beside, np.random.default_rng(1).random(N))
    columns = {
        "x": ColumnFacts("x", "x", kind, column_profile("x", sketches["x"])),
        "label": ColumnFacts("label", "label", label_kind, column_profile("label", sketches["label"])),
    }
    counts = sorted(((name, label.count(name)) for name in names), key=lambda item: -item[1])
    facts = LabelFacts(tuple(counts[:101]), {name: name for name in names})
    return leaks((columns["x"],), sketches, Sampled.of(sample, ["x", "label"]), columns["label"], facts)


@pytest.mark.parametrize(
    ("values", "kind", "says"),
    [
        (["won" if name == "yes" else "lost" for name in LABEL], "string", "its values tell the label in 100.0%"),
        ([None if name == "no" else "2024-01-01" for name in LABEL], "date", "it is filled only for some values"),
        (["NA" if name == "no" else str(i) for i, name in enumerate(LABEL)], "bigint", "it is filled only"),
        ([str(i + (5_000 if name == "yes" else 0)) for i, name in enumerate(LABEL)], "bigint", "ranges of their own"),
    ],
)
def test_what_tells_the_label(values: list[str | None], kind: str, says: str) -> None:
    assert says in found(values, kind)["x"]


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([str(i) for i in range(N)], "bigint"),
        ([f"v{i}" for i in range(N)], "string"),
        ([None] * N, "string"),
        (["a"] * N, "string"),
        (["won" if name == "yes" and i % 2 else "lost" for i, name in enumerate(LABEL)], "string"),
        ([None if i % 3 else "5" for i in range(N)], "bigint"),
    ],
)
def test_what_does_not(values: list[str | None], kind: str) -> None:
    assert found(values, kind) == {}


def test_a_number_that_runs_with_a_number() -> None:
    label = [f"{i * 1.5:.2f}" for i in range(N)]
    rng = np.random.default_rng(2)
    close = [str(round(i * 150 + 3)) for i in range(N)]
    near = [f"{i + 200 * rng.normal():.3f}" for i in range(N)]
    assert "its correlation with the label is 1.00000" in found(close, "bigint", label, "double")["x"]
    assert found(near, "double", label, "double") == {}
    assert found(["7"] * N, "bigint", label, "double") == {}
