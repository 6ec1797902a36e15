"""A model store to work with, without Spark."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from headrace.models.store import ModelStore
from tests.unit.test_cli_validate import VALID


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """MLflow makes its tables once: they take seconds."""
    database = tmp_path_factory.mktemp("empty") / "mlflow.db"
    _ = ModelStore(f"sqlite:///{database}").versions("none")
    return database


@pytest.fixture
def home(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HEADRACE_HOME with a model store, beside `churn.yaml` in the working directory."""
    (tmp_path / "home" / "mlflow").mkdir(parents=True)
    shutil.copy(empty_store, tmp_path / "home" / "mlflow" / "mlflow.db")
    (tmp_path / "churn.yaml").write_text(VALID)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("headrace.models.changes.SETTLING", 0.0)
    return tmp_path / "home"
