"""Predictions of the test part, and every metric of them with its interval, for all rows and for slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.config.learning import CENSORED, UNLABELLED
from headrace.config.metrics import ALL_METRICS
from headrace.errors import ConfigError, DataError
from headrace.evaluation import special
from headrace.evaluation.stage import ordered, slices_of
from headrace.metrics.frame import FLAG, labels_of, with_flag
from headrace.metrics.measure import Measure, measure
from headrace.metrics.own import measures_of, own_metrics
from headrace.metrics.survival import measure_concordance
from headrace.models.card import ModelCard
from headrace.models.predict import predict
from headrace.models.searched import searched
from headrace.models.store import ModelStore
from headrace.runtime.step import Done, Output, Run

EVALUATION = (
    "metric string, slice_column string, slice_value string, value double, lower double, upper double, rows bigint"
)


def evaluate(run: Run) -> Done:
    """Run the stage.

    Raises:
        ConfigError: If a slice is no column of the training set, or the search is not of this training set.
        DataError: If the test part has no row with a label.
    """
    facts = searched(run)
    _check_rows(run)
    card, store = ModelCard.from_dict(_card_part(facts)), ModelStore(run.tracking_uri)
    slices = slices_of(run.pipeline)
    training_set = with_flag(run.read("training_set"), run.pipeline.training_set)
    _check_slices(list(slices), training_set.columns)
    raters = (card.learned or {}).get("user", "label")
    keep = list(dict.fromkeys([*card.key, "predict_at", "split", *labels_of(training_set), raters, *slices]))
    test, model = training_set.where("split = 'test'"), store.load(facts["model_uri"])
    scored = predict(model, card, test, keep, special.INNER.get(card.task, ())).persist(StorageLevel.MEMORY_AND_DISK)
    try:
        return _evaluated(run, scored, facts, card, store, slices)
    except BaseException:
        scored.unpersist()
        raise


def _evaluated(
    run: Run, scored: DataFrame, facts: dict[str, Any], card: ModelCard, store: ModelStore, slices: dict[str, int]
) -> Done:
    """Metrics of the test part's predictions, which are used several times and given back at the end."""
    needed = "*" if card.task in UNLABELLED else "label"
    rows, labelled = scored.agg(F.count("*"), F.count(needed)).collect()[0]
    if not labelled:
        raise DataError(
            "the test part has no row with a label; move split.validation_until or test_until, or split by hash"
        )
    least = min(slices.values(), default=100)
    measures = _measures(run, scored, card, store.load(facts["model_uri"]), list(slices), least)
    measures = [one for one in measures if one.slice_column is None or one.rows >= slices[one.slice_column]]
    measures += measures_of(own_metrics(run.spark, run.pipeline), scored, labelled)
    overall = {one.metric: one for one in measures if one.slice_column is None}
    _log(store, facts["mlflow_run_id"], overall)
    told = () if card.task in UNLABELLED else (f"{labelled} of {rows} test rows have a label",)
    return Done(
        outputs=(
            Output(
                "evaluation",
                evaluation_frame(run.spark, measures),
                description="Metrics of the registered model on the test part, with 95 % intervals",
                facts={"model_uri": facts["model_uri"], "rows": labelled, "task": card.task},
            ),
            Output(
                "test_predictions",
                predictions_frame(scored, card.key, run.model_name, run.run_id),
                expect_rows=rows,
                description="Predictions of the test part by the refitted winner",
            ),
        ),
        rows_in=rows,
        rows_out=rows,
        notes=(*told, _line(overall)),
        metrics={"test": {name: {"value": m.value, "lower": m.lower, "upper": m.upper} for name, m in overall.items()}},
        cleanup=lambda: _release(scored),
    )


def _measures(
    run: Run, scored: DataFrame, card: ModelCard, model: PipelineModel, slices: list[str], least: int
) -> list[Measure]:
    key, seed = [*card.key, "predict_at"], _seed(run)
    if card.task in UNLABELLED:
        return special.measures(scored, card, key, slices, least, seed)
    if card.task == "recommendation":
        rows = run.read("training_set")
        learned, test = rows.where("split in ('train', 'validation')"), rows.where("split = 'test'")
        return special.recommended(model, card, learned, test, scored, seed)
    found = [] if FLAG in scored.columns else measure(scored, card.task, card.labels, key, slices, least, seed=seed)
    return found + (measure_concordance(scored, key, slices, least, seed) if ordered(run.pipeline) else [])


def predictions_frame(scored: DataFrame, key: Sequence[str], model_name: str, run_id: str) -> DataFrame:
    """The table's columns, in order."""
    return scored.select(
        *[F.col(f"`{name}`") for name in key],
        "predict_at",
        "split",
        "label",
        *([F.col(FLAG).alias(CENSORED)] if FLAG in scored.columns else []),
        "prediction",
        "probability",
        F.lit(model_name).alias("model_name"),
        F.lit(run_id).alias("run_id"),
    )


def evaluation_frame(spark: SparkSession, measures: Sequence[Measure]) -> DataFrame:
    """Measures as the table `evaluation`."""
    return spark.createDataFrame([astuple(one) for one in measures], EVALUATION)


def _card_part(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ModelCard.__dataclass_fields__ if name in facts}


def _check_rows(run: Run) -> None:
    """The test part must be of the rows that the search left out."""
    learned = (run.facts("trials").get("inputs") or {}).get("training_set")
    if learned is not None and run.identity("training_set", learned) != run.identity("training_set"):
        raise ConfigError(
            "the training set was made anew since the search, which may have learned from rows of its test part; run "
            "jobs/train.py --from search"
        )


def _check_slices(slices: Sequence[str], there: Sequence[str]) -> None:
    missing = [name for name in slices if name not in there]
    if missing:
        raise ConfigError(
            f"gates: slice {', '.join(missing)} is no column of the training set; write one of {', '.join(there)}"
        )


def _release(scored: DataFrame) -> None:
    scored.unpersist()


def _seed(run: Run) -> int:
    return run.pipeline.search.seed


def _line(overall: dict[str, Measure]) -> str:
    return "test: " + ", ".join(f"{m.metric} {_number(m.value)}{_interval(m)}" for m in overall.values())


def _interval(measure: Measure) -> str:
    if measure.value is not None and measure.lower is None:
        return " (no interval: a metric in Python)" if measure.metric not in ALL_METRICS else " (no interval)"
    return f" [{_number(measure.lower)}, {_number(measure.upper)}]"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"


def _log(store: ModelStore, mlflow_run: str, overall: dict[str, Measure]) -> None:
    from mlflow.entities import Metric

    values = {f"test_{one.metric}": one.value for one in overall.values() if one.value is not None}
    store.client.log_batch(mlflow_run, metrics=[Metric(name, value, 0, 0) for name, value in values.items()])
