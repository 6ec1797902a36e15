"""`headrace init` on a CSV of 1 million rows and 50 columns, against reading it once with a given schema.

    ./spark-submit.sh --master 'local[2]' benchmarks/init.py [ROWS] [RUNS]

Both in one session, in turn, the start of the session left out; prints a Markdown table of medians. The reading is
a count over all columns, so that every value is parsed.
"""

from __future__ import annotations

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headrace.cli.drafting.job import write
from headrace.cli.profiling.facts import Request
from headrace.runtime.session import session

KINDS = {
    "int": (12, "cast(rand({i}) * 1000 as int)"),
    "double": (14, "round(rand({i}) * 10000, 4)"),
    "price double": (4, "if(rand({i}) < 0.05, 'NA', cast(round(rand({i}) * 100, 2) as string))"),
    "string": (10, "element_at(array('north', 'south', 'east', 'west', 'centre'), 1 + cast(rand({i}) * 5 as int))"),
    "text string": (3, "concat('note ', cast(cast(rand({i}) * 1e9 as bigint) as string))"),
    "date": (3, "date_add(date '2020-01-01', cast(rand({i}) * 1500 as int))"),
    "timestamp": (2, "timestamp '2020-01-01' + make_dt_interval(0, 0, 0, cast(rand({i}) * 1e8 as int))"),
}


def generate(spark: SparkSession, rows: int, folder: str) -> str:
    """The schema, as DDL."""
    columns, ddl = [F.col("id").alias("customer_id")], ["customer_id bigint"]
    for kind, (number, sql) in KINDS.items():
        for _ in range(number):
            name = f"{kind.split()[0]}_{len(columns)}"
            columns.append(F.expr(sql.format(i=len(columns))).cast("string").alias(name))
            ddl.append(f"{name} {kind.split()[-1]}")
    columns.append(F.expr("if(double_13 + 2000 * randn(99) > 8000, 'yes', 'no')").alias("churn"))
    ddl.append("churn string")
    frame = spark.range(rows).select(*columns[:-1]).select("*", columns[-1])
    frame.write.csv(folder, header=True)
    return ", ".join(ddl)


def timed(work: Callable[[], object]) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def read_once(frame: DataFrame) -> None:
    frame.agg(*[F.count(name) for name in frame.columns]).collect()


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    spark = session("benchmark init")
    with tempfile.TemporaryDirectory(prefix=f"headrace-{random.randrange(10**6)}-") as folder:
        data = f"{folder}/customers.csv"
        ddl = generate(spark, rows, data)
        size = sum(file.stat().st_size for file in Path(data).rglob("*.csv")) / 1e6
        frame = spark.read.csv(data, header=True, schema=ddl, nullValue="NA")
        request = Request(data, "churn")
        found: dict[str, list[float]] = {"read": [], "init": []}
        jobs = 0
        for number in range(runs + 1):
            read = timed(lambda: read_once(frame))
            before = _jobs(spark)
            made = timed(lambda: write(spark, request, f"{folder}/customers.yaml"))
            jobs = _jobs(spark) - before
            print(f"read {read:.1f} s, init {made:.1f} s", file=sys.stderr, flush=True)
            if number:  # the first warms up
                found["read"].append(read)
                found["init"].append(made)
        ratios = [i / r for i, r in zip(found["init"], found["read"], strict=True)]
        print(f"| {rows:,} rows, {len(frame.columns)} columns, {size:.0f} MB | median of {runs} |\n| --- | --- |")
        print(f"| read once, schema given | {statistics.median(found['read']):.1f} s |")
        print(f"| headrace init ({jobs} Spark jobs) | {statistics.median(found['init']):.1f} s |")
        print(f"| ratio | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")
    spark.stop()


def _jobs(spark: SparkSession) -> int:
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(None))


if __name__ == "__main__":
    main()
