"""`headrace features`, on logs as Delta writes them; nothing here starts Spark."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from headrace.cli.feature_store.samples import entity_of, query
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from tests.unit.test_cli_validate import called
from tests.unit.test_describe import committed

YAML = """
pipeline: shop
tables:
  orders:
    source: {format: parquet, path: s3a://bucket/orders}
    columns: {net: "gross - tax", gross: "net * 2"}
    event_time: at
feature_tables:
  spending:
    from: orders
    entity: [customer, shop]
    every: 1 day
    aggregates: [{column: gross, functions: [sum, since_last], windows: 7 days, where: "kind = 'web'"}]
  tariff: {from: orders, entity: customer, latest: [plan], max_age: 30 days}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HEADRACE_HOME", str(tmp_path))
    file = tmp_path / "shop.yaml"
    file.write_text(YAML)
    return file


def published(home: Path, inputs: int, **note: object) -> None:
    fields = [{"name": "gross_sum_7d", "type": "double", "nullable": True, "metadata": {"comment": "web sales"}}]
    schema = json.dumps({"type": "struct", "fields": fields})
    said = {"inputs": {"orders": inputs}, "views": {"latest_spending": "x"}, **note}
    committed(home, "spending", said, rows=1234, schemaString=schema)


def test_each_feature_with_its_window_and_its_way_back(
    config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, text, _ = called(capsys, "features", str(config))
    assert code == 0
    lines = [line.split() for line in text.splitlines()]
    assert "gross_sum_7d sum of gross where kind = 'web' 7 days orders.gross, orders.kind".split() in lines
    assert "plan newest plan known 30 days orders.plan".split() in lines
    assert "since_last" not in text
    assert "published every 1 day" in text
    assert text.count("not there yet") == 2
    committed(tmp_path, "orders", None)
    published(tmp_path, 0)
    _, text, _ = called(capsys, "features", str(config), "spending")
    assert "1,234 rows, written 1970-01-01 00:00:00 UTC; up to date with orders version 0" in text
    assert "tariff" not in text
    _, text, _ = called(capsys, "features", str(config), "shop.spending.gross_sum_7d")
    assert [line.strip() for line in text.splitlines()][-5:] == [
        "orders.gross = net * 2",
        "orders.net = gross - tax",
        "orders.gross = parquet s3a://bucket/orders: gross",
        "orders.tax = parquet s3a://bucket/orders: tax",
        "orders.kind = parquet s3a://bucket/orders: kind",
    ]
    assert "double" in text
    assert "web sales" in text
    committed(tmp_path, "orders", None)
    assert "behind: made from orders version 0, version 1 came" in called(capsys, "features", str(config))[1]
    published(tmp_path, 1, expires="2020-01-01T00:00:00+00:00")
    assert "behind: more has become known since 2020-01-01" in called(capsys, "features", str(config))[1]
    facts = json.loads(called(capsys, "features", str(config), "tariff", "--format", "json")[1])
    assert [f["name"] for f in facts[0]["features"]] == ["plan"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["spendin"], "no feature table is called 'spendin'; there are: spending, tariff; did you mean 'spending'?"),
        (["spending.gross_sum_8d"], "did you mean 'gross_sum_7d'?"),
        (["--as-of", "2024-01-01"], "name it"),
        (["tariff", "--as-of", "noon"], "--as-of noon is no time"),
        (["spending", "--entity", "7"], "--entity 7: write customer=..., shop=..."),
    ],
)
def test_mistakes(config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str) -> None:
    code, _, error = called(capsys, "features", str(config), *arguments)
    assert code == 2
    assert said in error


def test_a_sample_asks_for_the_newest_rows_known_then(config: Path) -> None:
    tables = read_pipeline(config)[0].feature_tables
    at = datetime(2024, 1, 1, tzinfo=UTC)
    entity = entity_of(tables["tariff"], ["o'neill"])
    assert entity == {"customer": "o'neill"}
    text = query("shop", "tariff", tables["tariff"], at, entity)
    assert "CAST(`customer` AS STRING) = 'o\\'neill' AND event_time <= timestamp_micros(1704067200000000)" in text
    assert "available_at <= timestamp_micros(1704067200000000)" in text


def test_a_feature_that_is_not_published_says_so(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = called(capsys, "features", str(config), "spending.gross_since_last_7d")
    assert code == 0
    assert text.startswith("shop.spending.gross_since_last_7d: for training and scoring alone")


@pytest.mark.parametrize(
    ("publish", "said"),
    [
        ("publish: never", "'never' is no way to publish; write `events`, or a grid as {every: 1 day}"),
        ("publish: {every: 10 seconds}", "'10 seconds' is too fine for a grid"),
        ("publish: {every: 1 month}", "has no fixed length"),
        ("every: 1 day, publish: {every: 1 hour}", "`every` stands twice"),
    ],
)
def test_a_grid_that_cannot_be(tmp_path: Path, publish: str, said: str) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(YAML.replace("max_age: 30 days}", f"{publish}}}").replace("latest: [plan],", COUNTS))
    with pytest.raises(ConfigError) as raised:
        read_pipeline(file)
    assert said in str(raised.value)


COUNTS = "aggregates: [{column: '*', functions: count, windows: 1 day}],"


def test_a_grid_belongs_to_windows_and_views_have_names_of_their_own(tmp_path: Path) -> None:
    file = tmp_path / "shop.yaml"
    file.write_text(YAML.replace("max_age: 30 days}", "every: 1 day}").replace("  tariff:", "  features:"))
    with pytest.raises(ConfigError, match="a grid of times belongs to `aggregates`"):
        read_pipeline(file)
    file.write_text(YAML.replace("  tariff:", "  features:"))
    with pytest.raises(ConfigError, match="brings a view 'latest_features', a name that is taken"):
        read_pipeline(file)
    file.write_text(YAML.replace("every: 1 day", "publish: events").replace("  tariff:", "  latest_spending:"))
    with pytest.raises(ConfigError, match="brings a view 'latest_spending', a name that is taken"):
        read_pipeline(file)
