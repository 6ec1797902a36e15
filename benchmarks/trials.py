"""What trials cost, how soon a good one is found, and what a kill or many of them leave behind: parts of `search.py`."""

from __future__ import annotations

import gc
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import hyperopt
import numpy as np
import pandas as pd
from contest import PROJECT, contest, session
from hyperopt import hp

import headrace
from headrace.search.driver_trials import DriverTrials
from headrace.search.task_trials import in_task

SMALL = """\
pipeline: small
tables: {{rows: {{source: {{format: csv, path: {csv}}}, key: id}}}}
training_set: {{from: rows, label: "y = 1"}}
search: {{estimators: [{estimator}], max_evals: {evals}, parallelism: {parallelism}, algorithm: random, timeout: 2 hours}}
"""
WAYS = """\
pipeline: {name}
tables: {{rows: {{source: {{format: parquet, path: {rows}}}, key: id}}}}
training_set: {{from: rows, label: "y", split: {{shares: [0.8, 0.1, 0.1]}}}}
search: {{estimators: [{{name: xgboost, params: {{trees: 50}}}}], max_evals: {evals}, parallelism: 2, algorithm: random, timeout: 2 hours}}
"""


def small(folder: Path, rows: int, **conf: Any) -> Path:
    """A pipeline over generated rows."""
    chance = np.random.default_rng(0)
    x = chance.normal(size=(rows, 8))
    y = (x[:, 0] + x[:, 1] * x[:, 2] + chance.normal(size=rows) > 0.5).astype(int)
    csv = folder / "rows.csv"
    head = "id," + ",".join(f"x{n}" for n in range(8)) + ",y"
    np.savetxt(csv, np.column_stack([np.arange(rows), x, y]), delimiter=",", header=head, comments="", fmt="%.6g")
    file = folder / "small.yaml"
    file.write_text(SMALL.format(csv=csv, **conf))
    return file


def minimum(trials: Any, objective: Callable[[Any], Any], most: int) -> None:
    """A random search by hyperopt's own interface."""
    hyperopt.fmin(
        objective, hp.uniform("x", 0, 1), algo=hyperopt.rand.suggest, max_evals=most, trials=trials,
        rstate=np.random.default_rng(1), verbose=False, show_progressbar=False, return_argmin=False,
    )  # fmt: skip


def tasks(seconds: float, rounds: int, most: int = 64, parallelism: int = 2) -> dict[str, float]:
    """Trials as tasks, against SparkTrials, on an objective that takes so many seconds."""
    spark = session(parallelism)

    def objective(x: float) -> float:
        time.sleep(seconds)
        return (x - 0.3) ** 2

    def ours() -> None:
        context = spark.sparkContext
        trials = DriverTrials(context, "contest", parallelism, None, None, lambda _: None)
        minimum(trials, lambda x: {"status": "ok", "loss": in_task(context, lambda: objective(x))}, most)
        assert len(trials.trials) == most

    def theirs() -> None:
        trials = hyperopt.SparkTrials(parallelism=parallelism, spark_session=spark)
        minimum(trials, objective, most)
        assert len(trials.trials) == most

    return contest({"Headrace, tasks": ours, "hyperopt, SparkTrials": theirs}, rounds, warm=seconds < 1)


def cost(folder: Path, evals: int = 20) -> dict[str, float]:
    """Seconds between trials, and inside of them beside fit and metric, of a search of one trial at a time."""
    from headrace.search import judging

    spent: list[float] = []
    before = judging.run_trial

    def timed(*given: Any, **named: Any) -> Any:
        began = time.monotonic()
        try:
            return before(*given, **named)
        finally:
            spent.append(time.monotonic() - began)

    judging.run_trial = timed  # type: ignore[assignment]
    try:
        file = small(folder, 20_000, estimator="logistic_regression", evals=evals, parallelism=1)
        pipeline = headrace.Pipeline.from_yaml(file)
        _ = pipeline.spark
        pipeline.run(to="search")
    finally:
        judging.run_trial = before  # type: ignore[assignment]
    rows = pipeline.table("trials").where("status = 'ok'").orderBy("started_at").collect()
    gaps = [(b["started_at"] - a["finished_at"]).total_seconds() for a, b in pairwise(rows)]
    whole = (rows[-1]["finished_at"] - rows[0]["started_at"]).total_seconds()
    return {
        "fit and metric, median": statistics.median(spent),
        "between the end of a trial and the beginning of the next, median": statistics.median(gaps),
        "beyond fits and metrics, per trial": (whole - sum(spent)) / len(rows),
    }


def memory(folder: Path, counts: tuple[int, int] = (20, 200)) -> dict[str, dict[str, float]]:
    """MiB of the driver, JVM (used heap after a collection) and Python, after so many trials."""
    found: dict[str, dict[str, float]] = {}
    for count in counts:  # the second run goes on with the trials of the first, to 200
        file = small(folder, 5_000, estimator="xgboost", evals=count, parallelism=2)
        pipeline = headrace.Pipeline.from_yaml(file, sets=["search.estimators=[{name: xgboost, params: {trees: 5}}]"])
        pipeline.run(to="search")
        spark = pipeline.spark
        gc.collect()
        runtime = spark._jvm.java.lang.Runtime.getRuntime()
        for _ in range(3):
            spark._jvm.java.lang.System.gc()
            time.sleep(1)
        status = Path("/proc/self/status").read_text()
        resident = next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]
        found[f"after {count} trials"] = {
            "heap": (runtime.totalMemory() - runtime.freeMemory()) / 2**20,
            "Python": int(resident) / 1024,
        }
    return found


def ways(
    folder: Path, rows: tuple[int, ...], features: int = 32, evals: int = 6
) -> list[tuple[int, float, float, float]]:
    """Of so many rows: MiB of their numbers, and seconds of the same trials as jobs and as tasks, two at a time.

    Args:
        folder: Scratch.
        rows: How many, from contest to contest; 80 % of them train.
        features: Columns of numbers.
        evals: Trials of each kind: XGBoost, 50 trees.
    """
    found = []
    chance = np.random.default_rng(0)
    for count in rows:
        x = chance.normal(size=(count, features))
        y = x[:, 0] + x[:, 1] * x[:, 2] + chance.normal(size=count) > 0.5
        frame = pd.DataFrame(x, columns=[f"x{n}" for n in range(features)]).assign(id=range(count), y=y)
        frame.to_parquet(folder / "rows.parquet", index=False)
        file = folder / f"ways_{count}.yaml"
        file.write_text(WAYS.format(name=f"ways_{count}", rows=folder / "rows.parquet", evals=evals))
        headrace.Pipeline.from_yaml(file).run(to="training_set")
        took = [_took(file, how) for how in ("jobs", "tasks")]
        found.append((count, 0.8 * count * features * 8 / 2**20, *took))
        print(f"  {found[-1]}", file=sys.stderr)
    return found


def _took(file: Path, how: str) -> float:
    """From the beginning of the first trial to the end of the last."""
    pipeline = headrace.Pipeline.from_yaml(file, sets=[f"search.distribute={how}"])
    pipeline.run(only="search", force="search")
    rows = pipeline.table("trials").where("trial >= 0 and status = 'ok'").orderBy("started_at").collect()
    mine = [row for row in rows if row["fingerprint"] == rows[-1]["fingerprint"]]
    return (max(row["finished_at"] for row in mine) - mine[0]["started_at"]).total_seconds()


def _written(home: Path) -> int:
    """Trials in the table, as its commits tell; one row is the baseline."""
    commits = (home / "warehouse" / "small" / "trials" / "_delta_log").glob("*.json")
    actions = [json.loads(line) for file in commits for line in file.read_text().splitlines()]
    return sum(json.loads(one["add"]["stats"])["numRecords"] for one in actions if "add" in one) - 1


def killed(folder: Path, evals: int = 30, after: int = 10) -> dict[str, int]:
    """The driver killed by SIGKILL when so many trials are in the table, and started again."""
    file = small(folder, 150_000, estimator="xgboost", evals=evals, parallelism=2)
    command = [str(PROJECT / "spark-submit.sh"), str(PROJECT / "jobs" / "train.py"), "--config", str(file)]
    subprocess.run(
        [command[0], str(PROJECT / "jobs" / "pipeline.py"), *command[2:], "--to", "training_set"], check=True
    )
    run = subprocess.Popen([*command, "--only", "search"], start_new_session=True)
    while run.poll() is None and _written(Path(os.environ["HEADRACE_HOME"])) < after:
        time.sleep(0.5)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    pipeline = headrace.Pipeline.from_yaml(file)
    there = pipeline.table("trials").where("trial >= 0").count()
    subprocess.run([*command, "--only", "search"], check=True)
    pipeline.spark.catalog.clearCache()
    rows = pipeline.table("trials").where("trial >= 0 and status <> 'winner'").collect()
    points = [(row["estimator"], row["params"]) for row in rows]
    return {
        "trials finished before the kill": there,
        "trials in the end": len(rows),
        "numbers twice": len(rows) - len({row["trial"] for row in rows}),
        "points twice": len(points) - len(set(points)),
    }


def halving(
    pipeline_file: Path, home: str, seeds: int, sample: str, pruning: str
) -> list[tuple[int, float, float, float]]:
    """Per seed: seconds of 30 trials without pruning, until the best of them was found, until pruned ones had as good a one.

    Args:
        pipeline_file: With what is searched.
        home: With the warehouse.
        seeds: So many searches of each kind.
        sample: Of the rows.
        pruning: As `search.pruning` has it, YAML.
    """
    found = []
    for seed in range(1, seeds + 1):
        took: dict[str, list[tuple[float, float | None]]] = {}
        for how, evals in (("none", 30), (pruning, 90)):
            sets = [f"search.seed={seed}", f"search.pruning={how}", f"search.max_evals={evals}"]
            pipeline = headrace.Pipeline.from_yaml(pipeline_file, sets=sets)
            pipeline.run(only="search", force="search", sample=sample)
            table = f"{home}/warehouse/flights_sample_{sample.rstrip('%')}/trials"
            rows = pipeline.spark.read.format("delta").load(table).where("status in ('ok', 'pruned') and trial >= 0")
            newest = rows.orderBy("started_at").collect()
            newest = [row for row in newest if row["fingerprint"] == newest[-1]["fingerprint"]]
            began = newest[0]["started_at"]
            took[how] = [((row["finished_at"] - began).total_seconds(), row["value"]) for row in newest]
        goal = max(value for _, value in took["none"] if value is not None)
        first = min(at for at, value in took["none"] if value is not None and value >= goal)
        reached = [at for at, value in took[pruning] if value is not None and value >= goal]
        found.append((seed, max(at for at, _ in took["none"]), first, min(reached, default=float("inf"))))
        print(f"  seed {seed}: {found[-1][1:]}", file=sys.stderr)
    return found
