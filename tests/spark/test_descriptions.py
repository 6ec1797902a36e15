"""Descriptions reach Delta's comments and properties, and a changed one alone runs nothing again."""

from __future__ import annotations

from typing import Any

import pytest

from headrace.runtime.commits import CommitLog, LocalFiles
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
owner: data team
tables:
  people:
    source: {format: csv, path: people.csv}
    description: People, it's \\\\ "true"
    tags: [crm, gold]
    describe: {ID: Of the shop, age: {description: "Years", tags: pii}}
    key: id
    event_time: seen_at
feature_tables:
  ages: {from: people, entity: id, aggregates: [{column: age, functions: mean, windows: 1 day}]}
"""


def comments(scratch: Project, table: str) -> dict[str, str]:
    return {f.name: f.metadata["comment"] for f in scratch.table(table).schema.fields if "comment" in f.metadata}


def detail(scratch: Project, table: str) -> dict[str, Any]:
    path = scratch.folder / "home" / "warehouse" / "shop" / table
    row = scratch.spark.sql(f"DESCRIBE DETAIL delta.`{path}`").collect()[0]
    return {"description": row["description"], **row["properties"]}


def commits(scratch: Project, table: str) -> list[str]:
    log = CommitLog(str(scratch.folder / "home" / "warehouse" / "shop"), LocalFiles())
    return [log.commit(table, version).operation for version in log.versions(table)]


def test_descriptions_are_written_once_and_changed_alone(scratch: Project) -> None:
    scratch.write("people.csv", "id,age,seen_at\n1,30,2024-01-01\n2,40,2024-01-02\n")
    scratch.run(YAML, to="features")
    assert comments(scratch, "people") == {"id": "Of the shop", "age": "Years"}
    said = detail(scratch, "people")
    assert said["description"] == 'People, it\'s \\\\ "true"'
    assert (said["headrace.owner"], said["headrace.tags"]) == ("data team", "crm, gold")
    assert said["headrace.column_tags"] == '{"age": ["pii"]}'
    assert comments(scratch, "ages")["age_mean_1d"] == "mean of age over 1 day, from people"
    assert comments(scratch, "ages")["id"] == "Of the shop"
    assert detail(scratch, "people_quarantine")["description"].startswith("Rows of people set aside")
    assert commits(scratch, "people") == ["WRITE", "SET TBLPROPERTIES"]

    again = scratch.run(YAML, to="features")
    assert set(statuses(again).values()) == {"unchanged"}
    assert commits(scratch, "people") == ["WRITE", "SET TBLPROPERTIES"]

    other = YAML.replace('"Years"', '"Years, at the visit"').replace("[crm, gold]", "[crm]")
    changed = scratch.run(other, to="features")
    assert set(statuses(changed).values()) == {"unchanged"}
    assert comments(scratch, "people") == {"id": "Of the shop", "age": "Years, at the visit"}
    assert detail(scratch, "people")["headrace.tags"] == "crm"
    assert commits(scratch, "people") == ["WRITE", "SET TBLPROPERTIES", "CHANGE COLUMN", "SET TBLPROPERTIES"]

    scratch.write("people.csv", "id,age,seen_at\n1,31,2024-01-01\n2,40,2024-01-02\n3,50,2024-01-02\n")
    scratch.run(other.replace("owner: data team\n", ""), to="clean")
    assert comments(scratch, "people") == {"id": "Of the shop", "age": "Years, at the visit"}
    assert detail(scratch, "people")["headrace.owner"] == ""
    assert commits(scratch, "people")[4:] == ["WRITE", "SET TBLPROPERTIES"]
