"""`{shared: other.yaml}`: what another pipeline makes is taken from its file, and only read."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace import flow
from headrace.config.reading import read_pipeline
from headrace.config.types import Environment
from headrace.runtime.home import places
from tests.unit.test_config_reading import FLIGHTS, mistakes, written

MINE = """\
pipeline: cancelled
tables:
  flights: {shared: ../flights/owner.yaml}
feature_tables:
  delays: {shared: ../flights/owner.yaml}
  mine: {from: flights, entity: flight, aggregates: [{column: "*", functions: count, windows: 1 day}]}
training_set: {from: flights, predict_at: "departs_at", label: "arrived_at is null", features: [delays, mine]}
"""


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    written(tmp_path / "flights", FLIGHTS, "owner.yaml")
    return written(tmp_path / "mine", MINE)


def test_what_a_table_is_comes_from_its_owner_and_only_the_owner_makes_it(mine: Path, tmp_path: Path) -> None:
    owner = read_pipeline(tmp_path / "flights" / "owner.yaml")[0]
    pipeline, _ = read_pipeline(mine)

    shared, made = pipeline.tables["flights"], owner.tables["flights"]
    assert shared.shared == "flights"
    assert (shared.key, shared.event_time, shared.available_at, shared.known_early, shared.columns) == (
        made.key,
        made.event_time,
        made.available_at,
        made.known_early,
        made.columns,
    )
    assert pipeline.feature_tables["delays"].aggregates == owner.feature_tables["delays"].aggregates
    steps = flow.steps(pipeline)
    assert [step.name for step in steps[:2]] == ["features:mine", "training_set"]
    assert steps[1].inputs == ("flights",)


def test_its_tables_are_in_the_owner_s_schema_under_the_same_overlay(mine: Path) -> None:
    where = places(read_pipeline(mine)[0], Environment(prefix="dev_", warehouse="/w/"), sample="5%")

    assert where.root == "/w/dev_cancelled_sample_5"
    assert where.elsewhere == {"flights": "/w/dev_flights", "delays": "/w/dev_flights"}


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "tables:\n  flights: {shared: ../flights/owner.yaml}",
            "tables:\n  flights: {shared: ../flights/owner.yaml, key: x}",
            "pipe.yaml:3:21 tables.flights.shared: a shared table is what its owner says; leave out key",
        ),
        (
            "tables:\n  flights: {shared: ../flights/owner.yaml}",
            "tables:\n  flihgts: {shared: ../flights/owner.yaml}",
            "flights/owner.yaml has no table 'flihgts'; it has: flights, airports; did you mean 'flights'?",
        ),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: flights.delays}", "the path of the owner's YAML"),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: ../../etc/passwd}", "the path of the owner's"),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: }", "nothing came"),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: [a.yaml]}", "a list came"),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: gone.yaml}", "there is no file"),
        ("delays: {shared: ../flights/owner.yaml}", "delays: {shared: pipe.yaml}", "it shares it from 'pipe.yaml'"),
        ("pipeline: cancelled", "pipeline: flights", "is this pipeline too (flights)"),
        (
            "tables:\n  flights: {shared: ../flights/owner.yaml}",
            "tables:\n  flights: {source: {format: csv, path: x.csv}, event_time: departs_at}",
            "it is made from the table 'flights' of flights; share that as well: tables: {flights: {shared: ...}}",
        ),
    ],
)
def test_what_cannot_be_shared(mine: Path, old: str, new: str, says: str) -> None:
    mine.write_text(MINE.replace(old, new, 1))

    assert says in "\n".join(mistakes(mine))


def test_a_leak_is_seen_also_through_a_shared_table(mine: Path, tmp_path: Path) -> None:
    owner = FLIGHTS.replace("    available_at: arrived_at\n    known_early: [carrier, flight]\n", "")
    written(tmp_path / "flights", owner, "owner.yaml")
    mine.write_text(MINE.replace("arrived_at is null", "arr_delay > 15"))

    assert any("delays" in told and "label" in told for told in mistakes(mine))


def test_a_mistake_in_the_owner_s_file_is_told_there(mine: Path, tmp_path: Path) -> None:
    written(tmp_path / "flights", FLIGHTS.replace("[mean, p90]", "[mean, p9]"), "owner.yaml")

    (told,) = mistakes(mine)

    assert "flights/owner.yaml:19:47 feature_tables.delays.aggregates[0].functions[1]: 'p9'" in told
