"""What one section says of another: unknown tables, clashing names, leaks that the file alone gives away."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from headrace.config.checks import (
    aggregates,
    leaks,
    modelling,
    privacy,
    rules,
    scopes,
    sinks,
    sources,
    spines,
    streams,
    syntax,
)
from headrace.config.checks.unknown import no_such
from headrace.config.file.complaints import meant
from headrace.config.folds import FOLD
from headrace.config.learning import CENSORED
from headrace.config.names import feature_columns
from headrace.config.needs import asked
from headrace.config.sql import expressions as sql
from headrace.config.sql.types import wrong_type
from headrace.config.types import FeatureTable, Pipeline, Table

Found = tuple[str, str]

RESERVED = (
    "training_set", "trials", "evaluation", "test_predictions", "predictions", "latest_predictions",
    "latest_features", "drift_metrics", "quality_metrics", "model_changes", "runs", "leakage_findings",
)  # fmt: skip
SPINE_COLUMNS = ("predict_at", "split", "label", "label_known_at")


def check(pipeline: Pipeline) -> list[Found]:
    """Everything that is wrong between the sections of a pipeline and needs no data to be seen.

    Returns:
        Pairs (where, what came and what is allowed), where as `feature_tables.carrier_delays.from`.
    """
    found: list[Found] = []
    for name, table in pipeline.tables.items():
        found += _table(f"tables.{name}", name, table)
    for name, feature in pipeline.feature_tables.items():
        found += _feature_table(f"feature_tables.{name}", name, feature, pipeline)
    found += _subqueries(pipeline)
    found += rules.pinned(pipeline)
    if pipeline.training_set:
        found += _training_set(pipeline)
        found += leaks.check(pipeline)
    found += _scoring(pipeline)
    found += modelling.check(pipeline)
    found += privacy.check(pipeline)
    found += sinks.check(pipeline)
    found += streams.check(pipeline)
    found += scopes.check(pipeline)
    return found


def _reserved(where: str, name: str) -> Iterator[Found]:
    if name in RESERVED or name.startswith("raw_") or name.endswith("_quarantine"):
        yield (
            where,
            f"{name!r} is a name that Headrace uses itself (raw_*, *_quarantine, {', '.join(RESERVED)}); rename",
        )
    if "__" in name:
        yield where, f"{name!r} has '__', which stands between feature table and column; rename"


def _table(where: str, name: str, table: Table) -> Iterator[Found]:
    yield from _reserved(where, name)
    yield from sources.check(f"{where}.source", table.source)
    yield from sources.check_upsert(where, table)
    yield from syntax.alone(f"{where}.source.delete_when", table.source.delete_when)
    for column, kind in table.types.items():
        wrong = wrong_type(kind)
        if wrong:
            yield f"{where}.types{_key(column)}", wrong
    for column, text in table.columns.items():
        yield from syntax.of_a_row(f"{where}.columns{_key(column)}", text)
        if column.startswith("_"):
            yield f"{where}.columns{_key(column)}", f"{column!r}: names with a leading underscore are Headrace's own"
    yield from rules.check(where, table)
    yield from _double(f"{where}.columns", table.columns)
    for part in ("key", "known_early"):
        yield from _double(f"{where}.{part}", getattr(table, part))
    for column in table.describe if table.keep else ():
        if column not in table.keep:
            yield f"{where}.describe{_key(column)}", f"{column!r} is not in `keep`: the table will not have it"
    if table.known_early and not table.available_at:
        message = "known_early has no effect without available_at: all columns count as known; add it or leave this out"
        yield f"{where}.known_early", message


def _key(name: str) -> str:
    return f".{name}" if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name) else f'["{name}"]'


def _double(where: str, names: Iterable[str]) -> Iterator[Found]:
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            yield where, f"{name!r} stands twice (SQL does not see case); leave one out"
        seen.add(name.lower())


def _feature_table(where: str, name: str, feature: FeatureTable, pipeline: Pipeline) -> Iterator[Found]:
    yield from _reserved(where, name)
    if name in pipeline.tables:
        yield where, f"a table is called {name!r} too; rename one"
    view = f"latest_{name}"
    if view == "latest_features" or view in pipeline.tables or view in pipeline.feature_tables:
        yield where, f"{name!r} brings a view {view!r}, a name that is taken; rename one"
    yield from _double(f"{where}.entity", feature.entity)
    table = pipeline.tables.get(feature.from_)
    if table is None and feature.from_ in pipeline.feature_tables:
        yield f"{where}.from", f"{feature.from_!r} is a feature table; features are made from tables"
    elif table is None:
        yield f"{where}.from", no_such("table", feature.from_, pipeline.tables)
    elif feature.kind != "lookup" and not feature.time and not table.event_time:
        yield where, f"{feature.kind} needs a clock: give `time`, or tables.{feature.from_}.event_time"
    yield from aggregates.check(where, feature)
    for number, part in enumerate(feature.aggregates):
        yield from syntax.steady(f"{where}.aggregates[{number}].where", part.where)
    yield from _double(where, feature_columns(feature))
    told = [*feature.entity, *feature_columns(feature), "valid_from", "valid_until", "event_time", "available_at"]
    for column in feature.describe:
        if column not in told:
            message = f"the feature table has no column {column!r}{meant(column, told)}"
            yield f"{where}.describe{_key(column)}", message
    for early in feature_columns(feature):
        if early.lower() in {column.lower() for column in feature.entity}:
            yield where, f"the feature {early!r} has the name of an entity column; leave it out"


def _subqueries(pipeline: Pipeline) -> Iterator[Found]:
    """Tables named in subqueries: those unknown, and cycles between tables."""
    reads: dict[str, dict[str, str]] = {name: {} for name in pipeline.tables}
    for name, table in pipeline.tables.items():
        if table.shared:
            continue  # its SQL is checked where the table is made
        named = {f"tables.{name}.columns{_key(c)}": sql.tables(text) for c, text in table.columns.items()}
        named |= {f"tables.{name}.rules[{i}].{rule.kind}": asked(rule) for i, rule in enumerate(table.rules)}
        for where, others in named.items():
            for other in sorted(others):
                if other not in pipeline.tables:
                    yield where, no_such("table", other, pipeline.tables)
                else:
                    reads[name].setdefault(other, where)
    reported: set[frozenset[str]] = set()
    for name in reads:
        cycle = _cycle(name, reads)
        if cycle and frozenset(cycle) not in reported:
            reported.add(frozenset(cycle))
            path = " -> ".join([*cycle, name])
            yield (
                reads[name][cycle[1] if len(cycle) > 1 else name],
                f"tables wait for each other: {path}; break the circle",
            )


def _cycle(start: str, reads: dict[str, dict[str, str]]) -> list[str] | None:
    """The shortest way from a table back to itself."""
    ways, seen = [[start]], set[str]()
    while ways:
        way = ways.pop(0)
        for other in reads[way[-1]]:
            if other == start:
                return way
            if other not in seen:
                seen.add(other)
                ways.append([*way, other])
    return None


def _training_set(pipeline: Pipeline) -> Iterator[Found]:
    training = pipeline.training_set
    assert training is not None
    where = "training_set"
    spine = pipeline.tables.get(training.spine)
    timed = bool(training.grid or training.predict_at or (spine and spine.event_time))
    yield from spines.check(pipeline, timed)
    for number, name in enumerate(training.features):
        if name.lower() not in pipeline.feature_tables:
            yield f"{where}.features[{number}]", no_such("feature table", name, pipeline.feature_tables)
    yield from _double(f"{where}.features", training.features)
    yield from syntax.alone(f"{where}.predict_at", training.predict_at)
    for name, text in training.row_features.items():
        yield from syntax.alone(f"{where}.row_features{_key(name)}", text)
    yield from _double(f"{where}.row_features", training.row_features)
    yield from _final_names(pipeline)
    if spine and training.split.by == "time" and not timed:
        message = f"`by: time` needs a time: give training_set.predict_at or tables.{training.spine}.event_time"
        yield f"{where}.split", message
    folds = training.split.folds
    if spine and folds and training.split.folds_by == "time" and not timed:
        message = f"folds by time need a time: give training_set.predict_at or tables.{training.spine}.event_time"
        yield f"{where}.split.folds", message
    if spine and folds and training.split.folds_by == "stratified" and training.grid:
        message = "an entity has a row at each time, and stratified folds would not keep them together; write by: hash"
        yield f"{where}.split.folds.by", message
    if spine and training.features and not timed:
        for number, name in enumerate(training.features):
            feature = pipeline.feature_tables.get(name.lower())
            if feature and feature.kind != "lookup":
                times = f"training_set.predict_at or tables.{training.spine}.event_time"
                message = f"{name!r} is joined as of a time: give {times}"
                yield f"{where}.features[{number}]", message


def _final_names(pipeline: Pipeline) -> Iterator[Found]:
    """Row features must not take the name of anything else in the training set."""
    training = pipeline.training_set
    assert training is not None
    spine = pipeline.tables.get(training.spine)
    taken = dict.fromkeys(SPINE_COLUMNS, "a column of every training set")
    taken |= {FOLD: "the column of training_set.split.folds"} if training.split.folds else {}
    taken |= {CENSORED: "the column of training_set.censored"} if training.censored else {}
    taken |= {column.lower(): "a key column" for column in (spine.key if spine else ())}
    taken |= {column.lower(): "a column that is known early" for column in (spine.known_early if spine else ())}
    for name in training.features:
        feature = pipeline.feature_tables.get(name.lower())
        taken |= {f"{name}__{c}".lower(): f"a feature of {name}" for c in (feature_columns(feature) if feature else ())}
    for name in training.row_features:
        if name.lower() in taken:
            yield f"training_set.row_features{_key(name)}", f"{name!r} is also {taken[name.lower()]}; rename"


def _scoring(pipeline: Pipeline) -> Iterator[Found]:
    output, model = pipeline.scoring.output, pipeline.scoring.model
    if not re.fullmatch(r"[A-Za-z][\w-]{0,63}|[1-9]\d{0,8}", model):
        yield "scoring.model", f"{model!r} is no model; write `champion` or the number of a version"
    elif model != "champion" and meant(model, ("champion",)):
        yield "scoring.model", f"{model!r} is no model; did you mean 'champion'?"
    strategy, training = pipeline.scoring.strategy, pipeline.training_set
    if strategy.kind in ("canary", "ab") and training and not strategy.entity:
        spine = pipeline.tables.get(training.spine)
        if spine and not spine.key:
            told = f"tables.{training.spine} has no key by which to assign rows; name the columns of who is meant"
            yield "scoring.strategy.entity", told
    if output in pipeline.tables or output in pipeline.feature_tables:
        yield "scoring.output", f"a table is called {output!r} too; rename one"
    elif output != "predictions" and output in RESERVED:
        yield "scoring.output", f"{output!r} is a name that Headrace uses itself; rename"
