"""Sensitive columns: that they are there, have no type but text, and are no features unless somebody says so."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config import secrets
from headrace.config.checks.leaks import derived, feature_reads
from headrace.config.sql import expressions as sql
from headrace.config.types import Pipeline, Table

Found = tuple[str, str]


def check(pipeline: Pipeline) -> Iterator[Found]:
    """What is wrong about sensitive columns, as far as the file alone tells."""
    for name, table in pipeline.tables.items():
        yield from _table(f"tables.{name}", table)
    if secrets.names(pipeline.privacy.key) == () or not pipeline.privacy.key.startswith("${secret:"):
        yield "privacy.key", "a key does not stand in a file; write ${secret:NAME}, and set NAME where the job runs"
    if pipeline.training_set:
        yield from _features(pipeline)


def _table(where: str, table: Table) -> Iterator[Found]:
    for column, treatment in table.sensitive.items():
        if column.startswith("_"):
            yield f"{where}.sensitive.{column}", f"{column!r}: names with a leading underscore are Headrace's own"
        kind = table.types.get(column, "string")
        if treatment != "drop" and kind.lower() != "string":
            message = f"{column!r} is sensitive ({treatment}), so it is text and never {kind}; leave its type out"
            yield f"{where}.types.{column}", message
        if treatment == "mask" and column in table.key:
            yield (
                f"{where}.sensitive.{column}",
                f"a mask makes different values equal, and {column!r} is a key; write hash",
            )
        if treatment == "drop" and column in (*table.key, table.event_time, table.available_at, *table.keep):
            yield (
                f"{where}.sensitive.{column}",
                f"{column!r} is dropped, and the table needs it; write hash, or leave it out",
            )


def guarded(pipeline: Pipeline, table: str) -> set[str]:
    """Columns of a table (in lower case) that are sensitive or computed from one that is, but for those allowed."""
    training, found = pipeline.training_set, pipeline.tables.get(table)
    if found is None or not found.sensitive:
        return set()
    allowed = set(training.allow_sensitive) if training else set()
    return derived(found, set(found.sensitive) - allowed) - allowed


def _features(pipeline: Pipeline) -> Iterator[Found]:
    """Features made of sensitive columns. Entities, keys and slices may be sensitive: they are asked, not learned."""
    training = pipeline.training_set
    assert training is not None
    own = guarded(pipeline, training.spine)
    for name, text in training.row_features.items():
        yield from _refused(f"training_set.row_features.{name}", sql.columns(text), own)
    for key in ("user", "item"):  # the model keeps their values by name
        yield from _refused(f"training_set.{key}", {getattr(training, key) or ""}, own)
    for number, name in enumerate(training.texts):
        yield from _refused(f"training_set.texts[{number}]", {name}, own)
    for name in training.features:
        feature = pipeline.feature_tables.get(name)
        if feature and not feature.shared:
            for where, columns in feature_reads(f"feature_tables.{name}", feature):
                yield from _refused(where, columns, guarded(pipeline, feature.from_))
    there = {column for table in pipeline.tables.values() for column in derived(table, set(table.sensitive))}
    for number, column in enumerate(training.allow_sensitive):
        if column not in there:
            told = ", ".join(sorted(there)) or "none"
            yield f"training_set.allow_sensitive[{number}]", f"{column!r} is not sensitive; sensitive are: {told}"


def _refused(where: str, columns: set[str], own: set[str]) -> Iterator[Found]:
    hit = sorted(column for column in columns if column.lower() in own)
    if hit:
        yield (
            where,
            f"{', '.join(map(repr, hit))} is sensitive, and would become a feature; leave it out, or allow it in so many "
            f"words: training_set.allow_sensitive: [{', '.join(hit)}]",
        )
