"""`extends`: a file on top of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from tests.unit.test_config_reading import FLIGHTS, mistakes, written

BASE = """\
tables:
  customers:
    source: {format: csv, path: customers.csv, options: {sep: ";", nullValue: NA}}
    key: customer_id
    rules: [{name: known, check: "plan is not null"}, {name: old, check: "age > 0"}]
training_set: {from: customers, label: "churn = 'Yes'", exclude: [zip]}
search: {max_evals: 50, timeout: 4 minutes}
"""
TOP = """\
extends: {base}
pipeline: churn
tables:
  customers:
    source: {{options: {{sep: ","}}}}
    rules: [{{name: young, check: "age < 100"}}]
  plans: {{source: {{format: csv, path: plans.csv}}, key: plan}}
search: {{max_evals: 5}}
"""


def test_mappings_are_merged_and_all_else_is_replaced(tmp_path: Path) -> None:
    written(tmp_path / "shared", BASE, "base.yaml")
    written(tmp_path / "shared", "", "customers.csv")
    written(tmp_path / "team", "", "plans.csv")
    top = written(tmp_path / "team", TOP.format(base="../shared/base.yaml"))

    pipeline, _ = read_pipeline(top, sets=["search.timeout=1 minute"])

    customers = pipeline.tables["customers"]
    assert customers.source.options == {"sep": ",", "nullValue": "NA"}
    assert [rule.name for rule in customers.rules] == ["young"]
    assert customers.key == ("customer_id",)
    assert list(pipeline.tables) == ["customers", "plans"]
    assert (pipeline.search.max_evals, str(pipeline.search.timeout)) == (5, "1 minute")
    # a path is beside the file that has it
    paths = [table.source.path for table in pipeline.tables.values()]
    assert paths == [str(tmp_path / "shared/customers.csv"), str(tmp_path / "team/plans.csv")]


def test_a_file_on_top_says_the_same_as_one_file(tmp_path: Path) -> None:
    whole = read_pipeline(written(tmp_path, FLIGHTS, "whole.yaml"))[0]
    lines = FLIGHTS.splitlines(keepends=True)
    cut = next(i for i, line in enumerate(lines) if line.startswith("feature_tables:"))
    written(tmp_path, "".join(lines[1:cut]), "base.yaml")
    top = written(tmp_path, "extends: base.yaml\n" + lines[0] + "".join(lines[cut:]), "top.yaml")

    assert read_pipeline(top)[0].model_dump() == whole.model_dump()


def test_null_takes_out_what_the_base_says(tmp_path: Path) -> None:
    written(tmp_path, "pipeline: base\n" + BASE, "base.yaml")
    top = written(tmp_path, "extends: base.yaml\nsearch: null\ntraining_set: {exclude: null}\n")

    pipeline, _ = read_pipeline(top)

    assert (pipeline.pipeline, pipeline.search.max_evals) == ("base", 20)
    assert pipeline.training_set is not None
    assert pipeline.training_set.exclude == ()


def test_each_mistake_points_into_its_own_file(tmp_path: Path) -> None:
    base = BASE.replace("timeout: 4 minutes", "timeout: 4 moths, algorithm: tpee").replace("[zip]", "[zip], exclued: 1")
    base = base.replace("key: customer_id", "key: customer_id\n    key: other")
    written(tmp_path, base, "base.yaml")
    top = written(tmp_path, TOP.format(base="base.yaml").replace("max_evals: 5", "max_evals: five, algorithm: tpo"))

    found = [line.split(": ")[0] for line in mistakes(top)]

    assert found == [
        "base.yaml:5:5 tables.customers.key",
        "base.yaml:7:73 training_set.exclued",
        "base.yaml:8:34 search.timeout",
        "pipe.yaml:8:21 search.max_evals",
        "pipe.yaml:8:38 search.algorithm",
    ]


def test_a_chain_of_files(tmp_path: Path) -> None:
    written(tmp_path, "pipeline: a\n" + BASE, "a.yaml")
    written(tmp_path, "extends: a.yaml\npipeline: b\nsearch: {max_evals: 7}\n", "b.yml")
    top = written(tmp_path, "extends: ./b.yml\npipeline: c\n")

    pipeline, _ = read_pipeline(top)

    assert (pipeline.pipeline, pipeline.search.max_evals, str(pipeline.search.timeout)) == ("c", 7, "4 minutes")


@pytest.mark.parametrize(
    ("extends", "says"),
    [
        ("pipe.yaml", "the files extend each other: pipe.yaml -> pipe.yaml; break the circle"),
        ("other.yaml", "the files extend each other: pipe.yaml -> other.yaml -> pipe.yaml; break the circle"),
        ("../../../../etc/passwd", "'../../../../etc/passwd' came; it must be the path of one YAML file"),
        ("/dev/zero", "'/dev/zero' came; it must be the path of one YAML file"),
        ("[a.yaml, b.yaml]", "a list came; it must be the path of one YAML file"),
        ("7", "7 came; it must be the path of one YAML file"),
        ('"a\\0.yaml"', "it must be the path of one YAML file"),
        ("missing.yaml", "missing.yaml'; the path starts in the folder of this file"),
        ("endless.yaml", "there is no file"),
        ("folder.yaml", "there is no file"),
        ("a" * 5000 + ".yaml", "there is no file"),
        ('"\\uD800.yaml"', "no"),
        ("list.yaml", "the top is a list; it must be a mapping"),
    ],
)
def test_what_cannot_be_extended(tmp_path: Path, extends: str, says: str) -> None:
    written(tmp_path, "extends: pipe.yaml\n", "other.yaml")
    written(tmp_path, "- a\n", "list.yaml")
    (tmp_path / "endless.yaml").symlink_to("/dev/zero")
    (tmp_path / "folder.yaml").mkdir()

    (told,) = mistakes(written(tmp_path, f"extends: {extends}\npipeline: p\n"))

    assert says in told
    assert told.startswith(("pipe.yaml:1:10 extends", "other.yaml:1:10 extends", "list.yaml:1:1"))


def test_a_long_chain_is_refused(tmp_path: Path) -> None:
    for number in range(2000):
        written(tmp_path, f"extends: f{number + 1}.yaml\n", f"f{number}.yaml")

    (told,) = mistakes(tmp_path / "f0.yaml")

    assert told.startswith("f9.yaml:1:10 extends: more than 10 files build on each other")


def test_secrets_and_variables_of_a_base_are_as_those_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEP", ";")
    base = BASE.replace('sep: ";"', 'sep: "${SEP}", password: hunter22')
    written(tmp_path, "pipeline: p\n" + base, "base.yaml")

    (told,) = mistakes(written(tmp_path, "extends: base.yaml\n"))

    assert told.startswith("base.yaml:4:83 tables.customers.source.options.password: a secret stands here in plain")
