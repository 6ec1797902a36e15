"""Which steps a command line asks for, and in which order they run."""

from __future__ import annotations

import subprocess
import sys

import pytest

from headrace import flow
from headrace.cli.running import Request, asked_steps
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.runtime.step import STAGES, Step
from tests.conftest import PROJECT


@pytest.fixture(scope="module")
def steps() -> tuple[Step, ...]:
    pipeline, _ = read_pipeline(str(PROJECT / "conf" / "flights.yaml"))
    return flow.steps(pipeline)


def names(steps: tuple[Step, ...]) -> set[str]:
    return {s.name for s in steps}


def test_every_step_comes_after_those_that_feed_it(steps: tuple[Step, ...]) -> None:
    made: set[str] = set()
    for step in steps:
        assert set(step.inputs) <= made, step.name
        made |= set(step.outputs)
    assert {s.stage for s in steps} == set(STAGES)


def test_one_writer_per_table(steps: tuple[Step, ...]) -> None:
    outputs = [o for s in steps for o in s.outputs]
    assert len(outputs) == len(set(outputs))


def test_from_and_to_include_both_ends(steps: tuple[Step, ...]) -> None:
    assert {s.stage for s in flow.chosen(steps, from_="search", to="register")} == {"search", "evaluate", "register"}
    assert {s.stage for s in flow.chosen(steps, only="score")} == {"score"}


@pytest.mark.parametrize("asked", [{"only": "validate"}, {"only": "clean"}, {"from_": "clean", "to": "clean"}])
def test_validate_and_clean_are_inseparable(steps: tuple[Step, ...], asked: dict[str, str]) -> None:
    assert {s.stage for s in flow.chosen(steps, **asked)} == {"validate", "clean"}


def test_select_takes_a_table_or_all_that_depends_on_it(steps: tuple[Step, ...]) -> None:
    assert names(flow.chosen(steps, select="carrier_delays")) == {"features:carrier_delays"}
    assert names(flow.chosen(steps, select="weather")) == {"validate:weather", "clean:weather"}
    assert names(flow.chosen(steps, select="weather+")) == {
        *(
            "validate:weather",
            "clean:weather",
            "features:origin_weather",
            "training_set",
            "training_set:leakage",
            "search",
        ),
        *("evaluate", "register", "register:model_changes", "score", "monitor"),
    }
    everything = names(flow.chosen(steps, select="airports+"))
    assert {"clean:flights", "features:carrier_delays", "monitor"} <= everything
    assert "clean:weather" not in everything


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"only": "training"}, "training_set"),
        ({"select": "carier_delays"}, "carrier_delays"),
        ({"from_": "score", "to": "ingest"}, "comes after"),
        ({"only": "score", "from_": "ingest"}, "stands alone"),
    ],
)
def test_mistakes_are_told(steps: tuple[Step, ...], asked: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        flow.chosen(steps, **asked)


def test_what_matters_is_in_the_configuration_of_its_step() -> None:
    path = str(PROJECT / "conf" / "flights.yaml")
    before = {s.name: s.config for s in flow.steps(read_pipeline(path)[0])}

    def changed(*sets: str) -> set[str]:
        after = flow.steps(read_pipeline(path, sets=sets)[0])
        return {s.name for s in after if s.config != before[s.name]}

    assert changed("gates[0].at_least=0.71") == {"register"}
    assert changed("search.max_evals=3") == {"search"}
    assert changed("tables.weather.rules[0].check=wind_speed < 100") == {"validate:weather", "clean:weather"}
    assert changed("feature_tables.carrier_delays.aggregates[0].windows=[3 hours, 1 day, 7 days, 2 days]") == {
        "features:carrier_delays",
        "training_set",
        "score",
        "monitor",
    }
    assert changed("training_set.leakage.power=0.9") == {"training_set:leakage"}
    assert "score" in changed("training_set.split.test_until=2013-11-25")
    words = ("description=something else", "owner=me", "tags=[gold]")
    words += tuple(f"{table}.{word}" for table in ("tables.flights", "feature_tables.plane") for word in words)
    said = ("tables.flights.describe={origin: where from}", "feature_tables.plane.describe={seats: {tags: [size]}}")
    assert changed(*words, *said) == set()


def test_the_flow_is_known_without_what_only_single_stages_need() -> None:
    code = "import sys; from headrace import flow; print(sorted({'scipy', 'mlflow', 'xgboost'} & set(sys.modules)))"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"


@pytest.mark.parametrize("asked", [{"only": "clean"}, {"from_": "score"}, {"to": "ingest"}])
def test_a_stage_that_the_job_has_not(asked: dict[str, str]) -> None:
    pipeline, _ = read_pipeline(str(PROJECT / "conf" / "flights.yaml"))
    says = "the job train has not that stage; it has training_set, search, evaluate, register"
    with pytest.raises(ConfigError, match=says):
        asked_steps(pipeline, Request("train", **asked), "flights.yaml")  # type: ignore[arg-type]
