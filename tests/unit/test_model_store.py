"""The model store's first use."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import mlflow
import pytest

from headrace.models.store import ModelStore


def test_two_that_make_the_store_at_the_same_time_wait_for_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow makes the tables of a SQLite file when it is first asked; of two at once one would fail."""
    at_work, most = 0, 0

    def slow(*_: Any) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.2)
        at_work -= 1
        return "client"

    monkeypatch.setattr(mlflow, "MlflowClient", slow)
    stores = [ModelStore(f"sqlite:///{tmp_path}/mlflow/mlflow.db") for _ in range(3)]
    assert not stores[0].there
    threads = [threading.Thread(target=lambda store=store: store.client) for store in stores]  # type: ignore[misc]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
    assert ModelStore("http://127.0.0.1:1").there  # nobody can tell before asking
