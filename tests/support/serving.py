"""A server in this process, with models that are arithmetic, a registry in memory, and a real HTTP client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.errors import HeadraceError
from headrace.models.card import ModelCard
from headrace.models.version import Version
from headrace.serving.models import Models, Served
from tests.conftest import PROJECT
from tests.support.running import environment
from tests.support.servers import Server, free_port

FEATURES = {"amount": "double", "vip": "boolean", "spending__count_1d": "bigint", "last__note": "string"}


class Sum:
    """Says how many times a number the features add up to: a model that can be checked by hand."""

    def __init__(self, times: float) -> None:
        self.times = times

    def score(self, table: pa.Table) -> pa.Table:
        total = pa.array([0.0] * table.num_rows)
        for column in table.columns:
            kind = pa.float64()
            value = pc.utf8_length(column) if pa.types.is_string(column.type) else column
            total = pc.add(
                total,
                pc.coalesce(value.cast(pa.int64()) if pa.types.is_boolean(value.type) else value, pa.scalar(0)).cast(
                    kind
                ),
            )
        probability = pc.multiply(total, self.times)
        return pa.table({"prediction": pc.greater(probability, 10.0), "probability": probability})


def served(number: int, times: float = 1.0, features: Mapping[str, str] = FEATURES, name: str = "shop") -> Served:
    card = ModelCard("binary", dict(features), "boolean", (False, True), key=("customer",))
    return Served(Version(name, number, f"run{number}", {}), card, Sum(times))


@dataclass
class Registry:
    """Aliases, and versions that can be loaded."""

    aliases: dict[str, int]
    versions: dict[int, Served]
    down: bool = False
    loads: list[int] = field(default_factory=list)
    tracking_uri: str = "memory"

    def model(self, _: str) -> Any:
        if self.down:
            raise HeadraceError("the model store memory did not answer: down")
        return self.aliases, {}

    def version(self, name: str, number: int) -> Version:
        return Version(name, number, f"run{number}", {})

    def load(self, _: Any, version: Version) -> Served:
        self.loads.append(version.number)
        if version.number not in self.versions:
            raise HeadraceError(f"version {version.number} has no compiled form")
        return self.versions[version.number]

    def models(self, *wanted: str) -> Models:
        return Models(self, "shop", wanted or ("champion",), self.load)  # type: ignore[arg-type]


def asked(url: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, Any]:
    """Status and content of an answer."""
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json", **(headers or {})})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            status, content = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        status, content = error.code, error.read()
    try:
        return status, json.loads(content)
    except ValueError:
        return status, content.decode()


@contextmanager
def running(app: Any, port: int) -> Iterator[str]:
    """The server on a port of the loopback, until the end."""
    import uvicorn

    server = uvicorn.Server(uvicorn.Config(app, "127.0.0.1", port, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


def store_url(server: Server) -> str:
    """Where the online store of a PostgreSQL is, its password by the name `SHOP_PASSWORD`."""
    return server.url.replace("jdbc:postgresql://", f"postgresql://{server.user}:${{secret:SHOP_PASSWORD}}@")


def register(home: Path, name: str, trees: int, tags: Mapping[str, str] | None = None) -> int:
    """Register a real model of so many trees, as a run of `register` leaves it; returns its number.

    Args:
        home: `HEADRACE_HOME`.
        name: Of the model.
        trees: Of its features `amount`, `vip` and `customer__visits`.
        tags: Of the version, instead of those that say that it can be served.
    """
    import tempfile

    import numpy as np
    import xgboost

    from headrace.models.compiled.scorer import Compiled
    from headrace.models.store import ModelStore

    features = {"amount": "double", "vip": "boolean", "customer__visits": "bigint"}
    x = np.random.default_rng(3).normal(size=(400, 3))
    booster = xgboost.train({"max_depth": 3}, xgboost.DMatrix(x, x.sum(axis=1) > 0), trees)
    told = {
        "input": "v", "task": "binary", "missing": float("nan"), "iterations": trees, "raw": "raw",
        "probability": "probability", "prediction": "prediction",
    }  # fmt: skip
    card = ModelCard("binary", features, "boolean", (False, True), key=("customer",))
    steps = [
        ("assemble", {"inputs": list(features), "output": "v", "keep": True}, {}),
        ("xgboost", told, {"booster": np.frombuffer(bytes(booster.save_raw("ubj")), np.uint8)}),
    ]
    store = ModelStore(f"sqlite:///{home}/mlflow/mlflow.db")
    run = store.client.create_run(store.experiment(name)).info.run_id
    with tempfile.TemporaryDirectory() as folder:
        Compiled(card, list(features), steps).save(Path(folder))
        store.client.log_artifacts(run, folder, "compiled")
    if store.model(name) is None:
        store.client.create_registered_model(name)
    passed = {"card": "{}", "outcome": "passed", "gates": "[]", "compiled": "admitted"}
    named = {f"headrace.{key}": value for key, value in (passed if tags is None else tags).items()}
    return int(store.client.create_model_version(name, str(home / "model"), run_id=run, tags=named).version)


@contextmanager
def serving(home: Path, *arguments: str, **env: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The command at work; killed at the end where it has not ended by itself."""
    port = free_port()
    line = [str(Path(sys.executable).parent / "headrace"), "serve", *arguments, "--port", str(port), "--poll", "0.2"]
    log = (home / f"serve-{port}.log").open("w")
    server = subprocess.Popen(
        line, cwd=PROJECT, env=environment(home, **env), stdout=log, stderr=log, text=True,
        start_new_session=True,
    )  # fmt: skip
    url, deadline = f"http://127.0.0.1:{port}", time.monotonic() + 120
    try:
        while True:
            assert server.poll() is None, Path(log.name).read_text()
            assert time.monotonic() < deadline
            try:
                asked(f"{url}/health")
                break
            except OSError:
                time.sleep(0.1)
        yield url, server
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGKILL)
        server.wait()
        log.close()
