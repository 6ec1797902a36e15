"""The training set's expressions, analysed by Spark."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from headrace.cli.analysing.attempts import Attempts
from headrace.config.file.complaints import meant
from headrace.config.learning import TrainingSet
from headrace.config.names import feature_columns
from headrace.config.spines import FutureLabel
from headrace.config.sql import aggregates
from headrace.config.sql import expressions as sql
from headrace.config.types import Table
from headrace.engine.assemble import add_features
from headrace.runtime.transforms import TRANSFORM, transformed
from headrace.search.words import unreadable
from headrace.training.rows import add_row_features, feature_names
from headrace.training.spine import made_columns, spine, spine_key
from headrace.training.split import split_column
from headrace.training.stage import reader

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_HIDDEN = ("label_known_at", "split")


class TrainingAnalysis(Attempts):
    """Label, time, split, joined features and row features of a training set."""

    def training_set(self, training: TrainingSet) -> None:
        """Analyse it; its spine's table can be had."""
        table, cleaned = self.pipeline.tables[training.spine], self.tables[training.spine]
        now = datetime.now(UTC)
        rows = self._spine(training, cleaned, now)
        if rows is None:
            return
        split = split_column(training.split, spine_key(table), now, training.labelled)
        if self.attempt("training_set.split", lambda: rows.withColumn("split", split)) is None:
            return
        frame, lost = rows.withColumn("split", split), set[str]()
        read = reader(self.pipeline, lambda name: self.tables[name], now)
        for number, name in enumerate(training.features):
            feature = self.pipeline.feature_tables[name]
            known = self.wrong[name] is not None and not self.spoilt(training.spine, *feature.entity)
            joined = None
            if known:
                where = f"training_set.features[{number}]"
                joined = self.attempt(where, partial(add_features, frame, self.pipeline, (name,), read))
            if joined is None:
                lost |= {f"{name}__{column}" for column in feature_columns(feature)}
            frame = joined if joined is not None else frame
        self._row_features(training, table, cleaned, self.empty(frame), lost)

    def _spine(self, training: TrainingSet, cleaned: DataFrame, now: datetime) -> DataFrame | None:
        def made(**changes: Any) -> DataFrame:
            changed = self.pipeline.model_copy(update={"training_set": training.model_copy(update=changes)})
            return spine(cleaned, changed, now, self.tables.__getitem__)

        table = self.pipeline.tables[training.spine]
        texts = (training.expression, training.censored, training.predict_at, table.event_time, table.available_at)
        if self.spoilt(training.spine, *texts):
            return None
        if training.future and self._events_spoilt(training.future):
            return None
        if not self.fails(made):
            return self.empty(made())
        noted, never = len(self.found), "cast(null as timestamp)"
        key = training.target_key
        if training.future:
            self._future(training.future, made)
        else:
            self.attempt(f"training_set.{key}", lambda: made(predict_at=never, censored=None))
            if training.censored:
                self.attempt("training_set.censored", lambda: made(predict_at=never, **{key: "1"}))
        self.attempt(
            "training_set.predict_at", lambda: made(censored=None, **({key: "1"} if training.labelled else {}))
        )
        if len(self.found) == noted:
            self.attempt("training_set", made)
        return None

    def _events_spoilt(self, label: FutureLabel) -> bool:
        events, texts = self.pipeline.tables[label.from_], aggregates.texts(label.aggregate)
        return self.spoilt(
            label.from_, label.where, events.event_time, events.available_at, *texts, *label.entity.values()
        )

    def _future(self, label: FutureLabel, made: Callable[..., DataFrame]) -> None:
        """Its expressions one by one; `entity` where each of them alone is right."""
        noted, counted = len(self.found), {"aggregate": "count(*)"}
        bare = label.model_copy(update={"where": None, **counted})
        for name, other in (("aggregate", {"where": None}), ("where", counted)):
            if not self.fails(lambda: made(label=bare)):
                self.attempt(f"training_set.label.{name}", partial(made, label=label.model_copy(update=other)))
        if len(self.found) == noted:
            self.attempt("training_set.label", made)

    def _row_features(
        self, training: TrainingSet, table: Table, cleaned: DataFrame, frame: DataFrame, lost: set[str]
    ) -> None:
        for name, text in training.row_features.items():
            one = training.model_copy(update={"row_features": {name: text}})
            if self.spoilt(training.spine, text) or {column.lower() for column in sql.columns(text)} & lost:
                lost.add(name)
                continue
            where = f"training_set.row_features.{name}"
            made = self.attempt(where, partial(add_row_features, frame, one, table, cleaned.columns))
            lost |= {name} if made is None else set()
            frame = made if made is not None else frame
        if training.transform and not lost:
            hidden = (*training.made_of_label, *_HIDDEN)
            kept = tuple(dict.fromkeys((*spine_key(table), "predict_at", *hidden)))
            made = self.attempt(
                TRANSFORM, lambda: transformed(self.pipeline, TRANSFORM, frame, kept=kept, hidden=hidden)
            )
            if made is None:
                return
            frame = made
        if not lost:
            self._features(training, table, frame)

    def _features(self, training: TrainingSet, table: Table, frame: DataFrame) -> None:
        """Features there are, and slices that are among them."""
        key = spine_key(table)
        if training.kind == "recommendation":
            return
        features, left = feature_names(frame, training, table, (*made_columns(training), *key))
        if not features:
            why = f"; of types that are none: {', '.join(left)}" if left else ""
            self.found.append(("training_set", f"no column is left as a feature{why}; see known_early, row_features"))
        if training.kind == "topics" and not self.pipeline.search.transformers:
            types = {one.name: one.dataType.simpleString() for one in frame.schema if one.name in features}
            self.found += unreadable(types, training.texts)
        self._named(training, features)
        there = {*key, *features, "predict_at"}
        for number, gate in enumerate(self.pipeline.gates):
            if gate.slice and gate.slice not in there:
                self.found.append(
                    (
                        f"gates[{number}].slice",
                        f"{gate.slice!r} is no column of the training set ({', '.join(sorted(there))})",
                    )
                )

    def _named(self, training: TrainingSet, features: Sequence[str]) -> None:
        """Features that the configuration names by themselves are among those there are."""
        conf = self.pipeline.search.preparation
        named = [(f"training_set.leakage.allow.{name}", name) for name in training.leakage.allow]
        if not self.pipeline.search.transformers:  # they may make columns of any name
            named += [(f"search.preparation.columns.{name}", name) for name in conf.columns]
            for number, pair in enumerate(conf.interactions):
                named += [(f"search.preparation.interactions[{number}]", name) for name in pair]
        there = {name.lower() for name in features}
        for where, name in named:
            if name.lower() not in there:
                choices = ", ".join(sorted(features))
                self.found.append(
                    (where, f"no feature is called {name!r}; there are: {choices}{meant(name, features)}")
                )
