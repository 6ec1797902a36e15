"""`headrace validate` and `headrace schema`, as commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.cli.main import main

VALID = """\
pipeline: churn
tables:
  customers: {source: {format: csv, path: /data/churn.csv}, key: customer_id}
training_set: {from: customers, label: "churn = 'Yes'"}
"""


def called(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error."""
    with pytest.raises(SystemExit) as end:
        main(list(arguments))
    captured = capsys.readouterr()
    return int(end.value.code or 0), captured.out, captured.err


def test_a_valid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "churn.csv").write_text("customer_id,churn\n1,Yes\n")
    file = tmp_path / "churn.yaml"
    file.write_text(VALID.replace("/data/", ""))

    assert called(capsys, "validate", str(file)) == (
        0,
        f"{file} is valid: 1 table, a training set from customers\n",
        "",
    )


def test_all_mistakes_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(VALID.replace("from: customers", "from: customer").replace("key:", "kee:"))

    code, out, err = called(capsys, "validate", str(file), "--set", "search.max_evals=many")

    assert (code, out) == (2, "")
    assert f"{file}:3:61 tables.customers.kee: unknown key 'kee'" in err
    assert f"{file}:4:22 training_set.from: no table is called 'customer'" in err
    assert "--set search.max_evals=many: search.max_evals: 'many' came" in err
    assert err.endswith("3 mistakes\n")


def test_a_source_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "churn.csv").write_text("customer_id,churn\n1,Yes\n")
    file = tmp_path / "churn.yaml"
    file.write_text(VALID.replace("/data/churn.csv", f"{tmp_path}/chrun.csv"))

    code, _, err = called(capsys, "validate", str(file))
    empty = called(capsys, "validate", str(file), "--set", "tables.customers.source.path=")

    assert code == 2
    assert err == (
        f"{file}:3:43 tables.customers.source.path: there is no file, folder or glob '{tmp_path}/chrun.csv'; a relative "
        "path starts in the current folder, else beside the YAML; did you mean 'churn.csv'?\n1 mistake\n"
    )
    assert empty[0] == 2
    assert "source.path: " in empty[2]


def test_data_that_are_on_another_machine_are_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(VALID.replace("/data/churn.csv", f"{tmp_path}/elsewhere/orders.csv"))

    code, out, err = called(capsys, "validate", str(file))

    assert code == 0
    assert out.startswith(f"{file} is valid")
    assert err.startswith(f"note: {file}:3:43 tables.customers.source.path: there is no file")


@pytest.mark.parametrize("path", ["s3a://bucket/x.csv", "hdfs:/x.csv", '"*.csv"', ".", "churn.csv"])
def test_nothing_is_said_of_files_that_are_there_or_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "churn.csv").write_text("customer_id,churn\n1,Yes\n")
    (tmp_path / "churn.yaml").write_text(VALID.replace("/data/churn.csv", path))

    assert called(capsys, "validate", "churn.yaml")[0] == 0


def test_an_unknown_environment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "churn.yaml"
    file.write_text(VALID)

    code, _, err = called(capsys, "validate", str(file), "--env", "prod")

    assert code == 2
    assert "no environment is called 'prod'" in err


def test_the_schema_names_the_keys_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = called(capsys, "schema")

    schema = json.loads(out)
    assert code == 0
    assert {"from", "label"} <= set(schema["$defs"]["TrainingSet"]["properties"])
    assert schema["$defs"]["Table"]["additionalProperties"] is False
    assert {"type": "string"} in schema["$defs"]["Table"]["properties"]["key"]["anyOf"]


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "conf/flights.yaml"]])
def test_neither_spark_nor_pandas_is_imported(arguments: list[str]) -> None:
    program = f"""
import sys
from headrace.cli.main import main
try:
    main({arguments!r})
except SystemExit as end:
    heavy = ("pyspark", "pandas", "numpy", "pyarrow", "mlflow", "sklearn", "xgboost", "hyperopt")
    print([name for name in heavy if name in sys.modules], end.code or 0)
"""
    root = Path(__file__).parents[2]
    env = {**os.environ, "PYTHONPATH": str(root / "lib")}
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=root, env=env)

    assert answer.stdout.splitlines()[-1:] == ["[] 0"], answer.stderr
