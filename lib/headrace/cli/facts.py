"""What `headrace init` knows of a data set: plain values, so that what follows from them needs no Spark."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlglot import TokenType
from sqlglot.dialects.databricks import Databricks

from headrace.clean.inference import ColumnProfile


def quoted(name: str) -> str:
    """A column's name as it stands in SQL: in backquotes where it could be read as anything else.

    >>> quoted("churn"), quoted("end")
    ('churn', '`end`')
    """
    tokens = Databricks().tokenize(name) if name.isascii() and name.isidentifier() else []
    return name if len(tokens) == 1 and tokens[0].token_type is TokenType.VAR else f"`{name}`"


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        data: File, folder or glob, as given.
        label: Column to predict.
        key: Columns that make a row unique; empty: look for one.
        event_time: Column with the time of a row; None: look for one.
        task: binary, multiclass, regression; None: by the label.
        exclude: Columns that are to be no features.
        name: The pipeline's name; None: by the file.
    """

    data: str
    label: str
    key: tuple[str, ...] = ()
    event_time: str | None = None
    task: str | None = None
    exclude: tuple[str, ...] = ()
    name: str | None = None


@dataclass(frozen=True)
class Read:
    """How the data are read: format and options of Spark's reader."""

    format: str
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnFacts:
    """One column.

    Attributes:
        name: As it will be called: a lower-case identifier.
        written: As it is called in the file.
        type: SQL type; `other` for what is no plain value (arrays, structs).
        profile: What its values look like.
        repair: SQL that makes it a number though it is written otherwise, or None.
    """

    name: str
    written: str
    type: str
    profile: ColumnProfile
    repair: str | None = None


@dataclass(frozen=True)
class LabelFacts:
    """The label's values: the most frequent ones (at most 101), with their counts."""

    counts: tuple[tuple[str, int], ...]

    @property
    def rows(self) -> int:
        """Rows with one of these values."""
        return sum(count for _, count in self.counts)


@dataclass(frozen=True)
class Times:
    """Quantiles of the event time: 70 %, 85 %, and the last one."""

    first: datetime
    train_until: datetime
    validation_until: datetime
    last: datetime
    pattern: str | None = None


@dataclass(frozen=True)
class DataFacts:
    """A data set.

    Attributes:
        rows: Number of rows.
        columns: In the order of the file.
        label: The label's name (as in `columns`).
        values: The label's values.
        key: Columns that make a row unique; empty: none was found.
        duplicates: Rows that share their key with an earlier one.
        event_time: Column with the time of a row, or None.
        times: Its quantiles, or None.
        leaks: Column -> why it is a copy of the label, or almost.
    """

    read: Read
    rows: int
    columns: tuple[ColumnFacts, ...]
    label: str
    values: LabelFacts
    key: tuple[str, ...] = ()
    duplicates: int = 0
    event_time: str | None = None
    times: Times | None = None
    leaks: dict[str, str] = field(default_factory=dict)

    def column(self, name: str) -> ColumnFacts:
        """A column by its name."""
        return next(column for column in self.columns if column.name == name)
