"""FLAML on the rows of a training set; run by `quality.py` in an environment that has FLAML.

    python benchmarks/quality_peer.py FOLDER

FOLDER holds `rows.parquet` (features, `label`, `split`) and `asked.json` (`metric`, `seconds`, `features`, `texts`).
FLAML learns from the part `train`, is judged by `validation`, and fits its best on both. Writes what it says of the
part `test`, in order, to `said.parquet`, and prints JSON: `estimator`, `seconds`, `trials`.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from flaml import AutoML
from sklearn.decomposition import TruncatedSVD
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.metrics import f1_score

COMPONENTS = 100
"""Of each text, which FLAML itself takes for a category."""


def weighted_f1(
    judged: Any, label: Any, estimator: Any, labels: Any, train: Any, train_label: Any, *_: Any, **__: Any
) -> tuple[float, dict[str, float]]:
    """Spark's `f1`, as FLAML wants a loss."""
    value = float(f1_score(label, estimator.predict(judged), average="weighted"))
    return 1 - value, {"f1": value}


METRICS: dict[str, Any] = {"areaUnderROC": "roc_auc", "f1": weighted_f1, "rmse": "rmse"}


def with_texts(rows: pd.DataFrame, texts: list[str], learned: pd.Series) -> pd.DataFrame:
    """Each text as components of its words, learned of the rows that train."""
    for name in texts:
        words = rows[name].fillna("")
        weights = TfidfVectorizer(sublinear_tf=True, min_df=3).fit(words[learned])
        parts = TruncatedSVD(COMPONENTS, random_state=0).fit(weights.transform(words[learned]))
        made = parts.transform(weights.transform(words))
        named = pd.DataFrame(made, index=rows.index, columns=[f"{name}_{i}" for i in range(COMPONENTS)])
        rows = pd.concat([rows.drop(columns=name), named], axis=1)
    return rows


def main() -> None:
    """Search, and say."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    folder = Path(sys.argv[1])
    asked, rows = json.loads((folder / "asked.json").read_text()), pd.read_parquet(folder / "rows.parquet")
    began = time.monotonic()
    known = rows[rows.label.notna() & rows.split.isin(["train", "validation", "test"])].reset_index(drop=True)
    features = with_texts(known[asked["features"]], asked["texts"], known.split == "train")
    for name in features.select_dtypes(["object", "string"]):
        features[name] = features[name].astype("category")
    classes = asked["metric"] != "rmse"
    label = known.label.astype(float)
    if classes:
        label = label.astype(int)
    part = {name: known.split == name for name in ("train", "validation", "test")}
    automl = AutoML()
    automl.fit(
        X_train=features[part["train"]], y_train=label[part["train"]],
        X_val=features[part["validation"]], y_val=label[part["validation"]],
        task="classification" if classes else "regression", metric=METRICS[asked["metric"]], eval_method="holdout",
        time_budget=asked["seconds"] - (time.monotonic() - began), n_jobs=2, seed=42, verbose=0, retrain_full=True,
    )  # fmt: skip
    test = features[part["test"]]
    said = pd.DataFrame({"label": label[part["test"]], "prediction": automl.predict(test)})
    if asked["metric"] == "areaUnderROC":
        said["probability"] = np.asarray(automl.predict_proba(test))[:, 1]
    said.to_parquet(folder / "said.parquet")
    seconds = time.monotonic() - began
    told = {"estimator": automl.best_estimator, "seconds": seconds, "params": automl.best_config,
            "validation": automl.best_loss}  # fmt: skip
    print(json.dumps(told, default=str))


if __name__ == "__main__":
    main()
