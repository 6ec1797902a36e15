"""Every SQL expression of a pipeline, analysed by Spark against the sources' own columns.

Frames without rows go through the stages' own functions, so that what is said here is what a run would say. Where a
whole part is refused, its expressions are tried one by one; what depends on a wrong one is not tried at all.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING

from headrace.clean.columns import RAW, REASONS, ROW, kept_columns, looked_at, shape, types_of
from headrace.cli.analysing.attempts import Found
from headrace.cli.analysing.sources import raw_rows
from headrace.cli.analysing.training import TrainingAnalysis
from headrace.config.needs import asked, in_order, tables_in
from headrace.config.types import FeatureTable, Pipeline, Table
from headrace.features.kinds import latest, lookup, windows
from headrace.runtime.transforms import transformed
from headrace.validate.rules import judge, tally
from headrace.validate.tallies import times_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SAMPLE = 10_000
"""Rows of a CSV that its types are inferred from."""
_FEATURES: dict[str, Callable[[DataFrame, FeatureTable, Table], DataFrame]] = {
    "aggregates": windows,
    "latest": latest,
    "lookup": lookup,
}


class Analysis(TrainingAnalysis):
    """One walk over a pipeline, in the order in which data flow."""

    def run(self) -> list[Found]:
        """Analyse everything."""
        for name in in_order(self.pipeline):
            self._table(name, self.pipeline.tables[name])
        for name, feature in self.pipeline.feature_tables.items():
            self._feature_table(name, feature)
        training = self.pipeline.training_set
        if training and self.wrong[training.spine] is not None:
            self.training_set(training)
        return self.found

    def _table(self, name: str, table: Table) -> None:
        where = f"tables.{name}"
        self.wrong[name] = None
        if any(self.wrong.get(other, set()) is None for other in tables_in(table)):
            return
        read = self.attempt(f"{where}.source", lambda: self._read(name, table))
        if read is None:
            return
        rows, types = read
        bare = table.model_copy(update={"columns": {}})
        typed = self.attempt(f"{where}.types", lambda: shape(rows, bare, types, self._transform(name)))
        if typed is None:
            return
        self.wrong[name] = set()
        frame = self._columns(name, table, rows, types)
        self._rules(name, table, frame)
        kept = self.attempt(f"{where}.keep", lambda: frame.select(*kept_columns(frame, table)))
        if kept is None:
            self.wrong[name] = None
            return
        self.tables[name] = self.empty(kept)
        self.tables[name].createOrReplaceTempView(name)

    def _read(self, name: str, table: Table) -> tuple[DataFrame, dict[str, str]]:
        """A source's columns, without rows, and the types of some of its rows."""
        raw = raw_rows(self.spark, self.pipeline, name)
        return self.empty(raw), types_of(table, looked_at(raw.limit(SAMPLE), table, {}))

    def _transform(self, name: str) -> Callable[[DataFrame], DataFrame] | None:
        if self.pipeline.tables[name].transform is None:
            return None
        own = (RAW, ROW, REASONS)
        return lambda frame: transformed(self.pipeline, f"tables.{name}.transform", frame, kept=own, hidden=own)

    def _columns(self, name: str, table: Table, rows: DataFrame, types: dict[str, str]) -> DataFrame:
        transform, good = self._transform(name), dict[str, str]()

        def shaped(columns: dict[str, str]) -> DataFrame:
            return shape(rows, table.model_copy(update={"columns": columns}), types, transform)

        if not self.fails(lambda: shaped(table.columns)):
            return shaped(table.columns)
        for column, text in table.columns.items():
            tried = {**good, column: text}
            where = f"tables.{name}.columns.{column}"
            if self.spoilt(name, text) or self.attempt(where, partial(shaped, tried)) is None:
                self.wrong[name] = (self.wrong[name] or set()) | {column}
                tried = {**good, column: "null"}
            good = tried
        return shaped(good)

    def _rules(self, name: str, table: Table, frame: DataFrame) -> None:
        where = f"tables.{name}"
        if not self.fails(partial(_judged, frame, table)):
            return
        for number, rule in enumerate(table.rules):
            groups = rule.outlier.by if rule.outlier else ()
            names = (*rule.not_null, *rule.unique, *rule.ordered, *rule.column, *rule.by, *groups, rule.time)
            if not self.spoilt(name, rule.check, *names, *asked(rule)):
                alone = table.model_copy(update={"rules": (rule,), "key": ()})
                self.attempt(f"{where}.rules[{number}].{rule.kind}", partial(_judged, frame, alone))
        for number, column in enumerate(table.key):
            bare = table.model_copy(update={"rules": (), "key": (column,)})
            self.attempt(f"{where}.key[{number}]", partial(_judged, frame, bare))

    def _feature_table(self, name: str, feature: FeatureTable) -> None:
        source, events = self.pipeline.tables[feature.from_], self.tables.get(feature.from_)
        self.wrong[name] = None
        clock = feature.time or source.event_time
        if events is None or self.spoilt(feature.from_, clock, source.available_at, *feature.entity):
            return

        def made(part: FeatureTable) -> DataFrame:
            return _FEATURES[feature.kind](events, part, source)

        where = f"feature_tables.{name}"
        if feature.kind != "aggregates":
            whole = self.attempt(f"{where}.{feature.kind}", lambda: made(feature))
        elif self.fails(lambda: made(feature)):
            whole = None
            self._aggregates(where, feature, made)
        else:
            whole = made(feature)
        if whole is not None:
            self.wrong[name] = set()
            self.tables[name] = self.empty(whole)

    def _aggregates(self, where: str, feature: FeatureTable, made: Callable[[FeatureTable], DataFrame]) -> None:
        noted = len(self.found)
        for number, part in enumerate(feature.aggregates):
            if self.spoilt(feature.from_, part.where, part.column.replace("*", "") or None):
                continue
            alone = feature.model_copy(update={"aggregates": (part,)})
            bare = feature.model_copy(update={"aggregates": (part.model_copy(update={"where": None}),)})
            at = f"{where}.aggregates[{number}]"
            self.attempt(f"{at}.{'column' if self.fails(partial(made, bare)) else 'where'}", partial(made, alone))
        if len(self.found) == noted and not self.spoilt(feature.from_, *(p.where for p in feature.aggregates)):
            self.attempt(where, lambda: made(feature))


def _judged(frame: DataFrame, table: Table) -> DataFrame:
    judged = judge(frame, table)
    return tally(judged, most=times_of(judged, table, datetime.now(UTC)))


def analysed(spark: SparkSession, pipeline: Pipeline) -> list[Found]:
    """What Spark says against a pipeline's expressions, as (where, what)."""
    try:
        return Analysis(spark, pipeline).run()
    finally:
        for name in pipeline.tables:
            spark.catalog.dropTempView(name)
