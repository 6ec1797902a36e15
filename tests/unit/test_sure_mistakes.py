"""Mistakes that are sure before anything runs, beyond names: leaks by subqueries, bounds, keys that would be ignored."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError

BASE = """
pipeline: flights
tables:
  flights:
    source: {format: csv, path: flights.csv}
    key: id
    event_time: at
    available_at: known
    known_early: [carrier, plan]
  carriers:
    source: {format: csv, path: carriers.csv}
    key: carrier
feature_tables:
  names: {from: carriers, entity: carrier, lookup: [name]}
training_set: {from: flights, label: "delay >= 15", features: names}
"""


def told(folder: Path, *changes: tuple[str, str]) -> list[str]:
    (folder / "flights.csv").write_text("id,at,known,carrier,plan,delay\n")
    (folder / "carriers.csv").write_text("carrier,name\n")
    text = BASE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / "p.yaml").write_text(text)
    try:
        read_pipeline(folder / "p.yaml")
    except ConfigError as error:
        return [f"{mistake.where}: {mistake.message}" for mistake in error.mistakes]
    return []


def test_the_base_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert told(tmp_path) == []


LATE = "(select avg(delay) from flights f where f.carrier = carriers.carrier)"
END = "features: names}"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("    key: carrier\n", f'    key: carrier\n    columns: {{name2: "{LATE}"}}\n', None),
        ("    key: carrier\n", f'    key: carrier\n    columns: {{name: "{LATE}"}}\n', "a subquery knows no time"),
        (END, END[:-1] + ", split: {by: time, train_until: 2024-01-01, validation_until: 2024-02-01, "
         "test_until: 2024-03-01, group: plan}}", "group: only for `by: hash`"),
        ("    key: carrier\n", "    key: carrier\n    columns: {best: max(name)}\n", "max adds up rows"),
        ("    key: carrier\n", "    key: carrier\n    columns: {best: max(name) over ()}\n", None),
        ("    key: carrier\n", "    key: carrier\n    rules: [{name: some, check: count(*) > 1}]\n", "count adds up rows"),
        ("path: carriers.csv", "path: carriers.csv, options: {nullvalu: NA}", "did you mean 'nullvalue'?"),
        ("path: carriers.csv", "path: carriers.csv, options: {ours: NA}", None),
        (END, END + "\nsearch: {seed: -1}", "greater than or equal to 0"),
        (END, END + "\nsearch: {max_evals: 99999999999}", "less than or equal to 2147483647"),
        (END, END + "\ngates: [{metric: areaUnderROC, at_least: 70}]", "areaUnderROC lies between 0 and 1"),
        (END, END + "\ngates: [{metric: rmse, at_most: 70}]", "rmse"),
        ("from: carriers, entity", "from_: carriers, entity", "from_"),
        ("pipeline: flights", "pipeline: " + "f" * 101, "a name of 101 characters"),
        (END, END + "\ngates: [{metric: areaUnderRC, at_least: x}]", "areaUnderROC"),
    ],
)  # fmt: skip
def test_what_is_surely_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, new: str, says: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    found = told(tmp_path, (old, new))
    assert says in "\n".join(found) if says else found == []


def test_one_wrong_value_hides_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = told(tmp_path, (END, END + "\ngates: [{metric: areaUnderRC, at_least: x, slice: plann}]"))
    assert len(found) == 3, found
