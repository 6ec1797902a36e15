"""`headrace serve` as a person uses it: the real command, a real model store, requests over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.models.entities import entity_text
from headrace.serving.online.sqlite import write
from headrace.serving.online.store import OnlineTable, Publish, Row
from tests.support.running import environment, headrace
from tests.support.serving import asked, register, serving

KEY = "a-key-of-this-test-0123"
YAML = """
pipeline: shop
tables:
  customers: {source: {format: csv, path: customers.csv}, key: customer}
training_set: {from: customers, label: "bought = 1"}
scoring: {strategy: {canary: {challenger: challenger, share: 0.5}, entity: customer}}
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a YAML, a home with three versions (one of which cannot be served), and an online store."""
    folder = tmp_path_factory.mktemp("serve")
    home = folder / "home"
    (folder / "shop.yaml").write_text(YAML)
    (folder / "customers.csv").write_text("customer,bought\n1,0\n")
    (folder / "keys").write_text(f"{KEY}\n")
    for trees in (3, 30):
        register(home, "shop", trees)
    register(
        home, "shop", 3, {"card": "{}", "outcome": "passed", "gates": "[]", "compiled": "a decision by categories"}
    )
    table = OnlineTable("lookup", (("customer", "bigint"),), (("visits", "bigint"),))
    rows = [Row("customer", entity_text([n]), f"[{n}]", None) for n in range(50)]
    as_of = datetime.now(UTC) - timedelta(minutes=5)
    write(home / "online" / "shop.sqlite", Publish(0, as_of, {"customer": table}), [rows], ["customer"])
    done = headrace(home, "promote", str(folder / "shop.yaml"), "1")
    assert done.code == 0, done.said
    return folder


def eventually(url: str, **expected: Any) -> dict[str, Any]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        _, found = asked(f"{url}/health")
        if all(found[key] == value for key, value in expected.items()):
            return found
        time.sleep(0.1)
    raise AssertionError(found)


def logged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in folder.glob("[!.]*.jsonl") for line in path.read_text().splitlines()]


def test_a_day_of_a_server(shop: Path) -> None:
    predict, log = "/v1/models/shop/predict", shop / "log"
    rows = [{"amount": -5.0, "vip": True, "customer": n} for n in range(20)]
    config, key = str(shop / "shop.yaml"), {"x-api-key": KEY}
    with serving(shop / "home", config, "--log", str(log), "--api-key-file", str(shop / "keys")) as (url, server):
        health = eventually(url, version=1, status="degraded")  # there is no challenger yet
        assert "no version of shop is challenger" in health["problems"][0]
        assert health["online"]["feature_tables"] == ["customer"]
        assert 300 <= health["online"]["age_seconds"] < 900
        assert asked(url + predict, {"rows": rows})[0] == 401
        status, found = asked(url + predict, {"rows": rows}, key)
        assert status == 200
        assert {(p["model_version"], p["role"]) for p in found["predictions"]} == {(1, "champion")}
        assert len({p["probability"] for p in found["predictions"]}) > 1  # what is looked up matters
        status, found = asked(url + predict, {"rows": [{"amount": "much", "vip": True}]}, key)
        assert status == 422
        assert [(d["field"], d.get("allowed", "")[:8]) for d in found["detail"]] == [
            ("amount", "a number"),
            ("customer", ""),
        ]
        assert "swagger" in asked(f"{url}/docs")[1].lower()

        alias = [str(Path(sys.executable).parent / "python"), "-c", ALIAS, str(shop / "home")]
        subprocess.run(alias, check=True)
        eventually(url, versions={"champion": 1, "challenger": 2}, status="ok")
        _, found = asked(url + predict, {"rows": rows}, key)
        assert {(p["model_version"], p["role"]) for p in found["predictions"]} == {(1, "champion"), (2, "challenger")}

        done = headrace(shop / "home", "promote", config, "2", "--why", "better")
        assert done.code == 0, done.said
        eventually(url, version=2, status="ok")
        done = headrace(shop / "home", "promote", config, "3")
        assert done.code == 0, done.said
        assert (
            "shop/3 has no form that scores without Spark"
            in eventually(url, version=2, status="degraded")["problems"][0]
        )
        done = headrace(shop / "home", "rollback", config)
        assert done.code == 0, done.said
        eventually(url, version=2, status="ok")

        maps = Path(f"/proc/{server.pid}/maps")
        assert not maps.exists() or "libjvm" not in maps.read_text()
        assert logged(log) == []  # the open file is not for readers yet
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    found = logged(log)
    assert len(found) == 40
    assert {one["role"] for one in found} == {"champion", "challenger"}
    assert {one["features"]["customer__visits"] for one in found} == set(range(20))
    assert found[0]["entity"].keys() == {"customer"}


ALIAS = """
import sys
from headrace.models.store import ModelStore
ModelStore(f"sqlite:///{sys.argv[1]}/mlflow/mlflow.db").set_alias("shop", 2, "challenger")
"""


def test_workers_share_their_metrics_and_the_key_comes_from_the_environment(shop: Path) -> None:
    row = {"amount": 1.5, "vip": True, "customer": 3}
    more = ("--workers", "2", "--log", str(shop / "log2"))
    with serving(shop / "home", "--model", "shop", *more, HEADRACE_API_KEY=KEY) as (url, server):
        for _ in range(30):
            assert asked(f"{url}/v1/models/shop/predict", {"rows": [row]}, {"authorization": f"Bearer {KEY}"})[0] == 200
        assert asked(f"{url}/v1/models/shop/predict", {"rows": [row]})[0] == 401
        text = asked(f"{url}/metrics")[1]
        assert 'headrace_requests_total{model="shop",status="200"} 30.0' in text
        assert 'headrace_model_version{alias="champion",model="shop"}' in text
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert len(logged(shop / "log2")) == 30


def test_spark_is_not_there(shop: Path) -> None:
    program = f"""
import sys
from headrace.serving.nospark import keep_out
keep_out()
from headrace.serving.app import create, service_of
from headrace.serving.settings import Settings
service = service_of(Settings("shop", "sqlite:///{shop}/home/mlflow/mlflow.db"))
create(service, Settings("shop", ""))
service.answer([{{"amount": 1.5, "vip": True, "customer": 3}}])
print([name for name, module in sys.modules.items() if module and name.split(".")[0] in ("pyspark", "py4j")])
"""
    line = [sys.executable, "-c", program]
    done = subprocess.run(line, env=environment(shop / "home"), capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.parametrize(
    ("arguments", "env", "says"),
    [
        ((), {}, "name a pipeline's YAML, or a registered model with --model NAME: exactly one of them"),
        (("--model", "nobody"), {}, "there is no model nobody in sqlite"),
        (("--model", "shop"), {"HEADRACE_API_KEY": "short"}, "a key has at least 16 characters; make one with"),
        (("--model", "shop", "--api-key-file", "/nowhere"), {}, "--api-key-file /nowhere: No such file"),
        (("--model", "shop", "--online", "redis://x"), {}, "redis: is no online store; write sqlite"),
        (
            ("strange.yaml",),
            {},
            "has no form that scores without Spark (a decision by categories): headrace serve cannot",
        ),
    ],
)
def test_what_cannot_be_served(shop: Path, arguments: tuple[str, ...], env: dict[str, str], says: str) -> None:
    (shop / "strange.yaml").write_text(YAML.partition("scoring")[0] + "scoring: {model: '3'}\n")
    arguments = tuple(str(shop / one) if one.endswith(".yaml") else one for one in arguments)
    done = headrace(shop / "home", "serve", *arguments, **env)
    assert done.code == 2, done.said
    assert says in done.said
    assert "Traceback" not in done.said
