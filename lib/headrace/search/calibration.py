"""Probabilities that are right in the mean, and a `prediction` that goes by them: plain stages after any classifier.

- sigmoid: a logistic regression on the log odds (Platt, Probabilistic outputs for support vector machines, 1999), with his
  targets in place of 0 and 1;
- isotonic: the best rising step function (Zadrozny and Elkan, Transforming classifier scores into accurate multiclass
  probability estimates, 2002), linear between its steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.ml import Transformer
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.ml.regression import IsotonicRegression, IsotonicRegressionModel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.search.cuts import P

_READ, _YES, _NO = "__read", "__yes", "__no"
_LEAST = 1e-6
"""Of a probability whose log odds are taken: those of 0 and 1, which forests say, are infinite, and would decide alone."""


@dataclass(frozen=True)
class Calibrator:
    """Makes a probability of that of a classifier.

    Attributes:
        reads: Reads the positive class' out of the vector `probability`.
        sql: What becomes of it.
        changes: Whether it becomes another.
    """

    reads: IsotonicRegressionModel
    sql: str = _READ
    changes: bool = True

    def of(self, rows: DataFrame) -> DataFrame:
        """`label` and `P` of rows with `label` and `probability`."""
        return self.reads.transform(rows).selectExpr("label", f"{self.sql} as {P}")

    def stages(self, threshold: float) -> list[Transformer]:
        """Stages of Spark ML that set `prediction`, and `probability` where it becomes another."""
        says = f"if({_YES} >= {threshold!r}D, 1D, 0D) as prediction"
        if not self.changes:
            says = says.replace(_YES, _READ)
            return [
                self.reads,
                SQLTransformer(statement=f"select * except (prediction, {_READ}), {says} from __THIS__"),
            ]
        new = f"select * except (probability, prediction, {_READ}), {self.sql} as {_YES} from __THIS__"
        both = f"select *, 1 - {_YES} as {_NO}, {says} from ({new})"
        vector = VectorAssembler(inputCols=[_NO, _YES], outputCol="probability", handleInvalid="keep")
        return [self.reads, SQLTransformer(statement=both), vector]


def untouched(spark: SparkSession) -> Calibrator:
    """Leaves a probability as it is: a line from (0, 0) to (1, 1), which reads it out of its vector. Runs a Spark job."""
    line = spark.createDataFrame([(0.0, 0.0), (1.0, 1.0)], f"label double, {P} double")
    return Calibrator(_reading(line), changes=False)


def calibrator(how: str, rows: DataFrame) -> Calibrator:
    """Learn to calibrate. Runs Spark jobs.

    Args:
        how: `none`, `sigmoid` or `isotonic`.
        rows: `label` (0 or 1) and `probability` (a vector), of rows that the classifier has not learned from.
    """
    plain = untouched(rows.sparkSession)
    if how == "none":
        return plain
    if how == "isotonic":
        return Calibrator(_reading(plain.of(rows)))
    slope, middle = platt(plain.of(rows))
    return Calibrator(plain.reads, f"1 / (1 + exp(-({slope!r}D * {_log_odds(_READ)} + {middle!r}D)))")


def _reading(rows: DataFrame) -> IsotonicRegressionModel:
    """An isotonic regression of probabilities, told to find them in a vector."""
    made: Any = IsotonicRegression(featuresCol=P, labelCol="label").fit(rows)
    return made.setFeaturesCol("probability").setFeatureIndex(1).setPredictionCol(_READ)


def _log_odds(name: str) -> str:
    inside = f"least(greatest({name}, {_LEAST!r}D), 1 - {_LEAST!r}D)"
    return f"ln({inside} / (1 - {inside}))"


def platt(rows: DataFrame) -> tuple[float, float]:
    """Slope and intercept on the log odds, of rows with `label` and `P`. Runs Spark jobs."""
    totals: Any = rows.agg(F.count_if(F.col("label") == 1), F.count_if(F.col("label") == 0)).first()
    yes, no = (totals[0] + 1) / (totals[0] + 2), 1 / (totals[1] + 2)
    share = F.when(F.col("label") == 1, yes).otherwise(no)  # each row is so much of a yes, and the rest of it a no
    parts = F.array(
        F.struct(F.lit(1.0).alias("label"), share.alias("weight")),
        F.struct(F.lit(0.0).alias("label"), (1 - share).alias("weight")),
    )
    both = rows.select(F.expr(_log_odds(P)).alias("x"), F.explode(parts).alias("part")).select("x", "part.*")
    ready = VectorAssembler(inputCols=["x"], outputCol="features").transform(both)
    model = LogisticRegression(weightCol="weight", regParam=0.0, maxIter=100, tol=1e-10).fit(ready)
    return float(model.coefficients[0]), float(model.intercept)
