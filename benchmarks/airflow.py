"""The DAG that `headrace schedule` writes, in a real Airflow: single runs, exit codes, a backfill.

    PYTHONPATH=lib .venv/bin/python benchmarks/airflow.py [VERSION OF AIRFLOW]

Makes an environment of its own in HEADRACE_HOME/airflow (half a gigabyte from the package index, kept for the next
time). In place of `headrace` the DAG calls a program that notes its arguments and ends with the exit code that is
wanted: it is Airflow that is looked at. Prints what was checked; ends with 1 if something is otherwise.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from headrace.config import cron
from headrace.runtime.home import home

VERSION = "3.3.2"
YAML = """\
pipeline: shop
tables:
  visits: {source: {format: csv, path: data/visits/}, key: visit_id, event_time: visited_at}
training_set: {from: visits, label: "bought = 1"}
schedules:
  nightly: {job: [ingest, score], cron: "30 3 * * *", time_zone: Europe/Berlin, retries: 2}
"""
EXPRESSION, ZONE = cron.parse("30 3 * * *"), cron.zone("Europe/Berlin")
NIGHTS = [datetime(2026, 3, day, tzinfo=UTC) for day in (27, 28, 29, 30, 31)]
"""Runs that start on these days; on the 29th the clocks change."""
CODES = {"2026-03-28": [1, 0], "2026-03-30": [4], "2026-03-31": [1, 1, 1]}
"""Exit codes of scoring by the day of `--until`, one for each try; otherwise 0."""
TRIES = {"2026-03-28": 2, "2026-03-31": 3}
STAND_IN = """\
#!{python}
import json, os, sys
arguments = sys.argv[1:]
with open({calls!r}, "a") as file:
    file.write(json.dumps([arguments, os.environ["HEADRACE_HOME"], os.getcwd()]) + "\\n")
given = dict(zip(arguments, arguments[1:]))
day = given.get("--until", "")[:10]
tries = sum(json.loads(line)[0] == arguments for line in open({calls!r}))
codes = json.load(open({codes!r})).get(day, [])
sys.exit(codes[tries - 1] if 0 < tries <= len(codes) else 0)
"""
WAIT = 420.0
"""Seconds for the backfill."""


class Project:
    """A folder with a pipeline, a program in place of `headrace`, and an Airflow whose home it is."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self.programs, self.calls_file = folder, programs, folder / "calls"
        (folder / "conf").mkdir()
        (folder / "conf" / "shop.yaml").write_text(YAML)
        self.stand_in = folder / "headrace"
        text = STAND_IN.format(python=sys.executable, calls=str(self.calls_file), codes=str(folder / "codes"))
        self.stand_in.write_text(text)
        self.stand_in.chmod(0o755)
        self.env = {
            **{
                key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW") and key != "PYTHONPATH"
            },
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://localhost:18793/execution/",
            "AIRFLOW__API__PORT": "18793",
            "AIRFLOW__API__BASE_URL": "http://localhost:18793",
        }
        self.forget({})

    def forget(self, codes: dict[str, list[int]]) -> None:
        self.calls_file.write_text("")
        (self.folder / "codes").write_text(json.dumps(codes))

    def calls(self) -> list[list[str]]:
        return [json.loads(line)[0] for line in self.calls_file.read_text().splitlines()]

    def scored(self, days: Sequence[str]) -> list[tuple[str, str, str]]:
        """`--since`, `--until`, `--as-of` of each scoring, in order, that ends on one of these days."""
        given = [dict(itertools.pairwise(call)) for call in self.calls() if "jobs/score.py" in call]
        found = [(one["--since"], one["--until"], one["--as-of"]) for one in given]
        return [one for one in found if one[1][:10] in days]

    def write_dag(self) -> None:
        """By the command itself; only the time between tries is shortened."""
        arguments = ["schedule", "conf/shop.yaml", "--to", "airflow", "--out", "dags", "--command"]
        command = [sys.executable, "-m", "headrace.cli.main", *arguments, str(self.stand_in)]
        library = str(Path(cron.__file__).parents[2])
        subprocess.run(command, cwd=self.folder, env={**os.environ, "PYTHONPATH": library}, check=True)
        file = self.folder / "dags" / "shop_nightly.py"
        file.write_text(file.read_text().replace("timedelta(seconds=300)", "timedelta(seconds=1)"))

    def airflow(self, *arguments: str, timeout: float = 300) -> subprocess.CompletedProcess[str]:
        command = [str(self.programs / "airflow"), *arguments]
        return subprocess.run(
            command, env=self.env, cwd=self.folder, capture_output=True, text=True, timeout=timeout, check=False
        )


def environment(version: str) -> Path:
    """The programs of an environment with Airflow."""
    folder = home() / "airflow" / version
    if not (folder / "bin" / "airflow").is_file():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        packages = [f"apache-airflow=={version}", "apache-airflow-providers-standard"]
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *packages], check=True)
    return folder / "bin"


def interval(now: datetime) -> tuple[str, str, str]:
    """What a run is to score that starts on a day, by Headrace's own reckoning."""
    start, end = cron.last_interval(EXPRESSION, ZONE, now + timedelta(hours=12))
    return start.isoformat(), end.isoformat(), end.isoformat()


def check(what: str, found: object, wanted: object) -> bool:
    same = found == wanted
    print(f"{'ok  ' if same else 'NOT '} {what}" + ("" if same else f"\n     came:   {found}\n     wanted: {wanted}"))
    return same


def single_runs(project: Project) -> Iterator[bool]:
    """`airflow dags test` of a night, twice, and of nights on which a job does not end well."""
    project.write_dag()
    yield check("the database is made", project.airflow("db", "migrate").returncode, 0)
    said = project.airflow("dags", "reserialize")
    yield check("the DAG can be read", said.returncode, 0)
    wanted = interval(NIGHTS[0])
    for time_of_run in ("2026-03-27T12:00:00+00:00", "2026-03-27T18:00:00+00:00"):
        project.forget({})
        said = project.airflow("dags", "test", "shop_nightly", time_of_run)
        jobs = [next(word for word in call if word.startswith("jobs/")) for call in project.calls()]
        yield check(f"a run at {time_of_run}: its jobs in order", jobs, ["jobs/ingest.py", "jobs/score.py"])
        yield check("its interval, whenever it runs", project.scored([wanted[1][:10]]), [wanted])
    for code in (2, 3, 4):
        project.forget({"2026-03-27": [code] * 3})
        said = project.airflow("dags", "test", "shop_nightly", f"2026-03-27T20:0{code}:00+00:00")
        text = said.stdout + said.stderr
        told = "not tried again" in text and f"exit code {code}" in text
        yield check(f"exit code {code}: tried once", len(project.scored(["2026-03-27"])), 1)
        good = check(f"exit code {code}: the run failed, and says why", (told, "state=failed" in text), (True, True))
        print("" if good else text[-3000:], end="")
        yield good


@contextmanager
def running(project: Project) -> Iterator[None]:
    """All of Airflow, until this ends."""
    log = (project.folder / "standalone.log").open("w")
    command = [str(project.programs / "airflow"), "standalone"]
    started = subprocess.Popen(
        command, env=project.env, cwd=project.folder, stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield
    finally:
        os.killpg(started.pid, signal.SIGTERM)
        try:
            started.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(started.pid, signal.SIGKILL)


def backfill(project: Project) -> Iterator[bool]:
    """Five nights by the scheduler: each once, in order, tried again or not as its exit code says."""
    days = [f"{night:%F}" for night in NIGHTS]
    project.forget(CODES)
    wanted = [interval(night) for night in NIGHTS for _ in range(TRIES.get(f"{night:%F}", 1))]
    with running(project):
        time.sleep(30)
        project.airflow("dags", "unpause", "shop_nightly")
        first, last = interval(NIGHTS[0])[0], interval(NIGHTS[-1])[0]
        asked = project.airflow(
            "backfill", "create", "--dag-id", "shop_nightly", "--from-date", first, "--to-date", last
        )
        yield check("the backfill is taken", asked.returncode, 0)
        if asked.returncode:
            print(asked.stderr[-2000:])
        until = time.monotonic() + WAIT
        while len(project.scored(days)) < len(wanted) and time.monotonic() < until:
            time.sleep(2)
        time.sleep(15)  # for one try too many
        yield check("five nights, each its interval, in order, code 1 tried again", project.scored(days), wanted)
        states = json.loads(project.airflow("dags", "list-runs", "shop_nightly", "--output", "json").stdout or "[]")
    runs = {run["run_id"]: run["state"] for run in states if run["run_id"].startswith("backfill")}
    yield check(
        "two of the runs are seen as failed",
        sorted(runs.values()),
        ["failed", "failed", "success", "success", "success"],
    )


def main() -> int:
    """Run all checks."""
    version = sys.argv[1] if len(sys.argv) > 1 else VERSION
    programs = environment(version)
    with tempfile.TemporaryDirectory() as folder:
        project = Project(Path(folder), programs)
        print(f"Airflow {version}")
        good = [*single_runs(project), *backfill(project)]
        if not all(good):
            print((Path(folder) / "standalone.log").read_text()[-3000:])
    return 0 if all(good) else 1


if __name__ == "__main__":
    raise SystemExit(main())
