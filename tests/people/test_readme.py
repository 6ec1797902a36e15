"""The commands of the README's tour, run on a small sample of the flights."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.conftest import PROJECT
from tests.support.flights import SMALL, sample
from tests.support.running import headrace, run_job

README = (PROJECT / "README.md").read_text(encoding="utf-8")
TOUR = README.split("## A tour of five minutes")[1].split("Your own table")[0]
COMMANDS = [line.split("   #")[0].split("  #")[0].strip() for line in TOUR.splitlines() if line.startswith("headrace ")]
SETS = tuple(part for change in SMALL for part in ("--set", change))


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tour")
    config, home = sample(folder, 3_000), folder / "home"
    ended = run_job("pipeline", config, home, *SETS)
    assert ended.code == 0, ended.said[-3000:]
    return config, home


def test_the_tour_has_commands() -> None:
    assert len(COMMANDS) >= 5


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_of_the_tour(flights: tuple[Path, Path], line: str) -> None:
    config, home = flights
    words = [str(config) if word == "conf/flights.yaml" else word for word in shlex.split(line)[1:]]
    ended = headrace(home, *words)
    assert ended.code == 0, ended.said[-2000:]
    assert ended.out.strip()


def test_jobs_named_in_the_readme_are_there() -> None:
    named = set(re.findall(r"jobs/(\w+)\.py", README))
    assert named == {path.stem for path in (PROJECT / "jobs").glob("*.py")}


def test_jobs_do_not_hide_modules_of_python() -> None:
    """The folder of the job comes first where Python looks for modules: `jobs/profile.py` would break every job."""
    assert not {path.stem for path in (PROJECT / "jobs").glob("*.py")} & set(sys.stdlib_module_names)


def test_every_job_explains_itself() -> None:
    for path in (PROJECT / "jobs").glob("*.py"):
        assert f"jobs/{path.name}" in (PROJECT / "README.md").read_text()
