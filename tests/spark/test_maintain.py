"""Housekeeping: fewer files, the same rows, and every version that a registered model needs still readable."""

from __future__ import annotations

import json
import os
import time
from datetime import timedelta
from typing import Any

import pytest

from headrace.cli.tending import maintain
from headrace.cli.tending.maintain import Wish, maintained
from headrace.config.reading import read_pipeline
from headrace.models.version import Version
from headrace.runtime import maintenance
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.progress import Progress
from headrace.runtime.runner import Options, Runner
from headrace.runtime.step import Output
from tests.support.runs import Project

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = "pipeline: shop\ntables: {orders: {source: {format: csv, path: orders}, key: id}}\n"
YEAR = 370 * 24 * 3600


@pytest.fixture
def shop(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A table `orders` that was written whole three times, and `scores` of eight small appends."""
    scratch.pipeline, _ = read_pipeline(scratch.write("pipeline.yaml", YAML))
    tables = made_of(scratch).tables
    for i in range(8):
        tables.write(Output("scores", scratch.spark.range(i, i + 1).coalesce(1), mode="append"), {})
    for i in range(1, 4):
        tables.write(Output("orders", scratch.spark.range(i).coalesce(1)), {})
    return scratch


def made_of(project: Project) -> Runner:
    return Runner(project.spark, *read_pipeline("pipeline.yaml"), Options(), Progress())


def aged(project: Project, table: str) -> None:
    """Make all commits and files of a table 370 days older."""
    folder = project.folder / "home/warehouse/shop" / table
    for file in [p for p in folder.rglob("*") if p.is_file()]:
        if file.suffix == ".crc":
            file.unlink()
        elif file.suffix == ".json":
            lines = [json.loads(line) for line in file.read_text().splitlines()]
            for line in lines:
                for part, name in (("commitInfo", "timestamp"), ("remove", "deletionTimestamp")):
                    if part in line:
                        line[part][name] -= YEAR * 1000
            file.write_text("".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines))
        if file.exists():
            os.utime(file, (time.time() - YEAR,) * 2)
    jvm: Any = project.spark.sparkContext._jvm
    jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # it remembers the times as they were


def with_models(monkeypatch: pytest.MonkeyPatch, **models: dict[str, int]) -> None:
    """A model store that holds one version per model, which names tables."""

    class Store:
        def __init__(self, _: str) -> None: ...

        def names(self) -> list[str]:
            return list(models)

        def versions(self, name: str) -> list[Version]:
            return [Version(name, 1, "run", {"tables": json.dumps(models[name])})]

    monkeypatch.setattr("headrace.models.store.ModelStore", Store)
    monkeypatch.setattr("headrace.runtime.home.has_models", lambda _: True)


def maintained_lines(project: Project, **wish: Any) -> list[str]:
    return maintained(project.spark, *read_pipeline("pipeline.yaml"), Wish(**wish))


def files(project: Project, table: str) -> int:
    return len(list((project.folder / "home/warehouse/shop" / table).glob("*.parquet")))


def test_small_files_are_joined_and_nothing_runs_again(shop: Project) -> None:
    before = shop.rows("scores", "id")
    dry = maintained_lines(shop, dry_run=True, tables=("scores",))
    assert next(line for line in dry if line.startswith("scores:")).endswith("to be joined")
    assert files(shop, "scores") == 8

    done = maintained_lines(shop, tables=("scores",))

    assert next(line for line in done if line.startswith("scores: 8 files (")).endswith("into 1")
    assert shop.rows("scores", "id") == before
    log = CommitLog(str(shop.folder / "home/warehouse/shop"), LocalFiles())
    last = log.last("scores")
    assert last is not None
    assert (last.version, log.compacted("scores", 7)) == (7, 8)
    tables = made_of(shop).tables
    assert tables.read("scores", 7).inputFiles() == tables.read("scores", 8).inputFiles()
    assert maintained_lines(shop, tables=("scores",)) == ["shop: 0 tables; 0 files joined, 0 deleted"]


def test_old_files_go_but_not_those_of_a_version_that_a_model_needs(
    shop: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(shop, "orders")
    with_models(monkeypatch, shop={"orders": 1})
    assert files(shop, "orders") == 3
    month = {"retention": timedelta(days=30), "tables": ("orders",)}
    maintained_lines(shop, **month)
    assert files(shop, "orders") == 3
    assert sorted(r["id"] for r in made_of(shop).tables.read("orders", 1).collect()) == [0, 1]
    properties = shop.spark.sql(f"describe detail delta.`{shop.folder}/home/warehouse/shop/orders`").first()[
        "properties"
    ]
    assert properties["delta.logRetentionDuration"] == "interval 1140 days"

    with_models(monkeypatch, other={"elsewhere": 0})
    dry = maintained_lines(shop, dry_run=True, **month)
    assert any(line.startswith("orders: 2 files (") and "older than 30 days" in line for line in dry), dry
    maintained_lines(shop, **month)
    assert files(shop, "orders") == 1
    assert shop.rows("orders", "id") == [(0,), (1,), (2,)]


def test_what_models_of_other_pipelines_read_here_is_kept_as_well(
    scratch: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = scratch
    shop.write("pipeline.yaml", YAML)
    runner = made_of(shop)
    other = shop.folder / "home/warehouse/churn/training_set/_delta_log"
    other.mkdir(parents=True)
    note = json.dumps({"headrace": "x", "inputs": {"orders": 2, "own": 5}})
    info = {"commitInfo": {"timestamp": 0, "operation": "WRITE", "userMetadata": note}}
    (other / f"{4:020d}.json").write_text(json.dumps(info, separators=(",", ":")) + "\n")
    with_models(monkeypatch, churn={"training_set": 4}, shop={"scores": 3})
    found = maintain.needed_versions(shop.spark, runner._places, runner.tables)
    assert dict(found) == {"orders": 2, "own": 5, "scores": 3}


@pytest.mark.parametrize(
    ("text", "days"), [("interval 400 days", 400), ("interval 2 weeks", 14), (None, 7), ("interval 1 month", 7)]
)
def test_properties_of_delta(text: str | None, days: int) -> None:
    assert maintenance._interval(text) == timedelta(days=days)
