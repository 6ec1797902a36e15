"""Contests: the same question to several contenders in one run, on the same Delta files, taking turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession

PROJECT = Path(__file__).resolve().parent.parent
KEYS = {
    "uniform": "cast(rand(1) * {entities} as bigint)",
    "zipf": "cast(pow({entities}, rand(1)) as bigint)",
    "hot": "case when rand(1) < 0.1 then 0L else cast(rand(3) * {entities} as bigint) end",
}
"""Who an event is of: all alike; few with many and many with few; one entity with a tenth of all rows."""


def session(
    cores: int = 2, memory: str = "6g", master: str | None = None, more: Mapping[str, str] | None = None
) -> SparkSession:
    """A session with Delta, as a job has it; `more` is configuration of Spark."""
    jars = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")) / "jars"
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master(master or f"local[{cores}]").appName("headrace benchmark")
    for key, value in {
        "spark.driver.memory": memory,
        "spark.driver.extraClassPath": (classes := ":".join(str(jar) for jar in sorted(jars.glob("*.jar")))),
        "spark.executor.extraClassPath": classes,
        "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
        "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
        "spark.databricks.delta.snapshotPartitions": "1",
        "spark.sql.shuffle.partitions": str(4 * cores),
        "spark.sql.session.timeZone": "UTC",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **(more or {}),
    }.items():
        builder = builder.config(key, value)
    made = builder.getOrCreate()
    made.sparkContext.setLogLevel("ERROR")
    return made


def environment(name: str, *packages: str) -> Path:
    """The interpreter of an environment of its own, in HEADRACE_HOME, kept for the next time."""
    folder = Path(os.environ.get("HEADRACE_HOME", PROJECT / ".headrace")) / name
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(folder / "bin" / "pip"), "install", "-q", *packages], check=True)
        (folder / "ready").touch()
    return python


def events(spark: SparkSession, rows: int, entities: int, kind: str, seed: int = 0) -> DataFrame:
    """`entity bigint, happened timestamp, value double, amount bigint`: a year of them, in no order."""
    return spark.range(0, rows, 1, 8).selectExpr(
        KEYS[kind].format(entities=entities).replace("rand(1)", f"rand({seed + 1})") + " as entity",
        f"timestamp_micros(1577836800000000 + cast(rand({seed + 11}) * 31536000 as bigint) * 1000000) as happened",
        f"round(randn({seed + 12}) * 100, 2) as value",
        f"cast(rand({seed + 13}) * 1000 as bigint) as amount",
    )


def stored(frame: DataFrame, folder: str) -> DataFrame:
    """Written to Delta as it comes, and read again."""
    frame.write.format("delta").mode("overwrite").save(folder)
    return frame.sparkSession.read.format("delta").load(folder)


def run_out(frame: DataFrame) -> None:
    """Compute every row and column, and keep none."""
    frame.write.format("noop").mode("overwrite").save()


def contest(contenders: Mapping[str, Callable[[], None]], rounds: int, warm: bool = True) -> dict[str, float]:
    """Median seconds of each; they take turns, so that a noisy minute hurts all. `warm`: a round before that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(0 if warm else 1, rounds + 1):
        for name, work in contenders.items():
            started = time.monotonic()
            work()
            if number:  # the first round warms up
                seconds[name].append(time.monotonic() - started)
            print(f"  {name}: {time.monotonic() - started:.1f} s{'' if number else ' (to warm up)'}", file=sys.stderr)
    return {name: statistics.median(found) for name, found in seconds.items()}


def shown(title: str, medians: Mapping[str, float], ours: str, wrong: Mapping[str, int | None]) -> str:
    """A Markdown table: seconds, as a multiple of ours, rows that differ."""
    lines = [f"| {title} | median s | of Headrace's time | rows that differ |", "| --- | --- | --- | --- |"]
    for name, value in medians.items():
        rows = wrong.get(name)
        lines.append(f"| {name} | {value:.1f} | {value / medians[ours]:.2f} | {'' if rows is None else rows} |")
    return "\n".join(lines)


def differing(ours: pa.Table, theirs: pa.Table) -> int:
    """Rows of which any column differs by more than 1e-9 of its size; both sorted by all of the spine's columns."""
    import numpy as np

    if ours.num_rows != theirs.num_rows:  # rows lost or multiplied
        return abs(ours.num_rows - theirs.num_rows)
    bad = np.zeros(ours.num_rows, bool)
    for name in ours.column_names:
        times = pa.types.is_timestamp(ours[name].type)  # with and without a zone: the same instant in UTC
        columns = [
            side[name].cast(pa.timestamp("us")).cast("int64") if times else side[name] for side in (ours, theirs)
        ]
        a, b = (column.to_pandas() for column in columns)
        if a.dtype.kind in "fiu":
            x, y = a.astype(float).to_numpy(), b.astype(float).to_numpy()
            bad |= ~((np.isnan(x) & np.isnan(y)) | (np.abs(x - y) <= 1e-9 * np.maximum(1.0, np.abs(x))))
        else:
            bad |= (a != b).to_numpy() & ~(a.isna() & b.isna()).to_numpy()
    return int(bad.sum())


def scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for the tables, removed at the end."""
    return tempfile.TemporaryDirectory(prefix="headrace-benchmark-")
