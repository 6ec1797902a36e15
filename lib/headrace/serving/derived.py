"""Row features in real time: SQL over a row's own columns and looked-up features, as far as it needs no Spark.

`headrace publish` puts those down that it has seen to agree with Spark's on sampled rows; all others are given in requests.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from sqlglot.errors import SqlglotError

from headrace.models.compiled.columns import Column, Frame, column
from headrace.models.compiled.expressions import Evaluated, Node, filled, names, ready
from headrace.models.compiled.sql import NotCompiled, levels
from headrace.serving.typed import arrow_type

_RESULTS = ("tinyint", "smallint", "int", "bigint", "float", "double", "boolean", "string")


@dataclass(frozen=True)
class RowFeature:
    """A row feature that needs no Spark.

    Attributes:
        name: Its column.
        sql: As in the YAML.
        kind: Its SQL type.
        reads: Columns, looked-up features and earlier row features that it reads; their SQL types.
    """

    name: str
    sql: str
    kind: str
    reads: Mapping[str, str]
    compute: Evaluated = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "compute", ready(node_of(self.name, self.sql)))


def node_of(name: str, sql: str) -> Node:
    """An expression taken apart.

    Raises:
        NotCompiled: If it has functions that are not known here.
    """
    try:
        return levels(f"SELECT *, {sql} AS `{name}` FROM __THIS__")[0][name]
    except (SqlglotError, KeyError) as error:
        raise NotCompiled(f"SQL of another form: {sql[:80]}") from error


def row_feature(name: str, sql: str, kinds: Mapping[str, str]) -> RowFeature | None:
    """A row feature, if it needs no Spark.

    Args:
        name: Its column.
        sql: As in the YAML.
        kinds: Columns that it may read, and its own; their SQL types.
    """
    try:
        node = node_of(name, sql)
        ready(node)
    except (NotCompiled, KeyError, ValueError):
        return None
    reads = names(node)
    kind = kinds.get(name, "")
    if kind not in _RESULTS or any(arrow_type(kinds.get(one, "")) is None for one in reads):
        return None
    return RowFeature(name, sql, kind, {one: kinds[one] for one in sorted(reads)})


class Derived:
    """Computes row features.

    Args:
        features: In their order: later ones may read earlier ones.
    """

    def __init__(self, features: Sequence[RowFeature]) -> None:
        self._features = tuple(features)
        self.leaves: dict[str, tuple[str, ...]] = {}
        for one in features:
            found = dict.fromkeys(leaf for name in one.reads for leaf in self.leaves.get(name, (name,)))
            self.leaves[one.name] = tuple(found)

    def add(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add the features to rows that have all that these are made of; what a row has already stays.

        Args:
            rows: Values by name; they are changed.
        """
        frame: Frame = {}
        for one in self._features:
            wanting = [
                row for row in rows if one.name not in row and all(leaf in row for leaf in self.leaves[one.name])
            ]
            if not wanting:
                continue
            for name, kind in one.reads.items():
                if name not in frame:
                    frame[name] = column(pa.array([row.get(name) for row in rows], arrow_type(kind)))
            with np.errstate(all="ignore"):
                values = listed(filled(one.compute(frame), len(rows)), one.kind)
            ids = {id(row) for row in wanting}
            for row, value in zip(rows, values, strict=True):
                if id(row) in ids:
                    row[one.name] = value


def listed(found: Column, kind: str) -> list[Any]:
    """A column as Python's values of a SQL type."""
    if found.kind == "text":
        return list(found.values.to_pylist())
    to: Any = bool if kind == "boolean" else float if kind in ("float", "double") else int
    nulls = [False] * len(found.values) if found.nulls is None else found.nulls.tolist()
    return [None if null else to(value) for value, null in zip(found.values.tolist(), nulls, strict=True)]
