"""What must be known of a model, beside the model, to score with it. Needs no Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from headrace.errors import DataError


@dataclass(frozen=True)
class ModelCard:
    """Stored as JSON beside every model, so that a version alone is enough to score.

    Attributes:
        task: `binary`, `multiclass`, `regression`, `clustering`, `recommendation`, `anomaly` or `topics`.
        features: Raw feature columns, in order: name -> Spark's simple type, as trained.
        label_type: Spark's simple type of the label (`boolean`, `string`, `int`, ...).
        labels: Classes in the order of their index, in the label's own values; empty for regression.
        key: The spine's key columns.
        estimator: Name of the winning estimator.
        params: Its hyperparameters.
        validation: Metric -> value on the validation part, before the refit.
        learned: What the task learns beside the model. Of an anomaly: `threshold`, `contamination` (see
            `models.density`); of a recommendation: `user`, `item`, `implicit`, `top_k`, `relevant`;
            of topics `topics`: of each its `rows` and `words` (see `search.topics`), and `wordless`, the rows without any;
            of two classes, where they are wanted: `calibration`, `threshold` (`prediction` is `probability >= threshold`),
            `threshold_by`, `held_out_rows` that both were learned from; of a model per segment `segments`: which have
            their own (see `search.segments`).
        trained: What else decides the result of training again: `seed`, `slots` of XGBoost, `parallelism` and
            `partitions` of the rows.
    """

    task: str
    features: Mapping[str, str]
    label_type: str
    labels: tuple[Any, ...] = ()
    key: tuple[str, ...] = ()
    estimator: str = ""
    params: Mapping[str, Any] | None = None
    validation: Mapping[str, float] | None = None
    learned: Mapping[str, Any] | None = None
    trained: Mapping[str, int] | None = None

    @property
    def estimators(self) -> tuple[str, ...]:
        """Names of the estimators that it is of: of a model per segment, or of several trials together, theirs."""
        return _names(self.estimator, self.params or {})

    @property
    def positive(self) -> Any:
        """The positive class of a binary task, else None."""
        return self.labels[1] if self.task == "binary" else None

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return asdict(self) | {"features": [[name, kind] for name, kind in self.features.items()]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ModelCard:
        """The card from `as_dict`."""
        known = dict(data)
        known["features"] = dict(known["features"])
        known["labels"], known["key"] = tuple(known["labels"]), tuple(known["key"])
        return cls(**known)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(self.as_dict(), sort_keys=True)


def _names(estimator: str, params: Mapping[str, Any]) -> tuple[str, ...]:
    members = [params["of"]] if "of" in params else params.get("members", ())
    if not members:
        return (estimator,)
    return tuple(dict.fromkeys(name for one in members for name in _names(one["estimator"], one["params"])))


def check_columns(card: ModelCard, columns: Mapping[str, str]) -> None:
    """Refuse a frame whose feature columns differ from those the model was trained on.

    Args:
        card: Of the model.
        columns: Name -> Spark's simple type of the frame; other columns than features are no matter.

    Raises:
        DataError: With the difference, line by line.
    """
    lines = []
    for name, kind in card.features.items():
        if name not in columns:
            lines.append(f"  - {name} {kind}   (missing)")
        elif columns[name] != kind:
            lines.append(f"  - {name} {kind}\n  + {name} {columns[name]}")
    if lines:
        raise DataError(
            f"these columns are not those the model was trained on ({len(lines)} of {len(card.features)} differ; "
            "- trained on, + given):\n"
            + "\n".join(lines[:20])
            + ("\n  ..." if len(lines) > 20 else "")
            + "\nBuild the features with the configuration of the model's version, or train a new version."
        )
