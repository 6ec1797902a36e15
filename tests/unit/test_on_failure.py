"""`on_failure`: who is told what, and what becomes of the run."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from headrace.cli import job
from headrace.config import secrets
from headrace.errors import DataError, GateError
from headrace.runtime import webhook
from headrace.runtime.progress import Progress
from headrace.runtime.records import Record
from headrace.runtime.runner import Outcome, Runner
from tests.unit.test_config_reading import CHURN, mistakes, written


class Receiver(ThreadingHTTPServer):
    """Keeps what is posted, and answers with these codes in turn (None: not at all)."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[int | None] = [200]
        self.silence = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            server: Receiver

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                self.server.got.append({"path": self.path, "type": self.headers["Content-Type"], **json.loads(body)})
                answer = self.server.answers.pop(0) if self.server.answers else 200
                if answer is None:
                    self.server.silence.wait(5)
                else:
                    self.send_response(answer)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    monkeypatch.setattr(secrets, "_known", {})
    monkeypatch.setattr(secrets, "_pattern", [])
    with Receiver() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.silence.set()
        server.shutdown()


def failed(tmp_path: Path, yaml: str, env: str | None = None) -> int:
    """Exit code of a run that fails before Spark is asked for anything: its source is not there."""
    arguments = ["--config", str(written(tmp_path, yaml)), *(["--env", env] if env else [])]
    with pytest.raises(SystemExit) as ended:
        job.main("ingest", arguments)
    return int(ended.value.code or 0)


def test_a_failed_run_is_told_with_all_that_is_known(
    receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOOK", receiver.url + "?key=topsecret99")
    monkeypatch.setenv("FOLDER", "topsecret99")
    monkeypatch.setenv("TOP", "topsecret99")
    yaml = CHURN.replace("data/churn.csv", '"/no/${FOLDER}/churn.csv"') + (
        'on_failure: {webhook: "${secret:HOOK}"}\nspark: {spark.hadoop.x.password: "${secret:TOP}"}\n'
    )

    assert failed(tmp_path, yaml) == 2

    (got,) = receiver.got
    seconds = got.pop("seconds")
    error = (
        "tables.customers.source.path: there is no file, folder or glob '/no/***/churn.csv'; a relative path starts "
        "in the current folder, else beside the YAML"
    )
    assert got == {
        "path": "/hook?key=topsecret99",
        "type": "application/json",
        "pipeline": "churn",
        "run_id": None,
        "stage": None,
        "exit_code": 2,
        "status": "failed",
        "error": error,
        "text": f"churn: the run failed (exit code 2): {error}",
    }
    assert 0 <= seconds < 60
    shown = capsys.readouterr()
    assert "topsecret99" not in shown.out + shown.err


def test_the_environment_s_webhook_wins(receiver: Receiver, tmp_path: Path) -> None:
    written(tmp_path / "env", f"{{prefix: dev_, on_failure: {{webhook: '{receiver.url}'}}}}", "dev.yaml")
    yaml = CHURN.replace("data/", "/no/") + "on_failure: {webhook: 'http://127.0.0.1:9/other'}\n"

    assert failed(tmp_path, yaml, env="dev") == 2
    assert [got["pipeline"] for got in receiver.got] == ["dev_churn"]


@pytest.mark.parametrize(
    ("answers", "asked", "told"),
    [([500, 200], 2, False), ([500, 503], 2, True), ([404, 404], 2, True), ([None, None], 2, True)],
)
def test_one_retry_and_one_line_and_the_exit_code_stays(
    answers: list[int | None],
    asked: int,
    told: bool,
    receiver: Receiver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT", 0.3)
    receiver.answers = list(answers)

    code = failed(tmp_path, CHURN.replace("data/", "/no/") + f"on_failure: {{webhook: '{receiver.url}'}}\n")

    lines = [line for line in capsys.readouterr().err.splitlines() if "webhook" in line]
    assert (code, len(receiver.got), len(lines)) == (2, asked, int(told))


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://no.such.host.invalid/x", "http:///x"])
def test_nobody_there(url: str, tmp_path: Path) -> None:
    assert failed(tmp_path, CHURN.replace("data/", "/no/") + f"on_failure: {{webhook: '{url}'}}\n") == 2


def test_a_url_of_files_is_refused_also_behind_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "file:///etc/passwd")
    (told,) = mistakes(written(tmp_path, CHURN + "on_failure: {webhook: 'file:///etc/passwd'}\n"))

    assert told.startswith("pipe.yaml:5:23 on_failure.webhook: ")
    assert webhook.post("${secret:HOOK}", {}) == "on_failure.webhook is no http(s) URL; nobody was told"


@pytest.mark.parametrize(
    ("error", "stage", "status", "code"),
    [
        (DataError("no rows"), "clean", "failed", 3),
        (ZeroDivisionError("oh"), "clean", "failed", 1),
        (GateError("too bad"), "register", "refused", 4),
    ],
)
def test_stage_and_exit_code_of_a_run(error: Exception, stage: str, status: str, code: int) -> None:
    outcome = Outcome("r1", "churn")
    for name, ended in (("ingest", "done"), ("clean", "done" if code == 4 else "failed")):
        outcome.records.append(Record("r1", "churn", name, name, "f", datetime.now(UTC), ended))

    sent = webhook.content("churn", error, outcome, 1.5)

    assert {key: sent[key] for key in ("run_id", "stage", "status", "exit_code", "error", "seconds")} == {
        "run_id": "r1",
        "stage": stage,
        "status": status,
        "exit_code": code,
        "error": str(error),
        "seconds": 1.5,
    }


def test_a_record_that_cannot_be_written_does_not_take_the_place_of_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(runner: Runner) -> None:
        raise ConnectionError("the JVM has gone")

    monkeypatch.setattr(Runner, "_flush", lost)
    runner, said = object.__new__(Runner), io.StringIO()
    runner.outcome, runner._progress, runner._flushed = Outcome("r", "shop"), Progress(Console(file=said)), 0.0
    runner._close_failed(Record("r", "shop", "clean", "clean:t", "f", datetime.now(UTC), status="failed"))
    assert [record.step for record in runner.outcome.records] == ["clean:t"]
    assert "the record of this failure could not be written: ConnectionError" in said.getvalue()
