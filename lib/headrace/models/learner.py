"""A learner of one core, with scikit-learn's interface, on rows that lie in memory. Needs no Spark."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Learner:
    """Fitted.

    Attributes:
        made: Has `predict`, and `predict_proba` where it can tell probabilities.
        present: (classes that it saw,): their index; None of a regression.
    """

    made: Any
    present: npt.NDArray[np.int64] | None

    @classmethod
    def fit(cls, learner: Any, features: Array, label: Array, classes: bool, weight: Array | None = None) -> Learner:
        """Fit.

        Args:
            learner: With scikit-learn's `fit(X, y)`; `sample_weight` where there are weights.
            features: (rows, features).
            label: (rows,): of classes their index.
            classes: Whether the label is one.
            weight: (rows,), or None.
        """
        options = {} if weight is None else {"sample_weight": weight}
        if not classes:
            return cls(learner.fit(features, label, **options), None)
        present, place = np.unique(label.astype(np.int64), return_inverse=True)  # XGBoost wants them without gaps
        return cls(learner.fit(features, place, **options), present)

    def said(self, features: Array) -> Array:
        """What it says of rows: (rows,) numbers; of classes (rows, classes) probabilities, 0 of one that it never saw.

        Of a learner without probabilities the class that it predicts has 1.
        """
        if self.present is None:
            return np.asarray(self.made.predict(features), dtype=np.float64)
        found = np.zeros((len(features), int(self.present.max()) + 1))
        if hasattr(self.made, "predict_proba"):
            found[:, self.present] = self.made.predict_proba(features)
        else:
            found[np.arange(len(features)), self.present[np.asarray(self.made.predict(features), dtype=np.int64)]] = 1.0
        return found
