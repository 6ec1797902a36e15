"""Folds of a training set against a slow and obvious reference: purge, embargo, ties in time, groups, shares of classes."""

from __future__ import annotations

import datetime as dt
import json
import random
from typing import Any

import pandas as pd
import pytest

from headrace.engine.folds import Cut
from headrace.errors import ConfigError, DataError
from headrace.training.folds import starts_of
from tests.support.runs import Project

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
ROWS = 400
YAML = """
pipeline: trips
tables: {trips: {source: {format: csv, path: trips.csv}, key: trip, event_time: starts, available_at: ends, known_early: [line, size]}}
training_set:
  from: trips
  label: "%s"
  split: {%s}
"""
TIMED = "by: time, train_until: 2024-01-06, validation_until: 2024-01-08, test_until: 2024-01-10, folds: %s"


def trips() -> str:
    """Several trips start at the same time; some end days later, some never."""
    rng, lines = random.Random(1), ["trip,line,size,starts,ends,delay"]
    for trip in range(ROWS):
        starts = START + dt.timedelta(hours=rng.randrange(240) if trip % 3 else 70)
        ends = starts + dt.timedelta(hours=rng.choice([1, 2, 50]))
        delay = rng.randrange(-5, 30) if trip % 11 else ""
        lines.append(
            f"{trip},{rng.randrange(40)},{rng.randrange(9)},{starts:%FT%T},{ends.strftime('%FT%T') if trip % 13 else ''},{delay}"
        )
    return "\n".join(lines) + "\n"


def made(project: Project, split: str, label: str = "delay >= 20") -> tuple[pd.DataFrame, Cut]:
    project.write("trips.csv", trips())
    project.run(YAML % (label, split), to="training_set")
    frame = project.table("training_set")
    history = project.spark.sql(f"describe history delta.`{_path(project)}`").orderBy("version").collect()
    notes = [json.loads(commit["userMetadata"] or "{}") for commit in history]
    cut = Cut.of(next(note["facts"]["folds"] for note in notes if note.get("facts")))
    assert cut is not None
    for fold in range(1, cut.count + 1):
        frame = frame.selectExpr(
            "*", f"coalesce({cut.trains(fold)}, false) trains{fold}", f"{cut.validates(fold)} validates{fold}"
        )
    rows = frame.toPandas()
    for name in ("predict_at", "label_known_at"):
        rows[name] = pd.to_datetime(rows[name]).dt.tz_localize("UTC") if rows[name].dt.tz is None else rows[name]
    return rows, cut


def _path(project: Project) -> str:
    return str(project.folder / "home" / "warehouse" / "trips" / "training_set")


def chosen(rows: pd.DataFrame, flag: str) -> set[int]:
    return set(rows[rows[flag].fillna(False).astype(bool)]["trip"])


@pytest.mark.parametrize(
    ("folds", "window", "embargo"),
    [("3", "expanding", 0), ("{count: 4, window: sliding, embargo: 10 hours}", "sliding", 10)],
)
def test_folds_by_time_are_stretches_and_see_nothing_of_their_own_time(
    scratch: Project, folds: str, window: str, embargo: int
) -> None:
    rows, cut = made(scratch, TIMED % folds)
    taught = rows[rows["split"].isin(["train", "validation"]) & rows["label"].notna()]
    assert rows[~rows["trip"].isin(taught["trip"])]["fold"].isna().all()
    assert set(rows["split"]) == {"train", "validation", "test", "purged", "score"}
    # from the table alone: a fold begins at its first row, no time is in two, and stretches are as equal as times allow
    assert sorted(taught["fold"].unique()) == list(range(cut.count + 1))
    assert taught.groupby("predict_at")["fold"].nunique().max() == 1
    first = taught.groupby("fold")["predict_at"].min()
    assert [first[fold] for fold in range(1, cut.count + 1)] == list(cut.starts)
    assert list(taught.sort_values("predict_at")["fold"]) == sorted(taught["fold"])
    assert list(cut.starts) == reference_starts(list(taught["predict_at"]), cut.count)
    for fold in range(1, cut.count + 1):
        start = first[fold]
        earlier = (taught["fold"] == fold - 1) if window == "sliding" else (taught["predict_at"] < start)
        known = taught["label_known_at"] <= start - pd.Timedelta(hours=embargo)
        assert chosen(rows, f"trains{fold}") == set(taught[earlier & known]["trip"])
        assert chosen(rows, f"validates{fold}") == set(taught[taught["fold"] == fold]["trip"])
        assert len(taught[earlier & ~known]), "nothing was purged: the test would show nothing"


def reference_starts(times: list[Any], count: int) -> list[Any]:
    """Of all times that are there the one before which most nearly so many rows lie; of two the earlier."""
    times, found = sorted(times), []
    for number in range(1, count + 1):
        wanted = len(times) * number / (count + 1)
        found.append(
            min(sorted(set(times))[1:], key=lambda at: (abs(sum(t < at for t in times) - wanted), at), default=None)
        )
    return found


def test_times_that_cannot_be_cut_are_refused(spark: Any) -> None:
    def at(*seconds: int) -> Any:
        return spark.createDataFrame([(s,) for s in seconds], "s int").selectExpr("timestamp_seconds(s) predict_at")

    assert [start.timestamp() for start in starts_of(at(1, 1, 1, 5, 5, 9, 9), 2)] == [5, 9]
    assert [start.timestamp() for start in starts_of(at(*[1] * 5, *[2] * 5, *[3] * 5), 2)] == [2, 3]
    for rows, count in ((at(1, 1, 1), 2), (at(1, 2), 2), (at(1, 1, 1, 1, 1, 5, 9), 2), (at(1).where("false"), 2)):
        with pytest.raises(DataError, match=f"{count} folds by time need {count + 1} stretches .* write fewer folds"):
            starts_of(rows, count)


def test_folds_by_hash_keep_groups_and_are_not_the_hash_of_the_split(scratch: Project) -> None:
    rows, cut = made(scratch, "by: hash, group: line, shares: [0.6, 0.3, 0.1], folds: 4")
    taught = rows[rows["split"].isin(["train", "validation"])]
    assert rows[~rows["trip"].isin(taught["trip"])]["fold"].isna().all()
    assert set(taught["fold"]) == {1, 2, 3, 4}
    assert taught.groupby("line")["fold"].nunique().max() == 1
    assert taught.groupby("fold")["split"].nunique().max() == 2
    for fold in range(1, cut.count + 1):
        assert chosen(rows, f"validates{fold}") == set(taught[taught["fold"] == fold]["trip"])
        assert chosen(rows, f"trains{fold}") == set(taught[taught["fold"] != fold]["trip"])


def test_stratified_folds_have_the_shares_of_the_classes_and_depend_on_the_key_alone(scratch: Project) -> None:
    label = "case when delay > 27 then 'far' when delay > 10 then 'late' else 'fine' end"
    rows, _ = made(scratch, "folds: {count: 5, by: stratified}", label)
    taught = rows[rows["split"].isin(["train", "validation"]) & rows["label"].notna()]
    counts = taught.groupby(["label", "fold"]).size().unstack(fill_value=0)
    assert list(counts.columns) == [1, 2, 3, 4, 5]
    assert ((counts.max(axis=1) - counts.min(axis=1)) <= 1).all(), counts
    assert counts.loc["far"].min() > 0
    head, *lines = trips().splitlines()
    scratch.write("trips.csv", "\n".join([head, *sorted(lines)]) + "\n")
    scratch.run(YAML % (label, "folds: {count: 5, by: stratified}"), to="training_set")
    again = scratch.table("training_set").toPandas()
    assert dict(zip(rows["trip"], rows["fold"].fillna(-1), strict=True)) == dict(
        zip(again["trip"], again["fold"].fillna(-1), strict=True)
    )


def test_what_has_no_classes_is_not_stratified(scratch: Project) -> None:
    scratch.write("trips.csv", trips())
    with pytest.raises(ConfigError, match="stratified is for classes, and the task is regression; write time or hash"):
        scratch.run(YAML % ("delay", "folds: {count: 3, by: stratified}"), to="training_set")
