"""A number for each of many texts, looked up by Spark in a few steps however many they are.

Spark has no map that is not searched from its start. So each text has a place of its own in an array, by "hash and displace"
(Belazzougui, Botelho and Dietzfelbinger, 2009): the checksum chooses a bucket, the bucket's own number displaces the
checksum, and no two texts end at the same place.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence

from headrace.models.compiled.native.printed import number, text
from headrace.models.compiled.sql import NotCompiled

MOST = 20_000
"""Texts that are looked up like this; beyond, the arrays weigh more than they spare."""
_SPREAD, _WITHIN, _TRIES = 0x9E3779B1, 0x7FFFFFFF, 4096


def lookup(of: str, texts: Sequence[str], numbers: Sequence[float], other: float) -> str:
    """SQL of the number of a text.

    Args:
        of: SQL of a string.
        texts: Known ones, distinct.
        numbers: Of each.
        other: Of all others, and of null.

    Raises:
        NotCompiled: If there are too many, or if they have no places.
    """
    if not texts:
        return number(other)
    slots, moves = _places(texts)
    checksum = f"crc32(cast({of} as binary))"
    moved = f"get({_longs(moves)}, cast({checksum} & {len(moves) - 1} as int))"
    slot = f"cast(({checksum} ^ {moved}) % {len(slots)} as int)"
    keys = json.dumps([None if at is None else texts[at] for at in slots], ensure_ascii=False)
    there = f"get(from_json({text(keys)}, 'array<string>'), {slot})"
    values = ",".join("0.0" if at is None else repr(float(numbers[at])) for at in slots)
    value = f"get(cast(split('{values}', ',') as array<double>), {slot})"
    return f"if({there} = {of}, {value}, {number(other)})"


def _longs(values: Sequence[int]) -> str:
    return f"cast(split('{','.join(map(str, values))}', ',') as array<bigint>)"


def _places(texts: Sequence[str]) -> tuple[list[int | None], list[int]]:
    """At each place the text's number, None: nobody's; and how far each bucket moves its texts."""
    if len(texts) > MOST:
        raise NotCompiled(f"a column of {len(texts):,} texts")
    checksums = [zlib.crc32(one.encode()) for one in texts]
    slots: list[int | None] = [None] * (len(texts) + len(texts) // 2 | 1)
    count = 1 << max(0, len(texts) // 4).bit_length()
    buckets: list[list[int]] = [[] for _ in range(count)]
    for at, checksum in enumerate(checksums):
        buckets[checksum & count - 1].append(at)
    moves = [0] * count
    for bucket in sorted(range(count), key=lambda one: -len(buckets[one])):
        moves[bucket] = _settled(buckets[bucket], checksums, slots)
    return slots, moves


def _settled(bucket: Sequence[int], checksums: Sequence[int], slots: list[int | None]) -> int:
    """Put a bucket's texts where nobody is; by how much they moved."""
    for tried in range(_TRIES):
        move = tried * _SPREAD & _WITHIN
        wanted = [(checksums[at] ^ move) % len(slots) for at in bucket]
        if len(set(wanted)) == len(wanted) and all(slots[slot] is None for slot in wanted):
            for at, slot in zip(bucket, wanted, strict=True):
                slots[slot] = at
            return move
    raise NotCompiled("texts of equal checksums")
