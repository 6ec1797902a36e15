"""Exported models for Python without Spark, without a JVM and without MLflow.

Travels with them in `headrace.zip`; imports NumPy, pandas, pyarrow, SciPy and XGBoost, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from headrace.errors import DataError
from headrace.models.card import ModelCard
from headrace.models.compiled.columns import column
from headrace.models.compiled.scorer import KINDS, Compiled

if TYPE_CHECKING:
    import pandas as pd

BOOSTER, PREPARATION = "model.ubj", "preparation.json"


class Model:
    """A version's model: rows of a pandas frame in, predictions out.

    Args:
        files: The compiled scorer, as `Compiled.files` gives it.
        about: `model`, `version`, `signature` (MLflow's, as a dict).

    Attributes:
        name: Of the registered model.
        version: Its number.
        signature: Columns in and out, as MLflow has it.
        card: Features with Spark's types, classes, hyperparameters.
    """

    def __init__(self, files: Mapping[str, bytes], about: Mapping[str, Any]) -> None:
        self._files, self._about = dict(files), dict(about)
        self.name, self.version, self.signature = about["model"], about["version"], about["signature"]
        self._compiled = Compiled.of(files)
        self.card = self._compiled.card

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as its files."""
        return Model, (self._files, self._about)

    def predict(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Score rows: a row for each row, in their order and with their index.

        Args:
            frame: The features by name; None, NaN, NaT and NA are missing values. Other columns are no matter.

        Returns:
            `prediction` in the label's own type; `probability` of the positive class; of more than two classes a column
            `probability_<class>` for each.

        Raises:
            DataError: If a column is missing, or of a type that does not become that of the training.
            ValueError: If the model refuses a row, as Spark's does.
        """
        import pandas as pd

        told = self.score(frame)
        made = pd.DataFrame({"prediction": told.column("prediction").to_pandas().to_numpy()}, index=frame.index)
        if self.card.task == "binary":
            made["probability"] = told.column("probability").to_numpy()
        elif self.card.task == "multiclass":
            names = self._compiled.names
            each = told.column("probability").combine_chunks().items.to_numpy().reshape(-1, len(names))
            for place, name in enumerate(names):
                made[f"probability_{name}"] = each[:, place]
        return made

    def score(self, frame: pd.DataFrame) -> pa.Table:
        """As `predict`, as an Arrow table with a map of probabilities."""
        return self._compiled.score(as_arrow(self._compiled, frame))


class Boosted(Model):
    """A booster of XGBoost in its own file, and the steps around it."""

    @classmethod
    def read(cls, folder: str | Path) -> Boosted:
        """From the folder that `headrace export --format xgboost` wrote."""
        told = json.loads((Path(folder) / PREPARATION).read_text())
        booster = np.frombuffer((Path(folder) / BOOSTER).read_bytes(), np.uint8)
        steps = []
        for one in told["steps"]:
            arrays = {
                name: np.array(of["values"], of["type"]).reshape(of["shape"]) for name, of in one["arrays"].items()
            }
            steps.append(
                (one["kind"], one["params"], arrays | ({"booster": booster} if one["kind"] == "xgboost" else {}))
            )
        compiled = Compiled(ModelCard.from_dict(told["card"]), told["inputs"], steps)
        made = cls(compiled.files(), told)
        made.columns = told["columns"]
        return made

    columns: list[str]
    """The booster's features, by name and in order."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as a `Model`, which has all but the names of the booster's features."""
        return Model, (self._files, self._about)

    def features(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The booster's features of rows: what `xgboost.Booster(model_file="model.ubj")` takes, as floats of 32 bits."""
        import pandas as pd

        table = as_arrow(self._compiled, frame)
        made: dict[str, Any] = {name: column(table.column(name).combine_chunks()) for name in self._compiled.inputs}
        with np.errstate(all="ignore"):
            for kind, params, arrays in self._compiled.described:
                if kind == "xgboost":
                    found = made[params["input"]].dense().astype(np.float32)
                    return pd.DataFrame(found, columns=self.columns, index=frame.index)
                KINDS[kind](params, arrays)(made, len(frame))
        raise DataError("there is no booster among the steps")


def as_arrow(compiled: Compiled, frame: pd.DataFrame) -> pa.Table:
    """The columns that are read, as the scorer takes them.

    Raises:
        DataError: If one is missing, or of a type that does not become that of the training.
    """
    made = {}
    for name, kind in compiled.types.items():
        if name not in frame.columns:
            raise DataError(f"the column {name} ({compiled.card.features[name]}) is missing: the model reads it")
        try:
            found = pa.array(frame[name], from_pandas=True)
            whole = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
            made[name] = whole.cast(kind, safe=not pa.types.is_temporal(kind))  # pandas counts nanoseconds
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
            raise DataError(f"{name} is {frame[name].dtype}, and the model reads {kind}: {error}") from error
    return pa.table(made)
