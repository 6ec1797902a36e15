"""Searches: against Spark's CrossValidator and hyperopt's SparkTrials; what a trial costs, pruning, a kill, many trials.

    .venv/bin/python benchmarks/search.py [--what validator|tasks|cost|memory|ways|killed|halving] [--rounds 3] [--parallelism 2]
        [--pruning halving|hyperband] [--over rows|iterations] [--estimator xgboost] [--seeds 5]   (of `halving`)

`validator`: 18 fits (6 settings, 3 folds) of the whole pipeline (preparation and estimator) on the flights of January to
October, and the refit of the best. CrossValidator fits the preparation again for each; it is Headrace's own, so that both do the
same. Headrace's time has all that the stage `search` does: the trials' table, MLflow, the model's log. Prints a
Markdown table of medians; ends with 1 where any setting's mean over the folds differs by more than 1e-6.
The other parts are in `trials.py`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import trials
from contest import PROJECT, contest, scratch, session, shown
from pyspark.ml import Estimator, Pipeline
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.tuning import CrossValidator, ParamGridBuilder
from pyspark.sql import DataFrame

import headrace
from headrace.config.preparation import Preparation
from headrace.search.columns import columns
from headrace.search.estimators import ESTIMATORS
from headrace.search.plan import plan
from headrace.search.preparation import fit_preparation
from headrace.search.tallies import Goal

SETTINGS = (0.0001, 0.001, 0.01, 0.03, 0.1, 0.3)
FOLDS = 3
YAML = """\
extends: {flights}
training_set: {{split: {{folds: {{count: {folds}, by: hash}}}}}}
search:
  estimators:
    - {{name: logistic_regression, params: {{l1_ratio: 0.0}}, space: {{regularization: {{choice: {settings}}}}}}}
  algorithm: grid
  max_evals: {count}
  parallelism: {parallelism}
  timeout: 1 hour
"""


class Prepare(Estimator):
    """Headrace's preparation, as a stage that CrossValidator fits."""

    def __init__(self, features: list[str]) -> None:
        super().__init__()
        self.features = features

    def _fit(self, dataset: DataFrame) -> Any:
        seen = columns(dataset, self.features, 100, Preparation(), True)
        return fit_preparation(dataset, seen, plan("linear", seen, Preparation()), Goal(2)).model


def validator(features: list[str], parallelism: int) -> CrossValidator:
    """Spark's search over the same settings."""
    linear = ESTIMATORS["logistic_regression"].build("binary", {"regularization": 0.0, "l1_ratio": 0.0}, 42, 2)
    return CrossValidator(
        estimator=Pipeline(stages=[Prepare(features), linear]),
        estimatorParamMaps=ParamGridBuilder().addGrid(linear.regParam, list(SETTINGS)).build(),
        evaluator=BinaryClassificationEvaluator(metricName="areaUnderROC", numBins=0),
        foldCol="place",
        numFolds=FOLDS,
        parallelism=parallelism,
    )


def main() -> int:
    """Run one of the contests."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", default="validator", choices=["validator", *PARTS])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--parallelism", type=int, default=2)
    parser.add_argument("--pruning", default="halving", choices=["halving", "hyperband"])
    parser.add_argument("--over", default="rows", choices=["rows", "iterations"])
    parser.add_argument("--estimator", default="xgboost")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    if given.what == "validator":
        return against_validator(given)
    with scratch() as place:
        home = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace"))
        shutil.copytree(home / "jars", Path(place, "home", "jars"))
        os.environ["HEADRACE_HOME"] = f"{place}/home"
        PARTS[given.what](Path(place), given)
    print(f"\nLoad {os.getloadavg()[0]:.1f}.")
    return 0


def _tasks(place: Path, given: argparse.Namespace) -> None:
    for seconds, rounds in ((0.2, given.rounds), (5.0, 1)):
        medians = trials.tasks(seconds, rounds, parallelism=given.parallelism)
        print(shown(f"64 trials of {seconds:g} s, {given.parallelism} at once", medians, "Headrace, tasks", {}))


def _told(found: Any) -> None:
    print(json.dumps(found, indent=1))


def _halving(place: Path, given: argparse.Namespace) -> None:
    file = Path(place, "flights.yaml")
    file.write_text(
        f"extends: {PROJECT / 'conf' / 'flights.yaml'}\nsearch: {{estimators: [{given.estimator}], timeout: 1 hour}}\n"
    )
    headrace.Pipeline.from_yaml(file).run(to="training_set", sample="25%")
    how = f"{given.pruning} over {given.over}"
    print(f"| seed | 30 trials, s | their best found, s | {how} finds as good a one, s |\n| --- | --- | --- | --- |")
    pruning = f"{{{given.pruning}: {{over: {given.over}}}}}"
    for row in trials.halving(file, os.environ["HEADRACE_HOME"], given.seeds, "25%", pruning):
        print("| {} | {:.0f} | {:.0f} | {:.0f} |".format(*row))


def _ways(place: Path, _: argparse.Namespace) -> None:
    print("| rows | MiB that train | as jobs, s | as tasks, s | jobs / tasks |\n| --- | --- | --- | --- | --- |")
    for rows, size, jobs, tasks in trials.ways(place, (40_000, 160_000, 320_000, 640_000)):
        print(f"| {rows:,} | {size:.0f} | {jobs:.1f} | {tasks:.1f} | {jobs / tasks:.2f} |")


PARTS = {
    "tasks": _tasks,
    "cost": lambda place, _: _told(trials.cost(place)),
    "memory": lambda place, _: _told(trials.memory(place)),
    "ways": _ways,
    "killed": lambda place, _: _told(trials.killed(place)),
    "halving": _halving,
}


def against_validator(given: argparse.Namespace) -> int:
    """The search against CrossValidator."""
    home = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace"))
    spark = session()
    spark.conf.set("spark.sql.ansi.enabled", "true")
    with scratch() as place:
        shutil.copytree(home / "jars", Path(place, "home", "jars"))
        os.environ["HEADRACE_HOME"] = f"{place}/home"
        file = Path(place, "flights_in_folds.yaml")
        how = {"folds": FOLDS, "settings": list(SETTINGS), "count": len(SETTINGS), "parallelism": given.parallelism}
        file.write_text(YAML.format(flights=PROJECT / "conf" / "flights.yaml", **how))
        pipeline = headrace.Pipeline.from_yaml(file)
        pipeline.run(to="training_set")
        table = f"{place}/home/warehouse/flights/training_set"
        plain = spark.newSession()  # what Headrace sets for its own session is not for the other
        plain.conf.set("spark.sql.ansi.enabled", "true")
        rows = plain.read.format("delta").load(table).where("fold is not null and label is not null")
        notes = [row[0] for row in spark.sql(f"describe history delta.`{table}`").select("userMetadata").collect()]
        features = next(
            found for note in notes if note and (found := json.loads(note).get("facts", {}).get("features"))
        )
        rows = rows.selectExpr("double(label) label", "fold - 1 place", *[f"`{name}`" for name in features])
        found: list[float] = []

        def theirs() -> None:
            found[:] = validator(features, given.parallelism).fit(rows).avgMetrics

        ours: list[float] = []

        def mine() -> None:
            begun = time.monotonic()
            done = pipeline.run(only="search", force="search")
            ours.append(float(next(one["seconds"] for one in done.stages if one["name"] == "search")))
            print(f"    the stage alone: {ours[-1]:.1f} s of {time.monotonic() - begun:.1f}", file=sys.stderr)

        contenders = {"Headrace, the stage `search`": mine, "Spark, CrossValidator": theirs}
        medians = contest(contenders, given.rounds, warm=given.rounds > 1)  # the training set has warmed up much
        trials = pipeline.table("trials").where("status = 'ok'").select("params", "value").collect()
    known = {json.loads(row["params"])["regularization"]: row["value"] for row in trials}
    apart = max(abs(known[setting] - value) for setting, value in zip(SETTINGS, found, strict=True))
    print(shown("18 fits of logistic regression on flights", medians, "Headrace, the stage `search`", {}))
    print(f"\nMeans over the folds differ by at most {apart:.1e}. Load {os.getloadavg()[0]:.1f}.")
    return int(apart > 1e-6)


if __name__ == "__main__":
    sys.exit(main())
