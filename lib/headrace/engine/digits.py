"""Whole numbers of any length, one per row: for differences of large products, where doubles would cancel.

A number is a list of `PartialSum`s whose exponents are a number of bits apart, lowest first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from headrace.engine.exact import Ints, PartialSum

Digits = list[PartialSum]


def carried(parts: Sequence[PartialSum], bits: int) -> Digits:
    """The same numbers in digits of that many bits with a sign: the first that is not 0 outweighs all below it.

    Args:
        parts: Below 2**62, with exponents a multiple of `bits` apart, in any order.
        bits: Of a digit.
    """
    if not parts:
        return []
    totals = {part.exponent: part.total for part in parts}
    at, last, out = min(totals), max(totals), []
    carry: Ints = np.zeros(len(parts[0].total), np.int64)
    while at <= last or carry.any():
        total = totals.get(at, 0) + carry
        carry = (total + (1 << (bits - 1))) >> bits
        out.append(PartialSum(at, total - (carry << bits)))
        at += bits
    return out


def cross(a: Digits, b: Digits, c: Digits, d: Digits, bits: int) -> Digits:
    """`a * b - c * d`, exactly; all of them `carried`, and both products with exponents multiples of `bits` apart."""
    sums: dict[int, Ints] = {}
    for left, right, sign in ((a, b, 1), (c, d, -1)):
        for one in left:
            for other in right:
                at = one.exponent + other.exponent
                sums[at] = sums.get(at, 0) + sign * one.total * other.total
    return carried([PartialSum(at, total) for at, total in sums.items()], bits)
