"""Stages of Spark ML that make features, and those that come after a model, over whole columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from headrace.models.compiled.columns import Column, Floats, Frame, Hot, Vector
from headrace.models.compiled.expressions import evaluate, filled

Params = Mapping[str, Any]
Arrays = Mapping[str, Any]
Step = Callable[[Frame, int], None]
"""Adds columns to those of so many rows."""


class Unscorable(ValueError):
    """Rows that the model itself refuses; the text says why."""


def sql(params: Params, arrays: Arrays) -> Step:
    """Columns of one level of a statement."""
    make = params["make"]

    def run(frame: Frame, rows: int) -> None:
        found = {name: evaluate(node, frame) for name, node in make.items()}
        frame.update({name: filled(one, rows) if isinstance(one, Column) else one for name, one in found.items()})

    return run


def index(params: Params, arrays: Arrays) -> Step:
    """The place of a text among those that were kept; of all others, and of null, one more."""
    known = pa.array(params["labels"], pa.string())

    def run(frame: Frame, rows: int) -> None:
        of = frame[params["input"]].values
        places = pc.index_in(of, value_set=known, skip_nulls=True).fill_null(len(known))
        frame[params["output"]] = Column(places.to_numpy(zero_copy_only=False).astype(np.int64))

    return run


def hot(params: Params, arrays: Arrays) -> Step:
    """A 1 at the place of each index."""

    def run(frame: Frame, rows: int) -> None:
        for source, target, width in zip(params["inputs"], params["outputs"], params["sizes"], strict=True):
            frame[target] = Vector([Hot(frame[source].values.astype(np.int64), width)])

    return run


def assemble(params: Params, arrays: Arrays) -> Step:
    """Numbers and vectors side by side; what is missing is NaN, or refused as Spark refuses it."""

    def part(name: str, found: Any) -> list[Any]:
        if isinstance(found, Vector):
            return list(found.parts)
        values = np.asarray(found.values, dtype=np.float64)
        if found.nulls is not None:
            values = np.where(found.nulls, np.nan, values)
        if not params["keep"] and np.isnan(np.sum(values)) and np.isnan(values).any():  # a sum is NaN of inf - inf too
            raise Unscorable(f"{name} is null or NaN in some rows, which the model does not take")
        return [values]

    def run(frame: Frame, rows: int) -> None:
        parts = [one for name in params["inputs"] for one in part(name, frame[name])]
        frame[params["output"]] = Vector(parts)

    return run


def _of_vector(of: Callable[[Floats], Floats]) -> Callable[[Params], Step]:
    def made(params: Params) -> Step:
        def run(frame: Frame, rows: int) -> None:
            frame[params["output"]] = Vector([of(frame[params["input"]].dense())])

        return run

    return made


def picked(params: Params, arrays: Arrays) -> Step:
    """Some of a vector's numbers."""

    def run(frame: Frame, rows: int) -> None:
        frame[params["output"]] = Vector(frame[params["input"]].picked(params["places"]))

    return run


def components(params: Params, arrays: Arrays) -> Step:
    """Principal components: `weights` (components, width)."""

    def run(frame: Frame, rows: int) -> None:
        frame[params["output"]] = Vector([frame[params["input"]].dot(arrays["weights"])])

    return run


def times(params: Params, arrays: Arrays) -> Step:
    """Each number times its own factor."""
    return _of_vector(lambda rows: rows * arrays["factors"])(params)


def normal(params: Params, arrays: Arrays) -> Step:
    """Vectors of length 1 by the norm `p`; of nothing nothing."""
    power = params["p"]

    def of(rows: Floats) -> Floats:
        sizes = np.abs(rows)
        length = sizes.sum(axis=1) if power == 1 else (sizes**power).sum(axis=1) ** (1 / power)
        return np.asarray(rows * (1 / np.where(length == 0, 1.0, length))[:, None])

    return _of_vector(of)(params)


def spread(params: Params, arrays: Arrays) -> Step:
    """To 0 to 1 by the least and greatest of the training rows; what was always the same to a half."""
    low, width = arrays["low"], arrays["high"] - arrays["low"]
    factor = np.divide(1.0, width, out=np.zeros_like(width), where=width != 0)

    def of(rows: Floats) -> Floats:
        return np.where((width == 0) & ~np.isnan(rows), 0.5, (rows - low) * factor)

    return _of_vector(of)(params)


def rising(params: Params, arrays: Arrays) -> Step:
    """An isotonic regression of one number of a vector: its steps, linear in between."""
    x, y = arrays["boundaries"], arrays["predictions"]

    def run(frame: Frame, rows: int) -> None:
        (of,) = frame[params["input"]].picked([params["place"]])
        right = np.clip(np.searchsorted(x, of, side="left"), 1, len(x) - 1) if len(x) > 1 else np.zeros(rows, np.int64)
        left = np.maximum(right - 1, 0)
        width = np.where(x[right] > x[left], x[right] - x[left], 1.0)
        between = y[left] + (y[right] - y[left]) * (of - x[left]) / width
        exact = np.where(of == x[right], y[right], np.where(of == x[left], y[left], between))
        inside = np.where(of <= x[0], y[0], np.where(of >= x[-1], y[-1], exact))
        frame[params["output"]] = Column(np.where(np.isnan(of), y[-1], inside))

    return run
