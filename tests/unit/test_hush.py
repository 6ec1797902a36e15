"""Libraries' news of themselves stay off the screen; their warnings and errors do not."""

from __future__ import annotations

import logging
import os

import pytest

from headrace.cli.running import hush

QUIET = ("mlflow", "alembic", "hyperopt", "XGBoost-PySpark")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in QUIET:
        monkeypatch.setattr(logging.getLogger(name), "level", logging.INFO)
        logging.getLogger(name).manager._clear_cache()  # type: ignore[attr-defined]
    monkeypatch.setenv("MLFLOW_LOGGING_LEVEL", "")
    monkeypatch.delenv("MLFLOW_LOGGING_LEVEL")
    monkeypatch.delenv("HEADRACE_LOG", raising=False)


def told(name: str) -> list[str]:
    logger = logging.getLogger(name)
    return [logging.getLevelName(level) for level in (logging.INFO, logging.WARNING) if logger.isEnabledFor(level)]


def test_news_are_hushed_and_warnings_heard() -> None:
    hush()
    assert {name: told(name) for name in QUIET} == {name: ["WARNING"] for name in QUIET}
    assert os.environ["MLFLOW_LOGGING_LEVEL"] == "WARNING"  # mlflow sets its level anew when it is imported


def test_who_wants_to_hear_hears(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_LOG", "info")
    hush()
    assert {name: told(name) for name in QUIET} == {name: ["INFO", "WARNING"] for name in QUIET}
    assert "MLFLOW_LOGGING_LEVEL" not in os.environ
