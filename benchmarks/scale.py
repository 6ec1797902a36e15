"""How the engine grows: with rows, with executors, and what memory an executor takes.

    .venv/bin/python benchmarks/scale.py growth [--rows 1000000 30000000]
    .venv/bin/python benchmarks/scale.py memory [--rows 30000000]
    .venv/bin/python benchmarks/scale.py executors [--rows 10000000]

`growth`: point-in-time joins (a spine of a fifth) and eight window features of as many rows as are asked for, per
million rows. `memory`: the join of a table of which one entity has a tenth of all rows, on two executors of one core:
the greatest room (proportional set size, so that shared pages count once) of an executor and its Python workers.
`executors`: the same join on one executor and on two, each held to a core of its own. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

import pyspark
from contest import events, run_out, scratch, session, stored
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace import point_in_time_join, window_features

HEAP = 450
"""MiB: Spark's least."""


def tables(spark: SparkSession, folder: str, rows: int, kind: str) -> tuple[DataFrame, DataFrame]:
    """A feature table, and a spine with a fifth of its rows, as Delta tables."""
    spine = events(spark, rows // 5, 50_000, kind, seed=100).select("entity", "happened")
    return (
        stored(spine.withColumn("id", F.monotonically_increasing_id()), f"{folder}/spine-{rows}"),
        stored(events(spark, rows, 50_000, kind).withColumnRenamed("happened", "since"), f"{folder}/features-{rows}"),
    )


def joined(spine: DataFrame, features: DataFrame, num_buckets: int | None = None) -> None:
    """The join, computed as a whole."""
    run_out(
        point_in_time_join(
            spine,
            features,
            entity=["entity"],
            spine_time="happened",
            feature_time="since",
            num_buckets=num_buckets,
        )
    )


def windows(spine: DataFrame, features: DataFrame) -> None:
    """Eight window features of each row of the feature table, computed as a whole."""
    asked = {f"{f}_{w}": ("value", f, w) for f in ("count", "sum", "mean", "max") for w in ("1 day", "30 days")}
    rows = features.select("entity", F.col("since").alias("happened"))
    run_out(
        window_features(
            rows,
            features,
            entity=["entity"],
            spine_time="happened",
            event_time="since",
            aggregates={name.replace(" ", "_"): what for name, what in asked.items()},
        )
    )


def seconds(work: object, spine: DataFrame, features: DataFrame, rounds: int) -> float:
    """The median of several, after one to warm up."""
    found = []
    for number in range(rounds + 1):
        started = time.monotonic()
        work(spine, features)  # type: ignore[operator]
        found.append(time.monotonic() - started)
        print(f"  {found[-1]:.1f} s{'' if number else ' (to warm up)'}", file=sys.stderr)
    return statistics.median(found[1:])


def growth(sizes: list[int], rounds: int) -> None:
    """Seconds per million rows, of each size."""
    print("| rows | join, s | per million | windows, s | per million |\n| --- | --- | --- | --- | --- |")
    spark = session()
    for rows in sizes:
        with scratch() as folder:
            sides = tables(spark, folder, rows, "uniform")
            join, window = (seconds(work, *sides, rounds) for work in (joined, windows))
        each = [f"{took:.1f} | {took / rows * 1e6:.3f}" for took in (join, window)]
        print(f"| {rows:,} | {' | '.join(each)} |", flush=True)


def executors(rows: int, rounds: int) -> None:
    """One executor against two, in processes of their own."""
    print("| executors of one core | join, s |\n| --- | --- |")
    for number in (1, 2):
        print(f"| {number} | {cluster('uniform', rows, rounds, number)[0]:.1f} |", flush=True)


def memory(rows: int) -> None:
    """The greatest room of an executor."""
    took, most = cluster("hot", rows, 0, 2)
    print(
        f"{rows:,} rows, a tenth of one entity: {took:.0f} s, an executor takes at most {most[0]:.0f} MiB, "
        f"its JVM {most[1]:.0f} of these."
    )


def cluster(kind: str, rows: int, rounds: int, number: int) -> tuple[float, list[float]]:
    """Seconds of the join on executors of one core each; MiB that an executor takes at most, and its JVM of these."""
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    spark = session(
        master=f"local-cluster[{number},1,{HEAP}]",
        memory="2g",
        more={
            "spark.executor.memory": f"{HEAP}m",
            "spark.executor.extraJavaOptions": "-XX:ReservedCodeCacheSize=64m -XX:TieredStopAtLevel=1",
            "spark.executorEnv.MALLOC_ARENA_MAX": "2",
            "spark.sql.shuffle.partitions": str(max(8, rows // 500_000)),
        },
    )
    held = pinned(number)
    with scratch() as folder:
        sides = tables(spark, folder, rows, kind)
        most, done = [0.0, 0.0], threading.Event()
        watch = threading.Thread(target=watched, args=(held, most, done))
        watch.start()
        if rounds:
            took = seconds(joined, *sides, rounds)
        else:
            started = time.monotonic()
            joined(*sides)
            took = time.monotonic() - started
        done.set()
        watch.join()
    spark.stop()
    return took, most


def pinned(number: int) -> list[int]:
    """The processes of the executors, each held to a core of its own."""
    deadline = time.monotonic() + 60
    found: list[int] = []
    while len(found) < number and time.monotonic() < deadline:
        time.sleep(1)
        told = subprocess.run(["pgrep", "-f", "^/[^ ]*java .*CoarseGrainedExecutorBackend"], stdout=subprocess.PIPE)
        found = [int(pid) for pid in told.stdout.split()]
    for core, pid in enumerate(found):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), {core})
    return found


def watched(executors: list[int], most: list[float], done: threading.Event) -> None:
    """Keep the greatest room of any of these processes with its children, and its own."""
    while not done.wait(0.2):
        children: dict[int, list[int]] = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((place / "stat").read_text().rsplit(")", 1)[1].split()[1])
            except OSError:  # ended meanwhile
                continue
            children.setdefault(parent, []).append(int(place.name))
        most[:] = max(most, *([room(pid, children), room(pid, {})] for pid in executors))


def room(pid: int, children: dict[int, list[int]]) -> float:
    """MiB of a process and all below it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # ended meanwhile
        return 0
    own = next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)
    return own / 1024 + sum(room(child, children) for child in children.get(pid, []))


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["growth", "memory", "executors"])
    parser.add_argument("--rows", type=int, nargs="+")
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    if given.what == "growth":
        growth(given.rows or [1_000_000, 30_000_000], given.rounds)
    elif given.what == "memory":
        memory((given.rows or [30_000_000])[0])
    else:
        executors((given.rows or [10_000_000])[0], given.rounds)


if __name__ == "__main__":
    main()
