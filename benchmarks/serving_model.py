"""The model that `benchmarks/serving.py` asks: the same trees for both servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def registered(folder: Path, trees: int, features: int, rows: int) -> tuple[Path, list[dict[str, Any]]]:
    """Train a model; register it as `bench`, and save it as MLflow's XGBoost flavour.

    Returns:
        Where the latter is, and rows to ask for.
    """
    import mlflow.xgboost
    import xgboost

    from headrace.models.card import ModelCard
    from headrace.models.compiled.scorer import Compiled
    from headrace.models.store import ModelStore

    drawn = np.random.default_rng(7)
    x = drawn.normal(size=(rows, features))
    y = (x[:, :4].sum(axis=1) + drawn.normal(size=rows) > 0).astype(int)
    names = [f"f{i}" for i in range(features)]
    model = xgboost.XGBClassifier(n_estimators=trees, max_depth=6, n_jobs=1)
    model.fit(x, y)
    model.get_booster().feature_names = names
    mlflow.xgboost.save_model(model, str(folder / "flavour"), pip_requirements=[], model_format="ubj")

    card = ModelCard("binary", dict.fromkeys(names, "double"), "boolean", (False, True), estimator="xgboost")
    booster = np.frombuffer(bytes(model.get_booster().save_raw("ubj")), np.uint8)
    told = {
        "input": "features", "task": "binary", "missing": float("nan"), "iterations": trees, "raw": "raw",
        "probability": "probability", "prediction": "prediction",
    }  # fmt: skip
    steps = [
        ("assemble", {"inputs": names, "output": "features", "keep": True}, {}),
        ("xgboost", told, {"booster": booster}),
    ]
    Compiled(card, names, steps).save(folder / "compiled")
    store = ModelStore(f"sqlite:///{folder}/mlflow/mlflow.db")
    run = store.client.create_run(store.experiment("bench")).info.run_id
    store.client.log_artifacts(run, str(folder / "compiled"), "compiled")
    store.client.create_registered_model("bench")
    tags = {"headrace.compiled": "admitted"}
    store.client.create_model_version("bench", f"{folder}/flavour", run_id=run, tags=tags)
    store.set_alias("bench", 1)
    return folder / "flavour", [dict(zip(names, map(float, row), strict=True)) for row in x[:500]]
