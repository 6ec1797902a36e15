"""Text as Java and Spark read and write it; each distinct text once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?")
_NAMED = {"nan": np.nan, "inf": np.inf, "+inf": np.inf, "-inf": -np.inf}
_NAMED |= {"infinity": np.inf, "+infinity": np.inf, "-infinity": -np.inf}
_BLANK = "".join(map(chr, range(33)))
_CONTROL = re.compile(r"\\u00([0-9a-f]{2})")


def _each(array: pa.Array, of: Callable[[Any], Any], kind: pa.DataType) -> pa.Array:
    """What becomes of each value; distinct ones are asked once, nulls stay."""
    coded = array.dictionary_encode()
    return pa.array([of(value) for value in coded.dictionary.to_pylist()], kind).take(coded.indices)


def number(text: str) -> float | None:
    """The double that Spark casts a text to; None where it is none."""
    plain = text.strip(_BLANK)
    if _NUMBER.fullmatch(plain):
        return float(plain.rstrip("fFdD"))
    return _NAMED.get(plain.lower())


def numbers(array: pa.Array) -> pa.Array:
    """Texts as doubles, null where they are none."""
    return _each(array, number, pa.float64())


def written(value: float) -> str:
    """A double as Java writes it."""
    if value != value or value in (np.inf, -np.inf):
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    if value == 0 or 1e-3 <= abs(value) < 1e7:
        plain = np.format_float_positional(value, trim="0")
        return plain if "." in plain else f"{plain}.0"
    mantissa, power = np.format_float_scientific(value, trim="0", exp_digits=1).split("e")
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}E{int(power)}"


def as_text(array: pa.Array) -> pa.Array:
    """Whole numbers, doubles, marks and dates as Spark casts them to text."""
    if pa.types.is_floating(array.type):
        return _each(array, written, pa.string())
    return pc.cast(array, pa.string())


def joined(columns: Sequence[pa.Array]) -> pa.Array:
    """Texts of several columns as JSON's array, as Spark's `to_json` writes it."""
    coded = [column.dictionary_encode() for column in columns]
    places = np.stack([one.indices.fill_null(-1).to_numpy(zero_copy_only=False) for one in coded], axis=1)
    distinct, back = np.unique(places, axis=0, return_inverse=True)
    words = [one.dictionary.to_pylist() for one in coded]
    made = [_json([None if at < 0 else word[at] for word, at in zip(words, row, strict=True)]) for row in distinct]
    return pa.array(made, pa.string()).take(pa.array(back.reshape(-1)))


def _json(values: Sequence[str | None]) -> str:
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return _CONTROL.sub(lambda found: f"\\u00{found[1].upper()}", text)
