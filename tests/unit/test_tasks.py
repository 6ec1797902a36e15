"""What of a training set goes with which task, told before anything runs."""

from __future__ import annotations

import pytest

from headrace.config.checks import references
from headrace.config.types import Pipeline

LATER = {"from": "t", "aggregate": "count(*) > 1", "within": "7 days"}
RATED = {"user": "u", "item": "i", "rating": "stars"}


def mistakes(training: dict, **more: object) -> list[tuple[str, str]]:
    table = {"source": {"format": "csv", "path": "t.csv"}, "key": ["u", "i"], "event_time": "at"}
    content = {"pipeline": "p", "tables": {"t": table}, "training_set": {"from": "t", **training}, **more}
    return references.check(Pipeline.model_validate(content))


@pytest.mark.parametrize(
    "training",
    [
        {"task": "clustering"},
        {"task": "anomaly", "contamination": 0.05},
        {"task": "recommendation", **RATED, "relevant": 4},
        {**RATED, "top_k": 5},
        {"user": "u", "item": "i", "implicit": "1"},
        {"label": "x > 1"},
        {"label": LATER},
        {"from": {"entities": "t", "every": "7 days"}, "task": "clustering"},
    ],
)
def test_what_goes_together(training: dict) -> None:
    assert mistakes(training) == []


@pytest.mark.parametrize(
    ("training", "more", "where", "says"),
    [
        ({}, {}, "training_set", "`label` is missing"),
        ({"task": "binary"}, {}, "training_set", "`label` is missing"),
        ({"task": "clustering", "label": "x"}, {}, "training_set.label", "learns without a label"),
        ({"task": "anomaly", "label": LATER}, {}, "training_set.label", "learns without a label"),
        ({**RATED, "label": LATER}, {}, "training_set.label", "instead of a label"),
        (
            {**RATED},
            {"search": {"outliers": [{"column": "u", "method": "iqr", "treat": "cap"}]}},
            "search.outliers",
            "no features to transform",
        ),
        ({"task": "anomaly", "label_delay": "1 day"}, {}, "training_set.label_delay", "leave `label_delay` out"),
        ({"label": "x", "user": "u"}, {}, "training_set", "needs `item`"),
        ({"task": "binary", "label": "x", "user": "u"}, {}, "training_set.user", "belongs to task: recommendation"),
        ({"task": "clustering", "contamination": 0.1}, {}, "training_set.contamination", "belongs to task: anomaly"),
        ({"user": "u", "item": "i"}, {}, "training_set", "`rating` (a number that people gave) or `implicit`"),
        ({**RATED, "implicit": "1"}, {}, "training_set", "both are there"),
        ({**RATED, "item": "u"}, {}, "training_set.item", "is the user already"),
        ({**RATED, "row_features": {"h": "1"}}, {}, "training_set.row_features", "from user, item and rating only"),
        ({"user": "u", "item": "i", "implicit": "1", "relevant": 3}, {}, "training_set.relevant", "is a rating"),
        (
            {"user": "u", "item": "i", "implicit": "1"},
            {"search": {"metric": "rmse"}},
            "search.metric",
            "rmse is of ratings",
        ),
        ({"task": "clustering"}, {"search": {"metric": "silhouete"}}, "search.metric", "did you mean 'silhouette'?"),
        ({"task": "clustering"}, {"search": {"metric": "areaUnderROC"}}, "search.metric", "no metric of the task clus"),
        ({"task": "anomaly"}, {"search": {"metric": "flaggedShare"}}, "search.metric", "search by logLikelihood"),
        ({"task": "anomaly"}, {"gates": [{"beats": "champion"}]}, "gates[0].beats", "no measure in common"),
        ({**RATED}, {"search": {"estimators": ["kmeans"]}}, "search.estimators[0]", "no estimator for the task recom"),
        ({"task": "clustering"}, {"search": {"estimators": ["kmean"]}}, "search.estimators[0]", "mean 'kmeans'?"),
    ],
)
def test_what_does_not(training: dict, more: dict, where: str, says: str) -> None:
    found = [message for place, message in mistakes(training, **more) if place == where]
    assert any(says in message for message in found), mistakes(training, **more)


def test_whom_a_model_keeps_by_name_is_said_in_so_many_words() -> None:
    table = {"source": {"format": "csv", "path": "t.csv"}, "key": ["u", "i"], "sensitive": {"u": "hash"}}
    content = {"pipeline": "p", "tables": {"t": table}, "training_set": {"from": "t", **RATED}}
    found = references.check(Pipeline.model_validate(content))
    assert [where for where, message in found if "would become a feature" in message] == ["training_set.user"]
    content["training_set"] |= {"allow_sensitive": ["u"]}
    assert references.check(Pipeline.model_validate(content)) == []
