"""Point-in-time joins: Headrace against what people write by hand, and against the limits; same files, same run.

    .venv/bin/python benchmarks/point_in_time.py [--rows 2000000] [--rounds 3] [--kind zipf] [--tempo] [--feast]
        [--laid-out]

The spine has a fifth as many rows as the feature table. `--tempo` fetches dbl-tempo into a folder of its own; `--feast`
makes an environment with Feast (a gigabyte, kept), which reads the same files in a process of its own, after the others.
`--laid-out` first writes the feature table anew by ranges of entities, sorted by entity and time, and tells what that
took. Prints a Markdown table of medians.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
from contest import PROJECT, contest, differing, environment, events, run_out, scratch, session, shown, stored
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from headrace import point_in_time_join


def ours(spine: DataFrame, features: DataFrame) -> DataFrame:
    return point_in_time_join(spine, features, entity=["entity"], spine_time="happened", feature_time="since")


def by_hand(spine: DataFrame, features: DataFrame) -> DataFrame:
    """Union of both sides, and the last feature row over a window."""
    row = F.struct("since", "value", "amount")
    left = spine.select(
        "entity", "happened", "id", F.lit(None).cast(features.select(row).schema[0].dataType).alias("row")
    )
    right = features.select(
        "entity", F.col("since").alias("happened"), F.lit(None).cast("bigint").alias("id"), row.alias("row")
    )
    order = Window.partitionBy("entity").orderBy("happened", F.col("id").isNotNull())
    past = order.rowsBetween(Window.unboundedPreceding, Window.currentRow)
    joined = left.unionByName(right).withColumn("found", F.last("row", ignorenulls=True).over(past))
    return joined.where("id is not null").select("entity", "happened", "id", "found.value", "found.amount")


def equi_join(spine: DataFrame, features: DataFrame) -> DataFrame:
    """Not the same question: Spark's plain sort-merge join of the same tables, on equal times."""
    return spine.join(features.withColumnRenamed("since", "happened").hint("merge"), ["entity", "happened"], "left")


def shuffled(spine: DataFrame, features: DataFrame) -> None:
    """The limit: both tables are read and shuffled by entity, nothing else."""
    for frame in (spine, features):
        run_out(frame.repartition("entity"))


def laid_out(features: DataFrame, folder: str) -> DataFrame:
    """The feature table by ranges of entities, each sorted by entity and time."""
    started = time.monotonic()
    by_entity = features.repartitionByRange(16, "entity").sortWithinPartitions("entity", "since")
    made = stored(by_entity, folder)
    print(f"  laid out by entity in {time.monotonic() - started:.1f} s", file=sys.stderr)
    return made


def tempo(folder: str) -> Callable[[DataFrame, DataFrame], DataFrame]:
    """Databricks Labs Tempo, from PyPI."""
    target = f"{folder}/peers"
    for what in (["--no-deps", "dbl-tempo"], ["ipython"]):
        subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", target, *what], check=True)
    sys.path.append(target)
    from tempo import TSDF

    def joined(spine: DataFrame, features: DataFrame) -> DataFrame:
        left = TSDF(spine, ts_col="happened", partition_cols=["entity"])
        right = TSDF(features.withColumnRenamed("since", "happened"), ts_col="happened", partition_cols=["entity"])
        made = left.asofJoin(right, right_prefix="right").df
        return made.selectExpr("entity", "happened", "id", "right_value as value", "right_amount as amount")

    return joined


def by_feast(folder: str, rounds: int, mine: pa.Table) -> tuple[float, int]:
    """Median seconds of Feast's Spark offline store, and how many rows of the sample it finds otherwise."""
    python = environment("feast", "feast==0.67.0", "pyspark==4.2.0", "setuptools<81", "pandas<3")
    told = subprocess.run(
        [str(python), str(PROJECT / "benchmarks" / "feast_peer.py"), folder, str(rounds)],
        check=True, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    theirs = pq.read_table(f"{folder}/feast.parquet").sort_by([("id", "ascending")])
    return float(json.loads(told.stdout.splitlines()[-1])["seconds"]), differing(mine, theirs)


def arrow(frame: DataFrame) -> pa.Table:
    columns = frame.where("entity < 20").select("entity", "happened", "id", "value", "amount")
    return columns.toArrow().sort_by([("id", "ascending")])


def main() -> None:
    """Run the contest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kind", default="zipf", choices=["uniform", "zipf", "hot"])
    parser.add_argument("--tempo", action="store_true")
    parser.add_argument("--feast", action="store_true")
    parser.add_argument("--laid-out", action="store_true")
    given = parser.parse_args()
    spark = session()
    with scratch() as folder:
        made = events(spark, given.rows, 50_000, given.kind).withColumnRenamed("happened", "since")
        features = stored(made.dropDuplicates(["entity", "since"]), f"{folder}/features")  # ties are settled apart
        if given.laid_out:
            features = laid_out(features, f"{folder}/laid-out")
        asked = events(spark, given.rows // 5, 50_000, given.kind, seed=100).select("entity", "happened")
        spine = stored(asked.withColumn("id", F.monotonically_increasing_id()), f"{folder}/spine")
        peers = {"Spark, union and last over a window": by_hand}
        if given.tempo:
            peers["Tempo, asofJoin"] = tempo(folder)
        contenders = {"Headrace": lambda: run_out(ours(spine, features))}
        contenders |= {name: (lambda peer=peer: run_out(peer(spine, features))) for name, peer in peers.items()}
        contenders["Spark, a plain sort-merge equi-join"] = lambda: run_out(equi_join(spine, features))
        contenders["the limit: scan and shuffle of both tables"] = lambda: shuffled(spine, features)
        medians = contest(contenders, given.rounds)
        mine = arrow(ours(spine, features))
        wrong = {name: differing(mine, arrow(peer(spine, features))) for name, peer in peers.items()}
        if given.feast:
            spark.stop()
            medians["Feast, Spark offline store"], wrong["Feast, Spark offline store"] = by_feast(
                folder, given.rounds, mine
            )
        print(shown(f"point-in-time join, {given.rows:,} feature rows, {given.kind}", medians, "Headrace", wrong))


if __name__ == "__main__":
    main()
