"""Which offsets a run reads, and which of them are lost."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headrace.ingest.offsets import UNKNOWN, Topic, gone_since, ranges


def one(begin: dict[int, int], end: dict[int, int], name: str = "id-1") -> dict[str, Topic]:
    return {"t": Topic(name, begin, end)}


def landed(after: dict[str, int], name: str = "id-1", first: int = 0) -> dict:
    return {"t": {"id": name, "first": dict.fromkeys(after, first), "next": after}}


def test_the_first_run_reads_what_is_there_and_says_nothing_of_what_was_before() -> None:
    told = ranges(one({0: 5, 1: 0, 2: 3}, {0: 9, 1: 0, 2: 3}), {})
    assert told.read == {"t": {0: (5, 9)}}
    assert told.lost == ()
    first, after = {"0": 5, "1": 0, "2": 3}, {"0": 9, "1": 0, "2": 3}
    assert told.landed == {"t": {"id": "id-1", "first": first, "next": after}}


def test_a_partition_that_is_new_is_read_from_its_first_message_on() -> None:
    told = ranges(one({0: 0, 1: 2}, {0: 4, 1: 6}), landed({"0": 4}))
    assert told.read == {"t": {1: (2, 6)}}
    assert told.lost == ("t/1 offsets 0 to 1 (2 of them) are gone",)


def test_a_topic_made_anew_is_told_by_its_id_and_read_from_its_beginning() -> None:
    told = ranges(one({0: 0}, {0: 50}, "id-2"), landed({"0": 20}))
    assert told.read == {"t": {0: (0, 50)}}
    assert "was deleted and made anew" in told.lost[0]
    same = ranges(one({0: 0}, {0: 50}, UNKNOWN), landed({"0": 20}))
    assert (same.read, same.lost) == ({"t": {0: (20, 50)}}, ())


def test_an_end_that_went_back_is_a_loss() -> None:
    told = ranges(one({0: 0}, {0: 7}), landed({"0": 20}))
    assert (told.read, told.landed["t"]["next"]) == ({}, {"0": 7})
    assert told.lost == ("t/0 ends at offset 7, and all before 20 had landed",)


def test_topics_that_are_not_asked_for_any_more_are_remembered() -> None:
    before = {"old": {"id": "x", "first": {"0": 0}, "next": {"0": 3}}}
    assert ranges(one({0: 0}, {0: 1}), before).landed["old"] == before["old"]


def test_whether_all_that_has_landed_could_be_read_once_more() -> None:
    assert list(gone_since(one({0: 0}, {0: 9}), landed({"0": 4}))) == []
    assert list(gone_since(one({0: 1}, {0: 9}), landed({"0": 4}))) == ["t"]
    assert list(gone_since(one({0: 0}, {0: 9}, "id-2"), landed({"0": 4}))) == ["t"]
    assert list(gone_since({}, landed({"0": 4}))) == ["t"]


@given(st.dictionaries(st.integers(0, 5), st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1),
       st.integers(1, 60))  # fmt: skip
def test_with_a_bound_run_by_run_all_is_read_once_in_order(sizes: dict[int, tuple[int, int]], most: int) -> None:
    begin = {p: low for p, (low, _) in sizes.items()}
    end = {p: low + size for p, (low, size) in sizes.items()}
    wanted = {(p, offset) for p in begin for offset in range(begin[p], end[p])}
    read: list[tuple[int, int]] = []
    before: dict = {}
    for _ in range(len(wanted) + 1):
        told = ranges(one(begin, end), before, most)
        now = [(p, o) for p, (start, stop) in told.read.get("t", {}).items() for o in range(start, stop)]
        assert len(now) <= most
        assert told.left == len(wanted) - len(read) - len(now)
        read += now
        before = told.landed
        if not told.left:
            break
        assert now
    assert (len(read), set(read)) == (len(wanted), wanted)
