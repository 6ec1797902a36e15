"""What a plan says, on tables whose logs were written as a run writes them; nothing here starts Spark."""

from __future__ import annotations

import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyspark
import pytest

from headrace import flow
from headrace.cli.plan import main
from headrace.cli.planning.changes import changes
from headrace.cli.planning.plans import NeedsSparkError, Plan
from headrace.cli.planning.steps import planned
from headrace.cli.planning.text import shown
from headrace.cli.running import Request
from headrace.config.reading import read_pipeline
from headrace.runtime.carried import PACKED, PLAIN, carried, unpacked
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.runner import Options, digest, fingerprint_parts

YAML = """
pipeline: shop
tables:
  people:
    source: {format: csv, path: people}
    key: id
    rules: [{name: adult, check: "age >= 18"}]
  planes:
    source: {format: csv, path: planes.csv}
    key: tail
feature_tables:
  plane: {from: planes, entity: tail, lookup: [year, seats]}
training_set: {from: people, label: "age > 50", features: [plane]}
search: {max_evals: 12}
"""
PEOPLE = "id,tail,age\n1,N1,20\n"
TO_EVALUATE = Request(to="evaluate")


class Shop:
    """A project whose tables have logs and no rows."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.config = folder, folder / "shop.yaml"
        (folder / "people").mkdir()
        for name, text in (("people/1.csv", PEOPLE), ("planes.csv", "tail,year,seats\nN1,2000,100\n")):
            (folder / name).write_text(text)
            os.utime(folder / name, (1_000_000_000, 1_000_000_000))
        self.config.write_text(YAML)
        self.log = CommitLog(str(folder / "home" / "warehouse" / "shop"), LocalFiles())

    def plan(self, *sets: str, request: Request = TO_EVALUATE) -> Plan:
        return planned(*read_pipeline(self.config, sets=sets), request)

    def ran(self, *sets: str, to: str = "evaluate") -> None:
        """Leave what a run of the stages leaves in the logs."""
        for step in flow.chosen(flow.steps(read_pipeline(self.config, sets=sets)[0]), to=to):
            inputs = {t: self.log.last(t) for t in step.inputs}
            parts = fingerprint_parts(
                step, {t: c.identity for t, c in inputs.items() if c}, pyspark.__version__, Options()
            )
            if step.state is not None:
                parts["state"] = step.state(type("Run", (), {"spark": None, "pipeline": None})())
            note = {
                "headrace": "x",
                "inputs": {t: c.version for t, c in inputs.items() if c},
                "hashes": {k: digest(v) for k, v in parts.items()},
                "config": carried(step.config),
                "fingerprint": digest(parts),
            }
            before = [self.log.last(t) for t in step.outputs]
            if any(c is None or c.note["fingerprint"] != note["fingerprint"] for c in before):
                for table in step.outputs:
                    self.commit(table, note)

    def commit(self, table: str, note: dict[str, Any] | None, operation: str = "WRITE") -> None:
        folder = self.folder / "home" / "warehouse" / "shop" / table / "_delta_log"
        folder.mkdir(parents=True, exist_ok=True)
        version = len(list(folder.glob("*.json")))
        info = {"timestamp": time.time_ns() // 1_000_000, "operation": operation, "userMetadata": json.dumps(note)}
        (folder / f"{version:020d}.json").write_text(json.dumps({"commitInfo": info}, separators=(",", ":")) + "\n")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return Shop(tmp_path)


def decided(plan: Plan, decision: str) -> set[str]:
    return {s.step for s in plan.steps if s.decision == decision}


def said(plan: Plan, step: str) -> tuple[str, list[str]]:
    found = next(s for s in plan.steps if s.step == step)
    return found.why, [str(c) for c in found.changes]


def test_at_first_all_runs_and_then_nothing_does(shop: Shop) -> None:
    first = shop.plan()
    assert decided(first, "run") == {s.step for s in first.steps}
    assert said(first, "ingest:people") == ("raw_people is not there yet", [])
    shop.ran()
    again = shop.plan()
    assert decided(again, "unchanged") == {s.step for s in again.steps}
    assert shown(again, "text").endswith("0 of 11 steps would run")


def test_a_change_is_shown_before_and_after_under_the_steps_it_invalidates(shop: Shop) -> None:
    shop.ran()
    plan = shop.plan("search.max_evals=20", "feature_tables.plane.lookup=[year]")
    lookup = ["feature_tables.plane.lookup: [year, seats] -> [year]"]
    assert decided(plan, "run") == {"features:plane", "training_set", "training_set:leakage", "search", "evaluate"}
    assert said(plan, "features:plane") == ("its configuration changed", lookup)
    assert said(plan, "training_set") == ("its configuration changed; plane will be new", lookup)
    assert said(plan, "search") == (
        "its configuration changed; training_set will be new",
        ["search.max_evals: 12 -> 20"],
    )
    assert said(plan, "evaluate") == ("training_set, trials will be new", [])
    shop.ran("search.max_evals=20", "feature_tables.plane.lookup=[year]")
    assert decided(shop.plan("search.max_evals=20", "feature_tables.plane.lookup=[year]"), "run") == set()


def test_markdown_has_a_diff_a_table_and_a_folded_rest(shop: Shop) -> None:
    shop.ran()
    text = shown(
        shop.plan("feature_tables.plane.lookup=[year]", "tables.people.rules[0].check=age > 3 | 4"), "markdown"
    )
    assert "```diff\n@@ validate:people, clean:people @@\n- tables.people.rules[adult].check: " in text
    assert "- feature_tables.plane.lookup: [year, seats]\n+ feature_tables.plane.lookup: [year]\n" in text
    assert "@@ features:plane, training_set @@" in text
    assert "| run | `features:plane` | its configuration changed | planes@0 | plane@0 |" in text
    assert "<details><summary>4 unchanged</summary>" in text
    cells = [line.replace("\\|", "").count("|") for line in text.splitlines() if line.startswith("| ") and "`" in line]
    assert set(cells) == {3, 6}


def test_json_holds_all_of_it(shop: Shop) -> None:
    shop.ran()
    plan = json.loads(shown(shop.plan("search.max_evals=20"), "json"))
    step = next(s for s in plan["steps"] if s["step"] == "search")
    assert step["decision"] == "run"
    assert step["changes"] == [{"path": "search.max_evals", "before": "12", "after": "20"}]
    assert (step["inputs"], step["outputs"]) == ({"training_set": 0}, {"trials": 0})


def test_a_new_file_lands_and_a_file_that_went_lands_nothing(shop: Shop) -> None:
    shop.ran()
    (shop.folder / "people" / "2.csv").write_text(PEOPLE)
    os.utime(shop.folder / "people" / "2.csv", (time.time() + 5, time.time() + 5))
    assert "clean:people" in decided(shop.plan(), "run")
    (shop.folder / "people" / "2.csv").unlink()
    (shop.folder / "people" / "3.csv").write_text(PEOPLE)
    (shop.folder / "people" / "1.csv").rename(shop.folder / "people" / "4.csv")
    os.utime(shop.folder / "people" / "3.csv", (1_000_000_000, 1_000_000_000))
    plan = shop.plan()
    assert decided(plan, "run") == {"ingest:people"}
    assert said(plan, "ingest:people")[0] == "its source changed"
    assert decided(plan, "may run") >= {"validate:people", "clean:people", "training_set", "search"}
    assert said(plan, "validate:people")[0] == "if raw_people is another one then"


def test_a_missing_source_is_told_and_the_rest_is_planned(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.ran()
    (shop.folder / "planes.csv").unlink()
    with pytest.raises(SystemExit) as ended:
        main([str(shop.config), "--to", "evaluate"])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert "planes.csv" in err
    assert "STOPPED  ingest:planes" in out
    assert "-        clean:people" in out


def test_a_table_that_is_not_there_stops_the_run(shop: Shop) -> None:
    plan = shop.plan(request=Request(only="search"))
    assert (plan.exit_code, decided(plan, "stopped")) == (2, {"search"})
    assert "training_set is not there yet" in plan.mistakes[0]


def test_force_and_select_are_those_of_jobs(shop: Shop) -> None:
    shop.ran()
    forced = shop.plan(request=replace(TO_EVALUATE, force="features"))
    assert decided(forced, "run") == {"features:plane", "training_set", "training_set:leakage", "search", "evaluate"}
    assert said(forced, "features:plane")[0] == "--force"
    assert {s.step for s in shop.plan(request=Request(select="plane")).steps} == {"features:plane"}
    assert {s.stage for s in shop.plan(request=Request(job="clean")).steps} == {"validate", "clean"}
    sample = shop.plan(request=replace(TO_EVALUATE, sample="5%"))
    assert decided(sample, "run") == {s.step for s in sample.steps}
    later = shop.plan(request=replace(TO_EVALUATE, as_of=read_pipeline(shop.config)[0].training_set and _moment()))
    assert decided(later, "run") >= {"features:plane", "training_set"}
    assert "clean:people" not in decided(later, "run")


def _moment() -> Any:
    from headrace.config.values import moment_of

    return moment_of("2024-01-01")


def test_what_others_did_to_a_table_is_told(shop: Shop) -> None:
    shop.ran()
    shop.commit("plane", None, "DELETE")
    why, changed = said(shop.plan(), "features:plane")
    assert why == "somebody else changed its table since (DELETE, version 1)"
    assert changed == []
    shop.commit("trials", {"headrace": "y", "fingerprint": None, "hashes": {}})
    assert said(shop.plan(), "search")[0].startswith("it was not finished")


def test_newer_inputs_are_told_with_their_versions(shop: Shop) -> None:
    shop.ran()
    shop.ran("tables.planes.types={year: int}", to="clean")
    plan = shop.plan("tables.planes.types={year: int}")
    assert said(plan, "features:plane")[0] == "its input tables changed (versions: planes 0 -> 1)"


def test_a_warehouse_elsewhere_needs_spark(shop: Shop) -> None:
    pipeline, environment = read_pipeline(shop.config)
    with pytest.raises(NeedsSparkError):
        planned(pipeline, environment.model_copy(update={"warehouse": "s3a://bucket/warehouse"}))
    source = pipeline.tables["planes"].source.model_copy(update={"path": "s3a://bucket/planes.csv"})
    tables = pipeline.tables | {"planes": pipeline.tables["planes"].model_copy(update={"source": source})}
    with pytest.raises(NeedsSparkError):
        planned(pipeline.model_copy(update={"tables": tables}), environment, Request(only="ingest"))


def test_carried_configurations_are_bounded() -> None:
    thousand = {"training_set": {"row_features": {f"feature_{i}": f"a_{i} / nullif(b_{i}, 0)" for i in range(1_000)}}}
    small, large = carried({"search": {"max_evals": 3}}), carried(thousand)
    assert small == {"search": {"max_evals": 3}}
    assert isinstance(large, str)
    assert len(json.dumps(thousand)) > PLAIN
    assert len(large) < PLAIN
    assert (unpacked(small), unpacked(large), unpacked(None)) == (small, thousand, None)
    noise = {"x": [os.urandom(32).hex() for _ in range(PACKED // 32)]}
    assert carried(noise) is None


def test_secrets_values_are_not_carried(monkeypatch: pytest.MonkeyPatch) -> None:
    from headrace.config.secrets import reveal

    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse")
    assert reveal("${secret:SHOP_PASSWORD}") == "correct-horse"
    kept = carried({"url": "jdbc:x:correct-horse@db", "password": "${secret:SHOP_PASSWORD}"})
    assert kept == {"url": "jdbc:x:***@db", "password": "${secret:SHOP_PASSWORD}"}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": {"b": None}}, {"a": {"b": "x y"}}, ["a.b: x y (new)"]),
        ({"a": {"b": 1.5}}, {"a": {}}, ["a.b: 1.5 (gone)"]),
        ({"r": [{"name": "x", "c": 1}]}, {"r": [{"name": "y", "c": 1}, {"name": "x", "c": 2}]},
         ["r[y]: {name: y, c: 1} (new)", "r[x].c: 1 -> 2"]),
        ({"g": [{"m": 1}, {"m": 2}]}, {"g": [{"m": 1}, {"m": 3}]}, ["g[1].m: 2 -> 3"]),
        ({"g": [{"m": 1}, {"m": 2}]}, {"g": [{"m": 2}]}, ["g[0]: {m: 1} (gone)"]),
        ({"k": ["a"]}, {"k": ["a", "b"]}, ["k: [a] -> [a, b]"]),
        ({"k": "it's: 1"}, {"k": ""}, ['k: "it\'s: 1" -> ""']),
        ({"k": True}, {"k": True}, []),
    ],
)  # fmt: skip
def test_changes_in_words(before: Any, after: Any, told: list[str]) -> None:
    assert [str(c) for c in changes(before, after)] == told
