"""Stage `search`: many trials at once on the training part, the best refitted on training and validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.metrics import unknown_metric
from headrace.errors import ConfigError
from headrace.runtime.step import Done, Run, Step
from headrace.search.estimators import check_names

if TYPE_CHECKING:
    from headrace.config.types import Pipeline

LEARNED = {"label", "censored", "task", "user", "item", "rating", "implicit", "top_k", "relevant", "contamination"}
"""Of the training set, what the search itself goes by."""


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """The search, where there is a training set.

    Raises:
        ConfigError: If an estimator or the metric is unknown.
    """
    if pipeline.training_set is None:
        return ()
    check_names([one.name for one in pipeline.search.estimators if one.class_ is None])
    wrong = pipeline.search.metric and unknown_metric(
        pipeline.search.metric, pipeline.training_set.way(pipeline.training_set.kind), pipeline.metrics
    )
    if wrong:
        raise ConfigError(f"search.metric: {wrong}")
    return (
        Step("search", "search", inputs=("training_set",), outputs=("trials",), config=_config(pipeline), run=_run),
    )


def _config(pipeline: Pipeline) -> Any:
    assert pipeline.training_set is not None
    own = pipeline.metrics.get(pipeline.search.metric or "")
    return {
        "search": pipeline.search.model_dump(mode="json", by_alias=True),
        **({"metrics": {pipeline.search.metric: own.model_dump(mode="json")}} if own else {}),
        "its time alone ends it": pipeline.search.open_ended,
        "estimators are written out": "estimators" in pipeline.search.model_fields_set,
        "training_set": pipeline.training_set.model_dump(mode="json", by_alias=True, include=LEARNED),
    }


def _run(run: Run) -> Done:
    from headrace.search.search import search  # Spark, hyperopt and MLflow only when there is work

    return search(run)
