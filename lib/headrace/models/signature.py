"""The columns that a model takes and gives, as MLflow shows them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.models.card import ModelCard

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

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


def signature(card: ModelCard) -> ModelSignature:
    """MLflow's signature of a model: its raw features, none of them required, and the prediction."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    columns: list[Any] = [
        ColSpec(_COLUMN_TYPES.get(kind, "double"), name, required=False) for name, kind in card.features.items()
    ]
    return ModelSignature(Schema(columns), Schema([ColSpec("double", "prediction")]))
