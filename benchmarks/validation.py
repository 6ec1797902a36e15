"""Twenty rules over rows against copying the table, and against Great Expectations, pandera and cuallee.

    .venv/bin/python benchmarks/validation.py [--rows 10000000] [--peer-rows 1000000] [--rounds 2]

Rules and rows are in `validation_peers.py`. The peers get an environment of their own (HEADRACE_HOME/validation, a
gigabyte from the package index, kept for the next time), the same Delta files and the same settings of Spark, each in
a process of its own; all warm up on a hundredth of the rows. Results are compared rule by rule. Prints Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from contest import environment, scratch, session, stored
from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from validation_peers import PEERS, RULES, jobs, name, orders

from headrace.clean.columns import shape
from headrace.config.types import Table
from headrace.validate.rules import judge
from headrace.validate.tallies import counted

HERE = Path(__file__).resolve().parent
PACKAGES = ("pyspark==4.2.0", "great_expectations==1.24.1", "pandera[pyspark]==0.35.0", "cuallee==0.15.4", "pandas<3")


def table() -> Table:
    """The rules as Headrace says them."""
    rules = [{"not_null": c} if kind == "not_null" else {"column": c, kind: _given(g)} for kind, c, g in RULES]
    return Table.model_validate({"source": {"format": "delta", "path": "/orders"}, "rules": rules})


def _given(value: Any) -> Any:
    return value if isinstance(value, str) else list(value)


def judged(raw: DataFrame) -> DataFrame:
    """As the stage has it: typed rows, each with the rules that it breaks."""
    placed = raw.withColumn("_batch", F.lit(1)).withColumn("_source", F.lit("orders"))
    return judge(shape(placed, table(), {}), table())


def counts(frame: DataFrame) -> dict[str, int]:
    """Rows per rule, of judged rows."""
    found = {row["name"]: int(row["count"]) for row in counted(frame)}
    return {name(rule): found.get(name(rule), 0) for rule in RULES}


def whole_pass(raw: DataFrame, folder: str) -> None:
    """All that `validate` and `clean` do of a table without a key: judge, count, set aside, keep."""
    made = judged(raw).persist(StorageLevel.DISK_ONLY)
    counts(made)
    bad = made.where(F.size("_reasons") > 0).select("_raw.*", "_reasons")
    bad.write.format("delta").mode("overwrite").save(f"{folder}/set_aside")
    made.where(F.size("_reasons") == 0).select(*raw.columns).write.format("delta").mode("overwrite").save(
        f"{folder}/kept"
    )
    made.unpersist(True)


def against_copy(spark: SparkSession, raw: DataFrame, folder: str, rounds: int) -> list[str]:
    """A Markdown table of medians; the contenders take turns, warmed up on a hundredth of the rows."""
    contenders: dict[str, Callable[[DataFrame], Any]] = {
        "copy, Delta to Delta": lambda f: f.write.format("delta").mode("overwrite").save(f"{folder}/copy"),
        "20 rules: judge and count": lambda f: counts(judged(f)),
        "20 rules: judge, count, write the rows set aside and those kept": lambda f: whole_pass(f, folder),
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    ran: dict[str, int] = {}
    for number in range(rounds + 1):
        for title, work in contenders.items():
            before, started = jobs(spark), time.monotonic()
            work(raw if number else raw.where("id % 100 = 0"))
            if number:
                seconds[title].append(time.monotonic() - started)
            ran[title] = jobs(spark) - before
            print(f"  {title}: {time.monotonic() - started:.1f} s", file=sys.stderr)
    medians = {title: statistics.median(found) for title, found in seconds.items()}
    copy = medians["copy, Delta to Delta"]
    lines = [f"| {raw.count():,} rows | median s | of the copy | jobs |", "| --- | --- | --- | --- |"]
    return lines + [f"| {t} | {m:.1f} | {m / copy:.2f} | {ran[t]} |" for t, m in medians.items()]


def peer(python: Path, which: str, folder: str) -> dict[str, Any]:
    """What a peer took and found; an error in words."""
    settings = {**os.environ, "GX_ANALYTICS_ENABLED": "false", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [str(python), str(HERE / "validation_peers.py"), which, folder], env=settings, capture_output=True, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return dict(json.loads(lines[-1])) if lines else {"error": done.stderr.strip().splitlines()[-1:]}


def against_peers(spark: SparkSession, folder: str) -> list[str]:
    """A Markdown table: seconds, jobs, rules of which the count is another."""
    raw = spark.read.format("delta").load(folder)
    counts(judged(raw.where("id % 100 = 0")))
    before, started = jobs(spark), time.monotonic()
    mine = counts(judged(raw))
    took, ran, rows = time.monotonic() - started, jobs(spark) - before, raw.count()
    spark.stop()
    python = environment("validation", *PACKAGES)
    lines = [f"| {rows:,} rows | s | jobs | rules of which the count differs |", "| --- | --- | --- | --- |"]
    lines.append(f"| Headrace (and the rules that each row breaks) | {took:.1f} | {ran} | |")
    for which in PEERS:
        found = peer(python, which, folder)
        if "error" in found:
            lines.append(f"| {which} | failed: {found['error']} | | |")
            continue
        theirs, ours = found["counts"], mine
        if which == "pandera":  # no counts: whether any row breaks a rule
            theirs, ours = {n: theirs.get(n, 0) for n in mine}, {n: min(c, 1) for n, c in mine.items()}
        differing = {n: (ours[n], theirs.get(n)) for n in ours if ours[n] != theirs.get(n)}
        lines.append(f"| {which} | {found['seconds']:.1f} | {found['jobs']} | {differing or 0} |")
    return lines


def main() -> None:
    """Run both contests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--peer-rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=2)
    given = parser.parse_args()
    load = os.getloadavg()[0]
    spark = session()
    with scratch() as folder:
        large = stored(orders(spark, given.rows), f"{folder}/large")
        stored(orders(spark, given.peer_rows), f"{folder}/small")
        print("\n".join(against_copy(spark, large, folder, given.rounds)))
        print()
        print("\n".join(against_peers(spark, f"{folder}/small")))
    print(f"\nLoad before {load:.1f}, after {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
