"""Window features at each event's own time: Headrace against Spark's `rangeBetween` and DuckDB, same files, same run.

    .venv/bin/python benchmarks/windows.py [--rows 2000000] [--rounds 3] [--kind uniform|zipf|hot] [--entities 1000]
        [--without-range]

20 features: sum, count, mean, max over 1 hour, 1, 7, 30 and 90 days. Results are compared row by row on a sample of
entities. `--without-range` leaves `rangeBetween` out, which looks at each event of each window anew: of an entity with
a tenth of all events it would take days. Prints a Markdown table of medians.
"""

from __future__ import annotations

import argparse
from functools import partial

import duckdb
import pyarrow as pa
from contest import contest, differing, events, run_out, scratch, session, shown, stored
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from headrace import window_features

HOUR = 3_600_000_000
WINDOWS = {"1h": HOUR, "1d": 24 * HOUR, "7d": 168 * HOUR, "30d": 720 * HOUR, "90d": 2160 * HOUR}
FUNCTIONS = {"sum": "sum", "count": "count", "mean": "avg", "max": "max"}


def ours(frame: DataFrame, available: str | None = None) -> DataFrame:
    """Headrace: the spine is the events themselves."""
    lengths = {"1h": "1 hour", "1d": "1 day", "7d": "7 days", "30d": "30 days", "90d": "90 days"}
    asked = {f"{f}_{w}": ("value", f, text) for w, text in lengths.items() for f in FUNCTIONS}
    spine = frame.select("entity", "happened", "value")
    known = frame.select("entity", "happened", F.col("value"), *([F.col(available)] if available else []))
    return window_features(
        spine,
        known,
        entity=["entity"],
        spine_time="happened",
        event_time="happened",
        available_at=available,
        aggregates=asked,
    )


def by_range(frame: DataFrame) -> DataFrame:
    """What people write by hand in Spark."""
    ordered = Window.partitionBy("entity").orderBy("_at")
    columns = [
        F.expr(f"{sql}(value)").over(ordered.rangeBetween(-(length - 1), 0)).alias(f"{name}_{window}")
        for window, length in WINDOWS.items()
        for name, sql in FUNCTIONS.items()
    ]
    return frame.withColumn("_at", F.unix_micros("happened")).select("entity", "happened", "value", *columns)


def duck_sql(files: list[str]) -> str:
    """The same in DuckDB, over the same Parquet files."""
    columns = [
        f"{sql}(value) over (partition by entity order by epoch_us(happened) "
        f"range between {length - 1} preceding and current row) as {name}_{window}"
        for window, length in WINDOWS.items()
        for name, sql in FUNCTIONS.items()
    ]
    return f"select entity, happened, value, {', '.join(columns)} from read_parquet({files!r})"


def by_duckdb(files: list[str], threads: int) -> None:
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute(f"create table result as {duck_sql(files)}")


def arrow(frame: DataFrame) -> pa.Table:
    names = ["entity", "happened", "value"]
    return frame.where("entity < 20").toArrow().sort_by([(n, "ascending") for n in names])


def main() -> None:
    """Run the contest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", default="uniform", choices=["uniform", "zipf", "hot"])
    parser.add_argument("--entities", type=int, default=1000)
    parser.add_argument("--without-range", action="store_true")
    given = parser.parse_args()
    spark = session()
    with scratch() as folder:
        delay = f"happened + make_dt_interval(0, 0, 0, rand(5) * {7200})"
        made = events(spark, given.rows, given.entities, given.kind).withColumn("known", F.expr(delay))
        frame = stored(made, folder)
        files = frame.inputFiles()
        contenders = {
            "Headrace": lambda: run_out(ours(frame)),
            "Headrace, a random available_at per row": lambda: run_out(ours(frame, "known")),
            "DuckDB, the same cores": partial(by_duckdb, [f.removeprefix("file://") for f in files], 2),
        }
        if not given.without_range:
            contenders["Spark, rangeBetween"] = lambda: run_out(by_range(frame))
        medians = contest(contenders, given.rounds)
        mine = arrow(ours(frame))
        plain = [f.removeprefix("file://") for f in files]
        duck = duckdb.sql(
            f"select * from ({duck_sql(plain)}) where entity < 20 order by entity, happened, value"
        ).arrow()
        duck = duck if isinstance(duck, pa.Table) else duck.read_all()
        wrong = {"DuckDB, the same cores": differing(mine, duck)}
        if not given.without_range:
            wrong["Spark, rangeBetween"] = differing(mine, arrow(by_range(frame)))
        title = f"20 window features, {given.rows:,} events of {given.entities:,} entities, {given.kind}"
        print(shown(title, medians, "Headrace", wrong))


if __name__ == "__main__":
    main()
