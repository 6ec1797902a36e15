"""A published feature table brought up to date, against making it anew: newest events, and late ones of few entities.

    .venv/bin/python benchmarks/refresh.py [--rows 30000000] [--entities 100000] [--rounds 3] [--windows "1 day, 7 days"]

Writes Parquet files of a year's events, lands and cleans them, and makes the feature table (the rebuild). Then, for
each round, 1 % more events come, all of them newer than those there are; at last, for each round, one late event each
of 1 % of the entities, at some time in the year. After the last round the table is made anew, and both are compared by
hashes of all rows. Times are those of the stage `features` alone. Prints a Markdown table; ends with 1 on a difference.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from pathlib import Path

from contest import scratch, session
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import headrace

YEAR = 31_536_000
YAML = """\
pipeline: bank
tables:
  payments: {{source: {{format: parquet, path: payments}}, event_time: at}}
feature_tables:
  spending:
    from: payments
    entity: customer
    aggregates: [{{column: amount, functions: [count, sum, mean, max], windows: [{windows}]}}]
"""


def payments(
    spark: SparkSession, folder: Path, rows: int, first: int, at: str, entities: int, customer: str, files: int
) -> None:
    """Put files of payments into a folder; `customer` and `at` (seconds) are SQL over `id`."""
    spark.range(first, first + rows, 1, files).selectExpr(
        f"cast({customer} as bigint) % {entities} as customer",
        f"timestamp_seconds(1704067200 + {at}) as at",
        "round(pmod(xxhash64(id, 1), 100000) / 100, 2) as amount",
    ).write.mode("append").parquet(str(folder))


def content(pipeline: headrace.Pipeline) -> tuple[int, ...]:
    """Rows of the feature table, and the sum of their hashes; sums and means to nine digits."""
    frame = pipeline.table("spending")
    rounded = [F.round(F.col(n), 6) if k == "double" else F.col(n) for n, k in frame.dtypes]
    hashed = frame.select(F.xxhash64(*rounded).cast("decimal(38,0)").alias("h"))
    return tuple(hashed.agg(F.count("*"), F.sum("h")).first() or ())


def features(pipeline: headrace.Pipeline, force: bool = False) -> float:
    """Seconds of the stage `features`, after what comes before it."""
    pipeline.run(to="clean")
    done = pipeline.run(only="features", force="features" if force else None)
    return float(next(stage["seconds"] for stage in done.stages if stage["name"] == "features"))


def main() -> int:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--windows", default="1 day, 7 days")
    given = parser.parse_args()
    spark, more, load = session(), given.rows // 100, os.getloadavg()[0]
    with scratch() as place:
        os.environ["HEADRACE_HOME"] = f"{place}/home"
        os.chdir(place)
        folder = Path(place, "payments")
        random = "pmod(xxhash64(id), 1000000007)"
        year = f"cast(id * {YEAR / given.rows} as bigint)"
        payments(spark, folder, given.rows, 0, year, given.entities, random, 60)
        Path("bank.yaml").write_text(YAML.format(windows=given.windows))
        pipeline = headrace.Pipeline.from_yaml("bank.yaml")
        first = features(pipeline)
        anew = [features(pipeline, force=True) for _ in range(max(1, given.rounds - 1))]
        found: dict[str, list[float]] = {"newest": [], "late": []}
        for number in range(given.rounds):
            since = given.rows + number * more
            payments(spark, folder, more, since, year, given.entities, random, 1)
            found["newest"].append(features(pipeline))
            print(f"  newest: {found['newest'][-1]:.1f} s", file=sys.stderr)
        for number in range(given.rounds):
            late = f"pmod(xxhash64(id, 2), {YEAR})"
            payments(
                spark, folder, given.entities // 100, number * 10**12, late, given.entities, f"id * 97 + {number}", 1
            )
            found["late"].append(features(pipeline))
            print(f"  late: {found['late'][-1]:.1f} s", file=sys.stderr)
        refreshed = content(pipeline)
        features(pipeline, force=True)
        alike = refreshed == content(pipeline)
    rebuild = statistics.median([first, *anew])
    print(f"| {given.rows:,} events, windows {given.windows} | median s | of the rebuild |\n| --- | --- | --- |")
    print(f"| rebuild | {rebuild:.1f} | |")
    for name, what in (("newest", "1 % newest events"), ("late", "late events of 1 % of the entities")):
        took = statistics.median(found[name])
        print(f"| {what} | {took:.1f} | {100 * took / rebuild:.1f} % |")
    print(f"\nRefreshed and made anew alike: {alike}. Load before {load:.1f}, now {os.getloadavg()[0]:.1f}.")
    return int(not alike)


if __name__ == "__main__":
    sys.exit(main())
