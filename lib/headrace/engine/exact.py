"""Exact sums of numbers in any sub-range, by prefix sums of integers.

A prefix sum of floats is not safe to subtract: an outlier of 1e15 swallows what lies beside it for good. Integers
wrap around and lose nothing. So each number is cut into limbs of a few bits, and each limb is summed on its own;
a difference of two prefixes is then the exact sum, and rounding happens once, at the end. A column of small
integers needs one limb, measurements with all 53 bits three or four. The result does not depend on the order of the
rows, on partitions or on what lies outside the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

_SAFE_EXPONENTS = 900
"Exponents further apart than this need a scale of their own per row; doubles end at 2**1023."


@dataclass(frozen=True)
class Limb:
    """A slice of the bits of a column: the numbers are the sum of `digits * 2**exponent` over their limbs."""

    exponent: int
    digits: Ints


@dataclass(frozen=True)
class PartialSum:
    """Exact sums of one limb, one per row asked for."""

    exponent: int
    total: Ints


def sum_bits(rows: int) -> int:
    """Widest limb that can be summed over `rows` rows in 63 bits."""
    return 62 - rows.bit_length()


def limb_bits(rows: int) -> int:
    """Widest limb whose squares can be summed over `rows` rows in 63 bits (five products meet in a limb)."""
    return (59 - rows.bit_length()) // 2


def limbs(values: NDArray[Any], bits: int) -> list[Limb]:
    """Cut finite floats or integers into limbs with the sign of their number; limbs of zeros are left out."""
    negative = values < 0
    if values.dtype.kind == "f":
        fraction, exponent = np.frexp(values)
        magnitude = np.ldexp(np.abs(fraction), 53).astype(np.uint64)
        lowest_bit = (magnitude & (~magnitude + np.uint64(1))).astype(np.float64)
        shift = exponent.astype(np.int64) - 53
        low = shift + np.frexp(lowest_bit)[1] - 1
        high = exponent.astype(np.int64)
    else:
        magnitude = np.abs(values.astype(np.int64)).view(np.uint64)
        shift = np.zeros(len(values), np.int64)
        low, high = shift, np.frexp(magnitude.astype(np.float64))[1].astype(np.int64)
    used = magnitude != 0
    if not used.any():
        return []
    first, last = int(low[used].min()), int(high[used].max())
    cut = (_cut(magnitude, shift, negative, at, bits) for at in range(first, last, bits))
    return [limb for limb in cut if limb.digits.any()]


def _cut(magnitude: NDArray[np.uint64], shift: Ints, negative: Bools, at: int, bits: int) -> Limb:
    move = at - shift
    right = magnitude >> np.clip(move, 0, 63).astype(np.uint64)
    moved = right << np.clip(-move, 0, 63).astype(np.uint64)
    digits = (moved & np.uint64((1 << bits) - 1)).astype(np.int64)
    digits[(move > 63) | (move <= -bits)] = 0
    np.negative(digits, out=digits, where=negative)
    return Limb(at, digits)


def squares(parts: Sequence[Limb]) -> list[Limb]:
    """The limbs of the squares of numbers given by their limbs."""
    sums: dict[int, Ints] = {}
    for i, a in enumerate(parts):
        for j, b in enumerate(parts[: i + 1]):
            product = a.digits * b.digits
            if i != j:
                product *= 2
            if a.exponent + b.exponent in sums:
                sums[a.exponent + b.exponent] += product
            else:
                sums[a.exponent + b.exponent] = product
    return [Limb(at, digits) for at, digits in sorted(sums.items()) if digits.any()]


def products(left: Sequence[Limb], right: Sequence[Limb]) -> list[Limb]:
    """The limbs of the products of two columns given by their limbs, of which five meet at most."""
    sums: dict[int, Ints] = {}
    for a in left:
        for b in right:
            at = a.exponent + b.exponent
            sums[at] = sums[at] + a.digits * b.digits if at in sums else a.digits * b.digits
    return [Limb(at, digits) for at, digits in sorted(sums.items()) if digits.any()]


def scale_of(parts: Sequence[PartialSum], rows: int) -> Ints | int:
    """A power of two near each row's sum, so that scaled sums neither overflow nor vanish.

    Args:
        parts: From the lowest limb to the highest.
        rows: Number of sums.
    """
    if not parts or parts[-1].exponent - parts[0].exponent < _SAFE_EXPONENTS:
        return parts[-1].exponent if parts else 0
    scale = np.full(rows, parts[0].exponent, np.int64)
    for part in parts:
        scale[part.total != 0] = part.exponent
    return scale


def rounded(parts: Sequence[PartialSum], scale: Ints | int, rows: int) -> tuple[Floats, Floats]:
    """The sums, divided by `2**scale`, as unevaluated pairs of doubles (about 106 bits)."""
    high, low = np.zeros(rows), np.zeros(rows)
    for part in reversed(parts):
        shift = np.clip(part.exponent - scale, -4000, 4000)
        near = part.total.astype(np.float64)
        rest = np.ldexp((part.total - near.astype(np.int64)).astype(np.float64), shift)
        high, error = two_sum(high, np.ldexp(near, shift))
        low += error + rest
    return two_sum(high, low)


def two_sum(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """`a + b` and its rounding error (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def two_product(a: Floats, b: Floats) -> tuple[Floats, Floats]:
    """`a * b` and its rounding error (Dekker)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    return product, ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low


def _halves(a: Floats) -> tuple[Floats, Floats]:
    spread = a * 134217729.0
    high = spread - (spread - a)
    return high, a - high


def near_sum(parts: Sequence[PartialSum], rows: int) -> tuple[Floats, Ints | int]:
    """The sums as doubles, divided by a power of two so that none overflows, and its exponent."""
    scale = scale_of(parts, rows)
    return rounded(parts, scale, rows)[0], scale


def total(near: Floats, scale: Ints | int) -> Floats:
    """The sums as doubles, of `near_sum`."""
    with np.errstate(over="ignore"):
        return np.ldexp(near, scale)


def mean(near: Floats, scale: Ints | int, count: Ints) -> Floats:
    """The means as doubles, of `near_sum`; 0 where there is nothing."""
    return np.ldexp(near / np.maximum(count, 1), scale)


def stddev(parts: Sequence[PartialSum], square_parts: Sequence[PartialSum], count: Ints) -> Floats:
    """The standard deviations of the sample; 0 below two numbers.

    `n * sum(x^2) - sum(x)^2` cancels badly in doubles; here both are exact to 2**-104 of their size.
    """
    rows = len(count)
    scale = scale_of(square_parts, rows) // 2
    s_high, s_low = rounded(parts, scale, rows)
    q_high, q_low = rounded(square_parts, 2 * scale, rows)
    n = count.astype(np.float64)
    left, left_error = two_product(q_high, n)
    right, right_error = two_product(s_high, s_high)
    difference, error = two_sum(left, -right)
    spread = difference + (error + (left_error + q_low * n - right_error - 2 * s_high * s_low))
    with np.errstate(over="ignore"):
        return np.ldexp(np.sqrt(np.maximum(spread, 0) / np.maximum(n * (n - 1), 1)), scale)


def whole(high: Ints, low: Ints) -> Ints:
    """Sums of 64-bit integers from the sums of their upper and lower 32 bits.

    Raises:
        OverflowError: If a sum does not fit into 64 bits.
    """
    top = high + (low >> 32)
    if len(top) and (top.max() >= 2**31 or top.min() < -(2**31)):
        raise OverflowError("a sum of integers exceeds 64 bits; cast the column to double or decimal first")
    return (top << 32) + (low & 0xFFFFFFFF)
