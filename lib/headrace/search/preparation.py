"""Features for estimators, as fitted stages of Spark ML that can be saved, loaded and read without Headrace.

What a plan does not say is, by kind of the estimator:

- `linear`: missing values by the median and flagged, numbers scaled, categories one-hot;
- `tree`: missing values by the median and flagged, categories as frequency rank;
- `native`: missing values left as NaN, categories as frequency rank.

Of a category what training did not keep (rare, new or null) is one more value.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark import StorageLevel
from pyspark.ml import PipelineModel
from pyspark.ml.feature import SQLTransformer, VectorAssembler
from pyspark.sql import DataFrame

from headrace.search.categories import extra, fit_categories
from headrace.search.columns import Columns
from headrace.search.numbers import fit_numbers
from headrace.search.plan import Plan
from headrace.search.selection import ALL, fit_selection
from headrace.search.tallies import Goal
from headrace.search.texts import fit_texts


@dataclass(frozen=True)
class Preparation:
    """Fitted stages from raw feature columns to `features`.

    Attributes:
        model: For new rows: it is saved.
        training: For the rows that it was learned from, where these must not see their own label; else the same.
    """

    model: PipelineModel
    training: PipelineModel

    @classmethod
    def of(cls, model: PipelineModel) -> Preparation:
        """Where training rows are prepared as any other."""
        return cls(model, model)


def fit_preparation(train: DataFrame, columns: Columns, plan: Plan, goal: Goal | None = None) -> Preparation:
    """Fit the stages from raw feature columns to `features`. Runs Spark jobs.

    Args:
        train: Training rows; nothing else is looked at.
        columns: What was learned of them.
        plan: How features are prepared.
        goal: What is learned from them.

    Raises:
        DataError: If the configuration asks for what these rows do not allow.
    """
    goal = goal or Goal()
    numbers = fit_numbers(train, columns, plan, extra(columns))
    first = SQLTransformer(statement=numbers.statement)
    encoded = fit_categories(first, train, columns, plan, goal)
    texts, words = fit_texts(train, plan)
    names = [*numbers.features, *encoded.features, *words]
    whole = bool(plan.pca or plan.selects)
    # a row's NaN is kept where the estimator can take it
    keep = any(how.impute is None for _, how in plan.numbers)
    assembler = VectorAssembler(
        inputCols=names, outputCol=ALL if whole else "features", handleInvalid="keep" if keep else "error"
    )
    after = [*texts, assembler]
    training = PipelineModel([first, *encoded.training, *after])
    if whole:
        after += _selection(training.transform(train), plan, goal)
        training = PipelineModel([first, *encoded.training, *after])
    return Preparation(PipelineModel([first, *encoded.stages, *after]), training)


def _selection(prepared: DataFrame, plan: Plan, goal: Goal) -> list:
    """Several passes go over these rows."""
    rows = prepared.select(ALL, "label").persist(StorageLevel.MEMORY_AND_DISK)
    try:
        return fit_selection(rows, plan, goal)
    finally:
        rows.unpersist()
