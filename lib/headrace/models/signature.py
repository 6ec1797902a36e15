"""A model's signature in MLflow's terms."""

from __future__ import annotations

from typing import Any

from headrace.models.card import ModelCard

_COLUMN_TYPES = {
    "boolean": "boolean",
    "tinyint": "integer",
    "smallint": "integer",
    "int": "integer",
    "bigint": "long",
    "float": "float",
    "double": "double",
    "string": "string",
    "timestamp": "datetime",
    "date": "datetime",
}


def signature(card: ModelCard) -> Any:
    """The columns that a model takes and gives, for MLflow."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns: list[Any] = [
        ColSpec(_COLUMN_TYPES.get(kind, "double"), name, required=False) for name, kind in card.features.items()
    ]
    return ModelSignature(Schema(columns), Schema([ColSpec("double", "prediction")]))
