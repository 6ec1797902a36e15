"""Order statistics of many ranges at once: the k-th smallest by a wavelet matrix, the extremes by a sparse table."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


class Wavelet:
    """The k-th smallest rank in a prefix of one order less a prefix of another, exactly.

    Both orders hold the same ranks. In the time order alone a range is a prefix less a shorter prefix; with late
    events a window is a prefix by time of knowledge less a prefix by event time. About `log2(number of ranks)`
    gathers per query, whatever the length of the window.

    Args:
        known: Ranks (0 ...) in the order whose prefixes are taken.
        happened: The same ranks in the order whose prefixes are taken away; the same object where it is one order.
    """

    def __init__(self, known: Ints, happened: Ints) -> None:
        bits = int(known.max()).bit_length() if len(known) else 0
        self._bits = range(bits - 1, -1, -1)
        self._known = _levels(known, bits)
        self._happened = self._known if happened is known else _levels(happened, bits)

    def kth(self, upto: Ints, without: Ints, k: Ints) -> Ints:
        """Rank number `k` (from 0) of `known[:upto]` less `happened[:without]`; `k` must be within."""
        rank = np.zeros(len(k), np.int64)
        k = k.copy()
        for bit, plus, minus in zip(self._bits, self._known, self._happened, strict=True):
            zeros_plus, zeros_minus = plus[upto], minus[without]
            zeros = zeros_plus - zeros_minus
            one = k >= zeros
            all_zeros = plus[-1]
            upto = np.where(one, all_zeros + upto - zeros_plus, zeros_plus)
            without = np.where(one, all_zeros + without - zeros_minus, zeros_minus)
            k -= np.where(one, zeros, 0)
            rank |= one.astype(np.int64) << bit
        return rank


def _levels(ranks: Ints, bits: int) -> list[Ints]:
    levels = []
    for bit in range(bits - 1, -1, -1):
        zero = (ranks >> bit) & 1 == 0
        levels.append(np.concatenate([[0], np.cumsum(zero)]))
        ranks = np.concatenate([ranks[zero], ranks[~zero]])
    return levels


def extremes(ranks: Ints, start: Ints, stop: Ints, reduce: np.ufunc) -> Ints:
    """`reduce` (`np.minimum` or `np.maximum`) of `ranks[start:stop]` per query; no range may be empty.

    Two overlapping powers of two cover a range; one level of the table is in memory at a time.
    """
    out = np.zeros(len(start), np.int64)
    level = np.frexp((stop - start).astype(np.float64))[1] - 1
    table = ranks
    for step in range(int(level.max()) + 1 if len(level) else 0):
        here = np.flatnonzero(level == step)
        out[here] = reduce(table[start[here]], table[stop[here] - (1 << step)])
        table = reduce(table[: -(1 << step)], table[1 << step :])
    return out


def dense_ranks(values: NDArray[Any]) -> tuple[Ints, Ints]:
    """Rank of each number (equal ones share it, NaN is greatest and one value), and a row for each rank."""
    _, row, rank = np.unique(values, return_index=True, return_inverse=True)
    return rank.reshape(-1).astype(np.int64), row.astype(np.int64)
