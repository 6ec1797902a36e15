"""A night's new rows against a full load: ingest, validate and clean of 1 % more rows, with and without a key.

    .venv/bin/python benchmarks/increments.py [--rows 30000000] [--files 100] [--rounds 3] [--to ingest|clean]

Writes Parquet files of orders, lands and cleans them (the full load), then, for each round, puts one file of 1 %
more rows beside them and runs the same job again: by key half of them are new orders and half change old ones. At the
end all is judged and cleaned anew (`--force validate`), and what stands before and after is compared by hashes of
all rows. Prints a Markdown table; ends with 1 if they differ.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path

from contest import scratch, session
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import headrace

YAML = """\
pipeline: {name}
tables:
  orders:
    source: {{format: parquet, path: orders}}
    {key}
    event_time: at
    rules:
      - {{not_null: [shop, at]}}
      - {{column: amount, between: [0, 10000]}}
      - {{column: status, in: [new, paid, sent, back]}}
      - {{name: odd, check: "amount < 9990 or status <> 'back'", on_fail: warn}}
"""
STAGES = ("ingest", "validate", "clean")


def orders(spark: SparkSession, since: int, rows: int, folder: Path, files: int, old: int = 0) -> None:
    """Put files of orders into a folder; the first `old` of their numbers are those of orders before `since`."""
    number = f"case when id < {since + old} then (id - {since}) * {max(1, since // max(1, old))} else id end"
    spark.range(since, since + rows, 1, files).selectExpr(
        f"{number} as id",
        "cast(pmod(xxhash64(id), 5000) as int) as shop",
        f"timestamp_seconds(1704067200 + id + {since // 3}) as at",
        "round(pmod(xxhash64(id, 1), 1000500) / 100 - if(pmod(id, 1000) = 7, 20000, 0), 2) as amount",
        "element_at(array('new', 'paid', 'sent', 'back'), cast(pmod(xxhash64(id, 2), 4) as int) + 1) as status",
        "concat('order ', id, ' of ', pmod(xxhash64(id, 3), 100000)) as note",
    ).write.mode("append").parquet(str(folder))


def content(pipeline: headrace.Pipeline) -> list[tuple[int, int]]:
    """Per table its rows and the sum of their hashes, but for when they landed."""
    found = []
    for name in ("orders", "orders_quarantine"):
        frame = pipeline.table(name).drop("_ingested_at")
        row = frame.select(F.xxhash64(*frame.columns).cast("decimal(38,0)").alias("h")).agg(F.count("*"), F.sum("h"))
        found.append(tuple(row.first() or ()))
    return found  # type: ignore[return-value]


def seconds(run: Callable[[], headrace.api.pipeline.Result]) -> dict[str, float]:
    """Per stage of one run."""
    return {stage["name"]: stage["seconds"] for stage in run().stages}


def measured(
    spark: SparkSession, folder: Path, rows: int, files: int, rounds: int, key: str, to: str
) -> tuple[list[str], bool]:
    """Lines of a Markdown table, and whether the increments came to what a pass over all rows does."""
    os.chdir(folder)
    Path("night.yaml").write_text(YAML.format(name="keyed" if key else "plain", key=key))
    pipeline = headrace.Pipeline.from_yaml("night.yaml")
    full = seconds(lambda: pipeline.run(to=to))
    nights = []
    for number in range(rounds):
        more = rows // 100
        orders(spark, rows + number * more, more, folder / "orders", 1, more // 2 if key else 0)
        nights.append(seconds(lambda: pipeline.run(to=to)))
        print(f"  {key or 'no key'}: {nights[-1]} of {full}", file=sys.stderr)
    grown = content(pipeline) if to == "clean" else []
    if to == "clean":
        pipeline.run(to=to, force="validate")
    lines = []
    for stage in (*STAGES, "all") if to == "clean" else ("ingest",):
        whole = full[stage] if stage in full else sum(full.values())
        found = [night[stage] if stage in night else sum(night.values()) for night in nights]
        lines.append(f"| {key or 'no key'} | {stage} | {whole:.1f} | {statistics.median(found):.1f} | "
                     f"{100 * statistics.median(found) / whole:.1f} % |")  # fmt: skip
    return lines, to != "clean" or grown == content(pipeline)


def main() -> int:
    """Measure without a key, then with one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=30_000_000)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--to", default="clean", choices=["ingest", "clean"])
    given = parser.parse_args()
    load, alike = os.getloadavg()[0], True
    spark = session()
    print(f"| {given.rows:,} rows | stage | full load, s | 1 % more, median s | share |")
    print("| --- | --- | --- | --- | --- |")
    for key in ("", "key: id") if given.to == "clean" else ("",):
        with scratch() as place:
            os.environ["HEADRACE_HOME"] = f"{place}/home"
            orders(spark, 0, given.rows, Path(place, "orders"), given.files)
            lines, same = measured(spark, Path(place), given.rows, given.files, given.rounds, key, given.to)
            print("\n".join(lines), flush=True)
            alike = alike and same
    print(
        f"\nThe tables are those of a pass over all rows: {alike}. Load before {load:.1f}, now {os.getloadavg()[0]:.1f}."
    )
    return int(not alike)


if __name__ == "__main__":
    sys.exit(main())
