"""Rows without a label: kept and counted, never learned from, scored once. Rows whose label is only not known yet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import functions as F

from headrace.config.values import moment_of
from headrace.models.version import Version
from headrace.runtime.runner import Options, Outcome
from headrace.scoring import stage, ways
from headrace.training.spine import spine
from tests.spark.monitored import NOW, pipeline
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: trips
tables:
  trips:
    source: {format: csv, path: trips.csv}
    key: trip
    event_time: starts
    available_at: ends
    known_early: [line]
training_set:
  from: trips
  predict_at: "starts - interval 30 minutes"
  label: "delay >= 10"
  row_features: {hour_of_day: "hour(starts)"}
  split: {by: time, train_until: 2024-01-03, validation_until: 2024-01-04, test_until: 2024-01-05}
"""
START = datetime(2024, 1, 1)
ENDS = {"train": 3, "validation": 4, "test": 5}


def trips() -> list[tuple[int, datetime, datetime | None, int | None]]:
    """Number, start, end, delay of a trip every 45 minutes for six days: some cancelled, some diverted (no delay)."""
    rows = []
    for i in range(190):
        starts = START + timedelta(minutes=45 * i)
        delay = (i * 7919) % 31 - 5
        ends = None if i % 17 == 0 else starts + timedelta(minutes=50 + delay)
        rows.append((i, starts, ends, None if i % 17 == 0 or i % 23 == 0 else delay))
    return rows


def write(scratch: Project) -> None:
    lines = [
        f"{i},{'ABC'[i % 3]},{starts.isoformat()},{ends.isoformat() if ends else ''},{'' if delay is None else delay}"
        for i, starts, ends, delay in trips()
    ]
    scratch.write("trips.csv", "\n".join(["trip,line,starts,ends,delay", *lines]) + "\n")


def expected_split(starts: datetime, ends: datetime | None, delay: int | None, as_of: datetime) -> str:
    at = starts - timedelta(minutes=30)
    for name, day in ENDS.items():
        end = datetime(2024, 1, day)
        if at < end:
            if ends is None or (ends <= as_of and delay is None):
                return "score"
            return name if ends <= end else "purged"
    return "score"


def test_only_a_label_that_will_never_be_known_makes_a_row_scored(scratch: Project) -> None:
    write(scratch)
    for as_of in ("2024-02-01T00:00:00", "2024-01-04T12:00:00"):
        now = datetime.fromisoformat(as_of)
        outcome = scratch.run(YAML, to="training_set", options=Options(as_of=moment_of(as_of)))
        expected = [
            (i, expected_split(s, e, d, now), None if d is None or e is None or e > now else d >= 10)
            for i, s, e, d in trips()
        ]
        assert scratch.rows("training_set", "trip", "split", "label") == sorted(expected, key=repr)
        assert {split for _, split, _ in expected} == {"train", "validation", "test", "score", "purged"}
        before = sum(split == "score" and s - timedelta(minutes=30) < datetime(2024, 1, 5)
                     for (_, split, _), (_, s, _, _) in zip(expected, trips(), strict=True))  # fmt: skip
        told = f"{before} rows have no label: they teach and test nothing, and are only scored"
        assert told in outcome.done[-2].notes  # the look for leaks comes last
        waiting = [split for _, split, label in expected if label is None and split in ENDS]
        assert bool(waiting) == (as_of < "2024-01-05")  # not known yet, and its part is not over


def test_what_is_due_is_scored_once_labels_or_not(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a model that says yes to everyone."""
    write(scratch)
    scratch.run(YAML, to="clean")
    version = Version("trips", 1, "r", {})
    monkeypatch.setattr(stage, "pinned", lambda run: version)
    monkeypatch.setattr(stage.ModelStore, "load", lambda self, uri: None)
    monkeypatch.setattr(stage.ModelStore, "card", lambda self, run_id: None)
    monkeypatch.setattr(ways, "predict", lambda model, card, rows, keep: rows.select(
        *keep, F.lit(True).alias("prediction"), F.lit(0.9).alias("probability")))  # fmt: skip

    def scored(as_of: str) -> Outcome:
        return scratch.run(YAML, only="score", options=Options(as_of=moment_of(as_of)))

    def due(as_of: str) -> list[tuple]:
        now = datetime.fromisoformat(as_of)
        return sorted((i, 1) for i, s, e, d in trips()
                      if s - timedelta(minutes=30) <= now and expected_split(s, e, d, now) == "score")  # fmt: skip

    first, later = "2024-01-05T06:00:00", "2024-02-01T00:00:00"
    scored(first)
    assert sorted(scratch.rows("predictions", "trip", "revision")) == due(first)
    assert {i for i, _ in due(first)} >= {0, 17, 34, 23}  # cancelled or diverted while others trained
    again = scored("2024-01-05T06:00:01").done[-1]
    assert (again.notes, again.expires) == (("nothing new to score",), datetime(2024, 1, 5, 6, 15, tzinfo=UTC))
    assert sorted(scratch.rows("predictions", "trip", "revision")) == due(first)
    scored(later)
    assert sorted(scratch.rows("predictions", "trip", "revision")) == due(later)
    assert set(due(first)) < set(due(later))


def test_a_label_that_is_no_number_is_none(scratch: Project) -> None:
    frame = scratch.spark.sql("select * from values (1, double('NaN')), (2, 0.5D), (3, null) as t(id, churn)")
    assert [r.label for r in spine(frame, pipeline(), NOW, {}.__getitem__).orderBy("id").collect()] == [None, 0.5, None]
