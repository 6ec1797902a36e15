"""`headrace status`, on logs as Delta writes them."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tests.unit.test_cli_validate import called
from tests.unit.test_config_reading import CHURN, written


def committed(root: Path, table: str, **note: object) -> None:
    """A commit of a table, version 0."""
    log = root / table / "_delta_log"
    log.mkdir(parents=True)
    metadata = json.dumps({"headrace": "x", "stage": "ingest", **note})
    info = {"timestamp": 0, "operation": "WRITE", "operationMetrics": {"numOutputRows": "3"}, "userMetadata": metadata}
    (log / f"{0:020d}.json").write_text(json.dumps({"commitInfo": info}).replace(" ", "") + "\n")


def test_what_set_changed_stands_beside_the_tables_that_were_made_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    root = tmp_path / "warehouse" / "shop"
    sets = ["search.max_evals=5", "gates=[{metric:f1,at_least:0.1}]"]
    committed(root, "orders")
    without = called(capsys, "status")
    committed(root, "trials", overrides=sets)
    with_them = called(capsys, "status")

    assert (without[0], without[2]) == (with_them[0], with_them[2]) == (0, "")
    assert "--set" not in without[1]
    rows = [line.split() for line in with_them[1].splitlines()]
    assert rows[1][-3:] == ["changed", "by", "--set"]
    assert rows[2] == ["orders", "0", "1970-01-01", "00:00:00", "ingest", "3"]
    assert rows[3:] == [["trials", "0", "1970-01-01", "00:00:00", "ingest", "3", sets[0]], [sets[1]]]


def test_a_model_store_that_does_not_answer_is_told_in_words_and_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "MLFLOW_HTTP_REQUEST_TIMEOUT"):
        monkeypatch.setenv(name, "")  # so that it is put back
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    monkeypatch.setenv("TOKEN", "hunter2hunter2")
    committed(tmp_path / "warehouse" / "churn", "orders")
    file = written(tmp_path, CHURN)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))  # bound, and nobody listens: refused at once
        store = f"127.0.0.1:{silent.getsockname()[1]}"
        written(tmp_path / "env", f"mlflow: 'http://me:${{secret:TOKEN}}@{store}'", "dev.yaml")
        code, out, err = called(capsys, "status", str(file), "--env", "dev")

    assert code == 1
    assert "orders" in out
    assert f"@{store} did not answer: " in err
    assert "look whether it runs" in err
    assert "hunter2hunter2" not in out + err
    assert os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] == "1"
    assert int(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"]) <= 5


def test_a_model_store_of_no_known_kind_is_a_mistake_of_the_overlay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written(tmp_path / "env", "mlflow: nope://x", "dev.yaml")
    code, _, err = called(capsys, "status", str(written(tmp_path, CHURN)), "--env", "dev")

    assert (code, "dev.yaml:1:9 mlflow: the scheme 'nope' came" in err) == (2, True)


def test_tables_that_hold_other_rows_than_their_balance_says_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    root = tmp_path / "warehouse" / "shop"
    counts = {"rows_in": 6, "kept": 3, "quarantined": 3, "merged": 0}
    committed(root, "orders", counts=counts, inputs={"orders_quarantine": 0})
    committed(root, "orders_quarantine")
    committed(root, "people", counts={**counts, "quarantined": 2, "merged": 1}, inputs={"people_quarantine": 0})
    committed(root, "people_quarantine")
    committed(root, "shops", counts=counts, inputs={"shops_quarantine": 7})
    committed(root, "shops_quarantine")
    told = {line.split()[0]: line.split("3 kept", 1)[-1] for line in called(capsys, "status")[1].splitlines() if line}

    assert told["orders"].strip() == "+ 3 quarantined + 0 merged"
    assert told["people"].strip() == "+ 2 quarantined + 1 merged; people_quarantine holds 3"
    assert told["shops"].strip().endswith("; the quarantine is newer: run again, or headrace replay")
