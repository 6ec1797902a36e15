"""What `init` and `profile` see in data of several sources, in one pass."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from headrace.cli.drafting.job import looked_at, write
from headrace.cli.profiling.facts import Request
from headrace.cli.profiling.text import HEADINGS, as_json, as_markdown, as_text
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError


def subscribers(folder: Path, number: int = 400) -> str:
    """A file as people send it: blanks, marks, days in another form, separators of thousands."""
    rng = random.Random(4)
    lines = ["Subscriber ID;joined;Paperless;income;plan;note;seen;score;left"]
    for i in range(number):
        left = rng.random() < 0.03
        cells = (
            f"S{i:05d}",
            f"{rng.randrange(1, 29):02d}.{rng.randrange(1, 13):02d}.2023",
            rng.choice(["Yes", "No", "?"]),
            rng.choice(["NA", f"{rng.randrange(1, 90)},{rng.randrange(1000):03d}"]),
            f" {rng.choice(['basic', 'gold'])}",
            f"called {rng.random():.9f} and asked for something long, to be read by people",
            f"2024-{i // 28 % 12 + 1:02d}-{i % 28 + 1:02d} 10:00:00",
            f"{rng.random() * 7 - 1:.3f}",
            "1" if left else "0",
        )
        lines.append(";".join(cells))
    path = folder / "subscribers.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


def jobs_of(spark: SparkSession, group: str) -> int:
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(group))


def test_a_file_as_people_send_it(spark: SparkSession, tmp_path: Path) -> None:
    out = tmp_path / "subscribers.yaml"
    spark.sparkContext.setJobGroup("init", "init")
    try:
        facts, choices = write(spark, Request(subscribers(tmp_path), "left", event_time="seen"), str(out))
        jobs = jobs_of(spark, "init")
    finally:
        spark.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    pipeline, _ = read_pipeline(out)
    table, text = pipeline.tables["subscribers"], out.read_text()

    assert jobs <= 6, "two look at the head, one at the header; the pass over the data is one"
    assert (facts.key, facts.event_time, facts.other_times) == (("subscriber_id",), "seen", ("joined",))
    assert table.types == {
        "subscriber_id": "string",
        "joined": "string",
        "paperless": "boolean",
        "income": "string",
        "plan": "string",
        "note": "string",
        "seen": "timestamp",
        "score": "double",
        "left": "bigint",
    }
    assert table.columns == {
        "joined": "to_date(joined, 'dd.MM.yyyy')",
        "income": "cast(replace(case when trim(income) not in ('NA') then trim(income) end, ',', '') as double)",
    }
    assert table.source.options["nullValue"] == "?"
    assert "Yes" in text
    assert choices.metric == pipeline.search.metric == "areaUnderPR"
    assert "class imbalance: 1 is" in text
    assert "note  # text with about" in text
    assert {rule.name: (rule.check, rule.on_fail) for rule in table.rules} == {
        "subscriber_id_known": ("subscriber_id is not null", "quarantine"),
        "joined_known": ("joined is not null", "warn"),
        "income_range": ("income between 0 and 100000", "warn"),
        "plan_among": ("plan in ('basic', 'gold')", "warn"),
        "note_known": ("note is not null", "warn"),
        "seen_known": ("seen is not null", "warn"),
        "score_range": ("score between -2 and 10", "warn"),
        "left_among": ("`left` in (0, 1)", "warn"),
    }


def test_rules_and_types_hold_on_the_data_as_clean_reads_them(spark: SparkSession, tmp_path: Path) -> None:
    from headrace.clean.columns import REASONS, shape
    from headrace.ingest.files import listed
    from headrace.ingest.reading import rows

    out, data = tmp_path / "s.yaml", subscribers(tmp_path)
    write(spark, Request(data, "left", event_time="seen"), str(out))
    table = read_pipeline(out)[0].tables["subscribers"]
    raw = rows(spark, "csv", {k: str(v) for k, v in table.source.options.items()}, listed(spark, data))
    shaped = shape(raw.selectExpr("*", "1L as _batch"), table, dict(table.types))

    broken = shaped.where(" or ".join([f"size({REASONS}) > 0", *(f"not ({rule.check})" for rule in table.rules)]))
    assert broken.collect() == []
    found = shaped.selectExpr(
        "count(*) as n", "count(joined) as joined", "count(income) > 100 as income", "count(paperless) > 200 as paperless",
        "min(joined) >= date '2023-01-01' as since", "max(income) > 80000 as most",
    ).first()  # fmt: skip
    assert found is not None
    assert tuple(found) == (400, 400, True, True, True, True)


def test_a_table_a_delta_path_and_a_query_are_the_same_data(spark: SparkSession, tmp_path: Path) -> None:
    spark.sql(
        "create or replace temp view made as select id as order_id, id % 5 as n, if(id % 3 = 0, 'a', 'b') as kind, "
        "cast(id / 4 as decimal(9,2)) as amount, timestamp '2024-01-01' + make_dt_interval(id) as at from range(90)"
    )
    url = f"jdbc:derby:memory:{tmp_path.name};create=true"
    made, path = spark.table("made"), str(tmp_path / "orders")
    made.write.format("delta").save(path)
    options = {"url": url, "driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver"}
    made.write.format("jdbc").options(**options, dbtable="orders", createTableColumnTypes="kind varchar(9)").save()
    query = {**options, "query": "select * from orders", "password": "geheim"}

    requests = {
        "table": Request("made", "kind"),
        "delta": Request(path, "kind"),
        "jdbc": Request("", "kind", format="jdbc", options=query, name="orders"),
    }  # fmt: skip
    found = {name: looked_at(spark, request) for name, request in requests.items()}

    for name, facts in found.items():
        assert (facts.read.format, facts.rows, facts.key, facts.event_time) == (name, 90, ("order_id",), "at")
        assert [(c.name, c.type) for c in facts.columns] == [
            ("order_id", "bigint"), ("n", "bigint"), ("kind", "string"), ("amount", "decimal(9,2)"), ("at", "timestamp"),
        ]  # fmt: skip
        assert facts.leaks == {}
        assert (facts.column("amount").profile.least, facts.column("amount").profile.greatest) == (0.0, 22.25)
    out = tmp_path / "orders.yaml"
    write(spark, requests["delta"], str(out))
    drafted = read_pipeline(out)[0].tables["orders"].source
    assert (drafted.kind, drafted.path, drafted.options) == ("delta", path, {})


def test_a_password_is_written_by_its_name_only(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"jdbc:derby:memory:{tmp_path.name};create=true"
    options = {"url": url, "driver": "org.apache.derby.iapi.jdbc.AutoloadedDriver", "dbtable": "t"}
    spark.range(50).selectExpr("id as t_id", "id % 2 as y", "id % 7 as x").write.format("jdbc").options(
        **options
    ).save()
    monkeypatch.setenv("PASSWORD", "geheim")
    out = tmp_path / "t.yaml"
    write(spark, Request("", "y", format="jdbc", options={**options, "password": "geheim"}), str(out))

    assert "geheim" not in out.read_text()
    drafted = read_pipeline(out)[0].tables["t"].source
    assert (drafted.password, drafted.table, drafted.url) == ("${secret:PASSWORD}", "t", url)
    assert drafted.options == {"driver": options["driver"]}


def test_what_is_printed(spark: SparkSession, tmp_path: Path) -> None:
    request = Request(subscribers(tmp_path, 60))
    facts = looked_at(spark, request)
    told = json.loads(as_json(facts, request))
    columns = {column["column"]: column for column in told["columns"]}

    assert (told["rows"], told["key"], list(columns["plan"])) == (60, ["subscriber_id"], list(HEADINGS))
    assert columns["plan"] == {
        "column": "plan", "type": "string", "missing": 0, "distinct": 2, "min": None, "max": None,
        "examples": columns["plan"]["examples"], "remarks": ["blanks around values"],
    }  # fmt: skip
    assert columns["joined"]["type"] == "date"
    assert columns["joined"]["min"] >= "2023-01-01"
    assert "free text" in columns["note"]["remarks"]
    lines = as_markdown(facts, request).splitlines()
    assert [line.count(" | ") for line in lines[2:]] == [len(HEADINGS) - 1] * 11
    assert len(as_text(facts, request).splitlines()) == 12


@pytest.mark.parametrize(("data", "says"), [("nothing.csv", "no file"), ("no_such_table", "no file, folder or table")])
def test_what_is_not_there(spark: SparkSession, data: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        looked_at(spark, Request(data))


def test_values_without_a_header_and_an_unreadable_source(spark: SparkSession, tmp_path: Path) -> None:
    path = tmp_path / "bare.csv"
    path.write_text("1,2.5,x\n2,3.5,y\n")
    facts = looked_at(spark, Request(str(path)))
    assert (facts.rows, facts.read.options, len(facts.columns)) == (2, {"header": "false"}, 3)
    with pytest.raises(HeadraceError):
        looked_at(spark, Request("", format="jdbc", options={"url": "jdbc:nothing:x", "dbtable": "t"}))
