"""The fields of sources that have no schema: as the YAML says, or as a sample shows, and as they landed before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import ArrayType, NullType, StringType, StructField, StructType

from headrace.config.names import column_names
from headrace.ingest.drift import grown


@dataclass(frozen=True)
class Fields:
    """Which fields are read.

    Attributes:
        declared: Those of the YAML, with their types; None: a sample shows them.
        known: Those that were read before: they are read on, in their types, whatever the sample shows now.
    """

    declared: StructType | None = None
    known: StructType | None = None

    def settled(self, sampled: StructType, watermark: str | None) -> StructType:
        """The fields to read, where a sample shows them; the watermark keeps its type whatever it shows."""
        before = self.known or StructType([])
        names = dict(zip(before.names, column_names(before.names), strict=True))
        kept = {one.name for one in before if names[one.name] == (watermark or "").lower()}
        sampled = StructType([before[one.name] if one.name in kept else one for one in sampled])
        found: StructType = _without_nulls(grown(sampled, self.known))
        return found


def open_numbers(sampled: StructType) -> tuple[str, ...]:
    """Columns that hold numbers without declared digits: decimals, which become text."""
    names = column_names(sampled.names)
    return tuple(n for n, one in zip(names, sampled, strict=True) if "decimal" in one.dataType.simpleString())


def _without_nulls(kind: Any) -> Any:
    """A type in which what never had a value is text."""
    if isinstance(kind, StructType):
        return StructType([StructField(one.name, _without_nulls(one.dataType)) for one in kind])
    if isinstance(kind, ArrayType):
        return ArrayType(_without_nulls(kind.elementType))
    return StringType() if isinstance(kind, NullType) else kind
