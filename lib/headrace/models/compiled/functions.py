"""Functions of SQL over whole columns: as Spark computes them, nulls and NaN included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.models.compiled import texts
from headrace.models.compiled.columns import Column, column
from headrace.models.compiled.moments import MOMENTS, as_date


def _nulls(*columns: Column) -> Any:
    """Where any has none."""
    found = [one.nulls for one in columns if one.nulls is not None]
    return None if not found else found[0] if len(found) == 1 else np.logical_or.reduce(np.broadcast_arrays(*found))


def _plain(of: Callable[..., Any], kind: str = "number") -> Callable[..., Column]:
    """A function that gives null of null."""
    return lambda *columns: Column(of(*[one.values for one in columns]), _nulls(*columns), kind)


def _less(one: Any, other: Any) -> Any:
    """NaN is the greatest of all numbers, and equal to itself."""
    less = np.less(one, other)
    odd = _nan(other)
    return less if odd is None else less | (odd & ~np.isnan(one))


def _nan(values: Any) -> Any:
    """Where values are NaN; None: nowhere."""
    if np.asarray(values).dtype.kind != "f":
        return None
    odd = np.isnan(values)
    return odd if np.any(odd) else None


def _equal(one: Column, other: Column) -> Column:
    if "text" in (one.kind, other.kind):
        found = column(pc.equal(one.values, other.values))
        return Column(found.values, found.nulls)
    a, b = one.values, other.values
    return Column((a == b) | ((a != a) & (b != b)), _nulls(one, other))


def _and(one: Column, other: Column) -> Column:
    a, b = (one.values, other.values)
    if one.nulls is None and other.nulls is None:
        return Column(a & b)
    false = (~a & _known(one)) | (~b & _known(other))
    return Column(~false, ~false & ~(_known(one) & _known(other)))


def _or(one: Column, other: Column) -> Column:
    found = _and(_not(one), _not(other))
    return _not(found)


def _not(one: Column) -> Column:
    return Column(~np.asarray(one.values, dtype=bool), one.nulls)


def _known(one: Column) -> Any:
    return np.True_ if one.nulls is None else ~one.nulls


def _true(one: Column) -> Any:
    return one.values if one.nulls is None else one.values & ~one.nulls


def _coalesce(*columns: Column) -> Column:
    if columns[0].kind == "text":
        return Column(pc.coalesce(*[one.values for one in columns]), None, "text")
    found = columns[0]
    for other in columns[1:]:
        if found.nulls is None:
            break
        nulls = None if other.nulls is None else found.nulls & other.nulls
        found = Column(np.where(found.nulls, other.values, found.values), nulls, found.kind)
    return found


def _case(*parts: Column) -> Column:
    """Condition, value, ..., value of all else."""
    found = parts[-1]
    for place in range(len(parts) - 3, -1, -2):
        found = _if(parts[place], parts[place + 1], found)
    return found


def _if(condition: Column, then: Column, other: Column) -> Column:
    met = _true(condition)
    if "text" in (then.kind, other.kind):
        return Column(pc.if_else(pa.array(met), then.values, other.values), None, "text")
    if other.nulls is not None and np.ndim(other.nulls) == 0 and other.nulls:  # else nothing
        return Column(then.values, ~met if then.nulls is None else ~met | then.nulls, then.kind)
    nulls = None
    if then.nulls is not None or other.nulls is not None:
        nulls = np.where(met, ~_known(then), ~_known(other))
    return Column(np.where(met, then.values, other.values), nulls, then.kind)


def _extreme(sign: int) -> Callable[..., Column]:
    """The least or the greatest of those that are not null; NaN is the greatest."""

    def of(*columns: Column) -> Column:
        found = columns[0]
        for other in columns[1:]:
            takes = _less(other.values, found.values) if sign < 0 else _less(found.values, other.values)
            if found.nulls is not None or other.nulls is not None:
                takes = ~_known(found) | (takes & _known(other))
            nulls = None if found.nulls is None or other.nulls is None else found.nulls & other.nulls
            found = Column(np.where(takes, other.values, found.values), nulls)
        return found

    return of


def _logarithm(one: Column) -> Column:
    nothing = np.less_equal(one.values, 0)
    return Column(np.log(one.values), nothing if one.nulls is None else nothing | one.nulls)


def _unless(one: Column, other: Column) -> Column:
    """Null where both are the same."""
    same = _true(_equal(one, other))
    if one.kind == "text":
        return Column(pc.if_else(pa.array(same), pa.scalar(None, pa.string()), one.values), None, "text")
    return Column(one.values, same if one.nulls is None else same | one.nulls, one.kind)


def _whole_division(a: Any, b: Any) -> Any:
    return np.sign(a) * np.sign(b) * (np.abs(a) // np.abs(b))


def _at(values: Column, place: Column) -> Column:
    whole = np.where(False if place.nulls is None else place.nulls, 1, place.values)
    return Column(values.values.take(whole - 1), place.nulls)


def cast(kind: str, of: Column) -> Column:
    """A column as another type, by its name in Spark.

    Raises:
        ValueError: For a cast that is not known here.
    """
    if kind == "string":
        return of if of.kind == "text" else Column(texts.as_text(_arrow(of)), None, "text")
    if of.kind == "text":
        found = column(texts.numbers(of.values))  # only `try_cast` is of text
        return Column(found.values, found.nulls)
    if kind == "date":
        return as_date(of)
    if kind == "double":
        return Column(np.asarray(of.values, dtype=np.float64), of.nulls)
    if kind in ("int", "bigint"):
        return Column(np.trunc(of.values).astype(np.int64), of.nulls)
    if kind == "timestamp" and of.kind == "timestamp":
        return of
    raise ValueError(f"cast({of.kind} as {kind})")


def _arrow(of: Column) -> pa.Array:
    values = np.ascontiguousarray(of.values)
    if of.kind == "date":
        return pa.array(values.astype(np.int32), pa.int32(), mask=of.nulls).cast(pa.date32())
    if of.kind != "number":
        raise ValueError(f"cast({of.kind} as string)")
    return pa.array(values, mask=of.nulls)


FUNCTIONS: dict[str, Callable[..., Column]] = {
    "+": _plain(np.add), "-": _plain(np.subtract), "*": _plain(np.multiply), "/": _plain(np.true_divide),
    "div": _plain(_whole_division), "pmod": _plain(np.mod), "neg": _plain(np.negative),
    "<": _plain(_less), ">": _plain(lambda a, b: _less(b, a)), "=": _equal,
    "<=": _plain(lambda a, b: ~_less(b, a)), ">=": _plain(lambda a, b: ~_less(a, b)),
    "and": _and, "or": _or, "not": _not, "is null": lambda one: Column(_is_null(one)),
    "isnan": lambda one: Column(np.isnan(one.values) & _known(one)),
    "coalesce": _coalesce, "case": _case, "if": _if, "least": _extreme(-1), "greatest": _extreme(1),
    "abs": _plain(np.abs), "sign": _plain(np.sign), "sqrt": _plain(np.sqrt), "exp": _plain(np.exp),
    "expm1": _plain(np.expm1), "log1p": _plain(np.log1p), "ln": _logarithm, "sin": _plain(np.sin),
    "cos": _plain(np.cos), "pi": lambda: Column(np.float64(np.pi)),
    "tan": _plain(np.tan), "radians": _plain(np.radians), "degrees": _plain(np.degrees), "power": _plain(np.power),
    "floor": _plain(lambda a: np.floor(a).astype(np.int64)), "ceil": _plain(lambda a: np.ceil(a).astype(np.int64)),
    "%": _plain(np.fmod), "<>": lambda one, other: _not(_equal(one, other)), "nullif": _unless,
    "element_at": _at, "json": lambda *columns: Column(texts.joined([one.values for one in columns]), None, "text"),
    **MOMENTS,
}  # fmt: skip


def _is_null(one: Column) -> Any:
    if one.kind == "text":
        return one.values.is_null().to_numpy(zero_copy_only=False)
    return np.zeros(np.shape(one.values), bool) if one.nulls is None else one.nulls
