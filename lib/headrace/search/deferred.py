"""Estimators that can be made only when the rows are seen: how many features there are, or which one is the best.

What they give is Spark ML's own model, so that nothing of this is needed to score.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator
from pyspark.ml.functions import vector_to_array
from pyspark.sql import functions as F

from headrace.errors import HeadraceError
from headrace.metrics.frame import FLAG

if TYPE_CHECKING:
    from pyspark.ml import Model
    from pyspark.sql import DataFrame


EVENT = "__event"
"""1 of a row whose event has happened, else 0: what Spark calls the censor column."""


class Deferred(Estimator):
    """Makes an estimator of the rows, and fits it on them."""

    @abstractmethod
    def make(self, rows: DataFrame) -> Any:
        """The estimator for prepared rows; may run Spark jobs."""

    def _fit(self, dataset: DataFrame) -> Model:
        return self.make(dataset).fit(dataset)


class Perceptron(Deferred):
    """A multilayer perceptron: of the rows it needs the number of features, and of classes.

    Args:
        hidden: Neurons of each hidden layer.
        iterations: At most.
        seed: Of the first weights.
    """

    def __init__(self, hidden: Sequence[int], iterations: int, seed: int) -> None:
        super().__init__()
        self.hidden, self.iterations, self.seed = list(hidden), iterations, seed

    def make(self, rows: DataFrame) -> Any:
        """As Spark ML has it. Runs a Spark job."""
        from pyspark.ml.classification import MultilayerPerceptronClassifier

        found: Any = rows.agg(F.max("label"), F.max(F.size(vector_to_array(F.col("features"))))).first()
        if found[0] is None:
            raise HeadraceError("there are no rows to learn from")
        layers = [found[1], *self.hidden, max(2, int(found[0]) + 1)]
        return MultilayerPerceptronClassifier(layers=layers, maxIter=self.iterations, blockSize=128, seed=self.seed)


class Survival(Deferred):
    """A time until an event that follows a Weibull distribution; without `FLAG` every row had the event.

    Args:
        iterations: At most.
    """

    def __init__(self, iterations: int) -> None:
        super().__init__()
        self.iterations = iterations

    def make(self, rows: DataFrame) -> Any:
        """As Spark ML has it. Runs a Spark job."""
        from pyspark.ml.regression import AFTSurvivalRegression

        wrong = rows.where("label <= 0").count()
        if wrong:
            raise HeadraceError(f"{wrong:,} labels are 0 or less; survival_regression learns times until an event")
        return AFTSurvivalRegression(censorCol=EVENT, maxIter=self.iterations)

    def _fit(self, dataset: DataFrame) -> Model:
        happened = 1.0 - F.col(FLAG).cast("double") if FLAG in dataset.columns else F.lit(1.0)
        rows = dataset.withColumn(EVENT, happened)
        return self.make(rows).fit(rows)


class Isotonic(Deferred):
    """A step function of the feature that goes with the label best, rising or falling as it does.

    Which one: by the F-test of a linear fit, as `UnivariateFeatureSelector` of Spark ML has it.
    """

    def make(self, rows: DataFrame) -> Any:
        """As Spark ML has it. Runs Spark jobs."""
        from pyspark.ml.feature import UnivariateFeatureSelector
        from pyspark.ml.regression import IsotonicRegression

        selector = UnivariateFeatureSelector(featuresCol="features", labelCol="label", outputCol="__best")
        chosen: Any = selector.setFeatureType("continuous").setLabelType("continuous").setSelectionThreshold(1)
        best = list(chosen.fit(rows).selectedFeatures)
        if not best:
            raise HeadraceError("no feature goes with the label")
        told: Any = rows.agg(F.corr(vector_to_array(F.col("features"))[best[0]], F.col("label"))).first()
        return IsotonicRegression(featureIndex=best[0], isotonic=told[0] is None or told[0] >= 0)
