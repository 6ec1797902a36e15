"""What `headrace describe` and `status` say, on logs as Delta writes them; nothing here starts Spark."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headrace.config.reading import read_pipeline
from headrace.config.texts import texts_of
from headrace.errors import ConfigError
from headrace.runtime.comments import digests
from headrace.runtime.commits import CommitLog, LocalFiles
from tests.conftest import PROJECT
from tests.unit.test_cli_validate import called

YAML = """
pipeline: shop
description: Who comes back
owner: data team
tags: [retail]
tables:
  people:
    source: {format: parquet, path: s3a://bucket/people}
    description: People | of the shop
    tags: crm
    describe: {ID: Of the shop, mail: {description: Where to write, tags: [pii]}}
    owner: crm team
feature_tables:
  visits:
    from: people
    entity: id
    time: seen_at
    aggregates: [{column: "*", functions: count, windows: 7 days, where: "age > 18"}]
    describe: {count_7d: Grown-ups only}
  address: {from: people, entity: id, lookup: [mail]}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    file = tmp_path / "shop.yaml"
    file.write_text(YAML)
    return file


def committed(
    home: Path, table: str, note: dict[str, Any] | None, rows: int = 3, mode: str = "Append", **metadata: Any
) -> None:
    log = home / "warehouse" / "shop" / table / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    info = {
        "timestamp": 0,
        "operation": "WRITE",
        "operationParameters": {"mode": mode},
        "operationMetrics": {"numOutputRows": str(rows)},
        "userMetadata": json.dumps({"headrace": "x", **(note or {})}),
    }
    lines: list[dict[str, Any]] = [{"commitInfo": info}, *([{"metaData": metadata}] if metadata else [])]
    text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
    (log / f"{len(list(log.glob('*.json'))):020d}.json").write_text(text)


def people(home: Path) -> None:
    fields = [
        {"name": "id", "type": "long", "nullable": True, "metadata": {"comment": "Of the shop"}},
        {"name": "mail", "type": {"type": "array", "elementType": "string"}, "nullable": True, "metadata": {}},
    ]
    said = {"headrace.owner": "crm team", "headrace.tags": "crm, gold", "headrace.column_tags": '{"mail": ["pii"]}'}
    schema = json.dumps({"type": "struct", "fields": fields})
    note = {"run_id": "r1", "stage": "clean", "inputs": {"raw_people": 4}}
    committed(home, "people", note, description="People | of the shop", configuration=said, schemaString=schema)
    committed(home, "people", note, rows=4)


def test_what_the_yaml_says_of_tables_and_features(config: Path) -> None:
    texts = texts_of(read_pipeline(config)[0])
    assert texts["people"].columns == {"id": "Of the shop", "mail": "Where to write"}
    assert texts["people"].properties == {
        "comment": "People | of the shop",
        "headrace.owner": "crm team",
        "headrace.tags": "crm",
        "headrace.column_tags": '{"mail": ["pii"]}',
    }
    visits = texts["visits"]
    assert visits.owner == "data team"
    assert visits.columns["count_7d"] == "Grown-ups only (count of events where age > 18 over 7 days, from people)"
    assert visits.columns["id"] == "Of the shop"
    assert texts["address"].columns["mail"] == "Where to write (mail by id, from people)"


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ("count_7d: Grown", "count_9d: Grown", "did you mean 'count_7d'"),
        ("tags: crm\n", 'tags: "a, b"\n', "without commas"),
        ("owner: crm team", "owner: crm team\n    keep: [id]", "not in `keep`"),
        ("tags: [pii]", "tag: [pii]", "unknown key 'tag'"),
    ],
)
def test_mistakes_in_descriptions_are_told(config: Path, before: str, after: str, words: str) -> None:
    assert before in YAML
    config.write_text(YAML.replace(before, after))
    with pytest.raises(ConfigError, match=words):
        read_pipeline(config)


def test_a_table_is_described_from_its_log(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    people(config.parent)
    code, out, err = called(capsys, "describe", str(config), "people")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "shop.people: People | of the shop",
        "  owner    crm team",
        "  tags     crm, gold",
        "  version  1, written 1970-01-01 00:00:00 UTC by run r1 (clean)",
        "  rows     7",
        "  from     raw_people version 4",
        "",
        "  id    bigint         Of the shop",
        "  mail  array<string>   [pii]",
    ]


def test_a_pipeline_is_described_as_a_list_a_dictionary_and_json(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people(config.parent)
    _, text, _ = called(capsys, "describe", str(config))
    assert text.splitlines()[:4] == ["shop: Who comes back", "  owner  data team", "  tags   retail", ""]
    assert text.splitlines()[4].split("  ")[0] == "shop.people"
    assert "not there yet" in text.splitlines()[5]
    _, markdown, _ = called(capsys, "describe", str(config), "--format", "markdown")
    assert "## shop.people\n\nPeople \\| of the shop\n" in markdown
    assert "| `mail` | array&lt;string> |" in markdown or "| `mail` | array<string> |" in markdown
    facts = json.loads(called(capsys, "describe", str(config), "--format", "json")[1])
    assert [t["name"] for t in facts["tables"]] == ["shop.people", "shop.visits", "shop.address"]
    assert facts["tables"][0]["columns"][1] == {"name": "mail", "type": "array<string>", "comment": "", "tags": ["pii"]}
    assert (facts["tables"][0]["rows"], facts["tables"][1]["version"]) == (7, None)


def test_an_unknown_table_is_told(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = called(capsys, "describe", str(config), "visit")
    assert code == 2
    assert "did you mean 'visits'?" in err


def test_rows_are_added_up_since_the_table_was_written_whole(config: Path) -> None:
    log = CommitLog(str(config.parent / "warehouse" / "shop"), LocalFiles())
    for rows, mode in ((5, "Overwrite"), (2, "Append"), (0, "Append")):
        committed(config.parent, "a", {}, rows, mode)
    assert log.rows("a") == 7
    committed(config.parent, "a", {}, 1, "Overwrite")
    assert log.rows("a") == 1


def test_the_newest_words_are_known_from_the_commits(config: Path) -> None:
    log = CommitLog(str(config.parent / "warehouse" / "shop"), LocalFiles())
    assert log.described("a") == [None, None]
    committed(config.parent, "a", {"described": [None, "c"]})
    committed(config.parent, "a", None)
    assert log.described("a") == [None, "c"]
    text = texts_of(read_pipeline(config)[0])["people"]
    assert digests(text) != digests(texts_of(read_pipeline(config, sets=["tables.people.tags=[x]"])[0])["people"])
    assert digests(type(text)()) == [None, None]


def test_status_tells_the_last_run_of_each_stage_and_its_errors(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def step(name: str, status: str, error: str | None = None) -> dict[str, Any]:
        began = "2024-01-01T00:00:00+00:00"
        return {"step": name, "stage": name.partition(":")[0], "status": status, "seconds": 1.25, "started_at": began,
                "error": error}  # fmt: skip

    people(config.parent)
    committed(config.parent, "runs", {"run_id": "r1", "stage": "runs", "steps": [step("clean:people", "done")]})
    later = [step("clean:people", "unchanged"), step("features:visits", "failed", "no [column] x")]
    committed(config.parent, "runs", {"run_id": "r2", "stage": "runs", "steps": later})
    code, out, _ = called(capsys, "status")
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["people", "1", "1970-01-01", "00:00:00", "clean", "7"] in lines
    assert ["clean", "unchanged", "2024-01-01", "00:00:00", "1.2", "1", "unchanged", "r2"] in lines
    assert ["features", "failed", "2024-01-01", "00:00:00", "1.2", "1", "failed", "r2"] in lines
    assert "features:visits failed: no [column] x" in out
    assert "r1" not in out.split("last runs")[1]


def test_the_example_in_the_docs_is_right(tmp_path: Path) -> None:
    text = (PROJECT / "docs" / "plan.md").read_text().split("```yaml\n")[1].split("```")[0]
    (tmp_path / "example.yaml").write_text(text)
    texts = texts_of(read_pipeline(tmp_path / "example.yaml")[0])
    assert texts["customers"].column_tags == {"email": ("pii",)}
