"""What of a training set goes with which task, told before anything runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config.checks import references, scopes
from headrace.config.types import Pipeline

LATER = {"from": "t", "aggregate": "count(*) > 1", "within": "7 days"}
RATED = {"user": "u", "item": "i", "rating": "stars"}


def mistakes(training: dict, **more: object) -> list[tuple[str, str]]:
    source = {"format": "csv", "path": "t.csv"}
    table = {"source": source, "key": ["u", "i"], "event_time": "at", "types": {"price": "double"}}
    content = {"pipeline": "p", "tables": {"t": table}, "training_set": {"from": "t", **training}, **more}
    return references.check(Pipeline.model_validate(content))


@pytest.mark.parametrize(
    "training",
    [
        {"task": "clustering"},
        {"task": "anomaly", "contamination": 0.05},
        {"task": "topics"},
        {"task": "topics", "texts": ["title", "body"]},
        {"task": "topics", "texts": "title"},
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
        ({"task": "topics", "label": "x"}, {}, "training_set.label", "learns without a label"),
        ({"task": "clustering", "texts": "t"}, {}, "training_set.texts", "belongs to task: topics; this is task: clus"),
        (
            {"label": "x", "texts": "t"},
            {},
            "training_set.texts",
            "belongs to task: topics; this is a task with a label",
        ),
        ({"task": "topics", "texts": ["a", "A"]}, {}, "training_set.texts[1]", "'a' stands there twice"),
        (
            {"task": "topics", "texts": ["a"], "exclude": ["a"]},
            {},
            "training_set.texts[0]",
            "'a' is excluded from the training set",
        ),
        (
            {"task": "topics", "texts": ["price"]},
            {},
            "training_set.texts[0]",
            "'price' is double; topics are found in text",
        ),
        ({"task": "topics"}, {"search": {"estimators": ["kmeans"]}}, "search.estimators[0]", "allowed: lda"),
        ({"task": "topics"}, {"search": {"metric": "silhouette"}}, "search.metric", "no metric of the task topics"),
        (
            {"task": "topics"},
            {"gates": [{"metric": "perplexity", "at_most": 0.5}]},
            "gates[0].at_most",
            "between 1 and",
        ),
        ({"task": "topics"}, {"search": {"ensemble": {}}}, "search.ensemble", "needs a label"),
        ({"task": "topics"}, {"search": {"segments": {"by": "c"}}}, "search.segments", "needs a label"),
        ({"task": "topics"}, {"search": {"pruning": "racing"}}, "search.pruning", "write training_set.split.folds"),
        (
            {"task": "topics"},
            {"search": {"outliers": [{"column": "u", "method": "iqr", "treat": "cap"}]}},
            "search.outliers",
            "topics are learned from words",
        ),
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


def test_words_of_sensitive_texts_are_allowed_in_so_many_words() -> None:
    table = {"source": {"format": "csv", "path": "t.csv"}, "key": "u", "sensitive": {"note": "hash"}}
    content = {
        "pipeline": "p",
        "tables": {"t": table},
        "training_set": {"from": "t", "task": "topics", "texts": ["note"]},
    }
    found = references.check(Pipeline.model_validate(content))
    assert [where for where, message in found if "would become a feature" in message] == ["training_set.texts[0]"]
    content["training_set"] |= {"allow_sensitive": ["note"]}
    assert references.check(Pipeline.model_validate(content)) == []


@pytest.mark.parametrize(
    ("preparation", "where", "says"),
    [
        ({"numbers": {"scale": "robust"}}, "numbers", "topics are of words alone; allowed: texts.ngrams, columns, voc"),
        ({"select": {"variance": 0.1}}, "select", "topics are of words alone"),
        ({"texts": {"weights": "tfidf"}}, "texts.weights", "'tfidf' came; words are counted as they are"),
        ({"texts": {"size": 100}}, "texts.size", "100 came"),
        ({"texts": {"tokens": "characters"}}, "texts.tokens", "'characters' came"),
        ({"texts": {"ngrams": [1, 2]}}, "texts.ngrams", "no choice; write one number"),
        ({"columns": {"t": {"ngrams": [1, 2]}}}, "columns.t.ngrams", "no choice; write one number"),
        ({"columns": {"t": {"role": "category"}}}, "columns.t.role", "'category' came"),
    ],
)
def test_what_of_the_preparation_topics_have_not(preparation: dict, where: str, says: str) -> None:
    found = dict(mistakes({"task": "topics"}, search={"preparation": preparation}))
    assert says in found[f"search.preparation.{where}"]


def test_what_of_the_preparation_topics_have() -> None:
    words = {"size": 500, "min_rows": 1, "max_share": 0.5, "stop_words": ["german", "english"], "leave_out": "firm"}
    conf = {
        "vocabulary": words,
        "texts": {"ngrams": 2, "tokens": "words"},
        "columns": {"t": {"role": "text", "ngrams": 3}},
    }
    assert mistakes({"task": "topics"}, search={"preparation": conf}) == []
    found = mistakes({"task": "clustering"}, search={"preparation": {"vocabulary": words}})
    assert [where for where, _ in found] == ["search.preparation.vocabulary"]
    with pytest.raises(ValueError, match="klingon"):
        mistakes({"task": "topics"}, search={"preparation": {"vocabulary": {"stop_words": ["klingon"]}}})
    with pytest.raises(ValueError, match="max_share"):
        mistakes({"task": "topics"}, search={"preparation": {"vocabulary": {"max_share": 1.5}}})


def test_texts_that_the_table_has_not(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("u,title\n1,a b\n")
    source = {"format": "csv", "path": str(tmp_path / "t.csv")}
    training = {"from": "t", "task": "topics", "texts": ["title", "tilte"]}
    content = {"pipeline": "p", "tables": {"t": {"source": source, "key": "u"}}, "training_set": training}
    assert [
        (where, "did you mean 'title'" in text) for where, text in scopes.check(Pipeline.model_validate(content))
    ] == [("training_set.texts[1]", True)]
