"""Which columns a row of the training set has, and when: names there that are none, or that are known too late."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.config.checks import spines
from headrace.config.checks.leaks import hidden_columns, label_columns
from headrace.config.checks.unknown import Columns, Found, expression, unknown
from headrace.config.folds import FOLD
from headrace.config.learning import CENSORED, TrainingSet
from headrace.config.names import feature_columns
from headrace.config.sql.reads import Read, reads
from headrace.config.types import Pipeline, Table

MADE = ("predict_at", "label", "label_known_at", "split")
"""Columns that the training set makes."""

LEAKING = ("label", "label_known_at", "split")
"""Columns of the training set that a feature must not see; those that only some have come to them."""


def check(pipeline: Pipeline, cleaned: dict[str, Columns]) -> Iterator[Found]:
    """Names in `training_set` and `gates` that are nowhere, or not known when the prediction is made.

    Args:
        pipeline: With a training set, from a table that there is.
        cleaned: The columns of the tables.
    """
    training = pipeline.training_set
    assert training is not None
    there = cleaned[training.spine]
    what = f"the table {training.spine}"
    row = None if there is None else there | {"predict_at"}
    yield from expression(f"training_set.{training.target_key}", what, training.expression, row, cleaned)
    yield from expression("training_set.censored", what, training.censored, row, cleaned)
    yield from spines.columns(pipeline, cleaned)
    yield from expression("training_set.predict_at", what, training.predict_at, there, cleaned)
    scope = _scope(pipeline, training, there)
    for number, name in enumerate(training.features):
        feature = pipeline.feature_tables.get(name)
        for entity in feature.entity if feature else ():
            told = entity not in (cleaned.get(feature.from_) or {entity}) if feature else True
            if scope.early is not None and entity not in scope.early and not told:
                yield f"training_set.features[{number}]", f"{name} needs {entity!r}: {scope.late(entity)}"
    yield from scope.taken()
    yield from scope.row_features()
    yield from scope.excluded()
    yield from scope.chosen()
    yield from scope.outliers()
    yield from scope.segments()


def _scope(pipeline: Pipeline, training: TrainingSet, there: Columns) -> _Scope:
    spine = pipeline.tables[training.spine]
    hidden = hidden_columns(pipeline)
    known = there
    if spine.available_at is not None and training.grid is None:
        known = frozenset(c for c in (*spine.key, spine.event_time, *spine.known_early) if c)
    tables = {name: pipeline.feature_tables[name] for name in training.features if name in pipeline.feature_tables}
    joined = {name: [f"{name}__{c}".lower() for c in feature_columns(table)] for name, table in tables.items()}
    return _Scope(pipeline, training, spine, there, None if known is None else known - hidden, hidden, joined)


@dataclass(frozen=True)
class _Scope:
    """What is known of the training set's columns.

    Attributes:
        pipeline: The configuration.
        training: Its training set.
        spine: The spine's table.
        there: All columns of the spine's table.
        early: Those that a feature may use.
        hidden: What the label is made of, and what is made of that.
        joined: The features of each feature table.
    """

    pipeline: Pipeline
    training: TrainingSet
    spine: Table
    there: Columns
    early: Columns
    hidden: set[str]
    joined: dict[str, list[str]]

    @property
    def features(self) -> frozenset[str]:
        """All joined features."""
        return frozenset(column for columns in self.joined.values() for column in columns)

    def late(self, column: str) -> str:
        """Why the spine does not have a column when the prediction is made."""
        name, table = column.lower(), f"tables.{self.training.spine}"
        if name in label_columns(self.pipeline):
            return f"{column!r} is not known when the prediction is made: the label is made of it"
        if self.there is not None and name not in self.there:
            return unknown(f"the table {self.training.spine}", column, self.there)
        if name in self.hidden:
            return f"{column!r} is not known when the prediction is made: it is made of what the label is made of"
        return (
            f"{column!r} is not known when the prediction is made, but only at {self.spine.available_at}; if it is "
            f"known before, list it in {table}.known_early"
        )

    @property
    def more(self) -> tuple[str, ...]:
        """Columns that only some training sets have: of folds, of labels that may be censored."""
        folds = (FOLD,) if self.training.split.folds else ()
        return (*folds, CENSORED) if self.training.censored else folds

    def taken(self) -> Iterator[Found]:
        """Columns of the spine that the training set makes itself."""
        taken = [c for c in (*MADE, *self.more) if self.early and c in self.early and c not in self.training.exclude]
        if taken:
            yield (
                "training_set.from",
                f"the table {self.training.spine} has columns named {', '.join(taken)}, which the training set makes; "
                "rename them under `columns` and leave the old ones out of `keep`, or list them in `exclude`",
            )

    def row_features(self) -> Iterator[Found]:
        """Each may use the row's early columns, the joined features, and the row features before it."""
        row = None if self.early is None else self.early | self.features | {"predict_at"}
        if row is not None and not self.spine.key:
            row |= {"row_id"}
        if len(self.joined) < len(self.training.features):
            row = None  # a feature table is missing, which is told already
        made = self.features
        for name, text in self.training.row_features.items():
            for read in reads(text):
                if read.row and not read.tables:
                    yield from self._row_feature(f"training_set.row_features.{name}", read, row, made)
            row, made = None if row is None else row | {name}, made | {name}

    def _row_feature(self, where: str, read: Read, row: Columns, made: frozenset[str]) -> Iterator[Found]:
        column = read.name
        if column.lower() in (*LEAKING, *self.more):
            yield where, f"{column!r} is not known when the prediction is made; a feature must not see it"
        elif "__" in column:
            yield from self._feature(where, column, row, made)
        elif column.lower() not in made and read.missing(row, {}) is not None:
            yield where, self.late(column)

    def _feature(self, where: str, name: str, known: Columns, made: frozenset[str]) -> Iterator[Found]:
        """A name that should be a feature's, or any of those known."""
        lowered, table = name.lower(), name.lower().partition("__")[0]
        if lowered in made or (known is not None and lowered in known):
            return
        if "__" in lowered and table in self.joined:
            yield where, unknown(f"the feature table {table}", name, self.joined[table])
        elif "__" in lowered and table in self.pipeline.feature_tables:
            yield where, f"{name!r} is no feature of the training set: list {table} in training_set.features"
        elif known is not None:
            yield where, unknown("the training set", name, known | made)

    def excluded(self) -> Iterator[Found]:
        """A name in `exclude` that is nothing excludes nothing."""
        made = self.features | frozenset(self.training.row_features)
        unsure = self.there is None or self.training.transform  # Python may add columns
        known = None if unsure or self.there is None else self.there | made | {*LEAKING, "predict_at", "row_id"}
        for number, name in enumerate(self.training.exclude):
            yield from self._feature(f"training_set.exclude[{number}]", name, known, made)

    def chosen(self) -> Iterator[Found]:
        """`user` and `item`, `texts`, `group` of the split, and slices of the gates."""
        for key in ("user", "item"):
            name = getattr(self.training, key)
            if name and self.early is not None and name not in self.early:
                yield f"training_set.{key}", self.late(name)
        for number, column in enumerate(self.training.split.group):
            if self.early is not None and column not in self.early:
                yield f"training_set.split.group[{number}]", self.late(column)
        made = self.features | frozenset(self.training.row_features)
        for number, name in enumerate(() if self.pipeline.search.transformers else self.training.texts):
            yield from self._used(f"training_set.texts[{number}]", name, made)
        made |= {*self.spine.key, "predict_at", "row_id"}
        for number, gate in enumerate(self.pipeline.gates):
            if gate.slice is None or gate.slice in (*self.spine.key, "predict_at", "row_id"):
                continue
            yield from self._used(f"gates[{number}].slice", gate.slice, made)

    def outliers(self) -> Iterator[Found]:
        """Features whose outliers are drawn in or flagged, and the columns of their groups."""
        made = self.features | frozenset(self.training.row_features)
        for number, treatment in enumerate(self.pipeline.search.outliers):
            for part in ("column", "by"):
                for name in getattr(treatment, part):
                    yield from self._used(f"search.outliers[{number}].{part}", name, made)

    def segments(self) -> Iterator[Found]:
        """The column of the segments is a feature: the general model learns from it too."""
        segments, never = self.pipeline.search.segments, (*self.spine.key, "row_id", *MADE, *self.more)
        if segments is None:
            return
        where, name = "search.segments.by", segments.by
        made = self.features | frozenset(self.training.row_features)
        if name in never and name not in self.training.row_features:
            told = f"make it one, as training_set.row_features: {{segment: {name}}}, and write by: segment"
            yield where, f"{name!r} is a column of the training set, but no feature; {told}"
        else:
            yield from self._used(where, name, made)

    def _used(self, where: str, name: str, made: frozenset[str]) -> Iterator[Found]:
        """A column that the training set has to have."""
        if name in self.training.exclude:
            yield where, f"{name!r} is excluded from the training set (training_set.exclude); leave it in"
        elif "__" in name:
            yield from self._feature(where, name, None, made)
        elif self.early is not None and not self.training.transform and name not in self.early | made:
            yield where, self.late(name)
