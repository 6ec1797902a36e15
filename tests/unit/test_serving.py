"""The server, over HTTP: answers, refusals, strategies, look-ups, aliases that move, registries that fail, the log."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace.config.strategies import Strategy
from headrace.models.assignment import assigned
from headrace.models.entities import entity_text, micros
from headrace.serving.app import create
from headrace.serving.derived import RowFeature
from headrace.serving.inference_log import InferenceLog, recover
from headrace.serving.online.sqlite import SqliteStore, write
from headrace.serving.online.store import OnlineTable, Publish, Row
from headrace.serving.service import Service
from headrace.serving.settings import Settings
from tests.support.servers import free_port
from tests.support.serving import FEATURES, Registry, asked, running, served

AS_OF = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
GIVEN = {"amount": 2.5, "vip": True, "spending__count_1d": 3, "last__note": "four"}
PREDICT = "/v1/models/shop/predict"


@contextmanager
def server(
    registry: Registry, strategy: Any = "champion", store: Any = None, log: Any = None, **settings: Any
) -> Iterator[str]:
    chosen = Strategy.model_validate({} if strategy == "champion" else strategy)
    told = Settings("shop", "memory", poll=0.1, strategy=chosen.model_dump_json(by_alias=True), **settings)
    service = Service(registry.models("champion", *chosen.others), chosen, store, log)
    with running(create(service, told), free_port()) as url:
        yield url


def registry(**aliases: int) -> Registry:
    return Registry(
        {"champion": 1, **aliases}, {1: served(1), 2: served(2, 10.0), 3: served(3, 1, FEATURES | {"more": "int"})}
    )


def eventually(url: str, **expected: Any) -> dict:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        _, found = asked(f"{url}/health")
        if all(found[key] == value for key, value in expected.items()):
            return found
        time.sleep(0.05)
    raise AssertionError(found)


def publish(path: Path, as_of: datetime = AS_OF) -> SqliteStore:
    spending = OnlineTable(
        "aggregates", (("customer", "bigint"),), (("count_1d", "bigint"), ("since_last_1d", "double")),
        {"count_1d": 0}, {"since_last_1d": 86_400_000_000},
    )  # fmt: skip
    last = OnlineTable(
        "latest", (("customer", "bigint"), ("shop", "string")), (("note", "string"), ("at", "timestamp"))
    )
    soon = micros(as_of + HOUR)
    rows = [
        Row("spending", entity_text([1]), "[7,10.0]", soon),
        Row("last", entity_text([1, "x"]), '["note",1767614400000000]', soon),
        Row("last", entity_text([2, "x"]), '["other",null]', None),
    ]
    write(path, Publish(0, as_of, {"spending": spending, "last": last}), [rows], ["spending", "last"])
    return SqliteStore(path)


def test_answers_in_every_form() -> None:
    with server(registry()) as url:
        status, found = asked(url + PREDICT, {"rows": [GIVEN, GIVEN | {"amount": None, "vip": None}]})
        assert status == 200
        assert [(p["prediction"], p["probability"]) for p in found["predictions"]] == [(True, 10.5), (False, 7.0)]
        assert {(p["model_version"], p["role"]) for p in found["predictions"]} == {(1, "champion")}
        assert found["model_name"] == "shop"
        columns, values = list(GIVEN), list(GIVEN.values())
        forms = [
            {"dataframe_split": {"columns": columns, "data": [values, values]}},
            {"dataframe_records": [GIVEN, GIVEN]},
            {"inputs": {name: [value, value] for name, value in GIVEN.items()}},
            {"inputs": [GIVEN, GIVEN]},
            {"instances": [GIVEN, GIVEN]},
            {"rows": [GIVEN] * 200},
        ]
        for form in forms:
            status, found = asked(url + PREDICT, form, {"x-request-id": "mine"})
            assert status == 200
            assert found["request_id"] == "mine"
            assert {p["probability"] for p in found["predictions"]} == {10.5}


@pytest.mark.parametrize(
    ("body", "field", "says"),
    [
        (b"{", "", "this is no JSON"),
        ([], "", '[] came; write {"rows"'),
        ({}, "", "none of rows, dataframe_records"),
        ({"rows": [GIVEN], "inputs": [GIVEN]}, "rows", "rows and inputs came; write exactly one"),
        ({"rows": []}, "rows", "a list of at least one row"),
        ({"rows": [7]}, "0", "7 is no row"),
        ({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}, "dataframe_split", "a list of at least one row"),
        ({"inputs": {"a": [1], "b": [1, 2]}}, "inputs", "a list of at least one row"),
        ({"rows": [{k: v for k, v in GIVEN.items() if k != "vip"}]}, "vip", "vip is missing; the model takes boolean"),
        ({"rows": [GIVEN | {"amount": "2.5"}]}, "amount", "amount: '2.5' came; allowed: a number"),
        ({"rows": [GIVEN | {"amount": True}]}, "amount", "allowed: a number"),
        ({"rows": [GIVEN | {"vip": 1}]}, "vip", "allowed: true or false"),
        ({"rows": [GIVEN | {"spending__count_1d": 1.5}]}, "spending__count_1d", "allowed: a whole number"),
        ({"rows": [GIVEN | {"spending__count_1d": 2**63}]}, "spending__count_1d", "whole number from"),
        ({"rows": [GIVEN | {"last__note": 4}]}, "last__note", "allowed: a text"),
        ({"rows": [GIVEN | {"amout": 1}]}, "amout", "amout is no field; did you mean"),
        ({"rows": [GIVEN | {"predict_at": "noon"}]}, "predict_at", "allowed: a time, as 2026"),
    ],
)
def test_what_is_wrong_is_told_with_its_field(body: Any, field: str, says: str, one_server: str) -> None:
    status, found = asked(one_server + PREDICT, body)
    assert status == 422
    assert found["detail"][0]["field"] == field
    assert says in found["detail"][0]["msg"]


@pytest.fixture(scope="module")
def one_server() -> Iterator[str]:
    with server(registry()) as url:
        yield url


def test_all_mistakes_at_once(one_server: str) -> None:
    status, found = asked(one_server + PREDICT, {"rows": [{"amount": "a"}, GIVEN, {"vip": "b"}]})
    assert status == 422
    assert [(d["loc"][2], d["field"]) for d in found["detail"]] == [
        (0, "amount"), (0, "vip"), (0, "spending__count_1d"), (0, "last__note"),
        (2, "vip"), (2, "amount"), (2, "spending__count_1d"), (2, "last__note"),
    ]  # fmt: skip
    assert len(asked(one_server + PREDICT, {"rows": [{}] * 1000})[1]["detail"]) == 20


def test_the_page_says_what_the_model_takes(one_server: str) -> None:
    _, found = asked(f"{one_server}/openapi.json")
    schemas = found["components"]["schemas"]
    assert set(schemas["Row"]["properties"]) == {*FEATURES, "customer", "predict_at"}
    assert schemas["Row"]["required"] == list(FEATURES)
    assert schemas["Row"]["properties"]["spending__count_1d"]["type"] == ["integer", "null"]
    assert schemas["Answer"]["properties"]["predictions"]["items"]["properties"]["prediction"]["enum"] == [False, True]
    assert asked(one_server + PREDICT, schemas["Request"]["example"])[0] == 200
    assert "swagger" in asked(f"{one_server}/docs")[1].lower()


def test_metrics_are_prometheus(one_server: str) -> None:
    asked(one_server + PREDICT, {"rows": [GIVEN] * 3})
    text = asked(f"{one_server}/metrics")[1]
    assert 'headrace_model_version{alias="champion",model="shop"} 1.0' in text
    assert 'headrace_predictions_total{model="shop",role="champion",version="1"}' in text
    assert 'headrace_request_seconds_bucket{le="0.015",model="shop"}' in text
    assert 'headrace_requests_total{model="shop",status="200"}' in text


def test_a_key_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("first-key-0123456789\n\nsecond-key-é-0123456\n", encoding="utf-8")
    with server(registry(), key_file=str(file)) as url:
        body = {"rows": [GIVEN]}
        for headers, status in (
            ({}, 401),
            ({"x-api-key": "first-key-012345678"}, 401),
            ({"authorization": "Basic first-key-0123456789"}, 401),
            ({"x-api-key": "first-key-0123456789"}, 200),
            ({"authorization": "Bearer first-key-0123456789"}, 200),
        ):
            assert asked(url + PREDICT, body, headers)[0] == status
        assert asked(url + PREDICT, b"{", {})[0] == 401  # nothing is read before
        assert asked(f"{url}/health")[0] == 200
        _, found = asked(f"{url}/openapi.json")
        assert "401" in found["paths"][PREDICT]["post"]["responses"]


def test_a_long_request_is_not_read() -> None:
    with server(registry(), max_body=1000) as url:
        status, found = asked(url + PREDICT, {"rows": [GIVEN] * 100})
        assert (status, found["detail"]) == (413, "a request has at most 1,000 bytes; send fewer rows at a time")
        assert asked(url + PREDICT, {"rows": [GIVEN]})[0] == 200


def test_an_alias_that_moves_and_a_registry_that_fails() -> None:
    known = registry()
    with server(known) as url:
        known.aliases["champion"] = 2
        eventually(url, version=2, status="ok")
        assert asked(url + PREDICT, {"rows": [GIVEN]})[1]["predictions"][0]["probability"] == 105.0
        known.down = True
        found = eventually(url, status="degraded", version=2)
        assert "did not answer" in found["problems"][0]
        assert asked(url + PREDICT, {"rows": [GIVEN]})[0] == 200
        known.down = False
        known.aliases["champion"] = 9  # one that cannot be served
        found = eventually(url, problems=["version 9 has no compiled form"], version=2)
        assert asked(url + PREDICT, {"rows": [GIVEN]})[0] == 200
        del known.aliases["champion"]
        nobody = "no version of shop is champion; promote one: headrace promote FILE.yaml VERSION, or set the alias in MLflow"
        eventually(url, problems=[nobody], version=2)
        known.aliases["champion"] = 3  # it takes a feature more
        eventually(url, status="ok", version=3)
        assert asked(url + PREDICT, {"rows": [GIVEN]})[0] == 422
        assert asked(url + PREDICT, {"rows": [GIVEN | {"more": 1}]})[0] == 200
    assert known.loads.count(1) == known.loads.count(2) == 1


def test_a_canary_takes_its_entities() -> None:
    strategy = {"canary": {"share": 0.3}, "entity": ["customer"]}
    known = registry(challenger=2)
    with server(known, strategy) as url:
        rows = [GIVEN | {"customer": n} for n in range(60)]
        _, found = asked(url + PREDICT, {"rows": rows})
        want = [assigned(Strategy.model_validate(strategy), [n], AS_OF) for n in range(60)]
        assert [p["role"] for p in found["predictions"]] == want
        assert {(p["role"], p["model_version"], p["probability"]) for p in found["predictions"]} == {
            ("champion", 1, 10.5), ("challenger", 2, 105.0),
        }  # fmt: skip
        status, found = asked(url + PREDICT, {"rows": [GIVEN]})
        assert (status, found["detail"][0]["field"]) == (422, "customer")
        assert asked(url + PREDICT, {"rows": [GIVEN | {"customer": 1.5}]})[0] == 422
        known.aliases["challenger"] = 3  # takes a feature that clients do not send yet: the champion answers
        eventually(url, versions={"champion": 1, "challenger": 3})
        _, found = asked(url + PREDICT, {"rows": rows})
        assert {p["model_version"] for p in found["predictions"]} == {1}
        del known.aliases["challenger"]
        eventually(url, status="degraded", versions={"champion": 1})
        assert asked(url + PREDICT, {"rows": rows})[0] == 200
        assert (
            f'skipped_total{{model="shop",role="challenger"}} {2.0 * want.count("challenger")}'
            in asked(f"{url}/metrics")[1]
        )


def test_a_shadow_is_logged_and_nobody_acts_on_it(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path / "log", seconds=3600)
    with server(registry(challenger=2), {"shadow": {}}, log=log) as url:
        for number in range(5):
            _, found = asked(url + PREDICT, {"rows": [GIVEN | {"customer": number}]}, {"x-request-id": f"r{number}"})
            assert found["predictions"] == [
                {"prediction": True, "probability": 10.5, "model_version": 1, "role": "champion"}
            ]
        assert not list((tmp_path / "log").glob("[!.]*"))  # open files are hidden from Spark
    lines = [json.loads(line) for path in (tmp_path / "log").glob("*.jsonl") for line in path.read_text().splitlines()]
    found = sorted((o["request_id"], o["role"], o["acted_on"], o["model_version"], o["probability"]) for o in lines)
    assert found == sorted(
        one for n in range(5) for one in ((f"r{n}", "champion", True, 1, 10.5), (f"r{n}", "shadow", False, 2, 105.0))
    )
    assert lines[0]["features"] == GIVEN
    assert lines[0]["entity"] == {"customer": 0}


def test_arms_by_versions() -> None:
    strategy = {"ab": {"arms": {"champion": 0.5, "2": 0.5}}, "entity": "customer"}
    with server(registry(), strategy) as url:
        _, found = asked(url + PREDICT, {"rows": [GIVEN | {"customer": f"c{n}"} for n in range(40)]})
        assert {(p["role"], p["model_version"]) for p in found["predictions"]} == {("champion", 1), ("2", 2)}


def test_features_are_looked_up(tmp_path: Path) -> None:
    store = publish(tmp_path / "s.sqlite")
    features = {
        "amount": "double",
        "spending__count_1d": "bigint",
        "last__note": "string",
        "spending__since_last_1d": "double",
    }
    known = Registry({"champion": 1}, {1: served(1, features=features)})
    log = InferenceLog(tmp_path / "log")
    at = {"predict_at": AS_OF.isoformat()}

    def features_of(url: str, **row: Any) -> tuple[int, Any]:
        return asked(url + PREDICT, {"rows": [{"amount": 1.0, **at, **row}]}, {"x-request-id": json.dumps(sorted(row))})

    with server(known, store=store, log=log) as url:
        for row, total in (
            ({"customer": 1, "shop": "x"}, 1 + 7 + 4 + 10),
            ({"customer": 1, "shop": "y"}, 1 + 7 + 0 + 10),
            ({"customer": 5, "shop": "x"}, 1.0),
            ({"customer": None, "shop": "x"}, 1.0),
            ({"customer": 1, "shop": "x", "last__note": "longer note"}, 1 + 7 + 11 + 10),
            ({"customer": 1, "last__note": "n"}, 1 + 7 + 1 + 10),  # a key is not needed for what is given
        ):
            status, found = features_of(url, **row)
            assert status == 200, found
            assert found["predictions"][0]["probability"] == total
        late = {"predict_at": (AS_OF + HOUR).isoformat()}
        status, found = features_of(url, customer=1, shop="x", **late)
        assert found["predictions"][0]["probability"] == 1 + 7 + 0 + 3610  # the note holds no more, and time has passed
        assert found["predictions"][0]["stale"] == ["spending"]
        late = {"predict_at": (AS_OF + 24 * HOUR).isoformat()}
        assert features_of(url, customer=1, shop="x", **late)[1]["predictions"][0]["probability"] == 8.0
        status, found = features_of(url, shop="x")
        assert (status, found["detail"][0]["field"]) == (422, "customer")
        assert "looked up by it in spending" in found["detail"][0]["msg"]
        status, found = features_of(url, customer="1", shop="x")
        assert (status, found["detail"][0]["field"], found["detail"][0]["allowed"]) == (
            422,
            "customer",
            "a whole number",
        )
        first = asked(f"{url}/health")[1]["online"]["publish"]
        row = asked(f"{url}/openapi.json")[1]["components"]["schemas"]["Row"]
        assert row["required"] == ["amount", "customer", "shop"]
        publish(tmp_path / "s.sqlite", AS_OF + HOUR)
        status, found = features_of(url, customer=1, shop="x", predict_at=(AS_OF + HOUR).isoformat())
        assert found["predictions"][0]["probability"] == 22.0
        assert eventually(url)["online"]["publish"] > first
    lines = [json.loads(line) for path in (tmp_path / "log").glob("*.jsonl") for line in path.read_text().splitlines()]
    null = next(one for one in lines if one["entity"]["customer"] is None)
    assert null["features"]["spending__count_1d"] is None  # a null in the key: all null, as in training
    nobody = next(one for one in lines if one["entity"]["customer"] == 5)
    assert nobody["features"]["spending__count_1d"] == 0


def test_row_features_are_computed(tmp_path: Path) -> None:
    made = (
        RowFeature("twice", "spending__count_1d * 2", "bigint", {"spending__count_1d": "bigint"}),
        RowFeature("sum", "twice + price", "double", {"twice": "bigint", "price": "double"}),
    )
    spending = OnlineTable("lookup", (("customer", "bigint"),), (("count_1d", "bigint"),))
    told = Publish(0, AS_OF, {"spending": spending}, {"price": "double", "customer": "bigint", "name": "string"}, made)
    write(tmp_path / "s", told, [[Row("spending", entity_text([1]), "[7]", None)]], ["spending"])
    known = Registry({"champion": 1}, {1: served(1, features={"amount": "double", "sum": "double", "twice": "bigint"})})
    with server(known, store=SqliteStore(tmp_path / "s")) as url:

        def one(**row: Any) -> Any:
            status, found = asked(url + PREDICT, {"rows": [{"amount": 1.0} | row]})
            return (
                found["predictions"][0]["probability"]
                if status == 200
                else {d["field"]: d["msg"] for d in found["detail"]}
            )

        assert one(customer=1, price=0.5) == 1 + 14.5 + 14
        assert one(customer=1, price=0.5, name="of the spine, and no matter") == 29.5
        assert one(customer=1, price=None) == 1 + 0 + 14
        assert one(customer=2, price=0.5) == 1.0
        assert one(customer=1, price=0.5, twice=3) == 1 + 3.5 + 3
        assert one(sum=4.0, twice=3) == 8.0
        assert one(customer=1, sum=4.0) == 1 + 4 + 14
        assert one(price=2.0) == {"customer": "customer is missing: spending__count_1d is looked up by it in spending"}
        assert one(customer=1) == {"price": "price is missing: sum is computed of it; double, or null"}
        assert "price: 'x' came" in one(customer=1, price="x")["price"]
        row = asked(f"{url}/openapi.json")[1]["components"]["schemas"]["Row"]
        assert row["required"] == ["amount", "price", "customer"]
        assert row["properties"]["sum"]["description"] == "feature, double; computed: twice + price"


def test_without_a_store_the_features_must_be_given() -> None:
    with server(registry()) as url:
        _, found = asked(url + PREDICT, {"rows": [{k: v for k, v in GIVEN.items() if "__" not in k}]})
        assert "have spending looked up: fill the online store with headrace publish" in found["detail"][0]["msg"]


def test_what_a_killed_server_left_is_taken_over(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path)
    log.put(lambda: [{"a": 1}])
    while not list(tmp_path.glob(".open-*")) or not next(tmp_path.glob(".open-*")).stat().st_size:
        time.sleep(0.01)
    assert recover(tmp_path) == 0  # it is at work
    dead = tmp_path / ".open-1-dead.jsonl"
    dead.write_bytes(b'{"a":2}\n{"a":')
    assert recover(tmp_path) == 1
    assert [p.read_text() for p in tmp_path.glob("*dead.jsonl")] == ['{"a":2}\n']
    log.close()
    assert sorted(p.read_text() for p in tmp_path.glob("*.jsonl")) == ['{"a":1}\n', '{"a":2}\n']


def test_a_full_log_drops_and_never_waits(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path, capacity=3)
    log.put(lambda: time.sleep(0.5) or [])  # type: ignore[func-returns-value]
    time.sleep(0.1)
    started = time.monotonic()
    for number in range(10):
        log.put(lambda number=number: [{"n": number}])  # type: ignore[misc]
    assert time.monotonic() - started < 0.3
    log.close()
    assert log.dropped == 7
    assert len(next(tmp_path.glob("*.jsonl")).read_text().splitlines()) == 3


def test_files_are_closed_by_size_and_by_time(tmp_path: Path) -> None:
    log = InferenceLog(tmp_path, seconds=0.2, size=2_000)
    for _ in range(3):
        log.put(lambda: [{"x": "y" * 900}] * 3)
        time.sleep(0.05)
    log.put(lambda: [{"x": 1}])
    time.sleep(1.6)
    assert len(list(tmp_path.glob("[!.]*.jsonl"))) == 4
    log.close()
    assert os.listdir(tmp_path)
