"""Folds in the YAML: what can be written, what is refused, and what they say in SQL."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from headrace.engine.folds import Cut
from headrace.errors import ConfigError

YAML = """pipeline: p
tables: {t: {source: {format: csv, path: x.csv}, key: id, event_time: at%s}}
training_set:
  from: %s
  %s
  split: {%s}
"""
LABEL = 'label: "a = 1"'
TIMED = "by: time, train_until: 2024-01-02, validation_until: 2024-01-03, test_until: 2024-01-04, "


def written(folder: Path, split: str, label: str = LABEL, spine: str = "t", more: str = "") -> Path:
    file = folder / "p.yaml"
    file.write_text(YAML % (more, spine, label, split))
    return file


@pytest.mark.parametrize(
    ("split", "by"),
    [
        ("folds: 5", "hash"),
        (TIMED + "folds: 3", "time"),
        (TIMED + "folds: {count: 3, by: hash}", "hash"),
        (TIMED + "folds: {count: 2, window: sliding, embargo: 7 days}", "time"),
        ("group: household, folds: {count: 4}", "hash"),
        ("folds: {count: 2, by: time}", "time"),
        ("folds: {count: 2, by: stratified}", "stratified"),
    ],
)
def test_folds_are_cut_as_the_split_where_nothing_else_is_said(tmp_path: Path, split: str, by: str) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, split))
    assert pipeline.training_set
    assert pipeline.training_set.split.folds_by == by


@pytest.mark.parametrize(
    ("split", "label", "says"),
    [
        ("folds: 1", LABEL, "1 came; it must be greater than or equal to 2"),
        ("folds: true", LABEL, "true came; it must be a"),
        ("folds: 2.5", LABEL, "2.5 came"),
        ("folds: many", LABEL, "'many'"),
        ("folds: 101", LABEL, "less than or equal to 100"),
        ("folds: {by: time}", LABEL, "count"),
        ("folds: {count: 3, by: stratifed}", LABEL, "did you mean 'stratified'"),
        ("folds: {count: 3, embargo: 7 days}", LABEL, "folds.embargo: only for folds by time; these are by hash"),
        ("folds: {count: 3, by: stratified}, group: a", LABEL, "whatever their group"),
        ("folds: {count: 3, by: hash, window: sliding}", LABEL, "window: only for `by: time`"),
        ("group: household, folds: {count: 3, by: time}", LABEL, "folds by time cut groups in two; write folds: {by: hash}"),
        ("group: household, folds: {count: 3, by: stratified}", LABEL, "whatever their group; write folds: {by: hash}"),
        ("folds: {count: 3, by: stratified}", "task: clustering", "stratified is for classes, and the task is clustering"),
    ],
)  # fmt: skip
def test_mistakes_are_told(tmp_path: Path, split: str, label: str, says: str) -> None:
    with pytest.raises(ConfigError) as told:
        read_pipeline(written(tmp_path, split, label))
    assert says in str(told.value)


def test_what_needs_a_time_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "folds: {count: 3, by: time}")
    file.write_text(file.read_text().replace(", event_time: at", ""))
    with pytest.raises(ConfigError, match=r"folds by time need a time: give training_set\.predict_at or"):
        read_pipeline(file)


def test_entities_over_time_are_not_torn_apart(tmp_path: Path) -> None:
    grid = "{entities: t, every: 30 days}"
    with pytest.raises(ConfigError, match="stratified folds would not keep them together; write by: hash"):
        read_pipeline(written(tmp_path, "folds: {count: 3, by: stratified}", LABEL, grid))
    read_pipeline(written(tmp_path, "folds: 3", LABEL, grid))


def test_a_row_feature_cannot_have_the_name(tmp_path: Path) -> None:
    named = LABEL + "\n  row_features: {fold: a + 1}"
    with pytest.raises(ConfigError, match=r"'fold' is also the column of training_set\.split\.folds; rename"):
        read_pipeline(written(tmp_path, "folds: 3", named.replace("a + 1", "id + 1")))
    read_pipeline(written(tmp_path, "by: hash", named.replace("a + 1", "id + 1")))


def test_a_cut_says_in_sql_who_trains_and_who_validates() -> None:
    starts = (datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 3, 4, 5, 6, 7, tzinfo=UTC))
    cut = Cut(2, "time", starts, "expanding", "1 day")
    assert Cut.of(cut.as_dict()) == cut
    assert cut.validates(2) == "fold = 2"
    assert cut.trains(2) == "fold < 2 and label_known_at <= timestamp_ltz'2024-01-02 04:05:06.000007+00:00'"
    sliding = Cut(2, "time", starts, "sliding")
    assert Cut.of(sliding.as_dict()) == sliding
    assert sliding.trains(1) == "fold = 0 and label_known_at <= timestamp_ltz'2024-01-02 00:00:00.000000+00:00'"
    hashed = Cut(3, "hash")
    assert Cut.of(hashed.as_dict()) == hashed
    assert (hashed.trains(1), hashed.validates(1)) == ("fold <> 1", "fold = 1")
    assert Cut.of(None) is None


def test_no_feature_sees_the_fold_and_no_column_of_the_spine_is_called_so(tmp_path: Path) -> None:
    seen = LABEL + "\n  row_features: {near: fold + 1}"
    with pytest.raises(ConfigError, match="'fold' is not known when the prediction is made"):
        read_pipeline(written(tmp_path, "folds: 3", seen))
    read_pipeline(written(tmp_path, "by: hash", seen))
    file = written(tmp_path, "folds: 3", more=", keep: [id, at, a, fold]")
    with pytest.raises(ConfigError, match="has columns named fold, which the training set makes"):
        read_pipeline(file)


def test_racing_needs_folds(tmp_path: Path) -> None:
    file = written(tmp_path, "by: hash")
    file.write_text(file.read_text() + "search: {pruning: racing}\n")
    with pytest.raises(ConfigError, match=r"racing compares trials fold by fold; write training_set\.split\.folds: 5"):
        read_pipeline(file)
    file.write_text(file.read_text().replace("{by: hash}", "{folds: 3}"))
    read_pipeline(file)
