"""What the tables and columns of a pipeline mean, in words: for Delta's comments and properties."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.config.learning import CENSORED, TrainingSet
from headrace.config.names import aggregate_column
from headrace.config.types import FeatureTable, Pipeline, Table

OWNER, TAGS, COLUMN_TAGS = "headrace.owner", "headrace.tags", "headrace.column_tags"
"""Properties of a table; tags are separated by `, `, tags of columns are JSON."""

_WORDS = {
    "distinct": "number of distinct values",
    "approx_distinct": "number of distinct values, estimated,",
    "mode": "most frequent value",
    "trend": "least-squares slope per day",
    "since_last": "seconds since the last",
}
"""Functions that do not tell by their name what they are."""
TRAINING_SET = "One row per spine row: features as known at predict_at, label and split"


@dataclass(frozen=True)
class TableText:
    """What a table and its columns mean.

    Attributes:
        description: The table's comment.
        owner: Who answers for it.
        tags: Of the table.
        columns: Comments by column.
        column_tags: Tags by column.
    """

    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    columns: dict[str, str] = field(default_factory=dict)
    column_tags: dict[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def properties(self) -> dict[str, str]:
        """The table's comment and properties; empty where nothing is said, so that what was said before goes."""
        tags = json.dumps(self.column_tags) if self.column_tags else ""
        return {"comment": self.description, OWNER: self.owner, TAGS: ", ".join(self.tags), COLUMN_TAGS: tags}


def texts_of(pipeline: Pipeline) -> dict[str, TableText]:
    """What the YAML says of each cleaned table, feature table and the training set.

    A table without an owner has the pipeline's; a feature is told by what it is, its window and its source.
    """
    texts = {name: _text(pipeline, table, {}) for name, table in pipeline.tables.items()}
    for name, table in pipeline.feature_tables.items():
        texts[name] = _text(pipeline, table, dict(_features(table, texts[table.from_])))
    if pipeline.training_set:
        columns = {
            f"{name}__{column}": text
            for name in pipeline.training_set.features
            for column, text in texts[name].columns.items()
            if column not in (*pipeline.feature_tables[name].entity, "valid_from", "valid_until")
        }
        columns |= {**pipeline.training_set.row_features, "label": _label(pipeline.training_set)}
        columns |= {CENSORED: pipeline.training_set.censored} if pipeline.training_set.censored else {}
        texts["training_set"] = TableText(TRAINING_SET, pipeline.owner or "", columns=columns)
    return texts


def _label(training: TrainingSet) -> str:
    label = training.future
    if label is None:
        return training.expression or ""
    where = f" where {label.where}" if label.where else ""
    return f"{label.aggregate} of {label.from_}{where}, within {label.within} after predict_at"


def _text(pipeline: Pipeline, table: Table | FeatureTable, made: dict[str, str]) -> TableText:
    said = {column: text.description for column, text in table.describe.items() if text.description}
    both = {column: f"{said[column]} ({made[column]})" for column in said if column in made}
    return TableText(
        table.description or "",
        table.owner or pipeline.owner or "",
        table.tags,
        {**made, **said, **both},
        {column: text.tags for column, text in table.describe.items() if text.tags},
    )


def _features(table: FeatureTable, source: TableText) -> Iterator[tuple[str, str]]:
    """Each column of a feature table: what it is, its window, its source."""
    for column in table.entity:
        if column in source.columns:
            yield column, source.columns[column]
    for part in table.aggregates:
        what = "events" if part.column == "*" else part.column
        where = f" where {part.where}" if part.where else ""
        for function in part.functions:
            for window in part.windows:
                text = f"{_WORDS.get(function, function)} of {what}{where} over {window}, from {table.from_}"
                yield aggregate_column(part, function, window), text
    within = f", not older than {table.max_age}" if table.max_age else ""
    for column in table.latest:
        yield column, _of(source, column, f"newest {column} known{within}, from {table.from_}")
    if table.until:
        yield "valid_until", _of(source, table.until, f"the row holds from event_time until this, {table.until}")
    for column in table.lookup:
        yield column, _of(source, column, f"{column} by {', '.join(table.entity)}, from {table.from_}")
    if table.aggregates:
        when = f"on a grid, every {table.grid}" if table.grid else "when something became known"
        yield "valid_from", f"the values hold from this moment, {when} (UTC)"
        yield "valid_until", "until this one: something else becomes known, or an event leaves a window (UTC)"


def _of(source: TableText, column: str, text: str) -> str:
    return f"{source.columns[column]} ({text})" if column in source.columns else text
