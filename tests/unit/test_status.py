"""`headrace status`, on logs as Delta writes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.test_cli_validate import called


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
