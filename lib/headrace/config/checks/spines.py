"""A spine of entities on a grid, and a label over later events: do their tables have what they need?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from headrace.config.checks import syntax
from headrace.config.checks.unknown import Columns, Found, expression, no_such, single
from headrace.config.learning import TrainingSet
from headrace.config.sql import aggregates
from headrace.config.types import Pipeline, Table


def check(pipeline: Pipeline, timed: bool) -> Iterator[Found]:
    """What needs no columns to be seen.

    Args:
        pipeline: With a training set.
        timed: Whether its rows have a time.

    Returns:
        Pairs (where, what came and what is allowed).
    """
    training = pipeline.training_set
    assert training is not None
    spine = pipeline.tables.get(training.spine)
    if spine is None:
        place = "training_set.from.entities" if training.grid else "training_set.from"
        yield place, no_such("table", training.spine, pipeline.tables)
    elif training.grid:
        yield from _grid(training, spine)
    yield from syntax.alone(f"training_set.{training.target_key}", training.expression)
    yield from syntax.alone("training_set.censored", training.censored)
    if training.future:
        yield from _future(pipeline, training, spine, timed)


def _grid(training: TrainingSet, table: Table) -> Iterator[Found]:
    grid, name = training.grid, training.spine
    assert grid is not None
    if training.predict_at is not None:
        yield "training_set.predict_at", "a spine of entities is predicted at the points of its grid; leave this out"
    if not table.key:
        yield (
            "training_set.from.entities",
            f"tables.{name} has no key, so its rows are no entities; give tables.{name}.key",
        )
    if grid.since is None and not (table.event_time or table.available_at):
        message = (
            f"the grid has no beginning: give `since`, or tables.{name}.event_time (from then on an entity is there)"
        )
        yield "training_set.from", message


def _future(pipeline: Pipeline, training: TrainingSet, spine: Table | None, timed: bool) -> Iterator[Found]:
    label, where = training.future, "training_set.label"
    assert label is not None
    events = pipeline.tables.get(label.from_)
    if events is None and label.from_ in pipeline.feature_tables:
        yield f"{where}.from", f"{label.from_!r} is a feature table; a label is counted over the events of a table"
    elif events is None:
        yield f"{where}.from", no_such("table", label.from_, pipeline.tables)
    elif not events.event_time:
        yield f"{where}.from", f"a label over later events needs their time: give tables.{label.from_}.event_time"
    yield from syntax.steady(f"{where}.where", label.where)
    wrong = list(syntax.of_events(f"{where}.aggregate", label.aggregate))
    yield from wrong
    if not wrong:
        yield from _aggregate(f"{where}.aggregate", label.aggregate)
    if spine and not timed:
        times = f"training_set.predict_at or tables.{training.spine}.event_time"
        yield where, f"`within` counts from the time of the prediction: give {times}"
    keyed = not spine or not training.grid or spine.key  # else that is told already
    if spine and events and keyed and not label.entity and not default_entity(pipeline, spine.key):
        message = f"tables.{training.spine} has no key besides times; name the columns that tell whose events count"
        yield where, f"{message}, as `entity: customer`"


def _aggregate(where: str, text: str) -> Iterator[Found]:
    try:
        aggregates.aggregation(text)
    except ValueError as error:
        yield where, str(error)


def default_entity(pipeline: Pipeline, there: Iterable[str]) -> dict[str, str]:
    """By which columns events belong to a row: those of the spine's key that the events have, but for times."""
    training = pipeline.training_set
    assert training is not None
    assert training.future is not None
    spine, events = pipeline.tables[training.spine], pipeline.tables[training.future.from_]
    times = {spine.event_time, spine.available_at, events.event_time, events.available_at}
    known = set(there)
    return {column: column for column in spine.key if column in known and column not in times}


def columns(pipeline: Pipeline, cleaned: dict[str, Columns]) -> Iterator[Found]:
    """Columns of a label over later events that are nowhere.

    Args:
        pipeline: With a training set.
        cleaned: The columns of the tables.
    """
    training = pipeline.training_set
    label = training.future if training else None
    if training is None or label is None or label.from_ not in pipeline.tables:
        return
    where, what, there = "training_set.label", f"the table {label.from_}", cleaned[label.from_]
    for text in aggregates.texts(label.aggregate):
        yield from expression(f"{where}.aggregate", what, text, there, cleaned)
    yield from expression(f"{where}.where", what, label.where, there, cleaned)
    for mine, theirs in label.entity.items():
        at = f"{where}.entity.{mine}"
        lost = list(single(at, f"the table {training.spine}", mine, cleaned[training.spine]))
        yield from lost or single(at, what, theirs, there)
    key = pipeline.tables[training.spine].key
    if not label.entity and there is not None and default_entity(pipeline, key) and not default_entity(pipeline, there):
        message = f"{what} has none of the key columns of {training.spine} ({', '.join(key)})"
        yield where, f"{message}; say which of its columns they are, as `entity: {{{key[0]}: ...}}`"
