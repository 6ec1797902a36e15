"""Categories as features: one-hot, by rank, hashed, or as numbers that were counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.ml import PipelineModel, Transformer
from pyspark.ml.feature import FeatureHasher, OneHotEncoder, SQLTransformer, StringIndexerModel

from headrace.search.columns import Columns, as_category
from headrace.search.plan import Category, Plan
from headrace.search.tallies import Goal, code, in_fold, looked_up, tallied, values

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

COUNTED = ("frequency", "target", "woe")


@dataclass
class Encoded:
    """The stages of categories.

    Attributes:
        stages: For new rows.
        training: For training rows.
        features: Columns that become features, in order.
    """

    stages: list[Transformer] = field(default_factory=list)
    training: list[Transformer] = field(default_factory=list)
    features: list[str] = field(default_factory=list)

    def add(self, stage: Transformer, training: Transformer | None = None) -> None:
        """A stage, and what takes its place for training rows."""
        self.stages.append(stage)
        self.training.append(training or stage)


def extra(columns: Columns) -> dict[str, str]:
    """SQL of categories that are not there as text."""
    made = [name for name in columns.categories if source(name, columns) != name]
    return {source(name, columns): as_category(name, columns) for name in made}


def source(name: str, columns: Columns) -> str:
    """The column that has a category as text."""
    plain = columns.types.get(name) == "string" and "" not in columns.categories[name]
    return name if plain else f"{name}__category"


def fit_categories(before: Transformer, train: DataFrame, columns: Columns, plan: Plan, goal: Goal) -> Encoded:
    """Learn how categories are encoded. Runs a Spark job, or none.

    Args:
        before: The stage that makes `extra`.
        train: Training rows, with `label` and their hash where a label is encoded.
        columns: What was learned of them.
        plan: How.
        goal: What is learned.
    """
    made = Encoded()
    of = {
        how: {name: one for name, one in plan.categories if one.encode == how}
        for how in ("one_hot", "ordinal", "hash", *COUNTED)
    }
    kept = {name: columns.categories[name][: one.keep] for name, one in plan.categories if one.encode != "hash"}
    for stage in _indexers(columns, kept):
        made.add(stage)
    if of["ordinal"]:
        # without this Spark's trees would take the index for an unordered set, and need a bin for each value
        parts = [f"`{name}__index` + 0.0D as `{name}__rank`" for name in of["ordinal"]]
        made.add(SQLTransformer(statement=f"select *, {', '.join(parts)} from __THIS__"))
        made.features += [f"{name}__rank" for name in of["ordinal"]]
    if of["one_hot"]:
        hot = [f"{name}__hot" for name in of["one_hot"]]
        index = [f"{name}__index" for name in of["one_hot"]]
        encoder = OneHotEncoder(inputCols=index, outputCols=hot, handleInvalid="error", dropLast=False)
        # sizes come from the indexers' metadata: no rows are read
        made.add(encoder.fit(PipelineModel([before, *made.stages]).transform(train)))
        made.features += hot
    counted = {name: one for how in COUNTED for name, one in of[how].items()}
    if counted:
        frame = PipelineModel([before, *made.stages]).transform(train)
        _count(made, frame, columns, counted, {name: len(kept[name]) for name in counted}, goal, plan.kind == "linear")
    for size in sorted({one.size for one in of["hash"].values()}):
        inputs = [source(name, columns) for name, one in of["hash"].items() if one.size == size]
        made.add(FeatureHasher(numFeatures=size, inputCols=inputs, outputCol=f"__hashed_{size}"))
        made.features.append(f"__hashed_{size}")
    return made


def _indexers(columns: Columns, kept: Mapping[str, Sequence[str]]) -> list[StringIndexerModel]:
    """One for each column: PySpark's form for several at once pads the shorter lists of values with nulls."""
    return [
        StringIndexerModel.from_labels(
            [value or "\0" for value in values],
            inputCol=source(name, columns),
            outputCol=f"{name}__index",
            handleInvalid="keep",
        )
        for name, values in kept.items()
    ]


def _count(
    made: Encoded,
    frame: DataFrame,
    columns: Columns,
    how: Mapping[str, Category],
    kept: Mapping[str, int],
    goal: Goal,
    scaled: bool,
) -> None:
    codes = {name: code(f"`{source(name, columns)}`", f"{name}__index", kept[name]) for name in how}
    if all(one.encode == "frequency" for one in how.values()):
        goal = Goal(None)
    tallies = tallied(frame, codes, kept, goal)
    whole, crossed = {}, {}
    for name, one in how.items():
        found = values(tallies[name], one, goal, scaled)
        for place, (of_all, of_folds) in enumerate(found):
            column = f"{name}__{one.encode}" + (f"_{place}" if len(found) > 1 else "")
            whole[column] = looked_up(of_all, codes[name])
            same = one.encode == "frequency"
            crossed[column] = whole[column] if same else looked_up(of_folds, in_fold(codes[name], kept[name]))
    made.add(_columns(whole), _columns(crossed))
    made.features += list(whole)


def _columns(parts: Mapping[str, str]) -> SQLTransformer:
    return SQLTransformer(statement=f"select *{''.join(f', {sql} as `{n}`' for n, sql in parts.items())} from __THIS__")
