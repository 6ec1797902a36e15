"""Scoring killed at random: two jobs at a time over the same table, each by SIGKILL at a random instant.

    .venv/bin/python benchmarks/faults.py [--kills 50] [--seed 1]

Orders come in, so many each round; two jobs/score.py are started at once, with the model's two versions in turn, and are
killed, some of them before Spark is up, some after they have ended. Every third round a new version becomes champion while
they run. In the end one job runs undisturbed, and another that is to find nothing. Then: is each order that is due among the
predictions, is it there once, is what is said of it what the version that said it says by `transform`, and is each commit of
one version. Ends with 1 where it is not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

from contest import PROJECT, session
from pyspark.sql import functions as F

from headrace.models.predict import predict
from headrace.models.store import CHAMPION, ModelStore

YAML = """\
pipeline: shop
tables:
  orders: {{source: {{format: csv, path: orders/*.csv}}, key: id, event_time: at}}
training_set: {{from: orders, predict_at: at, label: late, task: binary}}
search: {{estimators: [{estimator}], max_evals: 1}}
"""
FIRST, EACH = 3_000, 400
HOME = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")).absolute()
FAILED = "failed"
LEAN = ("--master", "local[2]", "--driver-memory", "2g", "--conf", "spark.sql.shuffle.partitions=2")
START = datetime(2024, 1, 1)


def main() -> int:
    """Kill, and count."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    place = Path(tempfile.mkdtemp(prefix="headrace-faults-"))
    try:
        return _measured(place, random.Random(given.seed), given.kills)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _measured(place: Path, chance: random.Random, kills: int) -> int:
    (place / "orders").mkdir()
    (place / "home").mkdir()
    for shared in ("jars", "packages", "cache"):
        (HOME / shared).mkdir(parents=True, exist_ok=True)
        (place / "home" / shared).symlink_to(HOME / shared)
    _write(place, 0, FIRST, labelled=True)
    for number, estimator in enumerate(("logistic_regression", "decision_tree"), 1):
        (place / "shop.yaml").write_text(YAML.format(estimator=estimator))
        _job(place, "pipeline.py", "--to", "register")
        print(f"version {number}: {estimator}", flush=True)
    started = time.monotonic()
    _job(place, "score.py")
    usual, rows = time.monotonic() - started, FIRST
    print(f"an undisturbed run takes {usual:.1f} s", flush=True)
    ended: Counter[str] = Counter()
    for number in range((kills + 1) // 2):
        _write(place, rows, rows + EACH)
        rows += EACH
        _job(place, "pipeline.py", "--to", "clean")
        ended.update(_round(place, chance, usual, promotes=number % 3 == 2))
        print(f"round {number + 1}: {dict(ended)}", flush=True)
    _job(place, "score.py")
    started = time.monotonic()
    last = _job(place, "score.py")
    print(f"a run that finds nothing new takes {time.monotonic() - started:.1f} s", flush=True)
    return _told(place, rows, ended, "unchanged" in last or "nothing new to score" in last)


def _write(place: Path, first: int, last: int, labelled: bool = False) -> None:
    """Orders, each a minute after the one before."""
    chance = random.Random(first)
    lines = ["id,at,cents,shop,late"]
    for number in range(first, last):
        cents, at = chance.randint(100, 20_000), START + timedelta(minutes=number)
        late = (
            str(chance.random() < (0.8 if cents > 9_000 else 0.2)).lower() if labelled and number < last - 200 else ""
        )
        lines.append(f"{number},{at.isoformat()},{cents},s{chance.randint(0, 30)},{late}")
    (place / "orders" / f"{first}.csv").write_text("\n".join(lines) + "\n")


def _command(place: Path, job: str, *more: str) -> list[str]:
    return [
        str(PROJECT / "spark-submit.sh"),
        *LEAN,
        str(PROJECT / "jobs" / job),
        "--config",
        str(place / "shop.yaml"),
        *more,
    ]


def _environment(place: Path) -> dict[str, str]:
    return {**os.environ, "HEADRACE_HOME": str(place / "home")}


def _job(place: Path, job: str, *more: str) -> str:
    made = subprocess.run(
        _command(place, job, *more), env=_environment(place), capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise SystemExit(f"{job} ended with {made.returncode}: {made.stderr[-3000:]}")
    return made.stdout + made.stderr


def _round(place: Path, chance: random.Random, usual: float, promotes: bool) -> list[str]:
    """Two jobs at once, each killed when its time is over; how they ended."""
    begun = time.monotonic()
    jobs = [
        subprocess.Popen(
            _command(place, "score.py"), env=_environment(place), start_new_session=True,
            stdout=(place / f"job{number}.log").open("wb"), stderr=subprocess.STDOUT,
        )
        for number in range(2)
    ]  # fmt: skip
    ends = [begun + chance.uniform(0.3, 1.9) * usual for _ in jobs]  # two at a time are slower than one
    if promotes:
        time.sleep(chance.uniform(0.3, 1.0) * usual)
        _promoted(place)
    found = []
    for end, job, number in sorted(zip(ends, jobs, range(2), strict=True), key=lambda one: one[0]):
        try:
            code = job.wait(max(0.0, end - time.monotonic()))
            found.append("ended before" if code == 0 else _failed((place / f"job{number}.log").read_text()))
        except subprocess.TimeoutExpired:
            os.killpg(job.pid, signal.SIGKILL)
            job.wait()
            found.append("killed")
    return found


def _failed(log: str) -> str:
    if "gave way" in log:
        return "gave way"
    print(log[-2000:], flush=True)
    return FAILED


def _promoted(place: Path) -> None:
    store = _store(place)
    other = 3 - store.resolve("shop", CHAMPION).number
    store.set_alias("shop", other)


def _store(place: Path) -> ModelStore:
    return ModelStore(f"sqlite:///{place / 'home' / 'mlflow' / 'mlflow.db'}")


def _told(place: Path, rows: int, ended: Counter[str], quiet: bool) -> int:
    spark = session()
    shop, store = f"{place}/home/warehouse/shop", _store(place)
    found = spark.read.format("delta").load(f"{shop}/predictions")
    due = [str(number) for number in [*range(FIRST - 200, rows)]]
    there = Counter(str(row["id"]) for row in found.select("id").collect())
    lost, doubled = [one for one in due if not there[one]], [one for one, count in there.items() if count > 1]
    strange = sorted(set(there) - set(due))
    mixed = found.groupBy("run_id").agg(F.count_distinct("model_version").alias("n")).where("n > 1").count()
    wrong = 0
    features = spark.read.format("delta").load(f"{shop}/orders").withColumn("predict_at", F.col("at"))
    for version in store.versions("shop"):
        card = store.card(version.run_id)
        said = predict(store.load(version.uri), card, features, ["id"]).alias("theirs")
        ours = found.where(F.col("model_version") == version.number).alias("ours")
        both = ours.join(said, "id", "left")
        same = (F.col("ours.prediction") == F.col("theirs.prediction")) & (
            F.abs(F.col("ours.probability") - F.col("theirs.probability")) <= 1e-9
        )
        wrong += both.where(~F.coalesce(same, F.lit(False))).count()
    versions = {row["model_version"]: row["count"] for row in found.groupBy("model_version").count().collect()}
    print(
        "| runs | rows due | lost | doubled | not due | of another version than told | runs of two versions | by version |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    told = ", ".join(f"{count} {how}" for how, count in ended.items())
    print(f"| {told} | {len(due):,} | {len(lost)} | {len(doubled)} | {len(strange)} | {wrong} | {mixed} | {versions} |")
    print("a run without anything new found nothing" if quiet else "A RUN WITHOUT ANYTHING NEW WROTE SOMETHING")
    return 1 if ended[FAILED] or lost or doubled or strange or mixed or wrong or not quiet else 0


if __name__ == "__main__":
    sys.exit(main())
