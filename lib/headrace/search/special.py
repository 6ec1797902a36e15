"""What is other than in a task with a label: how a model is fitted and judged, what it learns besides, the baseline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pyspark.ml import Model, PipelineModel
from pyspark.ml.feature import SQLTransformer
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.config.learning import TrainingSet
from headrace.errors import DataError
from headrace.metrics.evaluators import model_metric
from headrace.metrics.lists import list_metrics
from headrace.models import recommend
from headrace.models.density import likely, with_density
from headrace.search import factors, oddness
from headrace.search.columns import Columns
from headrace.search.grouping import fit_clusters
from headrace.search.plan import Plan
from headrace.search.preparation import fit_preparation
from headrace.search.tallies import Goal
from headrace.search.topics import TopicModelling


class Special(Protocol):
    """A task that is learned in a way of its own; what is not said here is as in other tasks."""

    @property
    def guess(self) -> str:
        """Name of the baseline."""

    @property
    def keep(self) -> tuple[str, ...]:
        """Columns of prepared rows."""

    def prepare(self, train: DataFrame, columns: Columns, plan: Plan) -> PipelineModel:
        """Fit the stages before the estimator."""

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """Fit the estimator to prepared rows."""

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """The metric of prepared rows."""

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """The metric of the baseline, of rows that are not prepared yet."""

    def stages(self, model: Model) -> list[Any]:
        """The model, and what comes after it."""

    def learned(self, model: Any, preparation: PipelineModel, train: DataFrame) -> Mapping[str, Any]:
        """For the model's card."""


@dataclass(frozen=True)
class Clustering:
    """Clusters; the baseline throws rows into two of them at random, features prepared as comes first."""

    columns: Columns
    plan: Plan
    guess: str = "two clusters at random"
    keep: tuple[str, ...] = ("features", "label")

    def prepare(self, train: DataFrame, columns: Columns, plan: Plan) -> PipelineModel:
        """See `Special`."""
        return fit_preparation(train, columns, plan, Goal(None)).model

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """See `Special`."""
        return fit_clusters(estimator, train)

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`; of all rows in one cluster it is not defined."""
        return _silhouette(model.transform(judged), metric)

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        rows = self.prepare(train, self.columns, self.plan).transform(judged)
        return _silhouette(rows.withColumn("prediction", (F.rand(0) < 0.5).cast("int")), metric)

    def stages(self, model: Model) -> list[Any]:
        """See `Special`."""
        return [model]

    def learned(self, model: Any, preparation: PipelineModel, train: DataFrame) -> Mapping[str, Any]:
        """See `Special`."""
        return {}


def _silhouette(output: DataFrame, metric: str) -> float:
    two = output.select("prediction").distinct().limit(2).collect()
    return model_metric(output, "clustering", metric) if len(two) == 2 else float("nan")


@dataclass(frozen=True)
class Anomaly(Clustering):
    """Odd rows; the baseline takes the features for independent."""

    contamination: float = 0.01
    guess: str = "independent features"

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """See `Special`."""
        return oddness.fit_usual(estimator, train, self.contamination)

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        if metric == "flaggedShare":
            raise DataError("search.metric: flaggedShare says nothing of a model's quality; search by logLikelihood")
        return oddness.log_likelihood(model, judged, self.contamination)

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        preparation = self.prepare(train, self.columns, self.plan)
        of = oddness.independent(preparation.transform(train))
        return likely(with_density(preparation.transform(judged), of), self.contamination)[1]

    def learned(self, model: Any, preparation: PipelineModel, train: DataFrame) -> Mapping[str, Any]:
        """See `Special`."""
        share = self.contamination
        return {"threshold": oddness.threshold(model, train, share), "contamination": share}


@dataclass(frozen=True)
class Recommendation:
    """Users and items; the baseline recommends the most popular items to everybody."""

    training: TrainingSet
    relevant: float
    guess: str = "popularity"
    keep: tuple[str, ...] = factors.KEPT

    def prepare(self, train: DataFrame, columns: Columns, plan: Plan) -> PipelineModel:
        """See `Special`."""
        return factors.fit_ids(train, str(self.training.user), str(self.training.item), self.implicit)

    @property
    def implicit(self) -> bool:
        """Whether rows have a weight, no rating."""
        return self.training.implicit is not None

    def fit(self, estimator: Any, preparation: PipelineModel, train: DataFrame) -> Model:
        """See `Special`; rows without user or item teach nothing."""
        named = train.where(f"__who is not null and __item < {len(recommend.Recommender.of(preparation, None).items)}")
        return estimator.setImplicitPrefs(self.implicit).fit(named)

    def value(self, model: Any, preparation: PipelineModel, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        if metric == "rmse":
            output = SQLTransformer(statement=factors.FINAL).transform(model.transform(judged))
            return model_metric(output.select("label", "prediction"), "regression", metric)
        return self._listed(recommend.Recommender.of(preparation, model), train, judged, metric)

    def baseline(self, train: DataFrame, judged: DataFrame, metric: str) -> float:
        """See `Special`."""
        preparation = factors.fit_ids(train, str(self.training.user), str(self.training.item), self.implicit)
        rows = preparation.transform(judged)
        if metric == "rmse":
            return model_metric(rows.selectExpr("label", "__popularity as prediction"), "regression", metric)
        return self._listed(recommend.Recommender.of(preparation, None), preparation.transform(train), rows, metric)

    def _listed(self, of: recommend.Recommender, train: DataFrame, judged: DataFrame, metric: str) -> float:
        users = recommend.judged_users(train, judged, {"implicit": self.implicit, "relevant": self.relevant})
        listed = recommend.with_lists(users, of, self.training.top_k)
        value = list_metrics(F.col("items"), F.col("relevant"), self.training.top_k)[metric]
        found = listed.agg(F.avg(value)).collect()[0][0]
        return float("nan") if found is None else float(found)

    def stages(self, model: Model) -> list[Any]:
        """See `Special`."""
        return [model, SQLTransformer(statement=factors.FINAL)]

    def learned(self, model: Any, preparation: PipelineModel, train: DataFrame) -> Mapping[str, Any]:
        """See `Special`."""
        names = {"user": self.training.user, "item": self.training.item, "top_k": self.training.top_k}
        return {**names, "implicit": self.implicit, "relevant": self.relevant}


def special(training: TrainingSet, task: str, columns: Columns, plan: Plan, train: DataFrame) -> Special | None:
    """Of a task; None for one with a label. Of ratings the mean is asked for, of texts how many there are: a Spark job.

    Args:
        training: The configuration.
        task: What is learned.
        columns: What was learned of the features.
        plan: How they are prepared for the baseline.
        train: `label` (double).
    """
    if task == "clustering":
        return Clustering(columns, plan)
    if task == "anomaly":
        return Anomaly(columns, plan, contamination=training.contamination)
    if task == "topics":
        return TopicModelling(columns, plan, train.count())
    if task != "recommendation":
        return None
    relevant = training.relevant
    if relevant is None:
        relevant = 0.0 if training.implicit is not None else float(train.agg(F.avg("label")).collect()[0][0])
    return Recommendation(training, relevant)
