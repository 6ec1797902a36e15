"""A plan agrees with what a run then does, and reads logs through Hadoop's file systems too."""

from __future__ import annotations

import os
import time

import pytest

from headrace.cli.planning.plans import NeedsSparkError, Plan
from headrace.cli.planning.steps import planned
from headrace.cli.running import Request
from headrace.config.reading import read_pipeline
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  people:
    source: {format: csv, path: people}
    key: id
    rules: [{name: adult, check: "age >= 18"}]
  towns: {source: {format: csv, path: towns.csv}, key: town}
feature_tables:
  town: {from: towns, entity: town, lookup: [size]}
"""
REQUEST = Request(to="features")


def plan(scratch: Project, yaml: str) -> Plan:
    return planned(*read_pipeline(scratch.write("pipeline.yaml", yaml)), REQUEST)


def agreed(scratch: Project, yaml: str) -> dict[str, str]:
    """Plan, run, compare; the decisions that were not `unchanged`."""
    decisions = {s.step: s.decision for s in plan(scratch, yaml).steps}
    done = statuses(scratch.run(yaml, to="features"))
    may = {"run": {"done"}, "unchanged": {"unchanged"}, "may run": {"done", "unchanged"}}
    assert set(decisions) == set(done)
    assert {s: (d, done[s]) for s, d in decisions.items() if done[s] not in may[d]} == {}
    return {s: d for s, d in decisions.items() if d != "unchanged"}


def test_a_plan_agrees_with_the_run(scratch: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch.write("people/1.csv", "id,age,town\n1,30,A\n2,12,B\n")
    scratch.write("towns.csv", "town,size\nA,10\nB,20\n")
    assert len(agreed(scratch, YAML)) == 7
    assert agreed(scratch, YAML) == {}

    stricter = YAML.replace(">= 18", ">= 10")
    assert set(agreed(scratch, stricter)) == {"validate:people", "clean:people"}
    assert agreed(scratch, stricter) == {}

    second = scratch.write("people/2.csv", "id,age,town\n3,40,A\n")
    os.utime(second, (time.time() + 5, time.time() + 5))
    assert agreed(scratch, stricter) == dict.fromkeys(["ingest:people", "validate:people", "clean:people"], "run")

    second.unlink()
    found = agreed(scratch, stricter)
    assert found["ingest:people"] == "run"
    assert found["clean:people"] == "may run"

    smaller = stricter.replace("lookup: [size]", "lookup: [size], description: Towns")
    assert agreed(scratch, smaller) == {}

    here = plan(scratch, stricter.replace("town, lookup", "town, owner: me, lookup"))
    monkeypatch.setattr("headrace.runtime.commits.is_local", lambda path: False)
    with pytest.raises(NeedsSparkError):
        plan(scratch, stricter)
    pipeline, environment = read_pipeline(scratch.write("pipeline.yaml", stricter))
    assert planned(pipeline, environment, REQUEST, scratch.spark) == here
