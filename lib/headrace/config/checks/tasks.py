"""What of a training set goes with which task: a label, or a user and an item, or neither."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.checks import survival
from headrace.config.learning import UNLABELLED, TrainingSet
from headrace.config.types import Pipeline

Found = tuple[str, str]

RECOMMENDS = ("user", "item", "rating", "implicit", "top_k", "relevant")
"""Keys that belong to a recommendation."""
_NO_FEATURES = ("features", "row_features", "transform", "exclude")


def check(pipeline: Pipeline, training: TrainingSet) -> Iterator[Found]:
    """Keys that the task does not have, or that it needs."""
    kind, given = training.kind, training.model_fields_set
    if kind == "recommendation" and "recommendations" in (*pipeline.tables, *pipeline.feature_tables):
        yield "tables.recommendations", "'recommendations' is the table of what is recommended; rename yours"
    if kind == "recommendation":
        yield from _recommendation(pipeline, training)
    else:
        for key in RECOMMENDS:
            if key in given:
                yield f"training_set.{key}", f"`{key}` belongs to task: recommendation; this is {_named(kind)}"
    if "contamination" in given and kind != "anomaly":
        yield "training_set.contamination", f"`contamination` belongs to task: anomaly; this is {_named(kind)}"
    if training.censored is not None:
        yield from survival.check(pipeline, training)
    if "texts" in given and kind != "topics":
        yield "training_set.texts", f"`texts` belongs to task: topics; this is {_named(kind)}"
    if kind == "topics":
        yield from _topics(pipeline, training)
    if kind in UNLABELLED:
        yield from _unlabelled(pipeline, training)
    elif kind != "recommendation" and training.label is None:
        yield (
            "training_set",
            "`label` is missing: what is to be predicted, as SQL over the table, or {from, aggregate, within} over later "
            "events; without one there are task: clustering, task: anomaly, task: topics, and task: recommendation (user, "
            "item, rating or implicit)",
        )


def _named(kind: str | None) -> str:
    return f"task: {kind}" if kind else "a task with a label"


def _unlabelled(pipeline: Pipeline, training: TrainingSet) -> Iterator[Found]:
    kind = training.kind
    for key in ("label", "label_delay"):
        if getattr(training, key) is not None:
            yield (
                f"training_set.{key}",
                f"task: {kind} learns without a label; leave `{key}` out, or write task: binary, multiclass or regression",
            )
    if kind == "anomaly" and pipeline.search.metric == "flaggedShare":
        yield "search.metric", "flaggedShare says nothing of a model's quality; search by logLikelihood"
    for name in pipeline.metrics:
        yield f"metrics.{name}", f"a metric in Python is of labels and predictions, and task: {kind} has no label"
    for number, gate in enumerate(pipeline.gates):
        if gate.beats and kind == "anomaly":
            message = "two models of anomalies have no measure in common; gate with flaggedShare at_most"
            yield f"gates[{number}].beats", message


def _topics(pipeline: Pipeline, training: TrainingSet) -> Iterator[Found]:
    table = pipeline.tables.get(training.spine)
    for number, name in enumerate(training.texts):
        kind = table.types.get(name, "string") if table else "string"
        if kind.lower() != "string" and name not in training.row_features:
            message = f"{name!r} is {kind}; topics are found in text: name columns of type string"
            yield f"training_set.texts[{number}]", message
        if name in training.texts[:number]:
            yield f"training_set.texts[{number}]", f"{name!r} stands there twice"
    if pipeline.search.outliers:
        yield "search.outliers", "topics are learned from words, and there are no numbers; leave it out"


def _recommendation(pipeline: Pipeline, training: TrainingSet) -> Iterator[Found]:
    for key in ("user", "item"):
        if getattr(training, key) is None:
            yield "training_set", f"task: recommendation needs `{key}`: a column of the table {training.spine}"
    if training.user and training.user == training.item:
        yield "training_set.item", f"{training.item!r} is the user already"
    if (training.rating is None) == (training.implicit is None):
        what = "both are there" if training.rating is not None else "there is none"
        yield (
            "training_set",
            "task: recommendation needs `rating` (a number that people gave) or `implicit` (a weight, as 1 for a "
            f"purchase), one of the two; {what}",
        )
    if training.label is not None:
        yield "training_set.label", "a recommendation has a `rating` or an `implicit` weight instead of a label"
    if training.relevant is not None and training.rating is None:
        yield "training_set.relevant", "`relevant` is a rating; with `implicit` all weights above zero are relevant"
    for key in _NO_FEATURES:
        if getattr(training, key):
            yield f"training_set.{key}", f"a recommendation learns from user, item and rating only; leave `{key}` out"
    for key in ("transformers", "outliers"):
        if getattr(pipeline.search, key):
            yield f"search.{key}", "a recommendation has no features to transform; leave it out"
    for name in pipeline.metrics:
        yield f"metrics.{name}", "a metric in Python cannot see what is recommended; use Spark's, as ndcgAtK"
    for number, gate in enumerate(pipeline.gates):
        if gate.slice:
            yield f"gates[{number}].slice", "a recommendation is judged user by user, not in slices; leave it out"
    rmse = [("search.metric", pipeline.search.metric)]
    rmse += [(f"gates[{number}].metric", gate.metric) for number, gate in enumerate(pipeline.gates)]
    for where, metric in rmse:
        if metric == "rmse" and training.implicit is not None:
            yield where, "rmse is of ratings; an implicit weight is judged by what is recommended, as ndcgAtK"
