"""What is kept of a column while its values go by: of bounded size, and two of them can be merged.

Counts are exact. Values themselves are kept while there are few, with the values of a label beside them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from headrace.clean.kinds import FORMS, KINDS, Told, narrow, tell

MARKERS = (
    *("NA", "na", "N/A", "n/a", "#N/A", "NULL", "null", "Null", "None", "none", "NONE", "nil", "NaN", "nan", "NAN"),
    *("?", "-", "--", ".", "missing", "Missing", "\\N"),
)
"""What people write for a missing value."""
MOST_VALUES = 200
"""Of a column with more values than this, only some are kept."""
LONGEST_VALUE = 200
"""Characters of a value that is kept."""

_DISTINCT = 2_048
_BOOLEAN_WORDS = frozenset(("yes", "no", "y", "n", "true", "false", "t", "f"))
_WIDE = {pattern: narrow(pattern) for pattern in FORMS if narrow(pattern) != pattern}

Codes = NDArray[np.int64]


@dataclass
class Labels:
    """The label's values in a batch: `names[codes[i]]` is that of row i."""

    names: list[str | None]
    codes: Codes


@dataclass
class Sketch:
    """One column.

    Attributes:
        rows: Rows seen.
        filled: Values neither null nor blank.
        kinds: How many of each of `KINDS`.
        marks: Marks of missing values, with the label's values: (mark, label) -> rows.
        padded: Values with blanks around them.
        words: Values that Spark casts to boolean: yes, no, y, n, t, f, true, false.
        shortest: Length of the shortest value; None: there is none.
        longest: Length of the longest value.
        least: Least number or moment.
        greatest: Greatest number or moment.
        forms: Pattern -> (values it reads, least, greatest).
        values: Value -> rows; only the first ones if `many`.
        many: There are more values than are kept.
        pairs: (value, label) -> rows; empty if `many`.
        gaps: Label -> rows without a value.
        hashes: The smallest hashes of values, ascending.
    """

    rows: int = 0
    filled: int = 0
    kinds: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(KINDS), dtype=np.int64))
    marks: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    padded: int = 0
    words: int = 0
    shortest: int | None = None
    longest: int = 0
    least: float = float("inf")
    greatest: float = float("-inf")
    forms: dict[str, tuple[int, float, float]] = field(default_factory=dict)
    values: Counter[str] = field(default_factory=Counter)
    many: bool = False
    pairs: Counter[tuple[str, str | None]] = field(default_factory=Counter)
    gaps: Counter[str | None] = field(default_factory=Counter)
    hashes: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, dtype=np.uint64))

    @property
    def distinct(self) -> int:
        """How many different values: exact below 2,048, else an estimate (2 %)."""
        if len(self.hashes) < _DISTINCT:
            return len(self.hashes)
        return min(self.filled, round((_DISTINCT - 1) * 2.0**64 / float(self.hashes[-1])))

    def add(self, column: pa.Array, labels: Labels | None) -> None:
        """Take the values of a batch."""
        encoded = column.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
        written = encoded.dictionary
        counts = np.bincount(codes[codes >= 0], minlength=len(written))
        values = pc.ascii_trim(written, characters=" ")
        lengths = pc.utf8_length(values).to_numpy(zero_copy_only=False)
        padded = pc.utf8_length(written).to_numpy(zero_copy_only=False) > lengths
        there = lengths > 0
        self.rows += len(column)
        self.padded += int(counts[padded & there].sum())
        if labels:
            blank = np.append(~there, True)[codes]  # -1, a null, is the last
            found = np.bincount(labels.codes[blank], minlength=len(labels.names))
            self.gaps.update({labels.names[i]: int(found[i]) for i in np.flatnonzero(found)})
        if not there.all():
            renumbered = np.where(there, np.cumsum(there) - 1, -1)
            codes = np.append(renumbered, -1)[codes]
            values, counts, lengths = values.filter(pa.array(there)), counts[there], lengths[there]
        if len(values):
            self._take(values, counts, lengths, codes, labels)
            self._keep(values, counts, codes, labels)

    def _take(self, values: pa.Array, counts: Codes, lengths: Codes, codes: Codes, labels: Labels | None) -> None:
        told = tell(values)
        self.filled += int(counts.sum())
        self.kinds += np.bincount(told.kinds, weights=counts, minlength=len(KINDS)).astype(np.int64)
        shortest = int(lengths.min())
        self.shortest = shortest if self.shortest is None else min(shortest, self.shortest)
        self.longest = max(self.longest, int(lengths.max()))
        known = told.measures[~np.isnan(told.measures)]
        if len(known):
            self.least, self.greatest = min(self.least, float(known.min())), max(self.greatest, float(known.max()))
        for pattern, moments in told.forms.items():
            read = ~np.isnan(moments)
            wide = _WIDE.get(pattern)
            exact = read & (lengths == len(pattern)) if wide else read
            for name, these in ((pattern, exact), (wide, read)):
                if name and these.any():
                    found = (int(counts[these].sum()), float(moments[these].min()), float(moments[these].max()))
                    self.forms[name] = _joined(self.forms.get(name), found)
        self._hash(_hashes(values, told))
        self._words(values, counts, codes, np.flatnonzero(_MAY_BE_WORDS[told.kinds]), labels)

    def _hash(self, hashes: NDArray[np.uint64]) -> None:
        if len(self.hashes) == _DISTINCT:
            hashes = hashes[hashes < self.hashes[-1]]
        if len(hashes):
            self.hashes = np.union1d(self.hashes, hashes)[:_DISTINCT]

    def _words(
        self, values: pa.Array, counts: Codes, codes: Codes, which: NDArray[np.intp], labels: Labels | None
    ) -> None:
        """Marks of missing values, and yes and no, among values that are no plain numbers or times."""
        if not len(which):
            return
        texts = values if len(which) == len(values) else values.take(pa.array(which))
        for code in which[pc.is_in(texts, pa.array(MARKERS)).to_numpy(zero_copy_only=False)]:
            mark = values[int(code)].as_py()
            for label, number in _beside(codes == code, labels).items():
                self.marks[mark, label] += number
        short = pc.less_equal(pc.utf8_length(texts), len("false")).to_numpy(zero_copy_only=False)
        for code, word in zip(which[short], pc.utf8_lower(texts.filter(pa.array(short))).to_pylist(), strict=True):
            self.words += int(counts[code]) if word in _BOOLEAN_WORDS else 0

    def _keep(self, values: pa.Array, counts: Codes, codes: Codes, labels: Labels | None) -> None:
        if self.many:
            return
        kept = [text[:LONGEST_VALUE] for text in values.slice(0, MOST_VALUES + 1).to_pylist()]
        for text, count in zip(kept, counts, strict=False):  # `a` and ` a` are one
            self.values[text] += int(count)
        if len(values) > MOST_VALUES or len(self.values) > MOST_VALUES:
            self._overflow()
        elif labels:
            cells = np.bincount(codes[codes >= 0] * len(labels.names) + labels.codes[codes >= 0])
            for cell in np.flatnonzero(cells):
                value, name = divmod(int(cell), len(labels.names))
                self.pairs[kept[value], labels.names[name]] += int(cells[cell])

    def _overflow(self) -> None:
        self.many = True
        self.values = Counter(dict(list(self.values.items())[:MOST_VALUES]))
        self.pairs.clear()

    def merge(self, other: Sketch) -> None:
        """Take what another one saw."""
        self.rows += other.rows
        self.filled += other.filled
        self.kinds = self.kinds + other.kinds
        self.padded += other.padded
        self.words += other.words
        if other.shortest is not None:
            self.shortest = other.shortest if self.shortest is None else min(self.shortest, other.shortest)
        self.longest = max(self.longest, other.longest)
        self.least, self.greatest = min(self.least, other.least), max(self.greatest, other.greatest)
        for pattern, found in other.forms.items():
            self.forms[pattern] = _joined(self.forms.get(pattern), found)
        self.marks.update(other.marks)
        self.gaps.update(other.gaps)
        self.values.update(other.values)
        self.pairs.update(other.pairs)
        if self.many or other.many or len(self.values) > MOST_VALUES:
            self._overflow()
        self._hash(other.hashes)


@cache
def _markers() -> pa.Array:
    return pa.array(MARKERS)  # at import it would bring pandas, which a plan has no use for


_MAY_BE_WORDS = np.array([kind in ("texts", "specials", "booleans") for kind in KINDS])
_BY_MEASURE = np.array([kind in ("integers", "decimals", "dates", "timestamps") for kind in KINDS])


def _hashes(values: pa.Array, told: Told) -> NDArray[np.uint64]:
    """A hash per value: of its measure where a float holds that exactly, which is quicker, else of its text."""
    from pandas.util import hash_array  # only here: this module is imported by plans too

    measured = _BY_MEASURE[told.kinds] & (np.abs(told.measures) < 2.0**53)
    hashes = np.empty(len(values), dtype=np.uint64)
    hashes[measured] = hash_array(told.measures[measured] + 0.0)  # -0 is 0
    if not measured.all():
        texts = values.filter(pa.array(~measured)).to_numpy(zero_copy_only=False)
        hashes[~measured] = hash_array(texts, categorize=False)
    return hashes


def _beside(rows: NDArray[np.bool_], labels: Labels | None) -> dict[str | None, int]:
    if labels is None:
        return {None: int(rows.sum())}
    found = np.bincount(labels.codes[rows], minlength=len(labels.names))
    return {labels.names[i]: int(found[i]) for i in np.flatnonzero(found)}


def _joined(one: Any, other: tuple[int, float, float]) -> tuple[int, float, float]:
    return (one[0] + other[0], min(one[1], other[1]), max(one[2], other[2])) if one else other
