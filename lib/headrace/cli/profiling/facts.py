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
        data: File, folder, glob, or table, as given; empty where `options` say it all.
        label: Column to predict; None: only a profile is asked for.
        key: Columns that make a row unique; empty: look for one.
        event_time: Column with the time of a row; None: look for one.
        task: A task; None: by the label.
        user: Of a recommendation: column of who rates.
        item: Of a recommendation: column of what is rated.
        rating: Of a recommendation: column of the rating; None: each row says that the item was liked.
        exclude: Columns that are to be no features.
        name: The pipeline's name; None: by the file.
        format: Format of Spark's reader; None: by the file's name.
        options: Options of Spark's reader.
    """

    data: str
    label: str | None = None
    key: tuple[str, ...] = ()
    event_time: str | None = None
    task: str | None = None
    user: str | None = None
    item: str | None = None
    rating: str | None = None
    exclude: tuple[str, ...] = ()
    name: str | None = None
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def told(self) -> str:
        """The data, in words."""
        return self.data or self.options.get("dbtable") or self.options.get("query") or f"the {self.format} source"


@dataclass(frozen=True)
class Read:
    """How the data are read: format and options of Spark's reader, and why an option was chosen."""

    format: str
    options: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ColumnFacts:
    """One column.

    Attributes:
        name: As it will be called: a lower-case identifier.
        written: As it is called in the file.
        type: SQL type; `other` for what is no plain value (arrays, structs).
        profile: What its values look like.
        repair: SQL that makes it a number or time though it is written otherwise, or None.
        source: Type in the source; `string` in text files.
        examples: Some of its values.
        ambiguous: Another pattern of days and months that all values allow as well.
    """

    name: str
    written: str
    type: str
    profile: ColumnProfile
    repair: str | None = None
    source: str = "string"
    examples: tuple[str, ...] = ()
    ambiguous: str | None = None

    @property
    def missing(self) -> int:
        """Rows without a value, and those with a mark that stands for none."""
        return self.profile.missing + (0 if self.type == "string" else self.profile.marked)


@dataclass(frozen=True)
class LabelFacts:
    """The label's values: the most frequent ones (at most 101), with their counts; and how they are written."""

    counts: tuple[tuple[str, int], ...]
    names: dict[str, str] = field(default_factory=dict)

    def name(self, written: str | None) -> str | None:
        """A value by the way it is written: `1.50` is `1.5`; None for what counts as missing."""
        return None if written is None else self.names.get(written)

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


@dataclass(frozen=True)
class DataFacts:
    """A data set.

    Attributes:
        rows: Number of rows.
        columns: In the order of the file.
        label: The label's name (as in `columns`); None: none was asked for.
        values: The label's values.
        key: Columns that make a row unique; empty: none was found.
        duplicates: Rows that share their key with an earlier one.
        event_time: Column with the time of a row, or None.
        times: Its quantiles, or None.
        other_times: Further columns with times.
        leaks: Column -> why it is a copy of the label, or almost.
    """

    read: Read
    rows: int
    columns: tuple[ColumnFacts, ...]
    label: str | None = None
    values: LabelFacts = field(default_factory=lambda: LabelFacts(()))
    key: tuple[str, ...] = ()
    duplicates: int = 0
    event_time: str | None = None
    times: Times | None = None
    other_times: tuple[str, ...] = ()
    leaks: dict[str, str] = field(default_factory=dict)

    @property
    def labelled(self) -> ColumnFacts:
        """The label's column."""
        return self.column(self.label or "")

    def column(self, name: str) -> ColumnFacts:
        """A column by its name."""
        return next(column for column in self.columns if column.name == name)
