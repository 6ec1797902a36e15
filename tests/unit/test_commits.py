"""What the Delta log says, read without Spark."""

from __future__ import annotations

import json
from pathlib import Path

from headrace.runtime.carried import ended
from headrace.runtime.commits import Commit, CommitLog, LocalFiles
from headrace.runtime.merging import rows_written


def write(
    folder: Path,
    version: int,
    operation: str,
    note: object = None,
    rows: int | None = None,
    parameters: dict[str, object] | None = None,
) -> None:
    log = folder / "t" / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    info: dict[str, object] = {"timestamp": 1000 + version, "operation": operation}
    if parameters is not None:
        info["operationParameters"] = parameters
    if note is not None:
        info["userMetadata"] = note if isinstance(note, str) else json.dumps(note)
    if rows is not None:
        info["operationMetrics"] = {"numOutputRows": str(rows)}
    lines = [json.dumps({"commitInfo": info}, separators=(",", ":")), '{"metaData":{}}']
    (log / f"{version:020d}.json").write_text("\n".join(lines) + "\n")
    (log / f"{version:020d}.crc").write_text("{}")


def test_a_restore_to_a_time_has_the_note_of_the_version_of_then(tmp_path: Path) -> None:
    for version in (0, 1, 2):
        write(
            tmp_path,
            version,
            "WRITE",
            {"headrace": str(version), "txn": version + 1, "facts": {"batch": version}},
            rows=5,
        )
    write(tmp_path, 3, "RESTORE", parameters={"version": None, "timestamp": "1970-01-01 00:00:01.001"})
    found = CommitLog(str(tmp_path), LocalFiles()).last("t")
    assert found is not None
    assert (found.version, found.note["facts"], found.note["txn"]) == (3, {"batch": 1}, 3)


def test_rows_were_only_added(tmp_path: Path) -> None:
    for version, mode in enumerate(("Append", "Append", "Overwrite", "Append")):
        write(tmp_path, version, "WRITE", {"headrace": str(version)}, rows=5, parameters={"mode": mode})
    write(tmp_path, 4, "OPTIMIZE")
    write(tmp_path, 5, "DELETE")
    log = CommitLog(str(tmp_path), LocalFiles())
    ranges = [(0, 1), (1, 1), (2, 3), (3, 4), (0, 2), (3, 5), (4, 3), (9, 9)]
    assert [log.only_added("t", *r) for r in ranges] == [True, True, True, True, False, False, False, False]


def test_a_feed_is_kept_where_all_commits_say_so(tmp_path: Path) -> None:
    for version, kept in enumerate((True, True, None, True, True)):
        write(tmp_path, version, "WRITE", {"headrace": str(version), **({"followed": kept} if kept else {})}, rows=5)
    write(tmp_path, 5, "OPTIMIZE")
    log = CommitLog(str(tmp_path), LocalFiles())
    ranges = [(0, 1), (1, 1), (3, 4), (2, 4), (1, 2), (0, 4), (4, 5), (4, 3), (9, 9)]
    assert [log.followed("t", *r) for r in ranges] == [True, True, True, True, False, False, False, False, False]


def test_housekeeping_is_stepped_over(tmp_path: Path) -> None:
    write(tmp_path, 0, "WRITE", {"headrace": "a", "txn": 1}, rows=5)
    write(tmp_path, 1, "WRITE", {"headrace": "b", "txn": 2}, rows=7)
    write(tmp_path, 2, "OPTIMIZE")
    write(tmp_path, 3, "VACUUM END")
    log = CommitLog(str(tmp_path), LocalFiles())
    last = log.last("t")
    assert last is not None
    assert (last.version, last.rows, last.note["txn"], last.identity) == (1, 7, 2, "1@1001")
    assert log.latest_version("t") == 3
    assert log.tables() == ["t"]


def test_commits_of_others_carry_no_note(tmp_path: Path) -> None:
    write(tmp_path, 0, "WRITE", "some text of somebody")
    write(tmp_path, 1, "MERGE", {"fingerprint": "forged"})
    assert [c.note for c in CommitLog(str(tmp_path), LocalFiles()).newest_first("t")] == [{}, {}]


def test_after_a_commit_of_others_the_note_is_ours_and_ends_no_step(tmp_path: Path) -> None:
    write(tmp_path, 0, "WRITE", {"headrace": "a", "txn": 4, "fingerprint": "f", "facts": {"batch": 2}}, rows=5)
    write(tmp_path, 1, "DELETE")
    last = CommitLog(str(tmp_path), LocalFiles()).last("t")
    assert last is not None
    assert (last.version, last.note["txn"], last.note["facts"], last.note["fingerprint"]) == (1, 4, {"batch": 2}, None)


def test_no_table_is_no_commit(tmp_path: Path) -> None:
    log = CommitLog(str(tmp_path / "nowhere"), LocalFiles())
    assert log.last("t") is None
    assert log.tables() == []


def test_cleaned_up_logs_begin_later(tmp_path: Path) -> None:
    write(tmp_path, 40, "WRITE", {"headrace": "x"}, rows=1)
    last = CommitLog(str(tmp_path), LocalFiles()).last("t")
    assert last is not None
    assert last.version == 40


def test_a_commit_that_adds_nothing_is_the_same_to_readers(tmp_path: Path) -> None:
    write(tmp_path, 0, "WRITE", {"headrace": "a", "facts": {"batch": 1}}, rows=5)
    write(tmp_path, 1, "WRITE", {"headrace": "b", "same_as": "0@1000", "facts": {"batch": 2}}, rows=0)
    log = CommitLog(str(tmp_path), LocalFiles())
    last, first = log.last("t"), log.last("t", until=0)
    assert last is not None
    assert first is not None
    assert (last.version, last.identity, last.note["facts"]) == (1, first.identity, {"batch": 2})
    assert (first.version, first.note["facts"]) == (0, {"batch": 1})
    write(tmp_path, 2, "DELETE")
    deleted = log.last("t")
    assert deleted is not None
    assert deleted.identity == "2@1002"  # what others do to the rows is seen


def test_after_a_restore_what_is_known_is_of_the_version_that_is_there_again(tmp_path: Path) -> None:
    write(tmp_path, 0, "WRITE", {"headrace": "a", "txn": 1, "fingerprint": "f", "facts": {"batch": 1}}, rows=5)
    write(tmp_path, 1, "OPTIMIZE")
    write(tmp_path, 2, "WRITE", {"headrace": "b", "txn": 2, "fingerprint": "g", "facts": {"batch": 2}}, rows=5)
    write(tmp_path, 3, "RESTORE", parameters={"version": 1, "timestamp": None})
    log = CommitLog(str(tmp_path), LocalFiles())
    last = log.last("t")
    assert last is not None
    assert (last.version, last.note["facts"], last.note["fingerprint"]) == (3, {"batch": 1}, None)
    assert last.note["txn"] == 2  # Delta would take a number that is used up for a repeat, and write nothing
    write(tmp_path, 4, "DELETE")
    assert log.last("t", until=2) == log.commit("t", 2)
    deleted = log.last("t")
    assert deleted is not None
    assert (deleted.version, deleted.note["facts"], deleted.note["txn"]) == (4, {"batch": 1}, 2)


def test_a_restore_to_what_the_log_does_not_hold_any_more_keeps_the_newest_note(tmp_path: Path) -> None:
    write(tmp_path, 7, "WRITE", {"headrace": "b", "txn": 2, "facts": {"batch": 2}}, rows=5)
    write(tmp_path, 8, "RESTORE", parameters={"version": 3, "timestamp": None})
    last = CommitLog(str(tmp_path), LocalFiles()).last("t")
    assert last is not None
    assert (last.version, last.note["facts"], last.note["txn"]) == (8, {"batch": 2}, 2)


def test_a_step_ended_where_one_run_made_all_its_tables(tmp_path: Path) -> None:
    def of(run_id: str) -> Commit:
        return Commit(0, 0, "WRITE", 1, {"headrace": "a", "run_id": run_id})

    one, other = of("r1"), of("r2")
    assert ended([one, of("r1")]) == of("r1")
    assert ended([other, one]) is None  # r2 was killed after its first table
    assert ended([one, None]) is None
    assert ended([]) is None


def test_rows_that_were_merged_are_counted() -> None:
    metrics = {"numTargetRowsInserted": "5", "numTargetRowsUpdated": "2", "numTargetRowsDeleted": "1"}
    assert rows_written("MERGE", {**metrics, "numOutputRows": "100"}) == (8, 4)  # with rows that were only copied
    assert rows_written("WRITE", {"numOutputRows": "7"}) == (7, 7)
    assert rows_written("DELETE", {"numDeletedRows": "7"}) == (None, None)
