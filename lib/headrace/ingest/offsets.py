"""Which messages of topics a run reads: from what has landed to what is there; and what of them is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN = "AAAAAAAAAAAAAAAAAAAAAA"
"""The id of a topic that brokers give none."""

Landed = Mapping[str, Mapping[str, Any]]
"""By topic its `id`, and by partition the `first` offset that was read and the `next` one to be read."""


@dataclass(frozen=True)
class Topic:
    """A topic as the brokers see it.

    Attributes:
        id: Another one when the topic was deleted and made anew.
        begin: The first offset that is still there, by partition.
        end: The offset that comes next, by partition; what an open transaction holds back lies beyond.
    """

    id: str
    begin: Mapping[int, int]
    end: Mapping[int, int]


@dataclass(frozen=True)
class Ranges:
    """What a run reads.

    Attributes:
        read: By topic and partition the first offset and the one after the last; only those that hold any.
        landed: What has landed when these have.
        lost: What can never be read, in words.
        left: Offsets that are there and left to later runs.
    """

    read: dict[str, dict[int, tuple[int, int]]]
    landed: dict[str, dict[str, Any]]
    lost: tuple[str, ...] = ()
    left: int = 0


@dataclass
class _Reading:
    lost: list[str] = field(default_factory=list)
    starts: dict[tuple[str, int], int] = field(default_factory=dict)
    firsts: dict[tuple[str, int], int] = field(default_factory=dict)


def ranges(found: Mapping[str, Topic], landed: Landed, most: int | None = None) -> Ranges:
    """What is to be read.

    Args:
        found: The topics as they are.
        landed: What has landed; empty: nothing.
        most: Of so many offsets at most; each partition gives its share. None: of all.

    >>> found = {"orders": Topic("a", {0: 0, 1: 5}, {0: 10, 1: 8})}
    >>> told = ranges(found, {"orders": {"id": "a", "first": {"0": 0}, "next": {"0": 4}}})
    >>> told.read, told.lost
    ({'orders': {0: (4, 10), 1: (5, 8)}}, ('orders/1 offsets 0 to 4 (5 of them) are gone',))
    """
    reading = _Reading()
    for name, topic in sorted(found.items()):
        _start(reading, name, topic, landed.get(name))
    sizes = {key: found[key[0]].end[key[1]] - start for key, start in reading.starts.items()}
    taken = _shares(sizes, most)
    read: dict[str, dict[int, tuple[int, int]]] = {}
    after: dict[str, dict[str, Any]] = {name: {k: _copied(v) for k, v in told.items()} for name, told in landed.items()}
    for name, topic in found.items():
        after[name] = {"id": topic.id, "first": {}, "next": {}}
    for (name, partition), start in reading.starts.items():
        stop = start + taken[name, partition]
        if stop > start:
            read.setdefault(name, {})[partition] = (start, stop)
        after[name]["first"][str(partition)] = reading.firsts[name, partition]
        after[name]["next"][str(partition)] = stop
    return Ranges(read, after, tuple(reading.lost), sum(sizes.values()) - sum(taken.values()))


def _copied(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def _start(reading: _Reading, name: str, topic: Topic, before: Mapping[str, Any] | None) -> None:
    """Where reading of a topic starts."""
    ids = {topic.id, before["id"] if before else topic.id}
    if len(ids) == 2 and UNKNOWN not in ids:
        reading.lost.append(f"{name} was deleted and made anew; what was in it and had not landed is gone")
        before = None
    known = before["next"] if before else {}
    for partition, end in sorted(topic.end.items()):
        begin, key = topic.begin[partition], str(partition)
        # of a topic that has been read, a partition that nobody has seen yet is wanted from its first message on
        start = int(known.get(key, 0 if before else begin))
        if start > end:
            reading.lost.append(f"{name}/{partition} ends at offset {end}, and all before {start} had landed")
            start = end
        elif start < begin:
            reading.lost.append(
                f"{name}/{partition} offsets {start} to {begin - 1} ({begin - start:,} of them) are gone"
            )
            start = begin
        reading.starts[name, partition] = start
        reading.firsts[name, partition] = int(before["first"].get(key, start)) if before else start


def _shares(sizes: Mapping[tuple[str, int], int], most: int | None) -> dict[tuple[str, int], int]:
    """Of each partition how many offsets: all of them, or a share, of every one that has any at least one."""
    total = sum(sizes.values())
    if most is None or total <= most:
        return dict(sizes)
    taken = {key: size * most // total for key, size in sizes.items()}
    spare = most - sum(taken.values())
    for key in sorted(sizes, key=lambda one: (taken[one], one)):
        if spare and taken[key] < sizes[key]:
            taken[key] += 1
            spare -= 1
    return taken


def gone_since(found: Mapping[str, Topic], landed: Landed) -> Iterator[str]:
    """Of topics that have landed, those of which not all of it could be read once more."""
    for name, before in sorted(landed.items()):
        topic = found.get(name)
        other = topic is None or (topic.id != before["id"] and UNKNOWN not in (topic.id, before["id"]))
        begin = topic.begin if topic else {}
        if other or any(begin.get(int(p), first + 1) > first for p, first in before["first"].items()):
            yield name
