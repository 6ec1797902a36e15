"""What the registry says of the model versions that predicted: how they did when they were tested."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.models.store import TESTED, ModelStore


@dataclass(frozen=True)
class Tested:
    """A version on its own test part.

    Attributes:
        metrics: Spark ML's name of a metric -> value, as far as defined.
        predictions: Version of the table `test_predictions` that holds its predictions, or None.
    """

    metrics: Mapping[str, float] = field(default_factory=dict)
    predictions: int | None = None


def tested(tracking_uri: str, model_name: str) -> dict[str, Tested]:
    """Each version of a registered model, by its number as text; asks the model store."""
    return {str(version.number): _tested(version.tags) for version in ModelStore(tracking_uri).versions(model_name)}


def _tested(tags: Mapping[str, str]) -> Tested:
    metrics = {name: float(v) for name, v in json.loads(tags.get(TESTED, "{}")).items() if v is not None}
    return Tested(metrics, json.loads(tags.get("tables", "{}")).get("test_predictions"))
