"""Models that are several models: one per segment, each asked for its own rows; or all asked, and the mean taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from headrace.models.compiled.columns import Column, Floats, Frame, Vector
from headrace.models.compiled.stages import Arrays, Params, Step

Places = npt.NDArray[np.int64]
Build = Callable[[str, Params, Arrays], Step]
"""A step, of its kind and what it holds."""


def packed(members: Sequence[Sequence[tuple[str, Params, Mapping[str, Any]]]]) -> tuple[list[Any], dict[str, Any]]:
    """The steps of several models, as one step's parameters and arrays can hold them."""
    arrays = {
        f"{number}.{place}.{name}": array
        for number, steps in enumerate(members)
        for place, (_, _, held) in enumerate(steps)
        for name, array in held.items()
    }
    return [[[kind, params, sorted(held)] for kind, params, held in steps] for steps in members], arrays


def _models(params: Params, arrays: Arrays, build: Build) -> list[list[Step]]:
    return [
        [
            build(kind, told, {name: arrays[f"{number}.{place}.{name}"] for name in names})
            for place, (kind, told, names) in enumerate(steps)
        ]
        for number, steps in enumerate(params["members"])
    ]


def _asked(steps: Sequence[Step], frame: Frame, rows: int) -> Frame:
    for step in steps:
        step(frame, rows)
    return frame


def segments(params: Params, arrays: Arrays, build: Build) -> Step:
    """A model per segment: of `members` the first answers for all rows without a segment in `values`, as `transform` has it."""
    models, inputs, classes = _models(params, arrays, build), params["reads"], params["classes"]
    known = pa.array(params["values"], pa.string())

    def run(frame: Frame, rows: int) -> None:
        which = _segments(frame[params["by"]], known)
        order = np.argsort(which, kind="stable")
        ends = np.searchsorted(which[order], np.arange(len(models) + 1))
        prediction, likely = np.empty(rows), np.empty((rows, classes))
        for number in np.flatnonzero(np.diff(ends)):
            mine = order[ends[number] : ends[number + 1]]
            said = _asked(models[number], {name: _taken(frame[name], mine) for name in inputs[number]}, len(mine))
            prediction[mine] = said["prediction"].values
            if classes:
                likely[mine] = said["probability"].dense()
        _give(frame, prediction, likely)

    return run


def mean(params: Params, arrays: Arrays, build: Build) -> Step:
    """The mean of what `members` say: of numbers, or of the probabilities of classes; the first of the likeliest wins."""
    models, inputs, classes = _models(params, arrays, build), params["reads"], params["classes"]

    def run(frame: Frame, rows: int) -> None:
        total = np.zeros((rows, max(1, classes)))
        for steps, names in zip(models, inputs, strict=True):
            said = _asked(steps, {name: frame[name] for name in names}, rows)
            one = said["probability"].dense() if classes else said["prediction"].values[:, None]
            total[:, : one.shape[1]] += one
        total /= float(len(models))
        _give(frame, total.argmax(axis=1).astype(np.float64) if classes else total[:, 0], total[:, :classes])

    return run


def _give(frame: Frame, prediction: Floats, likely: Floats) -> None:
    frame["prediction"] = Column(prediction)
    if likely.shape[1]:
        frame["probability"] = Vector([likely])


def _segments(of: Column, known: pa.Array) -> Places:
    """The number of each row's model: 0 where there is none of its segment."""
    import pyarrow.compute as pc

    text = of.values if of.kind == "text" else pa.array(of.values, mask=of.nulls).cast(pa.string())
    found = pc.index_in(text, value_set=known, skip_nulls=True).fill_null(-1)
    return np.asarray(found.to_numpy(zero_copy_only=False), dtype=np.int64) + 1


def _taken(of: Any, places: Places) -> Any:
    """Some rows of a column, or of vectors."""
    if isinstance(of, Vector):
        return Vector([of.dense()[places]])
    if of.kind == "list":
        return of
    if of.kind == "struct":
        return of._replace(values={name: _taken(one, places) for name, one in of.values.items()})
    values = of.values.take(pa.array(places)) if of.kind == "text" else of.values[places]
    return of._replace(values=values, nulls=None if of.nulls is None else of.nulls[places])
