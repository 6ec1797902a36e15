"""Labels that may be censored: what goes with them, told before anything runs."""

from __future__ import annotations

import pytest

from headrace.config.checks import references
from headrace.config.checks.leaks import hidden_columns
from headrace.config.checks.training_scope import check as scope
from headrace.config.metrics import larger_is_better, unknown_metric
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, DataError
from headrace.search.estimators import ESTIMATORS, chosen
from headrace.training.task import refuse_no_events

TIMES = {"label": "hours", "censored": "not failed"}
LATER = {"from": "t", "aggregate": "sum(x)", "within": "7 days"}


def pipeline(training: dict, **more: object) -> Pipeline:
    table = {"source": {"format": "csv", "path": "t.csv"}, "key": ["u"], "event_time": "at"}
    table |= {"columns": {"late": "case when failed then 1 else 0 end"}}
    content = {"pipeline": "p", "tables": {"t": table}, "training_set": {"from": "t", **training}, **more}
    return Pipeline.model_validate(content)


def mistakes(training: dict, **more: object) -> list[tuple[str, str]]:
    return references.check(pipeline(training, **more))


@pytest.mark.parametrize(
    ("training", "more"),
    [
        (TIMES, {}),
        ({**TIMES, "task": "regression"}, {"search": {"metric": "concordance", "estimators": "survival_regression"}}),
        (TIMES, {"gates": [{"metric": "concordance", "at_least": 0.6}, {"beats": "champion"}]}),
        (TIMES, {"search": {"estimators": [{"name": "survival_regression", "params": {"iterations": 50}}]}}),
        (TIMES, {"search": {"preparation": {"categories": {"encode": ["one_hot", "frequency"]}}}}),
        ({"label": "hours", "task": "regression"}, {"search": {"estimators": ["survival_regression", "xgboost"]}}),
        ({"label": "hours", "task": "regression"}, {"search": {"metric": "concordance"}}),
    ],
)
def test_what_goes_together(training: dict, more: dict) -> None:
    assert mistakes(training, **more) == []


@pytest.mark.parametrize(
    ("training", "more", "where", "says"),
    [
        ({**TIMES, "task": "binary"}, {}, "training_set.censored", "belongs to task: regression"),
        ({"censored": "x > 1", "task": "clustering"}, {}, "training_set.censored", "belongs to task: regression"),
        (
            {"user": "u", "item": "i", "rating": "r", "censored": "x > 1"},
            {},
            "training_set.censored",
            "this is task: rec",
        ),
        ({**TIMES, "label": LATER}, {}, "training_set.censored", "counted over later events"),
        ({"censored": "not failed"}, {}, "training_set", "`label` is missing"),
        ({**TIMES, "censored": "not failed and"}, {}, "training_set.censored", "no SQL expression"),
        ({**TIMES, "censored": "max(x) > 1"}, {}, "training_set.censored", "adds up rows"),
        (
            {**TIMES, "row_features": {"censored": "1"}},
            {},
            "training_set.row_features.censored",
            "training_set.censored",
        ),
        (TIMES, {"search": {"estimators": ["survival_regression", "xgboost"]}}, "search.estimators[1]", "lower bound"),
        (
            TIMES,
            {"search": {"estimators": ["survival_regresion"]}},
            "search.estimators[0]",
            "mean 'survival_regression'",
        ),
        (
            TIMES,
            {"search": {"estimators": [{"name": "mine", "class": "my_models:Steep"}]}},
            "search.estimators[0]",
            "takes it for the label",
        ),
        (TIMES, {"search": {"points": [{"estimator": "xgboost"}]}}, "search.points[0]", "allowed: survival_regression"),
        (TIMES, {"search": {"metric": "rmse"}}, "search.metric", "only a lower bound; allowed: concordance"),
        (TIMES, {"gates": [{"metric": "mae", "at_most": 3}]}, "gates[0].metric", "only a lower bound"),
        (TIMES, {"gates": [{"metric": "concordance", "at_least": 3}]}, "gates[0].at_least", "between 0 and 1"),
        (TIMES, {"metrics": {"m": {"python": "m:f"}}}, "metrics.m", "use concordance"),
        (TIMES, {"search": {"ensemble": {}}}, "search.ensemble", "leave it out"),
        (TIMES, {"search": {"segments": {"by": "x"}}}, "search.segments", "leave it out"),
        (TIMES, {"search": {"balance": "weights"}}, "search.balance", "the task is regression with censored"),
        (
            TIMES,
            {"search": {"calibration": "sigmoid"}},
            "search.calibration",
            "the task is regression with censored: a number is predicted",
        ),
        (TIMES, {"search": {"threshold": 0.4}}, "search.threshold", "a number is predicted, without a probability"),
        (
            TIMES,
            {"search": {"preparation": {"vocabulary": {"size": 100}}}},
            "search.preparation.vocabulary",
            "the task is regression with censored",
        ),
        (
            TIMES,
            {"search": {"preparation": {"categories": {"encode": "woe"}}}},
            "search.preparation.categories.encode",
            "the task is regression with censored; write frequency",
        ),
        (
            TIMES,
            {"search": {"preparation": {"categories": {"encode": "target"}}}},
            "search.preparation.categories.encode",
            "write frequency",
        ),
        (
            TIMES,
            {"search": {"preparation": {"select": {"top": 5}}}},
            "search.preparation.select.top",
            "write variance or correlation",
        ),
        ({"label": "x > 1"}, {"search": {"metric": "concordance"}}, "search.metric", "no metric of the task binary"),
        ({"label": "x > 1"}, {"search": {"estimators": "survival_regression"}}, "search.estimators[0]", "task binary"),
    ],
)
def test_what_does_not(training: dict, more: dict, where: str, says: str) -> None:
    found = [message for place, message in mistakes(training, **more) if place == where]
    assert any(says in message for message in found), mistakes(training, **more)
    assert not any(word in message for message in found for word in ("task survival", "task is survival"))


def test_whether_it_was_censored_gives_the_label_away() -> None:
    assert hidden_columns(pipeline(TIMES)) == {"hours", "failed", "late"}
    assert hidden_columns(pipeline({"label": "hours", "task": "regression"})) == {"hours"}
    there = {"t": frozenset({"u", "at", "hours", "failed", "late", "x"})}
    found = dict(scope(pipeline({**TIMES, "row_features": {"a": "late + 1", "b": "censored", "c": "x"}}), there))
    assert set(found) == {"training_set.row_features.a", "training_set.row_features.b"}
    assert dict(scope(pipeline({**TIMES, "censored": "fialed"}), there))["training_set.censored"]


def test_the_default_is_what_understands_it() -> None:
    assert chosen((), "survival", explicit=False) == ("survival_regression",)
    assert larger_is_better("concordance")
    assert str(unknown_metric("rmse", "survival")).startswith(
        "'rmse' is no metric of the task regression with censored;"
    )
    with pytest.raises(ConfigError, match="cannot learn the task regression with censored; write any of survival_"):
        chosen(("xgboost",), "survival", explicit=True)
    assert [name for name, one in ESTIMATORS.items() if "survival" in one.tasks] == ["survival_regression"]


@pytest.mark.parametrize(
    ("events", "folds", "says"),
    [
        ((3, 1, 1), False, None),
        ((0, 1, 1), False, "is censored in train, so"),
        ((3, 0, 0), False, "is censored in validation, test, so"),
        ((3, 0, 1), True, None),  # the folds are cut through both
        ((0, 0, 1), True, "is censored in train and validation, so"),
        ((3, 1, 0), True, "is censored in test, so"),
    ],
)
def test_a_part_where_nothing_happened_is_refused(events: tuple, folds: bool, says: str | None) -> None:
    names = ("train", "validation", "test")
    parts = {name: {"events": one, "labelled": 9} for name, one in zip(names, events, strict=True)}
    if says is None:
        refuse_no_events(parts, folds)
        return
    with pytest.raises(DataError, match=says) as told:
        refuse_no_events(parts, folds)
    assert f"'test': '{events[2]} of 9'" in str(told.value)
