"""What a run registers and what people decide stand on one record, and neither silently undoes the other. No JVM."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from headrace.config.reading import read_pipeline
from headrace.config.types import Pipeline
from headrace.flow import steps
from headrace.models.card import ModelCard
from headrace.models.changes import read, who
from headrace.models.promotion import Word, demote, promote, rollback
from headrace.models.store import CARD_FILE, ModelStore
from headrace.runtime.step import Done, Step
from tests.unit.test_cli_validate import VALID

NAME = "churn"
LOW, HIGH = ([{"metric": "areaUnderROC", "at_least": least}] for least in (0.5, 0.9))


class Rows(list):
    """Of a table, whatever is asked of them."""

    def collect(self) -> Rows:
        return self

    def where(self, condition: str) -> Rows:
        return self

    def select(self, *columns: str) -> Rows:
        return self

    def limit(self, rows: int) -> Rows:
        return Rows(self[:rows])


class Measured(dict):
    """A row of it."""

    def asDict(self) -> dict[str, Any]:
        return dict(self)


@dataclass(frozen=True)
class ARun:
    """As much of a run as registration needs."""

    pipeline: Pipeline
    tracking_uri: str
    trained: str
    fingerprint: str
    run_id: str = "r1"
    model_name: str = NAME
    since: None = None
    until: None = None
    rescore: bool = False

    @property
    def spark(self) -> Any:
        return SimpleNamespace(version="4.2.0")

    def exists(self, table: str) -> bool:
        return False  # nobody looked for leaks

    def facts(self, table: str, version: int | None = None) -> dict[str, Any]:
        return {"facts": {"mlflow_run_id": self.trained, "model_uri": f"runs:/{self.trained}/model"}}

    def read(self, table: str) -> Rows:
        areas = {"metric": "areaUnderROC", "value": 0.7, "lower": 0.65, "upper": 0.75, "rows": 100}
        return Rows([Measured(areas, slice_column=None, slice_value=None)])

    def read_version(self, table: str, version: int) -> Rows:
        return Rows([(0.5,)] * 5)

    def version(self, table: str) -> int:
        return 1


@pytest.fixture
def store(home: Path) -> ModelStore:
    return ModelStore(f"sqlite:///{home}/mlflow/mlflow.db")


def trained(store: ModelStore) -> str:
    """MLflow's run of a model as the search leaves it."""
    run = store.client.create_run(store.experiment(NAME)).info.run_id
    store.client.log_dict(run, ModelCard("binary", {"x": "double"}, "boolean", (False, True)).as_dict(), CARD_FILE)
    store.client.log_dict(run, {"artifact_path": "model", "flavors": {}, "run_id": run}, "model/MLmodel")
    return str(run)


def step(run: ARun, name: str) -> Step:
    return next(one for one in steps(run.pipeline) if one.name == name)


def ran(run: ARun) -> tuple[str, Done]:
    """As the runner does: what an earlier run left, or the work."""
    register = step(run, "register")
    assert register.done is not None
    earlier = register.done(run)  # type: ignore[arg-type]
    return ("unchanged", earlier) if earlier else ("done", register.run(run))  # type: ignore[arg-type]


def configured(gates: list[dict[str, Any]]) -> Pipeline:
    return read_pipeline("churn.yaml", sets=[f"gates={json.dumps(gates)}"])[0]


def test_what_a_person_decides_stands_until_there_is_a_new_version(store: ModelStore) -> None:
    one = ARun(configured(LOW), store.tracking_uri, trained(store), "one")
    assert [ran(one)[0], ran(one)[0]] == ["done", "unchanged"]
    two = replace(one, trained=trained(store), fingerprint="two", run_id="r2")
    assert ran(two)[1].model == {"name": NAME, "version": 2, "alias": "champion"}
    tags = store.version(NAME, 2).tags
    assert json.loads(tags["test_intervals"]) == {"areaUnderROC": [0.65, 0.75]}

    scoring, changes = step(two, "score").state, step(two, "register:model_changes").state
    assert scoring is not None
    assert changes is not None
    seen = [(scoring(two), changes(two))]  # type: ignore[arg-type]
    rollback(store, NAME, Word("late by an hour"))
    seen.append((scoring(two), changes(two)))  # type: ignore[arg-type]
    assert [state[0] for state, _ in seen] == [2, 1]  # the next run scores with the champion, and writes the table
    assert seen[0][1] != seen[1][1]

    assert ran(two)[0] == "unchanged"
    status, done = ran(replace(two, fingerprint="two, by other code", run_id="r3"))
    assert (status, done.refused, done.model) == ("done", None, {"name": NAME, "version": 2, "alias": None})
    said = f"version 2 has been champion and is no more: rollback by {who()} (late by an hour)"
    assert done.notes[-1] == f"{said}; to bring it back: headrace promote FILE.yaml 2"
    assert scoring(two)[0] == 1  # type: ignore[arg-type]
    demote(store, NAME, Word())
    ran(replace(two, fingerprint="two, once more"))
    store.client.set_registered_model_alias(NAME, "champion", "1")  # with MLflow itself
    ran(replace(two, fingerprint="two, and again"))
    assert store.resolve(NAME).number == 1

    ran(replace(one, trained=trained(store), fingerprint="three", run_id="r4"))
    assert [(c.action, c.from_version, c.to_version, c.run_id) for c in read(store, NAME).changes] == [
        ("register", None, 1, "r1"), ("register", 1, 2, "r2"), ("rollback", 2, 1, None), ("demote", 1, None, None),
        ("outside", None, 1, None), ("register", 1, 3, "r4"),
    ]  # fmt: skip
    assert read(store, NAME).changes[0].why == "its gates passed (1 of 1)"


def test_a_forced_version_is_champion_though_its_gates_refuse_it(store: ModelStore) -> None:
    strict = ARun(configured(HIGH), store.tracking_uri, trained(store), "one")
    for status in ("done", "unchanged"):
        found, done = ran(strict)
        assert (found, "there is no champion" in (done.refused or "")) == (status, True)
    promote(store, NAME, 1, Word("the test part is odd", force=True))
    for run in (strict, replace(strict, fingerprint="one, by other code")):
        done = ran(run)[1]
        assert done.refused is None
        assert done.notes[-1] == f"champion all the same: forced by {who()} (the test part is odd)"
    refused = ran(replace(strict, trained=trained(store), fingerprint="two"))[1].refused
    assert refused is not None
    assert "version 1 stays champion" in refused
    assert [one.to_version for one in read(store, NAME).changes] == [1]


class KilledError(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("method", ["tag_model", "set_alias"])
def test_a_killed_registration_is_on_record_once(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    def dying(*arguments: Any, **more: Any) -> None:
        raise KilledError

    run = ARun(configured([]), store.tracking_uri, trained(store), "one")
    with monkeypatch.context() as patch:
        patch.setattr(ModelStore, method, dying)
        with pytest.raises(KilledError):
            ran(run)
    assert [ran(run)[0], ran(run)[0]] == ["done", "unchanged"]
    assert [(c.action, c.to_version, c.settled) for c in read(store, NAME).changes] == [("register", 1, True)]
    assert store.resolve(NAME).number == 1


def test_before_there_is_a_model_store_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "churn.yaml").write_text(VALID)
    pipeline, _ = read_pipeline(str(tmp_path / "churn.yaml"))
    run = ARun(pipeline, f"sqlite:///{tmp_path}/mlflow.db", "", "")
    state = step(run, "register:model_changes").state
    assert state is not None
    assert state(run) == []  # type: ignore[arg-type]
    assert not (tmp_path / "mlflow.db").exists()
