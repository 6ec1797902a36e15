"""Segments in the YAML: mistakes; slices; how their models' rows are dealt out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from headrace.config.checks import preparing
from headrace.config.learning import Search
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.evaluation.stage import slices_of
from headrace.models.card import ModelCard
from headrace.models.compiled.columns import column
from headrace.models.compiled.members import packed
from headrace.models.compiled.scorer import step
from headrace.models.record import _segments

YAML = """pipeline: p
tables: {t: {source: {format: csv, path: x.csv}, key: id, columns: {id: id, land: land, a: a}}}
training_set: {from: t, label: a = 1, exclude: [b], row_features: {part: id %% 5}}
search: {segments: %s, ensemble: %s}
gates: %s
"""


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ("id", r"'id' is a column of the training set, but no feature; make it one.*{segment: id}"),
        ("{by: land, min_row: 5}", "did you mean 'min_rows'"),
        ("{min_rows: 5}", "'by' is missing"),
        ("{by: land, min_rows: 0}", "0 came; it must be greater than or equal to 1"),
        ("{by: land, most: 2000}", "2000 came; it must be less than or equal to 1000"),
        ("{by: land, keep: best}", "'best' is not one of better, all"),
        ("[land]", "search.segments"),
    ],
)
def test_mistakes_are_told_where_they_stand(tmp_path: Any, segments: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % (segments, "null", "[]"))
    with pytest.raises(ConfigError, match=says):
        read_pipeline(file)


def test_the_segments_are_slices_of_the_evaluation(tmp_path: Any) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % ("land", "{best: 2}", "[]"))
    pipeline, _ = read_pipeline(file)
    assert slices_of(pipeline) == {"land": 100}
    file.write_text(YAML % ("part", "null", "[{metric: f1, at_least: 0.1, slice: part, min_rows: 7}]"))
    assert slices_of(read_pipeline(file)[0]) == {"part": 7}


def test_what_does_not_go_with_segments_says_why() -> None:
    for task, search, says in [
        ("clustering", {"segments": "land"}, "it needs a label, and the task is clustering"),
        ("binary", {"segments": "land", "ensemble": {"by": "stacking"}}, "stacking does not go with search.segments"),
    ]:
        found = [message for _, message in preparing.check(Search.model_validate(search), task)]
        assert any(says in message for message in found), found


def test_the_card_names_the_estimators_that_it_is_of() -> None:
    members = [{"estimator": name, "params": {}} for name in ("gbt", "xgboost", "gbt")]
    both = {"of": {"estimator": "ensemble", "params": {"members": members}}, "by": "land"}
    for estimator, params, names in [
        ("gbt", {"trees": 2}, ("gbt",)),
        ("ensemble", {"members": members}, ("gbt", "xgboost")),
        ("segments", both, ("gbt", "xgboost")),
    ]:
        assert ModelCard("binary", {}, "boolean", estimator=estimator, params=params).estimators == names


def test_the_page_tells_who_answers() -> None:
    each = [
        {"value": "AT", "rows": 1200, "own": 0.9, "general": 0.8, "kept": True},
        {"value": "B|E", "rows": 60, "own": None, "general": None, "kept": False},
    ]
    page = _segments({"by": "land", "keep": "better", "metric": "f1", "each": each})
    assert "| AT | 1,200 | 0.9000 | 0.8000 | its own |\n| B\\|E | 60 |  |  | general |" in page


def _doubling(factor: str) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """A model that gives x times a number."""
    return [("sql", {"make": {"prediction": ["*", ["col", "x"], ["lit", float(factor)]]}}, {})]


@pytest.mark.parametrize(
    ("by", "values"),
    [
        (pa.array(["b", None, "a", "z", "b", ""]), ["a", "b"]),
        (pa.array([20, None, 10, 30, 20, 0], pa.int32()), ["10", "20"]),
        (pa.array([True, None, False, None, True, None]), ["false", "true"]),
    ],
)
def test_each_row_is_answered_by_the_model_of_its_segment(by: pa.Array, values: list[str]) -> None:
    members, arrays = packed([_doubling("0"), _doubling("10"), _doubling("20")])
    reads = [["x"]] * 3
    params = {"by": "by", "values": values, "classes": 0, "members": members, "reads": reads, "inputs": ["by", "x"]}
    x = np.arange(1.0, 7.0)
    frame = {"by": column(by), "x": column(pa.array(x))}
    step("segments", params, arrays)(frame, 6)
    np.testing.assert_array_equal(frame["prediction"].values, x * np.array([20, 0, 10, 0, 20, 0]))
    frame = {"by": column(by), "x": column(pa.array(x))}
    step("mean", params, arrays)(frame, 6)
    np.testing.assert_array_equal(frame["prediction"].values, x * 10)
