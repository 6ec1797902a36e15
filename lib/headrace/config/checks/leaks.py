"""Aggregates that would tell the label: over its own columns, from a table that is not known to be late."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.sql import expressions as sql
from headrace.config.types import FeatureTable, Pipeline, Table


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Feature tables over a column that the label uses, from a table without `available_at`, or without time at all.

    The label's columns are followed through `columns` expressions, in both directions: `late: delay > 15` makes
    `late` as telling as `delay`. A second table of the same source has the same columns.
    """
    training = pipeline.training_set
    spine = pipeline.tables.get(training.from_) if training else None
    if training is None or spine is None:
        return
    used = label_columns(pipeline)
    for name, feature in pipeline.feature_tables.items():
        table = pipeline.tables.get(feature.from_)
        if table is None or (table.available_at and feature.kind != "lookup"):
            continue
        if feature.from_ != training.from_ and not _same_source(table, spine):
            continue
        telling = derived(table, used)
        for where, columns in feature_reads(f"feature_tables.{name}", feature):
            hit = sorted(column for column in columns if column.lower() in telling)
            if hit and feature.kind == "lookup":
                yield where, f"the label uses {', '.join(map(repr, hit))}, and a lookup knows no time; leave it out"
            elif hit:
                place = f"tables.{feature.from_}"
                message = (
                    f"the label uses {', '.join(map(repr, hit))}, and {place} has no available_at, so the feature "
                    f"would know the label before it is known; give {place}.available_at (the column with the time "
                    "when a row became known)"
                )
                yield where, message


def label_columns(pipeline: Pipeline) -> set[str]:
    """Columns, in lower case, that the label reads, also through `columns` expressions of its table."""
    training = pipeline.training_set
    spine = pipeline.tables.get(training.from_) if training else None
    if training is None or spine is None:
        return set()
    return _sources(spine, {column.lower() for column in sql.columns(training.label)})


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
    for kind in ("latest", "lookup"):
        for number, column in enumerate(getattr(feature, kind)):
            yield f"{where}.{kind}[{number}]", {column}


def _same_source(one: Table, other: Table) -> bool:
    return (one.source.format, one.source.path) == (other.source.format, other.source.path)
