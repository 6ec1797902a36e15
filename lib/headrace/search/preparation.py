"""Features for estimators, as fitted stages of Spark ML that can be saved, loaded and read without Headrace.

- `linear`: missing values by the median and flagged, numbers scaled, text one-hot;
- `tree`: missing values by the median and flagged, text as frequency rank;
- `native`: missing values left as NaN, text as frequency rank.

Text that training did not keep (rare, new or null) is one more category.
"""

from __future__ import annotations

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import (
    Imputer,
    OneHotEncoder,
    SQLTransformer,
    StandardScaler,
    StringIndexerModel,
    VectorAssembler,
)
from pyspark.sql import DataFrame

from headrace.search.columns import Columns, as_number
from headrace.search.recipe import Kind


def fit_preparation(train: DataFrame, columns: Columns, kind: Kind) -> PipelineModel:
    """Fit the stages from raw feature columns to `features`. Runs Spark jobs.

    Args:
        train: Training rows; nothing else is looked at.
        columns: What was learned of them.
        kind: Of the estimator.
    """
    stages: list[Transformer] = [_numbers(columns, kind)]
    numbers = [f"{name}__number" for name in columns.numeric]
    flags = [f"{name}__missing" for name in columns.missing] if kind != "native" else []
    if numbers and kind != "native":
        filled = [f"{name}__filled" for name in columns.numeric]
        imputer = Imputer(strategy="median", inputCols=numbers, outputCols=filled, relativeError=0.001)
        stages.append(imputer.fit(stages[0].transform(train)))
        numbers = filled
    text = [f"{name}__index" for name in columns.categories]
    if text:
        stages += _indexers(columns)
    if kind == "linear":
        return _linear(train, stages, numbers, flags, text)
    if text:
        # without this Spark's trees would take the index for an unordered set, and need a bin for each value
        stages.append(_ranks(columns))
        text = [f"{name}__rank" for name in columns.categories]
    return PipelineModel([*stages, _assembler([*numbers, *flags, *text], "features", keep=kind == "native")])


def _numbers(columns: Columns, kind: Kind) -> SQLTransformer:
    parts = []
    for name in columns.numeric:
        sql = as_number(name, columns.types[name])
        parts.append(f"{sql} as `{name}__number`")
        if kind != "native" and name in columns.missing:
            parts.append(f"cast({sql} is null as double) as `{name}__missing`")
    return SQLTransformer(statement=f"select *{''.join(', ' + part for part in parts)} from __THIS__")


def _indexers(columns: Columns) -> list[StringIndexerModel]:
    """One for each column: PySpark's form for several at once pads the shorter lists of values with nulls."""
    return [
        StringIndexerModel.from_labels(list(values), inputCol=name, outputCol=f"{name}__index", handleInvalid="keep")
        for name, values in columns.categories.items()
    ]


def _ranks(columns: Columns) -> SQLTransformer:
    parts = [f"`{name}__index` + 0.0D as `{name}__rank`" for name in columns.categories]
    return SQLTransformer(statement=f"select *, {', '.join(parts)} from __THIS__")


def _assembler(inputs: list[str], output: str, keep: bool = False) -> VectorAssembler:
    return VectorAssembler(inputCols=inputs, outputCol=output, handleInvalid="keep" if keep else "error")


def _linear(
    train: DataFrame, stages: list[Transformer], numbers: list[str], flags: list[str], text: list[str]
) -> PipelineModel:
    parts = list(flags)
    if numbers:
        assembler = _assembler(numbers, "__numbers")
        frame = PipelineModel([*stages, assembler]).transform(train)
        scaler = StandardScaler(inputCol="__numbers", outputCol="__scaled", withMean=True, withStd=True).fit(frame)
        stages = [*stages, assembler, scaler]
        parts = ["__scaled", *flags]
    if text:
        hot = [name.removesuffix("__index") + "__hot" for name in text]
        encoder = OneHotEncoder(inputCols=text, outputCols=hot, handleInvalid="error", dropLast=False)
        # sizes come from the indexer's metadata: no rows are read
        stages = [*stages, encoder.fit(PipelineModel(stages).transform(train))]
        parts += hot
    return PipelineModel([*stages, _assembler(parts, "features")])
