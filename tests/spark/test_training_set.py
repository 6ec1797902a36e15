"""The spine, its label and its split: nothing unknown at prediction time, no row lost."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql import functions as F

from headrace.errors import ConfigError, DataError
from tests.support.runs import Project

YAML = """
pipeline: trips
tables:
  trips:
    source: {format: csv, path: trips.csv}
    key: trip
    event_time: starts
    available_at: ends
    known_early: [line, distance]
feature_tables:
  line_delays:
    from: trips
    entity: line
    time: ends
    aggregates:
      - {column: delay, functions: [mean, count, max], windows: [2 hours, 1 day]}
      - {column: delay, functions: [count, since_last], windows: [1 day, 2 hours / 1 day], where: "delay > 0", name: late}
training_set:
  from: trips
  predict_at: "starts - interval 30 minutes"
  label: "delay >= 10"
  features: [line_delays]
  row_features: {hour_of_day: "hour(starts)"}
  split: {by: time, train_until: 2024-01-03, validation_until: 2024-01-04, test_until: 2024-01-05}
"""


def trips(noise: str | None = None, after: str = "9999") -> str:
    """Trips every 45 minutes for five days; with `noise`, what became known after a moment is replaced."""
    import datetime as dt

    lines, start = ["trip,line,starts,ends,delay,distance"], dt.datetime(2024, 1, 1)
    for i in range(160):
        begins = start + dt.timedelta(minutes=45 * i)
        delay = (i * 7919) % 31 - 5
        ends = begins + dt.timedelta(minutes=50 + delay)
        told = noise if noise is not None and ends.isoformat() > after else str(delay)
        lines.append(
            f"{i},{'ABC'[i % 3]},{begins.isoformat()},{ends.isoformat() if i % 17 else ''},{told if i % 17 else ''},{i % 5}"
        )
    return "\n".join(lines) + "\n"


@pytest.fixture
def made(scratch: Project) -> Project:
    scratch.write("trips.csv", trips())
    scratch.run(YAML, to="training_set")
    return scratch


def test_one_row_per_spine_row_with_its_split(made: Project) -> None:
    frame = made.table("training_set")
    assert frame.count() == 160
    windows = [f"line_delays__delay_{f}_{w}" for f in ("mean", "count", "max") for w in ("2h", "1d")]
    windows += [f"line_delays__late_{f}_{w}" for f in ("count", "since_last") for w in ("1d", "2h_per_1d")]
    published = [name.removeprefix("line_delays__") for name in windows if "since_last" not in name]
    assert made.table("line_delays").columns == ["line", "valid_from", "valid_until", *published]
    made_columns = ["trip", "predict_at", "split", "label", "label_known_at"]
    assert frame.columns == [*made_columns, "line", "distance", *windows, "hour_of_day"]
    late = (
        frame.where("split in ('train', 'validation', 'test') and label is not null")
        .groupBy("split")
        .agg(F.max("label_known_at").alias("known"))
    )
    ends = {r["split"]: r["known"].isoformat() for r in late.collect()}
    assert ends["train"] <= "2024-01-03T00:00:00"
    assert ends["validation"] <= "2024-01-04T00:00:00"
    assert ends["test"] <= "2024-01-05T00:00:00"
    assert frame.where("split = 'purged'").count() > 0
    assert frame.where("label is null").count() == frame.where("trip % 17 = 0").count()


def test_features_equal_brute_force(made: Project) -> None:
    rows = [r.asDict() for r in made.table("trips").collect()]
    for spine in made.table("training_set").collect():
        for hours, window in ((2, "2h"), (24, "1d")):
            seen = [
                r["delay"] for r in rows
                if r["line"] == spine["line"] and r["ends"] is not None and r["ends"] <= spine["predict_at"]
                and (spine["predict_at"] - r["ends"]).total_seconds() < hours * 3600
            ]  # fmt: skip
            assert spine[f"line_delays__delay_count_{window}"] == len(seen)
            assert spine[f"line_delays__delay_max_{window}"] == (max(seen) if seen else None)
            mean = spine[f"line_delays__delay_mean_{window}"]
            assert mean == (pytest.approx(sum(seen) / len(seen), rel=1e-12) if seen else None)
        ages = [
            (spine["predict_at"] - r["ends"]).total_seconds() for r in rows
            if r["line"] == spine["line"] and r["ends"] is not None and r["delay"] > 0
        ]  # fmt: skip
        ages = [age for age in ages if 0 <= age < 86_400]
        soon = sum(age < 7200 for age in ages)
        assert spine["line_delays__late_since_last_1d"] == min(ages, default=None)
        assert spine["line_delays__late_count_2h_per_1d"] == (soon / len(ages) if ages else None)


def test_no_feature_sees_what_became_known_later(made: Project) -> None:
    cut = "2024-01-03T12:00:00"
    before = made.table("training_set").where(F.col("predict_at") <= cut).drop("label", "split", "label_known_at")
    kept = sorted(map(tuple, before.collect()))
    made.write("trips.csv", trips(noise="999", after=cut))
    made.run(YAML, to="training_set")
    after = made.table("training_set").where(F.col("predict_at") <= cut).drop("label", "split", "label_known_at")
    assert sorted(map(tuple, after.collect())) == kept
    assert made.table("trips").where("delay = 999").count() > 10


def test_scoring_computes_the_same_features(made: Project) -> None:
    from headrace.config.types import Environment
    from headrace.engine.time import span as span_of
    from headrace.runtime.progress import Progress
    from headrace.runtime.runner import Options, Runner
    from headrace.training.stage import split_spine, steps, training_rows

    runner = Runner(made.spark, made.pipeline, Environment(), Options(), Progress())
    run = runner._prepare(steps(made.pipeline)[0])

    def pick(rows):
        return rows.where("split = 'score' and trip % 2 = 0")

    count, span = span_of(pick(split_spine(run)))
    columns = made.table("training_set").columns
    scored = training_rows(run, pick, span).select(*columns)
    expected = made.table("training_set").where("split = 'score' and trip % 2 = 0")
    assert count == expected.count() > 5
    assert scored.exceptAll(expected).count() == 0
    assert expected.exceptAll(scored).count() == 0


def test_what_is_known_only_at_arrival_cannot_be_a_feature(made: Project) -> None:
    with pytest.raises(ConfigError, match=r"'delay' is not known when the prediction is made"):
        made.run(YAML.replace("hour(starts)", "delay + 1"), to="training_set")


def test_changing_a_feature_rebuilds_what_depends_on_it(made: Project) -> None:
    outcome = made.run(YAML.replace("[mean, count, max]", "[mean, count, min]"), to="training_set")
    assert {r.step for r in outcome.records if r.status == "done"} == {
        "features:line_delays", "training_set", "training_set:leakage"
    }  # fmt: skip


def test_as_of_hides_what_was_not_known_then(made: Project) -> None:
    from headrace.config.values import moment_of
    from headrace.runtime.runner import Options

    made.run(YAML, to="training_set", options=Options(as_of=moment_of("2024-01-04T12:00:00Z")))
    frame = made.table("training_set")
    assert frame.count() == 160
    assert frame.where("label is not null and label_known_at > timestamp'2024-01-04 12:00:00'").count() == 0
    assert made.table("line_delays").where("valid_from > timestamp'2024-01-04 12:00:00'").count() == 0


@pytest.mark.parametrize(
    ("label", "words"), [("delay > 1000", "only the value False"), ("cast(null as boolean)", "no value at all")]
)
def test_labels_that_teach_nothing_are_refused(made: Project, label: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        made.run(YAML.replace("delay >= 10", label), to="training_set")


def test_a_label_that_is_never_known_is_none(made: Project) -> None:
    made.run(YAML.replace('"delay >= 10"', '"coalesce(delay, 99) >= 10"'), to="training_set")
    assert made.table("training_set").where("trip % 17 = 0 and label is not null").count() == 0


def test_names_that_models_use_are_refused(made: Project) -> None:
    with pytest.raises(ConfigError, match="prediction"):
        made.run(YAML.replace("{hour_of_day:", "{prediction:"), to="training_set")


def test_split_by_hash_keeps_groups_together(scratch: Project, tmp_path: Path) -> None:
    lines = "\n".join(f"{i},{i % 40},{i * 37 % 11},{'yes' if i * 7919 % 13 > 6 else 'no'}" for i in range(800))
    scratch.write("people.csv", "id,household,age,bought\n" + lines + "\n801,3,4,\n")
    yaml = """
pipeline: people
tables: {people: {source: {format: csv, path: people.csv}, key: id}}
training_set: {from: people, label: bought, split: {by: hash, group: household}}
"""
    scratch.run(yaml, to="training_set")
    frame = scratch.table("training_set")
    assert frame.count() == 801
    assert frame.columns == ["id", "predict_at", "split", "label", "label_known_at", "household", "age"]
    assert frame.where("label is null").select("split").distinct().collect()[0][0] == "score"
    per_group = frame.where("label is not null").groupBy("household").agg(F.count_distinct("split").alias("n"))
    assert per_group.where("n > 1").count() == 0
