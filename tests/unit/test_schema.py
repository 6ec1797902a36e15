"""The JSON schema: what is written anywhere in this repository is valid by it, and what is wrong is not."""

from __future__ import annotations

import json
import re
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from headrace.cli.drafting.templates import FOLDER, NAMES
from headrace.config.descriptions import DESCRIPTIONS
from headrace.config.schema import SCHEMA, json_schema, schema_text, write_beside
from tests.support.json_schema import complaints

ROOT = Path(__file__).resolve().parents[2]
LINE = f"# yaml-language-server: $schema={SCHEMA}"


def pipelines() -> dict[str, str]:
    """Each pipeline that is written somewhere, and where."""
    found = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "conf").glob("*.yaml"))}
    found |= {str(path.relative_to(ROOT)): path.read_text() for path in sorted(FOLDER.glob("*.yaml"))}
    for page in sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]):
        for number, text in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL), 1):
            if re.search(r"^pipeline:", text, re.MULTILINE):
                found[f"{page.relative_to(ROOT)} no. {number}"] = text
    return found


def as_json(text: str) -> Any:
    """As an editor sees it: days are texts."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list):
            return [plain(item) for item in value]
        return value.isoformat() if isinstance(value, date | datetime) else value

    return plain(YAML(typ="safe", pure=True).load(text))


@pytest.mark.parametrize("where", pipelines())
def test_what_is_written_is_valid(where: str) -> None:
    assert complaints(as_json(pipelines()[where]), json_schema()) == []


def test_there_are_files_templates_and_pages() -> None:
    found = list(pipelines())
    assert "conf/flights.yaml" in found
    assert len([name for name in found if "lib/headrace" in name]) == len(NAMES)
    assert [name for name in found if name.startswith("docs/")]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pipelin": "x"}, "unknown"),
        ({"search": {"max_evals": "many"}}, "is no integer"),
        ({"search": {"max_evals": 0}}, "at least"),
        ({"tables": {"t": {"source": {"format": "csv", "path": "x"}, "rules": [{"name": "r"}]}}}, "with"),
        ({"gates": [{"metric": "f1", "at_leest": 1}]}, "unknown"),
    ],
)
def test_what_is_wrong_is_not(change: dict[str, Any], says: str) -> None:
    right = {"pipeline": "p", "tables": {"t": {"source": {"format": "csv", "path": "x"}}}}
    schema = json_schema()
    assert complaints(right, schema) == []
    assert says in " ".join(complaints(right | change, schema))


def test_every_key_has_a_description() -> None:
    schema = json_schema()
    sections = {"Pipeline": schema, **schema["$defs"]}
    bare = {
        f"{name}.{key}"
        for name, section in sections.items()
        for key, node in section.get("properties", {}).items()
        if "description" not in node and "$ref" not in node
    }
    assert bare == set()
    assert {
        name for name in DESCRIPTIONS if name.split(".")[1] not in sections[name.split(".")[0]]["properties"]
    } == set()


@pytest.mark.parametrize("path", [*(ROOT / "conf").glob("*.yaml"), *FOLDER.glob("*.yaml")], ids=lambda path: path.name)
def test_the_first_line_refers_to_the_schema(path: Path) -> None:
    assert path.read_text().splitlines()[0] == LINE


def test_the_schema_in_conf_is_this_one() -> None:
    assert (ROOT / "conf" / SCHEMA).read_text() == schema_text() + "\n", f"headrace schema > conf/{SCHEMA}"


def test_the_schema_beside_a_yaml_is_refreshed_and_a_file_of_others_left_alone(tmp_path: Path) -> None:
    target = write_beside(tmp_path / "p.yaml")
    assert json.loads(target.read_text())["title"] == "A Headrace pipeline"
    target.write_text('{"title": "A Headrace pipeline", "old": 1}')
    write_beside(tmp_path / "p.yaml")
    assert target.read_text() == schema_text() + "\n"
    target.write_text("mine")
    write_beside(tmp_path / "p.yaml")
    assert target.read_text() == "mine"


def test_a_file_that_extends_another_may_put_null_for_any_key() -> None:
    table = {"key": None, "rules": None, "columns": {"a": None}, "source": None, "describe": {"a": None}}
    child = {
        "extends": "base.yaml", "gates": None, "feature_tables": None, "metrics": {"m": None}, "tags": None,
        "tables": {"t": table, "u": None}, "search": {"max_evals": None, "algorithm": None},
        "training_set": {"split": {"by": None}, "row_features": {"x": None}}, "spark": {"spark.sql.x": None},
    }  # fmt: skip

    assert complaints(child, json_schema()) == []
    assert complaints(child | {"gates": [None]}, json_schema())
    assert complaints(
        child | {"tables": {"t": {"rules": [{"name": "n", "check": "a", "on_fail": None}]}}}, json_schema()
    )
