"""Each column of the training set as one row, wherever the cluster has room, and what it alone tells.

Of a large training set a sample by a hash of the key is looked at: that a column knows the label shows in some hundred
thousand rows as well as in a billion. Rare classes are drawn more densely, which moves no area under a ROC curve.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import BooleanType, DataType, StringType

from headrace.leakage.alone import Rows, Told, look

MOST_ROWS = 200_000
MOST_CELLS = 20_000_000
"""Values that are looked at, of all columns; with many columns fewer rows, but never fewer than these."""
LEAST_ROWS = 50_000
PARTS = 1_000_000
_CUT = "position int, part binary, label binary, numbers binary, texts array<string>"
_TYPES = {"int": "bigint", "float": "double", "str": "string", "bool": "boolean"}
SCHEMA = "position int, " + ", ".join(
    f"{one.name} {_TYPES[str(one.type).removesuffix(' | None')]}" for one in fields(Told)
)


@dataclass(frozen=True)
class Asked:
    """What is looked at.

    Attributes:
        columns: To measure one by one, and whether their values are taken for text whatever their type.
        key: What tells rows apart.
        classes: The label's values in words; empty: it is a number.
    """

    columns: tuple[tuple[str, bool], ...]
    key: tuple[str, ...]
    classes: tuple[str, ...]


def capacity(columns: int) -> int:
    """Rows that are looked at."""
    return int(np.clip(MOST_CELLS // max(1, columns), LEAST_ROWS, MOST_ROWS))


def shares(rows: Mapping[tuple[str, int], int], most: int) -> dict[tuple[str, int], float]:
    """Which share of each part's classes is drawn: half of the room is theirs alike, the other half by their size.

    >>> shares({("train", 0): 10, ("train", 1): 999_990, ("validation", 0): 50}, 1_000)
    {('train', 0): 1.0, ('train', 1): 0.0005, ('validation', 0): 1.0}
    """
    found = {}
    for part, room in (("train", 0.6 * most), ("validation", 0.4 * most)):
        mine = {key: n for key, n in rows.items() if key[0] == part}
        whole = sum(mine.values())
        for key, n in mine.items():
            wanted = room / 2 / len(mine) + room / 2 * n / whole
            found[key] = 1.0 if whole <= room else round(min(1.0, wanted / n), 6)
    return found


def drawn(rows: DataFrame, key: Sequence[str], part: Mapping[tuple[str, int], float]) -> DataFrame:
    """The rows with `split` and `_class` that are drawn, always the same ones."""
    if all(share >= 1 for share in part.values()):
        return rows
    share = F.create_map(*[one for (s, c), n in part.items() for one in (F.lit(f"{s}/{c}"), F.lit(n))])
    mine = F.coalesce(share[F.concat_ws("/", "split", "_class")], F.lit(0.0))
    return rows.where(F.pmod(_hash(key, 1), F.lit(PARTS)) < mine * PARTS)


def measured(rows: DataFrame, asked: Asked) -> list[tuple[str, Told]]:
    """What each column alone tells. Runs one Spark job; a row per column comes back.

    Args:
        rows: With `split` (train, validation), `_label` (double: index of the class, or the number), the key and the columns.
        asked: What is looked at.
    """
    half = F.pmod(_hash(asked.key, 2), F.lit(2))
    part = F.when(F.col("split") == "validation", 2).otherwise(half).cast("tinyint")
    kinds = [rows.schema[name].dataType for name, _ in asked.columns]
    text = [
        as_text or isinstance(kind, StringType | BooleanType)
        for (_, as_text), kind in zip(asked.columns, kinds, strict=True)
    ]
    chosen = [_value(name, kind, is_text) for (name, _), kind, is_text in zip(asked.columns, kinds, text, strict=True)]
    plain = rows.select(
        part.alias("part"), F.col("_label").alias("label"), *[c.alias(f"c{i}") for i, c in enumerate(chosen)]
    )
    columns = plain.mapInArrow(_cut(text), _CUT).groupBy("position")
    found = columns.applyInArrow(_looking(asked.classes, text), SCHEMA)  # type: ignore[arg-type]
    told = {row["position"]: row.asDict() for row in found.collect()}  # a row per column
    names = [one.name for one in fields(Told)]
    return [(asked.columns[i][0], Told(**{name: told[i][name] for name in names})) for i in sorted(told)]


def _hash(key: Sequence[str], seed: int) -> Column:
    return F.xxhash64(*[F.col(f"`{name}`") for name in key], F.lit(seed))


def _value(name: str, kind: DataType, text: bool) -> Column:
    value = F.col(f"`{name}`")
    if text:
        return value.cast("string")
    number = value.cast("double")
    return F.when(F.abs(number) < float("inf"), number)  # neither NaN nor infinity


def _cut(text: Sequence[bool]) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Rows in batches -> of each batch a row per column."""

    def cut(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            if not batch.num_rows:
                continue
            part = batch.column(0).to_numpy(zero_copy_only=False).astype(np.int8).tobytes()
            label = batch.column(1).to_numpy(zero_copy_only=False).astype(float).tobytes()
            columns = batch.columns[2:]
            numbers = [
                None if is_text else column.to_numpy(zero_copy_only=False).astype(float).tobytes()
                for column, is_text in zip(columns, text, strict=True)
            ]
            count = len(text)
            arrays = [
                pa.array(range(count), pa.int32()),
                pa.array([part] * count, pa.binary()),
                pa.array([label] * count, pa.binary()),
                pa.array(numbers, pa.binary()),
                _lists(columns, text),
            ]
            yield pa.RecordBatch.from_arrays(arrays, names=["position", "part", "label", "numbers", "texts"])

    return cut


def _lists(columns: Sequence[pa.Array], text: Sequence[bool]) -> pa.ListArray:
    """The values of each column of text as one list; null for the others."""
    chosen = [column.cast(pa.string()) for column, is_text in zip(columns, text, strict=True) if is_text]
    offsets, end = [], 0
    for column, is_text in zip(columns, text, strict=True):
        offsets.append(end if is_text else None)
        end += len(column) if is_text else 0
    flat = pa.concat_arrays(chosen) if chosen else pa.array([], pa.string())
    return pa.ListArray.from_arrays(pa.array([*offsets, end], pa.int32()), flat)


def _looking(classes: tuple[str, ...], text: Sequence[bool]) -> Callable[[pa.Table], pa.Table]:
    def looking(table: pa.Table) -> pa.Table:
        position = int(table.column("position")[0].as_py())
        told = asdict(look(_rows(table, classes, text[position])))
        return pa.Table.from_pylist([{"position": position, **told}], schema=_arrow())

    return looking


def _rows(table: pa.Table, classes: tuple[str, ...], text: bool) -> Rows:
    part = np.frombuffer(b"".join(table.column("part").to_pylist()), dtype=np.int8).astype(np.int64)
    label = np.frombuffer(b"".join(table.column("label").to_pylist()))
    if not text:
        return Rows(part, label, classes, values=np.frombuffer(b"".join(table.column("numbers").to_pylist())))
    values = pc.list_flatten(table.column("texts")).combine_chunks().dictionary_encode()
    codes = values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return Rows(part, label, classes, codes=codes, texts=values.dictionary.to_pylist())


def _arrow() -> pa.Schema:
    kinds: dict[str, Any] = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
    named = [(one.name, kinds[str(one.type).removesuffix(" | None")]) for one in fields(Told)]
    return pa.schema([("position", pa.int32()), *named])
