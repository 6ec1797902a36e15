"""Calibration and threshold in the YAML: mistakes, tasks without two classes, what people are told."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.config.checks import preparing
from headrace.config.deciding import Threshold
from headrace.config.learning import Search
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.models.card import ModelCard
from headrace.models.record import _decides
from headrace.search.cuts import Best, Counts
from headrace.search.deciding import told

YAML = """pipeline: p
tables: {t: {source: {format: csv, path: x.csv}}}
training_set: {from: t, label: %s}
search:
  %s
"""


@pytest.mark.parametrize(
    ("search", "says"),
    [
        ("calibration: sigmoidal", "5:16 .*did you mean 'sigmoid'"),
        ("{max_evals: 3, ensemble: {best: 5}}", "5 of the best are wanted, and search.max_evals lets 3 be tried"),
        ("nested: true", "it needs folds: write training_set.split.folds"),
        ("ensemble: {by: voting}", "'voting' is not one of average, stacking"),
        ("ensemble: {best: 1}", "1 came; it must be greater than or equal to 2"),
        ("threshold: 1", "1 came; it must be less than 1"),
        ("threshold: true", "true came; it must be a number"),
        ("threshold: {metric: auc}", "'auc' is not one of f1, accuracy"),
        ("threshold: {metric: f1, recall: 0.8}", "metric and recall came; write a number, or one of metric, recall"),
        ("threshold: {}", "nothing came; write a number"),
        ("threshold: {recall: 0}", "0 came; it must be greater than 0"),
        ("threshold: {cost: {false_negativ: 5}}", "did you mean 'false_negative'"),
        ("threshold: {cost: {false_negative: -1}}", "-1 came; it must be greater than or equal to 0"),
        ("threshold: {cost: {false_negative: 0, false_positive: 0}}", "both cost nothing"),
    ],
)
def test_mistakes_are_told_where_they_stand(tmp_path: Any, search: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % ('"a = 1"', search))
    with pytest.raises(ConfigError, match=says):
        read_pipeline(file)


@pytest.mark.parametrize(
    ("folds", "says"),
    [
        ("{count: 2, by: hash}", "a search within one of two folds has none; write 3"),
        ("{count: 4, by: time, window: sliding}", "only the stretch before it to learn from; write window: expanding"),
    ],
)
def test_a_search_within_a_fold_needs_folds_of_its_own(tmp_path: Any, folds: str, says: str) -> None:
    file = tmp_path / "p.yaml"
    text = YAML % ('"a = 1"', "nested: true")
    file.write_text(text.replace("label:", f"predict_at: at, split: {{folds: {folds}}}, label:"))
    with pytest.raises(ConfigError, match=says):
        read_pipeline(file)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (0.3, {"at": 0.3}),
        ({"metric": "f1"}, {"metric": "f1"}),
        ({"precision": 0.9}, {"precision": 0.9}),
        ({"cost": {"false_negative": 5}}, {"cost": {"false_positive": 1.0, "false_negative": 5.0}}),
    ],
)
def test_what_is_written_is_read(value: Any, wanted: dict[str, Any]) -> None:
    found = Search.model_validate({"threshold": value}).threshold
    assert found is not None
    assert found.model_dump(exclude_none=True) == wanted


@pytest.mark.parametrize(
    ("task", "says"),
    [
        ("multiclass", "with more than two classes there is no single cut"),
        ("regression", "a number is predicted"),
        ("clustering", "it learns without a label"),
        ("recommendation", "items are ranked"),
    ],
)
def test_other_tasks_have_none(task: str, says: str) -> None:
    search = Search.model_validate({"calibration": "isotonic", "threshold": {"metric": "f1"}})
    found = list(preparing.check(search, task))
    assert [where for where, _ in found] == ["search.calibration", "search.threshold"]
    assert all(f"for two classes, and the task is {task}: " in message and says in message for _, message in found)
    assert list(preparing.check(search, "binary")) == list(preparing.check(search, None)) == []


def test_a_file_for_another_task_is_refused(tmp_path: Any) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(YAML % ("a, task: multiclass", "threshold: 0.3"))
    with pytest.raises(ConfigError, match=r"search.threshold: .*two classes.*leave it out"):
        read_pipeline(file)


def test_people_are_told_what_a_cut_brings() -> None:
    half, chosen = Counts(2, 0, 4, 6), Best(0.25, Counts(4, 2, 4, 6))
    text = told(Threshold.model_validate({"cost": {"false_negative": 5}}), chosen, half, 10)
    assert text == (
        "the answer is yes from probability 0.25; on 10 held-out rows (in brackets: from 0.5): cost 2 (10), "
        "f1 0.8000 (0.6667), precision 0.6667 (1.0000), recall 1.0000 (0.5000), accuracy 0.8000 (0.8000), "
        "false_positive 2 (0), false_negative 0 (2)"
    )
    short = told(Threshold(precision=0.9), Best(0.7, Counts(0, 1, 4, 6), met=False), Counts(0, 0, 4, 6), 10)
    assert "precision 0.0000 (none)" in short
    assert short.endswith("No cut is as precise as 0.9: this is the most precise one")


def test_the_card_for_people_says_it() -> None:
    known = {"calibration": "sigmoid", "threshold": 0.25, "threshold_by": {"metric": "f1"}, "held_out_rows": 1234}
    card = ModelCard("binary", {}, "boolean", (False, True), learned=known)
    assert _decides(card) == (
        " `prediction` is True from probability 0.25 on, learned from 1,234 rows that the estimator had not seen. "
        "Probabilities are calibrated (sigmoid), learned from 1,234 rows that the estimator had not seen."
    )
    plain = {**known, "calibration": "none", "threshold_by": {"at": 0.25}, "held_out_rows": 0}
    assert _decides(ModelCard("binary", {}, "boolean", (False, True), learned=plain)) == (
        " `prediction` is True from probability 0.25 on."
    )
    assert _decides(ModelCard("binary", {}, "boolean", (False, True))) == ""
