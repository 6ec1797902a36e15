"""Aggregates that would tell the label: over its own columns, from a table that is not known to be late."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.learning import TrainingSet
from headrace.config.sql import aggregates
from headrace.config.sql import expressions as sql
from headrace.config.sql.reads import reads
from headrace.config.types import FeatureTable, Pipeline, Table


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Feature tables that know the label before it is known.

    The label's columns are followed through `columns` expressions, in both directions: `late: delay > 15` makes
    `late` as telling as `delay`. A second table of the same source has the same columns. Of a label over later events
    the same columns may be aggregated by the same clock: these are the events before the prediction.
    """
    training = pipeline.training_set
    told = _label_table(pipeline)
    if training is None or told is None:
        return
    named, labelled = told
    used = _sources(labelled, _named_by(training))
    asked = told_by_subqueries(pipeline)
    for name, feature in pipeline.feature_tables.items():
        table = pipeline.tables.get(feature.from_)
        for where, columns in feature_reads(f"feature_tables.{name}", feature) if table else ():
            hit = sorted(columns & asked.get(feature.from_, set()))
            if hit:
                yield (
                    where,
                    f"{', '.join(map(repr, hit))} asks {named} for what the label uses, and a subquery knows no time",
                )
        if table is None or (table.available_at and feature.kind != "lookup"):
            continue
        if feature.from_ != named and not _same_source(table, labelled):
            continue
        if training.future and feature.kind != "lookup" and _same_clock(feature, table, labelled):
            continue
        telling = derived(table, used)
        for where, columns in feature_reads(f"feature_tables.{name}", feature):
            hit = sorted(column for column in columns if column.lower() in telling)
            uses = f"the label uses {', '.join(map(repr, hit))}"
            if training.future and not hit:
                uses = f"the label counts rows of {named}"  # which of them there are tells as much as what is in them
            if (hit or training.future) and feature.kind == "lookup":
                yield where, f"{uses}, and a lookup knows no time; leave it out"
            elif hit or training.future:
                place = f"tables.{feature.from_}"
                message = (
                    f"{uses}, and {place} has no available_at, so the feature would know the label before it is known; "
                    f"give {place}.available_at (the column with the time when a row became known)"
                )
                yield where, message


def _label_table(pipeline: Pipeline) -> tuple[str, Table] | None:
    """The table that the label is made of, with its name."""
    training = pipeline.training_set
    if training is None or training.spine not in pipeline.tables:
        return None
    name = training.future.from_ if training.future else training.spine
    return (name, pipeline.tables[name]) if name in pipeline.tables else None


def _named_by(training: TrainingSet) -> set[str]:
    """Columns, in lower case, that the label's SQL names."""
    if training.future is None:
        texts = (training.expression, training.censored)
        return {column.lower() for text in texts for column in sql.columns(text or "null")}
    condition = sql.columns(training.future.where) if training.future.where else set()
    return {column.lower() for column in aggregates.columns(training.future.aggregate) | condition}


def _same_clock(feature: FeatureTable, table: Table, labelled: Table) -> bool:
    """Whether a feature table goes by the time of the label's events, so that it ends where they begin."""
    clock, other = feature.time or table.event_time, labelled.event_time
    return clock == other and table.columns.get(clock or "") == labelled.columns.get(other or "")


def told_by_subqueries(pipeline: Pipeline) -> dict[str, set[str]]:
    """Per table the columns, in lower case, whose SQL asks another table for what the label is made of."""
    training, told = pipeline.training_set, _label_table(pipeline)
    if training is None or told is None:
        return {}
    named, labelled = told
    used = derived(labelled, _sources(labelled, _named_by(training))) - _keys_and_clock(labelled)
    same = {name for name, table in pipeline.tables.items() if name == named or _same_source(table, labelled)}
    telling = {name: derived(pipeline.tables[name], used) for name in same}
    found: dict[str, set[str]] = {}
    for _ in pipeline.tables:  # a chain of subqueries is no longer
        for name, table in pipeline.tables.items():
            asking = {
                column.lower()
                for column, text in table.columns.items()
                if (training.future and named in sql.tables(text))
                or any(read.name.lower() in telling.get(other, ()) for read in reads(text) for other in read.tables)
            }
            if asking:
                found[name] = derived(table, asking)
                telling[name] = telling.get(name, set()) | found[name]
    return found


def label_columns(pipeline: Pipeline) -> set[str]:
    """Columns of the spine's table, in lower case, that the label reads, also through `columns` expressions."""
    training = pipeline.training_set
    if training is None or training.spine not in pipeline.tables or not _in_spine(pipeline):
        return set()
    return _sources(pipeline.tables[training.spine], _named_by(training))


def hidden_columns(pipeline: Pipeline) -> set[str]:
    """Columns of the spine's table, in lower case, that give the label away: no row may have them as features.

    A label over later events hides columns only where the row itself can be one of them: it is of the same source,
    and predicted at another time than that of the event.
    """
    training = pipeline.training_set
    assert training is not None
    asked = told_by_subqueries(pipeline).get(training.spine, set())
    return asked | (
        derived_from(_named_by(training), pipeline.tables[training.spine]) if _in_spine(pipeline) else set()
    )


def _in_spine(pipeline: Pipeline) -> bool:
    training = pipeline.training_set
    assert training is not None
    if training.future is None:
        return True
    spine, events = pipeline.tables[training.spine], pipeline.tables.get(training.future.from_)
    if events is None or not (training.future.from_ == training.spine or _same_source(spine, events)):
        return False
    return training.predict_at is not None or not _same_time(spine, events)


def _same_time(one: Table, other: Table) -> bool:
    """Whether two tables of the same source go by the same time."""
    mine, theirs = one.event_time, other.event_time
    return mine == theirs and one.columns.get(mine or "") == other.columns.get(theirs or "")


def _sources(table: Table, names: set[str]) -> set[str]:
    """The names, and what they are computed from, but for keys and clocks."""
    expressions = {column.lower(): text for column, text in table.columns.items()}
    plain = _keys_and_clock(table)
    found, todo = set(names), list(names)
    while todo:
        text = expressions.get(todo.pop())
        new = {column.lower() for column in sql.columns(text)} - found - plain if text else set()
        found |= new
        todo += new
    return found


def derived(table: Table, names: set[str]) -> set[str]:
    """The names, and columns of a table (in lower case) that are computed from any of them."""
    found = set(names)
    reads = {c.lower(): {x.lower() for x in sql.columns(text)} for c, text in table.columns.items()}
    while True:
        new = {column for column, used in reads.items() if column not in found and used & found}
        if not new:
            return found
        found |= new


def derived_from(names: set[str], table: Table) -> set[str]:
    """Columns by these names, and those whose SQL uses them or is used to make them; keys and clocks stay.

    A column of which a hidden one is made gives it away as well: of `late = arr_delay >= 15`, `arr_delay` does.
    """
    plain = _keys_and_clock(table)
    hidden = {name.lower() for name in names} - plain
    made = [text for name, text in table.columns.items() if name in hidden]
    hidden |= {column.lower() for text in made for column in sql.columns(text)} - plain
    return derived(table, hidden) - plain


def _keys_and_clock(table: Table) -> set[str]:
    """They tell who and when, not what: a row is not told apart without them."""
    return {column.lower() for column in (*table.key, table.event_time or "")}


def feature_reads(where: str, feature: FeatureTable) -> Iterator[tuple[str, set[str]]]:
    """Columns that the features of a feature table are made of, and where the YAML says so."""
    for number, part in enumerate(feature.aggregates):
        yield f"{where}.aggregates[{number}].column", {part.column}
        if part.where:
            yield f"{where}.aggregates[{number}].where", sql.columns(part.where)
    if feature.until:
        yield f"{where}.until", {feature.until}
    for kind in ("latest", "lookup"):
        for number, column in enumerate(getattr(feature, kind)):
            yield f"{where}.{kind}[{number}]", {column}


def _same_source(one: Table, other: Table) -> bool:
    return (one.source.format, one.source.path) == (other.source.format, other.source.path)
