"""Rules of a table: SQL of one's own, or one of the ready-made kinds. What they mean as SQL: `validate/checks.py`."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator
from pydantic.config import JsonDict

from headrace.config.durations import Duration
from headrace.config.file.document import shown
from headrace.config.outliers import OutlierRule
from headrace.config.section import Name, Section
from headrace.config.values import Column, Columns, Sql

OnFail = Literal["quarantine", "warn", "fail"]
LAST = 7
"""Loads that a row count is held against, where nothing is said."""

_SHARE = re.compile(r"(\d{1,3}(?:\.\d{1,9})?) ?%")
_JAVA_ONLY = re.compile(r"\\[pPQEzZhHRXGkN]|\(\?<[A-Za-z]|\(\?[a-zA-Z]*-?[a-zA-Z]+[):]|&&|\[[^\]]*\[|[*+?}]\+")


def _share(value: object) -> object:
    found = _SHARE.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None or Fraction(found[1]) > 100:
        raise ValueError(f"{shown(value)} came; write a share of the rows such as 1% or 0.5%")
    return f"{found[1]}%"


def share_of(text: str) -> Fraction:
    """A share as a number.

    >>> share_of("0.5%")
    Fraction(1, 200)
    """
    return Fraction(text.removesuffix("%")) / 100


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _values(value: object) -> object:
    if value is None or isinstance(value, str):
        if value is not None and not re.fullmatch(r"\s*[A-Za-z]\w*\.\w+\s*", value):
            raise ValueError(f"{shown(value)} came; write a list of values, or another table's column as airports.faa")
        return value and value.strip().lower()
    if not isinstance(value, list | tuple) or not value:
        raise ValueError(f"{shown(value)} came; write a list of at least one value, or another table's column")
    for one in value:
        if not (isinstance(one, str | bool) or _number(one)):
            raise ValueError(f"{shown(one)} cannot be in the list: values are text, numbers, true, false; NULL passes")
    return tuple(value)


def _bounds(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise ValueError(f"{shown(value)} came; write [lowest, highest], null for an open end")
    low, high = value
    both = [end for end in value if end is not None]
    if not both or not (all(map(_number, both)) or all(isinstance(end, str) for end in both)):
        raise ValueError("the ends are two numbers, or two texts (also dates), at most one of them null")
    if len(both) == 2 and _number(low) and low > high:
        raise ValueError(f"nothing lies between {low} and {high}; the lower end comes first")
    return tuple(value)


def _regex(value: str) -> str:
    """Java's word is the last; what its regular expressions share with Python's is checked at once."""
    if re.search(r"(?<!\\)\(\?P", value):
        raise ValueError(f"{shown(value)} is no regular expression of Java's: a group's name is written (?<name>...)")
    if not _JAVA_ONLY.search(value):
        try:
            re.compile(value)
        except re.error as error:
            raise ValueError(f"{shown(value)} is no regular expression: {error}") from error
    return value


Share = Annotated[str, BeforeValidator(_share), Field(json_schema_extra={"pattern": r"^\d{1,3}(\.\d{1,9})? ?%$"})]
_SCALARS: dict[str, Any] = {"type": ["string", "number", "boolean"]}
Values = Annotated[
    Any,
    AfterValidator(_values),
    WithJsonSchema({"anyOf": [{"type": "array", "items": _SCALARS, "minItems": 1}, {"type": "string"}]}),
]
Bounds = Annotated[
    Any,
    AfterValidator(_bounds),
    WithJsonSchema(
        {"type": "array", "items": {"type": ["number", "string", "null"]}, "minItems": 2, "maxItems": 2},
    ),
]
Regex = Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_regex)]

OF_A_COLUMN = ("in", "between", "matches", "parses", "monotonic", "outlier")
OF_THE_TABLE = ("freshness", "row_count_within")
KINDS = ("check", "not_null", "unique", "ordered", *OF_A_COLUMN, *OF_THE_TABLE)
"""What a rule can be, by the key that says it."""


def _one_kind_each(schema: JsonDict) -> None:
    """For editors: the keys that each kind needs."""
    needs = {"check": ["name", "check"], "monotonic": ["column", "monotonic", "by"]}
    kinds = [needs.get(k, ["column", k] if k in OF_A_COLUMN else [k]) for k in KINDS]
    schema["anyOf"] = [{"required": list(keys)} for keys in kinds]


class Rule(Section):
    """What must hold of each row, or of the table. NULL passes, but for `not_null`."""

    model_config = ConfigDict(json_schema_extra=_one_kind_each)

    name: Name | None = None
    check: Sql | None = None
    not_null: Columns = Field((), description="columns that have a value in every row; each is a rule of its own")
    unique: Columns = Field((), description="columns whose values, taken together, no two rows share")
    ordered: Columns = Field((), description="columns of which no value lies below one before it; NULL is passed over")
    column: Columns = Field((), description="what the rule is about; of several each is a rule of its own")
    in_: Values | None = Field(None, alias="in", description="a list, or another table's column as `airports.faa`")
    between: Bounds | None = Field(None, description="[lowest, highest], both included; null for an open end")
    matches: Regex | None = Field(None, description="a regular expression (Java's) for the whole value")
    parses: str | None = Field(None, description="a SQL type that the text can be read as")
    monotonic: Literal["increasing", "decreasing"] | None = Field(
        None, description="no value lies below (above) the one before it in time; equal ones may follow each other"
    )
    outlier: OutlierRule | None = Field(None, description="numbers far from the others break it")
    by: Columns = Field((), description="with `monotonic`: columns of what has a history of its own")
    time: Column | None = Field(None, description="the clock of monotonic and freshness; default: event_time")
    freshness: Duration | None = Field(None, description="how old the newest row that is kept may be, as of the run")
    row_count_within: Share | None = Field(
        None, description="how far the rows of this load may be from the median of those before it, as `20%`"
    )
    of_last: int | None = Field(None, ge=1, le=1_000, description=f"loads that row_count_within looks at; {LAST}")
    on_fail: OnFail = "quarantine"
    at_most: Share | None = Field(None, description="the share of rows that may break it; above it the run stops")

    @model_validator(mode="before")
    @classmethod
    def _of_the_table_fails(cls, value: Any) -> Any:
        """No row can be set aside for what the table lacks."""
        if isinstance(value, dict) and "on_fail" not in value and any(value.get(k) is not None for k in OF_THE_TABLE):
            return {**value, "on_fail": "fail"}
        return value

    @model_validator(mode="after")
    def _of_one_kind(self) -> Rule:
        kinds = self._kinds()
        if len(kinds) != 1:
            told = ", ".join(kinds) if kinds else "none"
            raise ValueError(f"a rule has exactly one of {', '.join(KINDS)}; this one has {told}")
        for wrong in (self._wrong_company(kinds[0]), self._wrong_end(kinds[0])):
            if wrong:
                raise ValueError(wrong)
        return self

    def _wrong_company(self, kind: str) -> str | None:
        if kind == "check" and self.name is None:
            return "a `check` needs a `name`, by which quarantine and reports call it"
        if kind in OF_A_COLUMN and not self.column:
            return f"`{kind}` needs a `column`"
        if kind not in OF_A_COLUMN and self.column:
            return f"`{kind}` has no `column` beside it; leave it out"
        if (kind == "monotonic") != bool(self.by):
            return "`monotonic` needs `by`: columns of what has a history of its own; no other rule has it"
        if kind == "ordered" and len(set(self.ordered)) < 2:
            return "`ordered` needs two columns or more, in their order"
        if self.time and kind not in ("monotonic", "freshness"):
            return "`time` belongs to `monotonic` and `freshness`"
        return "`of_last` belongs to `row_count_within`" if self.of_last and kind != "row_count_within" else None

    def _wrong_end(self, kind: str) -> str | None:
        if kind in OF_THE_TABLE and self.on_fail == "quarantine":
            return f"`{kind}` is about the table, of which no row can be set aside; on_fail is fail (default) or warn"
        if kind in OF_THE_TABLE and self.at_most:
            return f"`at_most` is a share of rows, and `{kind}` is about the table; leave it out"
        if self.at_most and self.on_fail == "fail":
            return "with `at_most` say what becomes of the rows below it: on_fail is quarantine or warn"
        return None

    def _kinds(self) -> list[str]:
        return [k for k in KINDS if getattr(self, "in_" if k == "in" else k) not in (None, ())]

    @property
    def kind(self) -> str:
        """Which of `KINDS` it is."""
        return self._kinds()[0]

    @property
    def foreign(self) -> tuple[str, str] | None:
        """The other table and its column, of a foreign key."""
        if not isinstance(self.in_, str):
            return None
        table, _, column = self.in_.partition(".")
        return table, column

    @property
    def parts(self) -> dict[str, str | None]:
        """Names of the rules that it stands for, and the column each is about; None where that is not one column."""
        if self.kind not in ("not_null", *OF_A_COLUMN):
            derived = {k: "_".join((*getattr(self, k), k)) for k in ("unique", "ordered")}
            derived["row_count_within"] = "row_count"
            return {self.name or derived.get(self.kind, self.kind): None}
        columns = self.not_null or self.column
        if self.name:
            return {self.name if len(columns) == 1 else f"{self.name}_{column}": column for column in columns}
        ending = self.monotonic or (f"in_{self.foreign[0]}" if self.foreign else self.kind)
        return {f"{column}_{ending}": column for column in columns}
