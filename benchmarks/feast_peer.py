"""Feast's Spark offline store on the files of a contest; run by `point_in_time.py` in an environment that has Feast.

    python benchmarks/feast_peer.py FOLDER ROUNDS

FOLDER holds the Delta tables `features` (entity, since, value, amount) and `spine` (entity, happened, id). Writes what
Feast finds of the sampled entities to FOLDER/feast.parquet, and prints JSON: median seconds of reading all of it.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from contest import run_out, session
from feast import Entity, FeatureStore, FeatureView, Field
from feast.infra.offline_stores.contrib.spark_offline_store.spark_source import SparkSource
from feast.types import Float64, Int64

STORE = """\
project: contest
registry: {folder}/registry.db
provider: local
offline_store: {{type: spark}}
online_store: {{type: sqlite, path: {folder}/online.db}}
entity_key_serialization_version: 3
"""


def store(folder: Path) -> FeatureStore:
    """A feature store over the table `features`."""
    place = folder / "store"
    place.mkdir(exist_ok=True)
    (place / "feature_store.yaml").write_text(STORE.format(folder=place))
    made = FeatureStore(str(place))
    source = SparkSource(
        name="events", query="select entity, since, value, amount from features", timestamp_field="since"
    )
    entity = Entity(name="entity", join_keys=["entity"])
    schema = [Field(name="value", dtype=Float64), Field(name="amount", dtype=Int64)]
    made.apply([entity, FeatureView(name="v", entities=[entity], ttl=timedelta(0), schema=schema, source=source)])
    return made


def main() -> None:
    """Measure."""
    folder, rounds = Path(sys.argv[1]), int(sys.argv[2])
    spark = session()
    spine = spark.read.format("delta").load(str(folder / "spine"))
    spine.selectExpr("entity", "happened as event_timestamp", "id").createOrReplaceTempView("spine")
    spark.read.format("delta").load(str(folder / "features")).createOrReplaceTempView("features")
    made, seconds = store(folder), []

    def joined() -> Any:
        asked = made.get_historical_features("select entity, event_timestamp, id from spine", ["v:value", "v:amount"])
        return asked.to_spark_df()

    for number in range(rounds + 1):
        started = time.monotonic()
        run_out(joined())
        if number:  # the first round warms up
            seconds.append(time.monotonic() - started)
        print(f"  Feast: {time.monotonic() - started:.1f} s", file=sys.stderr)
    sample = joined().where("entity < 20").selectExpr("entity", "event_timestamp as happened", "id", "value", "amount")
    sample.write.mode("overwrite").parquet(str(folder / "feast.parquet"))
    print(json.dumps({"seconds": statistics.median(seconds)}))


if __name__ == "__main__":
    main()
