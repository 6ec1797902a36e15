"""Rows that scorers differ on, if on any: each feature in turn null, empty, odd, huge, tiny, never seen."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

_DAYS = [date(1, 1, 1), date(1969, 12, 31), date(2000, 2, 29), date(9999, 12, 31)]


def rows(real: pa.Table) -> pa.Table:
    """Rows with the columns of real ones, which stay as in the first of these but for one column each; one all null."""
    nothing = pa.Table.from_arrays([pa.nulls(1, field.type) for field in real.schema], schema=real.schema)
    base = real.slice(0, 1) if real.num_rows else nothing
    made = [nothing]
    for place, field in enumerate(real.schema):
        values = pa.array([None, *_values(field.type)], field.type)
        repeated = base.take(pa.array([0] * len(values)))
        made.append(repeated.set_column(place, field, values))
    return pa.concat_tables(made)


def _values(kind: pa.DataType) -> list[Any]:
    if pa.types.is_floating(kind):
        huge = 1e300 if kind == pa.float64() else 3e38
        return [float("nan"), float("inf"), float("-inf"), 0.0, -0.0, 1.0, -1.0, huge, -huge, 5e-324]
    if pa.types.is_integer(kind):
        top = 2 ** (kind.bit_width - 1)
        return [0, 1, -1, top - 1, -top]
    if pa.types.is_decimal(kind):
        largest = Decimal(10 ** int(kind.precision) - 1).scaleb(-int(kind.scale))
        return [Decimal(0), largest, -largest]
    if pa.types.is_boolean(kind):
        return [True, False]
    if pa.types.is_date(kind):
        return list(_DAYS)
    if pa.types.is_timestamp(kind):
        zone = UTC if kind.tz else None
        return [datetime(one.year, one.month, one.day, 23, 59, 59, 999999, tzinfo=zone) for one in _DAYS]
    return ["", " ", "never seen before \u2603", "0", " 1e3 ", "NaN", "a\u0000b", "x" * 5000]
