"""What a model says of rows, in the label's own values; as `models.predict` gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from headrace.models.card import ModelCard
from headrace.models.compiled import texts
from headrace.models.compiled.columns import Frame, arrow_type


@dataclass(frozen=True)
class Answers:
    """How a model's numbers become answers.

    Attributes:
        task: `binary`, `multiclass` or `regression`.
        labels: The classes in the label's own values; None of a number.
        names: The classes as text.
    """

    task: str
    labels: pa.Array | None
    names: Sequence[str]

    @classmethod
    def of(cls, card: ModelCard) -> Answers:
        """Of a model.

        Raises:
            ValueError: If its label has a type that is not known here.
        """
        if card.task == "regression":
            return cls(card.task, None, ())
        kind = arrow_type(card.label_type)
        if not (
            pa.types.is_boolean(kind) or pa.types.is_integer(kind) or pa.types.is_string(kind) or kind == pa.float64()
        ):
            raise ValueError(f"labels of type {card.label_type}")
        labels = pa.array(list(card.labels), kind)
        return cls(card.task, labels, texts.as_text(labels).to_pylist() if card.task == "multiclass" else ())

    @property
    def schema(self) -> pa.Schema:
        """`prediction`, `probability`."""
        of = pa.map_(pa.string(), pa.float64()) if self.task == "multiclass" else pa.float64()
        said = pa.float64() if self.labels is None else self.labels.type
        return pa.schema([("prediction", said), ("probability", of)])

    def table(self, frame: Frame, rows: int) -> pa.Table:
        """Of rows that all steps have seen."""
        said = frame["prediction"].values
        if self.labels is None:
            return pa.Table.from_arrays([pa.array(said), pa.nulls(rows, pa.float64())], schema=self.schema)
        prediction = self.labels.take(pa.array(said.astype(np.int64)))
        if self.task == "binary":
            (yes,) = frame["probability"].picked([1])
            return pa.Table.from_arrays([prediction, pa.array(np.ascontiguousarray(yes))], schema=self.schema)
        likely: Any = frame["probability"].dense()
        names = pa.array(self.names).take(pa.array(np.tile(np.arange(len(self.names)), rows)))
        ends = pa.array(np.arange(rows + 1, dtype=np.int32) * len(self.names), pa.int32())
        each = pa.MapArray.from_arrays(ends, names, pa.array(likely.reshape(-1)))
        return pa.Table.from_arrays([prediction, each], schema=self.schema)
