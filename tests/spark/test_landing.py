"""What files of a source do to the tables when they are emptied, deleted, replaced; and that nothing is done twice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headrace import flow
from headrace.clean import columns
from headrace.clean import stage as clean_stage
from headrace.config.types import Environment
from headrace.errors import DataError
from headrace.ingest import landed
from headrace.runtime.commits import Commit, CommitLog, LocalFiles
from headrace.runtime.runner import Options, Runner
from headrace.runtime.step import Output
from headrace.runtime.tables import LostRaceError
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

FOLDER = """
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders}
    key: order
    rules: [{name: positive, check: "amount > 0"}]
"""
SNAPSHOT = FOLDER.replace("path: orders", "path: orders.csv")
HEADER = "order,amount\n"


def commit(project: Project, table: str) -> Commit:
    found = CommitLog(str(project.folder / "home" / "warehouse" / "shop"), LocalFiles()).last(table)
    assert found is not None
    return found


def commits(project: Project, table: str) -> list[Commit]:
    return list(CommitLog(str(project.folder / "home" / "warehouse" / "shop"), LocalFiles()).newest_first(table))


def rows(project: Project) -> list[tuple]:
    return project.rows("orders", "order", "amount")


def test_files_replaced_by_ones_without_rows_lose_their_rows(scratch: Project) -> None:
    for number, name in enumerate("abcd", 1):
        scratch.write(f"orders/{name}.csv", f"{HEADER}{number},{number}\n")
    scratch.run(FOLDER)
    for name, nothing in (("a", HEADER), ("b", ""), ("c", "\n\n")):
        scratch.write(f"orders/{name}.csv", nothing)
    assert statuses(scratch.run(FOLDER))["clean:orders"] == "done"
    assert rows(scratch) == [(4, 4)]
    assert scratch.table("raw_orders").count() == 4  # nothing is dropped
    assert set(statuses(scratch.run(FOLDER)).values()) == {"unchanged"}
    scratch.write("orders/e.csv", HEADER + "5,5\n")
    scratch.run(FOLDER)
    assert rows(scratch) == [(4, 4), (5, 5)]
    scratch.write("orders/a.csv", HEADER + "1,10\n")
    scratch.run(FOLDER)
    assert rows(scratch) == [(1, 10), (4, 4), (5, 5)]
    assert sorted(Path(p).name for p in commit(scratch, "raw_orders").note["facts"]["emptied"]) == ["b.csv", "c.csv"]


def test_a_snapshot_without_rows_leaves_the_old_one_standing(scratch: Project) -> None:
    scratch.write("orders.csv", HEADER + "1,1\n2,2\n")
    scratch.run(SNAPSHOT)
    before = commit(scratch, "raw_orders")
    scratch.write("orders.csv", HEADER)
    for _ in range(2):
        with pytest.raises(DataError, match="holds no row") as told:
            scratch.run(SNAPSHOT)
        assert told.value.exit_code == 3
    assert (commit(scratch, "raw_orders"), rows(scratch)) == (before, [(1, 1), (2, 2)])
    scratch.write("orders.csv", HEADER + "5,5\n")
    scratch.run(SNAPSHOT)
    assert rows(scratch) == [(5, 5)]


def test_a_deleted_file_is_told_once_and_its_rows_stay(scratch: Project, capsys: pytest.CaptureFixture[str]) -> None:
    gone = scratch.write("orders/a.csv", HEADER + "1,1\n")
    scratch.write("orders/b.csv", HEADER + "2,2\n")
    scratch.run(FOLDER)
    gone.unlink()
    capsys.readouterr()
    found = statuses(scratch.run(FOLDER))
    assert "1 file(s) that landed are gone; their rows stay" in capsys.readouterr().err
    assert found == {"ingest:orders": "done", "validate:orders": "unchanged", "clean:orders": "unchanged"}
    assert set(statuses(scratch.run(FOLDER)).values()) == {"unchanged"}
    (scratch.folder / "orders" / "b.csv").unlink()
    scratch.write("orders/c.csv", HEADER)  # a new file without rows adds nothing
    capsys.readouterr()
    assert statuses(scratch.run(FOLDER))["validate:orders"] == "unchanged"
    assert "2 file(s) that landed are gone" in capsys.readouterr().err
    scratch.write("orders/d.csv", HEADER + "4,4\n")
    scratch.run(FOLDER)
    assert "gone" not in capsys.readouterr().err
    assert rows(scratch) == [(1, 1), (2, 2), (4, 4)]
    for file in (scratch.folder / "orders").iterdir():
        file.unlink()
    assert (
        statuses(scratch.run(FOLDER))["validate:orders"] == "unchanged"
    )  # an emptied folder, once loaded, is no error


def test_a_snapshot_of_a_folder_is_read_as_a_whole(scratch: Project) -> None:
    yaml = FOLDER.replace("path: orders", "path: orders, mode: snapshot")
    scratch.write("orders/a.csv", HEADER + "1,1\n")
    dropped = scratch.write("orders/b.csv", HEADER + "2,2\n")
    scratch.run(yaml)
    scratch.write("orders/a.csv", HEADER + "1,100\n")
    scratch.run(yaml)
    assert rows(scratch) == [(1, 100), (2, 2)]
    dropped.unlink()
    scratch.run(yaml)
    assert rows(scratch) == [(1, 100)]


def test_unchanged_steps_show_the_counts_of_what_they_stand_on(scratch: Project) -> None:
    scratch.write("orders/a.csv", HEADER + "1,1\n1,1\n2,2\n3,-3\n")
    told = [[(r.step, r.rows_in, r.rows_out) for r in scratch.run(FOLDER).records] for _ in range(2)]
    assert told[0] == [("ingest:orders", 4, 4), ("validate:orders", 4, 3), ("clean:orders", 3, 2)]
    assert told[1] == told[0]
    shown = scratch.table("runs").where("status = 'unchanged'").select("step", "rows_in", "rows_out").collect()
    assert sorted(map(tuple, shown)) == sorted(told[0])


def test_types_are_inferred_once_per_state_of_the_rows(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[list[str]] = []

    def profile(frame: Any) -> Any:
        looked.append(frame.columns)
        return original(frame)

    original = columns.profile
    monkeypatch.setattr(columns, "profile", profile)
    scratch.write("orders/a.csv", HEADER + "1,1\n2,2\n")
    scratch.run(FOLDER)
    scratch.run(FOLDER.replace("amount > 0", "amount > 1"))
    scratch.run(FOLDER.replace("    key:", "    types: {amount: double}\n    key:"))
    assert looked == [["order", "amount"]]
    assert rows(scratch) == [(1, 1.0), (2, 2.0)]
    scratch.write("orders/b.csv", HEADER + "x,2\n")
    scratch.run(FOLDER)
    assert looked[1:] == [["order", "amount"]]
    assert rows(scratch) == [("1", 1), ("2", 2), ("x", 2)]


def test_rows_are_judged_once_in_a_run(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    yaml = FOLDER.replace("    key: order", '    columns: {luck: "rand()"}').replace("amount > 0", "luck < 0.5")
    scratch.write("orders/a.csv", HEADER + "".join(f"{i},1\n" for i in range(200)))
    scratch.run(yaml)
    kept, bad = scratch.table("orders"), scratch.table("orders_quarantine")
    assert kept.where("luck >= 0.5").count() == 0
    assert {r["order"] for r in kept.collect()} | {int(r["order"]) for r in bad.collect()} == set(range(200))


def test_clean_takes_the_rows_that_were_judged_though_others_have_landed(scratch: Project) -> None:
    file = scratch.write("orders.csv", HEADER + "1,1\n2,-2\n")
    scratch.run(SNAPSHOT)
    steps = {s.name: s for s in flow.steps(scratch.pipeline)}

    def runs(*names: str, force: str | None = None) -> None:
        options = Options(force=force)
        Runner(scratch.spark, scratch.pipeline, Environment(), options).run([steps[n] for n in names])

    file.write_text(HEADER + "1,1\n2,-2\n3,3\n4,4\n")
    runs("ingest:orders", "validate:orders")
    file.write_text(HEADER + "9,9\n")
    runs("ingest:orders")
    runs("clean:orders")
    assert rows(scratch) == [(1, 1), (3, 3), (4, 4)]
    assert commit(scratch, "orders").note["counts"] == {"rows_in": 4, "quarantined": 1, "merged": 0, "kept": 3}


def test_of_two_ingests_of_the_same_files_one_gives_way(scratch: Project) -> None:
    scratch.write("orders/a.csv", HEADER + "1,1\n")
    scratch.run(FOLDER)
    runner = Runner(scratch.spark, scratch.pipeline, Environment(), Options())
    stale = Output("raw_orders", scratch.table("raw_orders"), mode="append", based_on=-1)
    with pytest.raises(LostRaceError, match="gave way"):
        runner.tables.write(stale, {})
    assert scratch.table("raw_orders").count() == 1


def test_spark_reads_the_header_once_however_many_files(scratch: Project) -> None:
    for number in range(12):
        scratch.write(f"orders/{number}.csv", HEADER + f"{number},1\n")
    context = scratch.spark.sparkContext
    context.setJobGroup("landing", "landing")
    try:
        scratch.run(FOLDER, to="ingest")
    finally:
        jobs = len(context.statusTracker().getJobIdsForGroup("landing"))
        context.setLocalProperty("spark.jobGroup.id", None)
    assert jobs < 12
    assert scratch.table("raw_orders").count() == 12


def test_files_of_other_columns_are_told_apart(scratch: Project) -> None:
    scratch.write("orders/a.csv", HEADER + "1,1\n")
    scratch.write("orders/b.csv", "order,price\n2,2\n")
    with pytest.raises(DataError, match=r"b\.csv has other columns than .*price"):
        scratch.run(FOLDER, to="ingest")
    assert not Path(scratch.folder / "home" / "warehouse" / "shop" / "raw_orders").exists()


def test_a_batch_that_was_restored_by_hand_counts_and_landing_goes_on(scratch: Project) -> None:
    file = scratch.write("orders.csv", HEADER + "1,1\n")
    scratch.run(SNAPSHOT)
    good = commit(scratch, "raw_orders").version
    file.write_text(HEADER + "9,9\n8,8\n")
    scratch.run(SNAPSHOT)
    raw = scratch.folder / "home" / "warehouse" / "shop" / "raw_orders"
    scratch.spark.sql(f"RESTORE TABLE delta.`{raw}` TO VERSION AS OF {good}")
    steps = {s.name: s for s in flow.steps(scratch.pipeline)}
    names = ("validate:orders", "clean:orders")
    Runner(scratch.spark, scratch.pipeline, Environment(), Options()).run([steps[n] for n in names])
    assert rows(scratch) == [(1, 1)]
    scratch.run(SNAPSHOT)
    assert rows(scratch) == [(8, 8), (9, 9)]
    assert commit(scratch, "raw_orders").note["facts"]["batch"] == 2


def test_an_emptied_file_that_a_corrupt_one_replaces_stays_empty(scratch: Project) -> None:
    yaml = FOLDER.replace("path: orders", "path: orders, on_corrupt: skip")
    file = scratch.write("orders/a.csv", HEADER + "1,1\n")
    scratch.write("orders/b.csv", HEADER + "2,2\n")
    scratch.run(yaml)
    file.write_text(HEADER)
    scratch.run(yaml)
    file.write_bytes(HEADER.encode() + "9,Müller\n".encode("latin-1"))
    scratch.run(yaml)
    assert rows(scratch) == [(2, 2)]
    facts = commit(scratch, "raw_orders").note["facts"]
    assert [[Path(path).name for path in facts[kind]] for kind in ("emptied", "corrupt")] == [["a.csv"], ["a.csv"]]


def test_files_land_again_when_the_source_was_another_in_between(scratch: Project) -> None:
    scratch.write("orders/a.csv", HEADER + "1,1\n2,2\n")
    scratch.run(FOLDER)
    table = f"{scratch.folder}/bought"
    scratch.spark.sql("select '7' `order`, '7' amount").write.format("delta").save(table)
    scratch.run(FOLDER.replace("{format: csv, path: orders}", f"{{format: delta, path: {table}}}"))
    assert rows(scratch) == [("7", "7")]
    again = scratch.run(FOLDER)
    assert rows(scratch) == [(1, 1), (2, 2)]
    assert again.done[0].notes == ()  # the file is not replaced, and the other source not a file that is gone
    assert set(statuses(scratch.run(FOLDER)).values()) == {"unchanged"}


def test_a_clean_that_a_newer_run_overtook_gives_way(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.write("orders.csv", HEADER + "1,1\n2,2\n")
    scratch.run(SNAPSHOT)
    original = clean_stage._kept

    def overtaken(*arguments: Any) -> Any:
        with monkeypatch.context() as patch:  # another run, from here to its end, while this one computes
            patch.setattr(clean_stage, "_kept", original)
            scratch.run(SNAPSHOT.replace("amount > 0", "amount > 1"))
        return original(*arguments)

    monkeypatch.setattr(clean_stage, "_kept", overtaken)
    with pytest.raises(LostRaceError, match="gave way"):
        scratch.run(SNAPSHOT.replace("amount > 0", "amount > -1"))
    assert rows(scratch) == [(2, 2)]


def test_what_has_landed_is_known_without_a_look_at_its_rows(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 9):
        scratch.write(f"orders/{number}.csv", f"{HEADER}{number},{number}\n")
    scratch.write("orders/empty.csv", HEADER)
    scratch.run(FOLDER, to="ingest")
    with monkeypatch.context() as patch:
        patch.setattr(landed, "_by_rows", None)
        for number in range(9, 13):  # the list of 9 files, then what is new since, then a list anew
            scratch.write(f"orders/{number}.csv", f"{HEADER}{number},{number}\n")
            scratch.run(FOLDER, to="ingest")
        told = [commit.note["facts"]["landed"] for commit in commits(scratch, "raw_orders")]
        assert [(len(one["files"]), one["at"]) for one in told] == [(1, 3), (12, None), (2, 0), (1, 0), (9, None)]
    assert sorted(r[0] for r in scratch.table("raw_orders").select("order").collect()) == sorted(
        str(number) for number in range(1, 13)
    )


def test_rows_that_were_deleted_by_hand_land_again(scratch: Project) -> None:
    for name in "ab":
        scratch.write(f"orders/{name}.csv", f"{HEADER}{ord(name)},1\n")
    scratch.run(FOLDER)
    raw = scratch.folder / "home" / "warehouse" / "shop" / "raw_orders"
    scratch.spark.sql(f"DELETE FROM delta.`{raw}` WHERE _source LIKE '%a.csv'")
    scratch.write("orders/c.csv", f"{HEADER}99,1\n")
    scratch.run(FOLDER)
    assert rows(scratch) == [(97, 1), (98, 1), (99, 1)]
    assert scratch.table("raw_orders").count() == 3
