"""A new user's first day: a CSV of their own, a YAML made by `init`, the loop, and the mistakes one makes."""

from __future__ import annotations

import json
import random
from pathlib import Path

import duckdb
import pytest

from tests.support.running import Ended, headrace, run_job
from tests.support.serving import asked, serving

QUICK = ("--set", "search.estimators=[logistic_regression]", "--set", "search.max_evals=1")


def customers(rows: int = 600) -> str:
    rng = random.Random(3)
    lines = ["Customer ID,tenure,Monthly Charges,contract,plan code,Churn"]
    for i in range(rows):
        tenure, charges, contract = (
            rng.randint(0, 60),
            rng.choice(["NA", f"{rng.uniform(20, 110):.2f}"]),
            rng.choice(["month", "year"]),
        )
        leaves = rng.random() < (0.6 if contract == "month" and tenure < 24 else 0.15)
        lines.append(f"C{i:04d},{tenure},{charges},{contract},{rng.randint(1, 9):03d},{'Yes' if leaves else 'No'}")
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Ended, Ended]:
    folder = tmp_path_factory.mktemp("first day")
    data, config, home = folder / "churn.csv", folder / "churn.yaml", folder / "home"
    data.write_text(customers())
    made = headrace(home, "init", str(data), "--label", "Churn", "--key", "Customer ID", "--out", str(config))
    assert made.code == 0, made.said[-3000:]
    ran = run_job("pipeline", config, home, *QUICK)
    return config, home, made, ran


def test_init_writes_a_yaml_that_runs_through(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, _, _, ran = day
    assert ran.code == 0, ran.said[-3000:]
    assert ran.summary is not None
    assert ran.summary["model"] == {"name": "churn", "version": 1, "alias": "champion"}
    assert set(ran.stages().values()) == {"done"}
    value = ran.summary["metrics"]["test"]["areaUnderROC"]
    assert 0.55 < value["lower"] <= value["value"] <= value["upper"] <= 1
    text = config.read_text()
    assert "#" in text
    assert "churn = 'Yes'" in text


def test_the_model_answers_in_real_time_as_it_did_in_the_test(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    tables = home / "warehouse" / "churn"
    tested = duckdb.sql(
        f"select t.* exclude (predict_at, split, label, label_known_at), p.prediction, p.probability "
        f"from '{tables}/training_set/*.parquet' t join '{tables}/test_predictions/*.parquet' p using (customer_id)"
    ).to_arrow_table()
    rows = tested.drop_columns(["prediction", "probability"]).to_pylist()
    with serving(home, str(config)) as (url, _):
        status, found = asked(f"{url}/v1/models/churn/predict", {"rows": rows})
        assert status == 200, found
        assert asked(f"{url}/v1/models/churn/predict", {"rows": [{}]})[0] == 422
    assert len(rows) > 50
    assert [one["prediction"] for one in found["predictions"]] == tested["prediction"].to_pylist()
    assert [one["probability"] for one in found["predictions"]] == pytest.approx(
        tested["probability"].to_pylist(), rel=1e-9
    )


def test_init_never_overwrites(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    again = headrace(home, "init", str(config.with_suffix(".csv")), "--label", "Churn", "--out", str(config))
    assert again.code == 2
    assert "--force" in again.err


def test_the_closing_lines_say_what_to_look_at(day: tuple[Path, Path, Ended, Ended]) -> None:
    err = day[3].said
    assert "headrace sql" in err
    assert "mlflow ui" in err
    assert "Traceback" not in err


def test_sql_status_and_plan(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    asked = headrace(home, "sql", "select split, count(*) as n from training_set group by split order by split")
    assert asked.code == 0, asked.err
    assert asked.out.splitlines()[0].split("\t") == ["split", "n"]
    assert sum(int(line.split("\t")[1]) for line in asked.out.splitlines()[1:]) == 600
    wrong = headrace(home, "sql", "select nothing from churn.training_set")
    assert (wrong.code, "Traceback" in wrong.err, "nothing" in wrong.err) == (2, False, True)
    status = headrace(home, "status", str(config))
    assert "600 in = 600 kept + 0 quarantined + 0 merged" in status.out
    plan = headrace(home, "plan", str(config), *QUICK)
    assert "0 of" in plan.out, plan.out + plan.err
    plan = headrace(home, "plan", str(config), *QUICK[:-1], "search.max_evals=2", "--format", "markdown")
    assert "- search.max_evals: 1\n+ search.max_evals: 2\n" in plan.out, plan.out + plan.err
    assert "champion: churn version 1" in status.out
    told = headrace(home, "describe", str(config), "training_set")
    assert "churn.training_set: One row per spine row" in told.out, told.err
    assert "  rows     600\n" in told.out


def test_what_becomes_champion_is_on_record(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    down = headrace(home, "demote", str(config), "--why", "it's odd; --wait")
    assert (down.code, "there is no champion" in down.out) == (0, True), down.said
    asked = headrace(home, "sql", "select action, from_version, to_version, why from model_changes order by change")
    assert asked.code == 0, asked.err
    assert [line.split("\t") for line in asked.out.splitlines()] == [
        ["action", "from_version", "to_version", "why"],
        ["register", "NULL", "1", "there are no gates"],
        ["demote", "1", "NULL", "it's odd; --wait"],
    ]
    back = headrace(home, "rollback", str(config))
    assert (back.code, "version 1 is champion" in back.out) == (0, True), back.said
    shown = headrace(home, "models", str(config), "--format", "json")
    assert [one["action"] for one in json.loads(shown.out)["changes"]] == ["register", "demote", "rollback"]


def test_a_version_is_trained_again_and_compared(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    again = headrace(home, "reproduce", str(config), "1")
    assert (again.code, "Traceback" in again.said) == (0, False), again.said[-3000:]
    assert "churn version 1 (logistic_regression), trained again on training_set version 0" in again.out
    assert again.out.splitlines()[-1].startswith("reproduced ")
    assert headrace(home, "reproduce", str(config), "7").code == 2


def test_changing_only_gates_does_not_train_again(day: tuple[Path, Path, Ended, Ended]) -> None:
    config, home, _, _ = day
    gate = ("--set", "gates=[{metric: areaUnderROC, at_least: 0.999}]")
    planned = headrace(home, "plan", str(config), *QUICK, *gate, "--format", "json")
    refused = run_job("pipeline", config, home, *QUICK, *gate)
    assert refused.code == 4
    assert "0.999" in refused.said
    stages = refused.stages()
    assert stages.pop("register") == "done"
    assert stages["search"] == stages["training_set"] == "unchanged"
    decided = {step["stage"]: step for step in reversed(json.loads(planned.out)["steps"])}  # the first step of each
    assert decided["register"]["changes"][0]["path"].startswith("gates")
    may = {"run": {"done"}, "unchanged": {"unchanged"}, "may run": {"done", "unchanged"}}
    assert all(status in may[decided[stage]["decision"]] for stage, status in refused.stages().items()), planned.out
    assert decided["search"]["decision"] == "unchanged"


def edited(day: tuple[Path, Path, Ended, Ended], name: str, before: str, after: str) -> Path:
    text = day[0].read_text()
    assert before in text, text
    path = day[0].with_name(name)
    path.write_text(text.replace(before, after))
    return path


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("training_set:", "trainingset:", ["trainingset", "training_set"]),
        ("churn.csv", "chrun.csv", ["chrun.csv"]),
    ],
)
def test_mistakes_that_need_no_spark_end_with_2(
    day: tuple[Path, Path, Ended, Ended], before: str, after: str, words: list[str]
) -> None:
    path = edited(day, "wrong.yaml", before, after)
    ended = run_job("pipeline", path, day[1])
    assert ended.code == 2
    assert all(word in ended.said for word in words), ended.said
    assert ended.summary is None
    assert "Traceback" not in ended.said


def test_a_missing_column_ends_with_2(day: tuple[Path, Path, Ended, Ended], tmp_path: Path) -> None:
    path = edited(day, "missing.yaml", "churn = 'Yes'", "chrun = 'Yes'")
    ended = run_job("pipeline", path, tmp_path, *QUICK)
    assert ended.code == 2, ended.said[-2000:]
    assert "chrun" in ended.said
    assert "Traceback" not in ended.said


def test_one_class_ends_with_3_and_leaves_nothing_half_written(
    day: tuple[Path, Path, Ended, Ended], tmp_path: Path
) -> None:
    path = edited(day, "one.yaml", "churn = 'Yes'", "churn = 'Maybe'")
    ended = run_job("pipeline", path, tmp_path, *QUICK)
    assert ended.code == 3, ended.said[-2000:]
    assert "only the value False" in ended.said
    assert not (tmp_path / "warehouse" / "churn" / "training_set").exists()
    assert ended.stages()["training_set"] == "failed"


def test_an_empty_table_ends_with_3(day: tuple[Path, Path, Ended, Ended], tmp_path: Path) -> None:
    empty = tmp_path / "churn.csv"
    empty.write_text(customers(0))
    config = tmp_path / "empty.yaml"
    config.write_text("pipeline: empty\ntables: {churn: {source: {format: csv, path: " + str(empty) + "}}}\n")
    ended = run_job("ingest", config, tmp_path / "home")
    assert ended.code == 3
    assert "no row" in ended.said
