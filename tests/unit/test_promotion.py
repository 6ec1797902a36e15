"""Promote, demote, roll back: on a real model store, as functions, as commands and as processes that end anywhere."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlglot

from headrace.cli.sql import changes_sql, init_sql
from headrace.errors import ConfigError, GateError, HeadraceError
from headrace.models import audit, changes
from headrace.models.changes import move, read, settle
from headrace.models.promotion import Word, demote, promote, rollback
from headrace.models.store import ModelStore
from tests.conftest import PROJECT
from tests.unit.test_cli_validate import VALID, called

NAME = "churn"
PASSED = {"card": "{}", "outcome": "passed", "gates": json.dumps([{"passed": True, "text": "areaUnderROC = 0.8"}])}
REFUSED = PASSED | {
    "outcome": "refused",
    "gates": json.dumps([{"passed": True, "text": "f1 = 0.9"}, {"passed": False, "text": "areaUnderROC = 0.5"}]),
}
TESTED = {
    "test_metrics": json.dumps({"areaUnderROC": 0.75, "f1": None}),
    "test_intervals": json.dumps({"areaUnderROC": [0.7, 0.8], "f1": [None, None]}),
    "estimator": "gbt",
    "task": "binary",
    "tables": json.dumps({"training_set": 3}),
}


@pytest.fixture
def store(home: Path) -> ModelStore:
    """Versions 1 to 3 passed their gates, 4 did not, 5 was never judged, 6 is somebody's own."""
    found = ModelStore(f"sqlite:///{home}/mlflow/mlflow.db")
    found.client.create_registered_model(NAME)
    for tags in (PASSED, PASSED | TESTED, PASSED, REFUSED, {"card": "{}"}, {}):
        named = {f"headrace.{key}": value for key, value in tags.items()}
        found.client.create_model_version(NAME, str(home / "artifacts" / "model"), tags=named)
    return found


def moves(store: ModelStore) -> list[tuple[str, int | None, int | None]]:
    """The audit: what was done, from which version to which; it agrees with the alias."""
    journal = read(store, NAME)
    champion = store.alias(NAME)
    assert journal.champion == (champion and champion.number)
    assert journal.newest is None or journal.newest.to_version == journal.champion
    return [(one.action, one.from_version, one.to_version) for one in journal.changes]


def test_every_change_is_on_record_and_rollbacks_go_further_back(store: ModelStore) -> None:
    for number in (1, 2, 3):
        assert promote(store, NAME, number, Word()).champion == number
    promote(store, NAME, 3, Word("again"))  # nothing to do, nothing on record
    assert rollback(store, NAME, Word("slow")).champion == 2
    assert rollback(store, NAME, Word()).champion == 1
    with pytest.raises(ConfigError, match="no other champion"):
        rollback(store, NAME, Word())
    promote(store, NAME, 3, Word())
    demote(store, NAME, Word())
    assert demote(store, NAME, Word()).change is None
    assert rollback(store, NAME, Word()).champion == 3
    assert rollback(store, NAME, Word()).champion == 1
    assert moves(store) == [
        ("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3), ("rollback", 3, 2), ("rollback", 2, 1),
        ("promote", 1, 3), ("demote", 3, None), ("rollback", None, 3), ("rollback", 3, 1),
    ]  # fmt: skip
    rows = audit.rows(NAME, read(store, NAME))
    assert [row["change"] for row in rows] == list(range(1, 10))
    assert rows[3]["why"] == "slow"
    assert rows[3]["who"] == changes.who()
    assert [row["changed_at"] for row in rows] == sorted(row["changed_at"] for row in rows)
    assert list(rows[0]) == list(audit.COLUMNS)


@pytest.mark.parametrize(
    ("number", "words"), [(4, "refused by 1 of its gates:\n  areaUnderROC"), (5, "not been judged")]
)
def test_a_version_whose_gates_did_not_pass_is_forced_or_refused(store: ModelStore, number: int, words: str) -> None:
    promote(store, NAME, 1, Word())
    with pytest.raises(GateError, match=words):
        promote(store, NAME, number, Word("please"))
    with pytest.raises(ConfigError, match="--force needs a reason"):
        promote(store, NAME, number, Word(" ", force=True))
    assert moves(store) == [("promote", None, 1)]
    promote(store, NAME, number, Word("the test was wrong", force=True))
    promote(store, NAME, 2, Word("no need to", force=True))
    with pytest.raises(GateError, match=words):
        rollback(store, NAME, Word("please"))
    rollback(store, NAME, Word("because", force=True))
    assert [one.forced for one in read(store, NAME).changes] == [False, True, False, True]


def test_what_cannot_score_is_refused(store: ModelStore) -> None:
    with pytest.raises(ConfigError, match="not registered by a run"):
        promote(store, NAME, 6, Word("mine", force=True))
    with pytest.raises(ConfigError, match=r"no version or alias '7' \(versions: 6, 5, 4, 3, 2, 1\)"):
        promote(store, NAME, 7, Word())
    with pytest.raises(ConfigError, match="1,001 characters"):
        promote(store, NAME, 1, Word("x" * 1001))
    assert moves(store) == []
    promote(store, NAME, 1, Word("ü" * 1000))
    promote(store, NAME, 2, Word())
    store.client.delete_model_version(NAME, "1")
    with pytest.raises(ConfigError, match="no version or alias '1'"):
        rollback(store, NAME, Word())


class KilledError(BaseException):
    """The process ends here."""


def killed(store: ModelStore, monkeypatch: pytest.MonkeyPatch, call: str, act: Callable[[], Any]) -> None:
    """End `act` just before it calls a method of the store for the first, or the second, time."""
    method, _, which = call.partition(" ")
    real, left = getattr(ModelStore, method), [int(which or 1)]

    def dying(*arguments: Any, **more: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KilledError
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ModelStore, method, dying)
        with pytest.raises(KilledError):
            act()


@pytest.mark.parametrize("call", ["tag_model", "set_alias", "tag_model 2"])
@pytest.mark.parametrize("again", [promote, rollback, demote])
def test_killed_anywhere_a_repeat_is_harmless(
    store: ModelStore, monkeypatch: pytest.MonkeyPatch, call: str, again: Callable[..., Any]
) -> None:
    for number in (1, 2):
        promote(store, NAME, number, Word())
    arguments = (store, NAME, *((3,) if again is promote else ()), Word())
    killed(store, monkeypatch, call, lambda: again(*arguments))
    again(*arguments)
    wanted = {promote: 3, rollback: 1, demote: None}[again]
    assert moves(store)[2:] == [(again.__name__, 2, wanted)]
    assert read(store, NAME).unfinished is None


def test_another_change_finishes_what_was_killed(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(store, NAME, 1, Word())
    killed(store, monkeypatch, "set_alias", lambda: promote(store, NAME, 2, Word()))
    journal = read(store, NAME)
    assert journal.unfinished is not None
    assert (journal.champion, journal.unfinished.to_version) == (1, 2)
    done = promote(store, NAME, 3, Word())
    assert done.finished is not None
    assert moves(store) == [("promote", None, 1), ("promote", 1, 2), ("promote", 2, 3)]
    killed(store, monkeypatch, "set_alias", lambda: promote(store, NAME, 2, Word()))
    store.client.delete_model_version(NAME, "2")
    assert settle(store, NAME).champion == 3  # what is decided cannot be done: nobody is stuck with it
    promote(store, NAME, 1, Word())
    assert moves(store)[3:] == [("promote", 3, 2), ("outside", 2, 3), ("promote", 3, 1)]


def test_an_alias_moved_with_mlflow_is_left_and_put_on_record(store: ModelStore) -> None:
    store.client.set_registered_model_alias(NAME, "champion", "1")
    promote(store, NAME, 2, Word())
    store.client.set_registered_model_alias(NAME, "champion", "3")
    assert settle(store, NAME).champion == 3
    assert rollback(store, NAME, Word()).champion == 2
    assert moves(store) == [("outside", None, 1), ("promote", 1, 2), ("outside", 2, 3), ("rollback", 3, 2)]


def test_a_store_that_refuses_once_is_asked_again(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    real, refusals = ModelStore.set_alias, [2]

    def refusing(*arguments: Any, **more: Any) -> bool:
        refusals[0] -= 1
        if refusals[0] >= 0:
            raise HeadraceError("UNIQUE constraint failed: registered_model_aliases")
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(ModelStore, "set_alias", refusing)
        assert promote(store, NAME, 1, Word()).champion == 1
        refusals[0] = 100
        with pytest.raises(HeadraceError, match="UNIQUE"):
            promote(store, NAME, 2, Word())
    assert demote(store, NAME, Word()).finished is not None
    assert moves(store) == [("promote", None, 1), ("promote", 1, 2), ("demote", 2, None)]


def test_many_at_the_same_time_are_all_on_record_and_the_last_one_stands(store: ModelStore) -> None:
    promote(store, NAME, 1, Word())
    ready = threading.Barrier(4)
    errors: list[BaseException] = []

    def act(place: int) -> None:
        try:
            ready.wait()
            for round_ in range(5):
                move(store, NAME, (None, 2, 3)[(place + round_) % 3], "promote", f"{place} {round_}")
        except Exception as error:  # noqa: BLE001 - a thread's error is told by the test
            errors.append(error)

    threads = [threading.Thread(target=act, args=(place,)) for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    moves(store)
    assert read(store, NAME).unfinished is None


def test_two_who_saw_the_same_champion(store: ModelStore, monkeypatch: pytest.MonkeyPatch) -> None:
    promote(store, NAME, 1, Word())
    real = ModelStore.tag_model

    def overtaken(self: ModelStore, name: str, key: str, value: str) -> None:
        monkeypatch.setattr(ModelStore, "tag_model", real)
        promote(store, NAME, 2, Word("first"))
        real(self, name, key, value)

    monkeypatch.setattr(ModelStore, "tag_model", overtaken)
    promote(store, NAME, 3, Word("second"))
    found = moves(store)
    assert {(action, to) for action, _, to in found} == {("promote", 1), ("promote", 2), ("promote", 3)}
    assert [one[1] for one in found] == [None, *(one[2] for one in found[:-1])]


def test_as_commands(store: ModelStore, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = called(capsys, "promote", "churn.yaml", "1", "--why", "the first")
    assert (code, err) == (0, "")
    assert out.splitlines()[0].endswith(f"promote: none -> version 1, by {changes.who()} (the first)")
    assert out.splitlines()[1] == "churn: version 1 is champion; the next run of `score` uses it"
    assert called(capsys, "promote", "churn.yaml", "1")[1].startswith("churn: version 1 is champion already;")
    code, out, err = called(capsys, "promote", "churn.yaml", "4")
    assert (code, out) == (4, "")
    assert '--force --why "..."' in err
    assert called(capsys, "promote", "churn.yaml", "4", "--force")[0] == 2
    assert called(capsys, "promote", "churn.yaml", "4", "--force", "--why", "x")[0] == 0
    assert called(capsys, "rollback", "churn.yaml", "--why", "worse")[0] == 0
    assert "there is no champion; `score` scores nothing" in called(capsys, "demote", "churn.yaml")[1]
    pinned = called(capsys, "rollback", "churn.yaml", "--set", "scoring.model='2'")
    assert pinned[1].splitlines()[1].endswith("`score` goes on with version 2, which scoring.model names"), pinned
    assert called(capsys, "promote", "churn.yaml", "2", "--set", "pipeline=other")[0] == 2
    code, _, err = called(capsys, "promote", "churn.yaml", "2", "--env", "nowhere")
    assert (code, "nowhere" in err) == (2, True)
    assert [to for _, _, to in moves(store)] == [1, 4, 1, None, 1]


def test_the_versions_are_shown(store: ModelStore, capsys: pytest.CaptureFixture[str]) -> None:
    promote(store, NAME, 2, Word("a | b"))
    store.set_alias(NAME, 3, "shadow")
    code, out, err = called(capsys, "models", "churn.yaml")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "churn: version 2 is champion"
    assert lines[2].split() == ["version", "alias", "registered", "(UTC)", "age", "estimator", "areaUnderROC", "gates"]
    shown = {line.split()[0]: " ".join(line.split()) for line in lines[3:9]}
    assert list(shown) == ["6", "5", "4", "3", "2", "1"]
    assert shown["2"].startswith("2 champion 20")
    assert shown["2"].endswith(" 0 min gbt 0.7500 [0.7000, 0.8000] passed")
    assert " shadow " in shown["3"]
    assert shown["4"].endswith("refused: areaUnderROC = 0.5")
    assert shown["5"].endswith("not judged")
    assert lines[-1].endswith("none -> version 2, by " + changes.who() + " (a | b)")

    facts = json.loads(called(capsys, "models", "churn.yaml", "--format", "json")[1])
    assert (facts["model"], facts["champion"]) == ("churn", 2)
    two = next(one for one in facts["versions"] if one["version"] == 2)
    assert two["metrics"] == {
        "areaUnderROC": {"value": 0.75, "lower": 0.7, "upper": 0.8},
        "f1": {"value": None, "lower": None, "upper": None},
    }
    assert facts["changes"][0]["to_version"] == 2
    out = called(capsys, "models", "churn.yaml", "--format", "markdown")[1]
    assert "| 2 | champion | " in out
    assert "a \\| b" in out


def test_where_there_is_no_model_nothing_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path / "none"))
    (tmp_path / "churn.yaml").write_text(VALID)
    file = str(tmp_path / "churn.yaml")
    assert called(capsys, "models", file) == (0, "churn has no version yet; train one with jobs/train.py\n", "")
    assert json.loads(called(capsys, "models", file, "--format", "json")[1])["versions"] == []
    for command in (["promote", file, "1"], ["demote", file], ["rollback", file]):
        code, out, err = called(capsys, *command)
        assert (code, out) == (2, "")
        assert "there is no model churn" in err
    assert not (tmp_path / "none").exists()


def test_two_processes_at_the_same_time(store: ModelStore, home: Path) -> None:
    promote(store, NAME, 1, Word())
    command = [sys.executable, "-m", "headrace.cli.main", "promote", "churn.yaml"]
    environment = {"PYTHONPATH": str(PROJECT / "lib"), "HEADRACE_HOME": str(home), "PATH": "/usr/bin:/bin"}
    both = [
        subprocess.Popen([*command, number, "--why", number], env=environment, stdout=-1, stderr=-1, text=True)
        for number in ("2", "3")
    ]
    ended = [(*one.communicate(timeout=120), one.returncode) for one in both]
    assert [code for _, _, code in ended] == [0, 0], ended
    assert "Traceback" not in "".join(err for _, err, _ in ended)
    assert {to for _, _, to in moves(store)} == {1, 2, 3}
    assert len(moves(store)) == 3


def test_the_journal_in_sql(store: ModelStore, home: Path) -> None:
    hostile = 'it\'s; -- ${x} \\ "q" `b`\nnew'
    promote(store, NAME, 1, Word(hostile))
    found = changes_sql([NAME, "nothing"], store.tracking_uri)
    assert list(found) == [NAME]
    literal = sqlglot.parse_one(found[NAME], dialect="spark").find(sqlglot.exp.Literal)
    assert literal is not None
    [row] = json.loads(literal.this)
    assert (row["to_version"], row["why"]) == (1, hostile)
    for table in ("orders", "model_changes"):
        log = home / "warehouse" / NAME / table / "_delta_log"
        log.mkdir(parents=True)
        (log / f"{0:020d}.json").write_text("{}")
    lines = init_sql(home / "warehouse", NAME, found).splitlines()
    assert [line.split(" IF NOT")[0].split(" AS ")[0] for line in lines if "`churn`.`" in line or "VIEW" in line] == [
        "CREATE OR REPLACE VIEW `churn`.model_changes", "CREATE TABLE",
    ]  # fmt: skip
    assert not set(";$`\n-").intersection(found[NAME].split("'")[1])
