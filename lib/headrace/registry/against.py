"""The new model and the champion on the same test rows."""

from __future__ import annotations

import json

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import UNLABELLED
from headrace.errors import DataError
from headrace.metrics.frame import labels_of, with_flag
from headrace.metrics.measure import Difference, difference
from headrace.metrics.own import own_metric
from headrace.metrics.survival import CONCORDANCE, difference_in_concordance
from headrace.models.admission import different
from headrace.models.card import ModelCard, check_columns
from headrace.models.made import Made
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.models.version import Version
from headrace.registry import special
from headrace.registry.gates import Compared
from headrace.runtime.step import Run

LEAST = 100
"""Rows that two models must both have predicted, where the old one cannot predict the new one's."""


def against(
    run: Run, store: ModelStore, version: Version | None, champion: Version | None, rows: Made | None, metric: str
) -> Compared:
    """How much better the new model is than the champion on the same rows, or why there is nothing to compare.

    The champion predicts the test rows of now. Where their features are others than it learned from, which would count
    against it, it is judged by what it predicted of the rows when it was tested itself; but for tasks that are judged
    by more than predictions, where nothing is compared then.

    Args:
        run: Of the stage `register`.
        store: The model store.
        version: Of the new model, where it is registered already.
        champion: The champion.
        rows: How the rows of the new model were made; None where that is not known.
        metric: What is compared.
    """
    facts = run.facts("trials")["facts"]
    if champion is None:
        return "there is none yet"
    if version and version.number == champion.number:
        return f"version {champion.number} is the champion itself"
    new, old = store.card(facts["mlflow_run_id"]), store.card(champion.run_id)
    if (new.task, new.label_type) != (old.task, old.label_type) or (new.task == "binary" and new.labels != old.labels):
        return f"version {champion.number} learned another label ({old.task}, {old.label_type}): nothing to compare"
    test = run.read("training_set").where("split = 'test'")
    test = test if new.task in UNLABELLED else test.where("label is not null")
    reason = _other_rows(store, champion, old, test, rows)
    if new.task in UNLABELLED or new.task == "recommendation":
        if reason is not None:
            return f"version {champion.number} cannot score these rows, for {reason}"
        pair = (store.load(facts["model_uri"]), new), (store.load(champion.uri), old)
        return special.compared(run, pair, metric)
    test = with_flag(test, run.pipeline.training_set)
    keep = [*new.key, "predict_at", *labels_of(test)]
    ours = predict(store.load(facts["model_uri"]), new, test, keep)
    if reason is None:
        return _difference(run, new, old, ours, predict(store.load(champion.uri), old, test, keep), metric)
    if old.key != new.key or "- training_set.label" in reason or " training_set.censored" in reason:
        return f"version {champion.number} cannot score these rows, for {reason}"
    common, count = _remembered(run, champion, ours, [*new.key, "predict_at"])
    if common is None or count < LEAST:
        return f"version {champion.number} cannot score these rows, for {reason}"
    both = [common.select(*keep, f"{side}.*") for side in ("_new", "_old")]
    return _difference(run, new, old, both[0], both[1], metric)


def _other_rows(store: ModelStore, champion: Version, old: ModelCard, test: DataFrame, rows: Made | None) -> str | None:
    """Why rows are none that the champion learned to predict; None where they are."""
    try:
        check_columns(old, {field.name: field.dataType.simpleString() for field in test.schema})
    except DataError as error:
        return error.message
    lines = different(store, champion, tuple(old.features), rows) if rows else []
    return "its features were defined otherwise (- trained on, + now):\n" + "\n".join(lines) if lines else None


def _remembered(run: Run, champion: Version, ours: DataFrame, key: list[str]) -> tuple[DataFrame | None, int]:
    """Rows that both have predicted, with `_new` and `_old` (structs), and their number. Runs a Spark job."""
    version = json.loads(champion.tags.get("tables", "{}")).get("test_predictions")
    if version is None or not run.exists("test_predictions"):
        return None, 0
    try:
        told = run.read_version("test_predictions", version)
        theirs = told.select(*key, F.struct("prediction", "probability").alias("_old")).alias("theirs")
        mine = ours.select(*key, *labels_of(ours), F.struct("prediction", "probability").alias("_new")).alias("mine")
        same = F.lit(True)
        for name in key:
            same = same & F.col(f"mine.`{name}`").eqNullSafe(F.col(f"theirs.`{name}`"))
        common = mine.join(theirs, same).select("mine.*", "_old")
        return common, common.count()
    except (PySparkException, Py4JError) as error:  # a version whose files are gone
        run.say(f"what version {champion.number} predicted when it was tested cannot be read: {type(error).__name__}")
        return None, 0


def _difference(
    run: Run, new: ModelCard, old: ModelCard, ours: DataFrame, theirs: DataFrame, metric: str
) -> Difference:
    own = own_metric(run.spark, run.pipeline, metric)
    if own:
        sign = 1 if own.larger_is_better else -1
        return Difference(metric, sign * (own.of(ours) - own.of(theirs)))
    if metric == CONCORDANCE:
        return difference_in_concordance(ours, theirs, [*new.key, "predict_at"], run.pipeline.search.seed)
    return difference(
        ours,
        theirs,
        new.task,
        tuple(dict.fromkeys((*new.labels, *old.labels))),
        [*new.key, "predict_at"],
        metric,
        seed=run.pipeline.search.seed,
    )
