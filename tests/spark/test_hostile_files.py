"""Hostile files: each comes to what it must, no row is lost in silence, and nothing ends in a traceback."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import Row, SparkSession

from headrace.cli.summary import summary
from headrace.errors import DataError
from headrace.ingest.files import listed
from headrace.ingest.reading import How, read
from headrace.runtime.spark_errors import translated
from tests.support.hostile import CASES, Case
from tests.support.runs import Project

EVERY = [case for cases in CASES for case in cases()]


def plain(value: Any) -> Any:
    """A value that equals itself."""
    if isinstance(value, Row):
        return {k: plain(v) for k, v in value.asDict().items()}
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return [plain(v) for v in value] if isinstance(value, list) else value


def came(spark: SparkSession, case: Case, folder: Path) -> tuple[list[str], list[tuple[Any, ...]], set[str]]:
    """Columns, rows, and the files left out."""
    for name, content in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    how = How(case.format, case.options, case.drift, "skip" if case.skipped else "fail")
    files = listed(spark, str(folder))
    found = read(spark, how, files)
    if found.frame is None:
        return [], [], set()
    own = [c for c in found.frame.columns if c not in ("_source", "_source_version")]
    there = found.frame.select(*[f"`{c}`" for c in own], "_source", "_source_version").collect()
    assert {(r["_source"], r["_source_version"]) for r in there} <= {(f.path, f.version) for f in files}
    rows = [tuple(plain(v) for v in r)[:-2] for r in there]
    return own, rows, {Path(path).name for path in found.corrupt}


def in_words(spark: SparkSession, case: Case, folder: Path) -> None:
    """The same, its errors as a step tells them."""
    try:
        came(spark, case, folder)
    except Exception as error:
        raise translated(error, "ingest") from error


@pytest.mark.parametrize("case", EVERY, ids=lambda case: f"{case.format}: {case.name}")
def test_what_becomes_of(spark: SparkSession, tmp_path: Path, case: Case) -> None:
    if case.error:
        with pytest.raises(DataError, match=case.error):
            in_words(spark, case, tmp_path)
        return
    columns, rows, skipped = came(spark, case, tmp_path)
    kept = [i for i, c in enumerate(columns) if c in case.columns.split() or c not in ("_corrupt", "_rescued")]
    assert [columns[i] for i in kept] == case.columns.split()
    assert sorted([tuple(r[i] for i in kept) for r in rows], key=repr) == sorted(case.rows, key=repr)
    assert skipped == set(case.skipped)
    for technical in {"_corrupt", "_rescued"} - set(case.columns.split()):
        assert all(r[columns.index(technical)] is None for r in rows if technical in columns)


def test_there_are_enough_of_them() -> None:
    assert sum(len(case.files) for case in EVERY) >= 60
    assert len({(case.format, case.name) for case in EVERY}) == len(EVERY)


TABLES = """
pipeline: hostile
tables:
  ragged: {source: {format: csv, path: ragged, on_corrupt: skip}, key: id}
  zoned: {source: {format: csv, path: zoned}, types: {at: timestamp, huge: bigint}}
  events: {source: {format: json, path: events, on_drift: rescue}, columns: {w: "get_json_object(_rescued, '$.w')"}}
  days: {source: {format: parquet, path: days}, key: [id, day]}
"""


def test_from_files_to_clean_tables_every_row_is_accounted_for(
    scratch: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    from tests.support.hostile import MANY, parquet

    scratch.write("ragged/a.csv", "id,v\n1,a\n2\n3,b,c\n1,d\n,e\n")
    (scratch.folder / "ragged" / "b.csv.gz").write_bytes(MANY[: len(MANY) // 2])
    scratch.write(
        "zoned/a.csv",
        "at,huge\n2024-10-27T02:30:00,1\n2024-03-31T02:30:00+01:00,9223372036854775808\n2024-10-27T02:30:00[Europe/Berlin],2\n"
        "2024-02-30,3\n",
    )
    scratch.write("events/a.json", '{"id": 1, "v": 2}\n{"id": 2}\n')
    for day in ("2024-01-01", "2024-01-02"):
        path = scratch.folder / "days" / f"day={day}" / "a.parquet"
        path.parent.mkdir(parents=True)
        path.write_bytes(parquet(id=[1, 2]))
    outcome = scratch.run(TABLES)
    assert [Path(file).name for file in summary(outcome)["corrupt_files"]] == ["b.csv.gz"]
    assert "1 corrupt file(s) left out" in capsys.readouterr().err
    assert scratch.rows("ragged_quarantine", "_corrupt", "_reasons") == [
        ("2", ["corrupt"]), ("3,b,c", ["corrupt"]), (None, ["key:id"]),
    ]  # fmt: skip
    assert scratch.rows("ragged", "id") == [(1,)]
    assert [str(r[0]) for r in scratch.table("zoned").selectExpr("string(at)").collect()][:1] == ["2024-10-27 02:30:00"]
    assert [r[0] for r in scratch.rows("zoned_quarantine", "_reasons")] == [["cast:at"], ["cast:at"], ["cast:huge"]]
    assert [tuple(map(str, r)) for r in scratch.rows("days", "id", "day")] == [
        ("1", "2024-01-01"), ("1", "2024-01-02"), ("2", "2024-01-01"), ("2", "2024-01-02"),
    ]  # fmt: skip
    # the second batch: a value that does not fit, a new field, an absent one
    scratch.write("events/b.json", '{"id": "x", "w": 1}\n{"v": 3}\n{"id": 4, "w": {"z": 1}}\n')
    (scratch.folder / "ragged" / "b.csv.gz").unlink()
    scratch.write("ragged/b.csv", "id,v\n9,z\n")
    scratch.run(TABLES)
    assert scratch.rows("ragged", "id") == [(1,), (9,)]
    assert scratch.rows("events", "id", "v", "w") == [
        (1, 2, None), (2, None, None), (4, None, '{"z": 1}'), (None, 3, None), (None, None, "1"),
    ]  # fmt: skip
