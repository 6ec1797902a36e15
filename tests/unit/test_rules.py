"""Rules: how they are written, what is wrong with them, and the SQL that they become."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from headrace.config.checks.references import check
from headrace.config.checks.scopes import check as check_columns
from headrace.config.needs import in_order, tables_in
from headrace.config.reading import read_pipeline
from headrace.config.rules import Rule
from headrace.config.types import Pipeline
from headrace.errors import ConfigError
from headrace.validate.checks import checks_of, shuffles
from headrace.validate.limits import stopping
from headrace.validate.stage import config_of
from headrace.validate.whole import Verdict, judged_whole, loads

COLUMNS = {"/f.csv": ("carrier", "dest", "age", "zip", "read_at"), "/a.csv": ("faa", "lat")}
KINDS = {
    "age": "bigint",
    "zip": "string",
    "read_at": "timestamp",
    "size": "double",
    "day": "date",
    "born": "int",
    "airports.icao": "string",
}


def pipeline(*rules: dict[str, Any], **changes: Any) -> Pipeline:
    flights = {"source": {"format": "csv", "path": "/f.csv"}, "rules": list(rules), "event_time": "read_at", **changes}
    airports = {"source": {"format": "csv", "path": "/a.csv"}}
    return Pipeline.model_validate({"pipeline": "p", "tables": {"flights": flights, "airports": airports}})


def sql(**rule: Any) -> dict[str, str]:
    return {c.name: c.sql for c in checks_of(pipeline(rule).tables["flights"], KINDS)}


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ({"name": "x", "check": "a > 1"}, ["x"]),
        ({"not_null": "age"}, ["age_not_null"]),
        ({"not_null": ["Age", "zip"]}, ["age_not_null", "zip_not_null"]),
        ({"not_null": ["age", "zip"], "name": "known"}, ["known_age", "known_zip"]),
        ({"not_null": ["age"], "name": "known"}, ["known"]),
        ({"unique": ["age", "zip"]}, ["age_zip_unique"]),
        ({"column": "age", "between": [0, None]}, ["age_between"]),
        ({"column": "age", "in": [1, 2]}, ["age_in"]),
        ({"column": "dest", "in": "airports.faa"}, ["dest_in_airports"]),
        ({"column": "zip", "matches": "[0-9]{5}"}, ["zip_matches"]),
        ({"column": ["zip", "age"], "parses": "int"}, ["zip_parses", "age_parses"]),
        ({"column": "size", "monotonic": "decreasing", "by": "zip"}, ["size_decreasing"]),
        ({"freshness": "1 day"}, ["freshness"]),
        ({"row_count_within": "20 %", "name": "usual"}, ["usual"]),
        ({"ordered": ["age", "size"]}, ["age_size_ordered"]),
        (
            {"column": ["age", "size"], "outlier": {"method": "iqr", "until": "2024-01-01"}},
            ["age_outlier", "size_outlier"],
        ),
    ],
)
def test_names_are_derived(rule: dict[str, Any], names: list[str]) -> None:
    assert list(Rule.model_validate(rule).parts) == names


def test_what_is_written_comes_back() -> None:
    rule = Rule.model_validate({"column": "dest", "in": " Airports.FAA ", "at_most": "1 %", "on_fail": "warn"})
    assert (rule.foreign, rule.at_most, rule.kind) == (("airports", "faa"), "1%", "in")
    assert Rule.model_validate(rule.model_dump(mode="json", by_alias=True)) == rule
    assert Rule.model_validate({"freshness": "1 day"}).on_fail == "fail"
    assert Rule.model_validate({"freshness": "1 day", "on_fail": "warn"}).on_fail == "warn"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({}, "this one has none"),
        ({"name": "x"}, "exactly one of check, not_null, unique, ordered, in, between"),
        ({"not_null": "a", "unique": "b"}, "this one has not_null, unique"),
        ({"check": "a > 1"}, "a `check` needs a `name`"),
        ({"between": [0, 1]}, "`between` needs a `column`"),
        ({"not_null": "a", "column": "a"}, "`not_null` has no `column`"),
        ({"column": "a", "between": [1, 0]}, "nothing lies between 1 and 0"),
        ({"column": "a", "between": [0]}, "write [lowest, highest]"),
        ({"column": "a", "between": 5}, "write [lowest, highest]"),
        ({"column": "a", "between": [None, None]}, "at most one of them null"),
        ({"column": "a", "between": [0, "b"]}, "two numbers, or two texts"),
        ({"column": "a", "between": [0, float("nan")]}, "two numbers, or two texts"),
        ({"column": "a", "between": [True, 2]}, "two numbers, or two texts"),
        ({"column": "a", "in": []}, "at least one value"),
        ({"column": "a", "in": [None]}, "NULL passes"),
        ({"column": "a", "in": "airports"}, "as airports.faa"),
        ({"column": "a", "in": "a.b.c"}, "as airports.faa"),
        ({"column": "a", "matches": "(a"}, "is no regular expression"),
        ({"column": "a", "monotonic": "up", "by": "k"}, "'increasing' or 'decreasing'"),
        ({"column": "a", "monotonic": "increasing"}, "needs `by`"),
        ({"column": "a", "in": [1], "by": "k"}, "no other rule has it"),
        ({"not_null": "a", "time": "t"}, "belongs to `monotonic` and `freshness`"),
        ({"freshness": "1 month"}, "no fixed length"),
        ({"freshness": "1 day", "on_fail": "quarantine"}, "of which no row can be set aside"),
        ({"freshness": "1 day", "at_most": "1%"}, "share of rows"),
        ({"row_count_within": "lots"}, "write a share of the rows such as 1%"),
        ({"not_null": "a", "at_most": 0.01}, "0.01 came; write a share"),
        ({"not_null": "a", "at_most": "101%"}, "write a share"),
        ({"not_null": "a", "at_most": "1%", "on_fail": "fail"}, "on_fail is quarantine or warn"),
        ({"not_null": "a", "of_last": 3}, "belongs to `row_count_within`"),
        ({"ordered": "a"}, "two columns or more"),
        ({"ordered": ["a", "A"]}, "two columns or more"),
        ({"outlier": {"method": "iqr", "until": "2024-01-01"}}, "`outlier` needs a `column`"),
        ({"column": "a", "outlier": {"method": "iqr"}}, "until"),
        ({"column": "a", "outlier": {"method": "mean", "until": "2024-01-01"}}, "'zscore', 'iqr' or 'quantiles'"),
        ({"column": "a", "outlier": {"method": "iqr", "factor": 0, "until": "2024-01-01"}}, "greater than 0"),
        ({"column": "a", "outlier": {"method": "iqr", "factor": True, "until": "2024-01-01"}}, "valid number"),
        (
            {"column": "a", "outlier": {"method": "quantiles", "factor": 2, "until": "2024-01-01"}},
            "`factor` belongs to",
        ),
        (
            {"column": "a", "outlier": {"method": "iqr", "quantiles": [0, 1], "until": "2024-01-01"}},
            "iqr has a `factor`",
        ),
        (
            {"column": "a", "outlier": {"method": "quantiles", "quantiles": [1, 0], "until": "2024-01-01"}},
            "nothing lies",
        ),
    ],
)
def test_mistakes_in_a_rule(rule: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as error:
        Rule.model_validate(rule)
    assert says in str(error.value)


@pytest.mark.parametrize("pattern", [r"\p{L}+", r"(?<year>\d+)", "[a-z&&[^q]]", r"a++", r"\Q(\E", "(?i)x", r"\d{5}"])
def test_what_only_java_can_judge_is_left_to_it(pattern: str) -> None:
    assert Rule.model_validate({"column": "a", "matches": pattern}).matches == pattern


@pytest.mark.parametrize(
    ("rules", "where", "says"),
    [
        ([{"column": "age", "parses": "doubel"}], "rules[0].parses", "did you mean 'double'?"),
        ([{"column": "dest", "in": "airport.faa"}], "rules[0].in", "did you mean 'airports'?"),
        ([{"column": "dest", "in": "flights.dest"}], "rules[0].in", "wait for each other: flights -> flights"),
        ([{"not_null": "age"}, {"not_null": ["zip", "age"]}], "rules[1].not_null", "give one of them a `name`"),
        ([{"not_null": "age"}, {"name": "age_not_null", "check": "true"}], "rules[1].name", "rename one"),
        ([{"name": "x", "check": "a >"}], "rules[0].check", "ends with '>'"),
    ],
)
def test_mistakes_between_sections(rules: list[dict[str, Any]], where: str, says: str) -> None:
    found = check(pipeline(*rules))
    assert [place for place, _ in found] == [f"tables.flights.{where}"]
    assert says in found[0][1]


def test_clocks_are_needed() -> None:
    rules = [{"freshness": "1 day"}, {"column": "age", "monotonic": "increasing", "by": "zip"}]
    found = check(pipeline(*rules, event_time=None))
    assert [place for place, _ in found] == ["tables.flights.rules[0].freshness", "tables.flights.rules[1].monotonic"]
    assert "tables.flights.event_time" in found[0][1]
    assert check(pipeline(*[{**rule, "time": "read_at"} for rule in rules], event_time=None)) == []


@pytest.mark.parametrize(
    ("rule", "where", "says"),
    [
        ({"not_null": ["age", "zpi"]}, "not_null[1]", "did you mean 'zip'?"),
        ({"unique": ["agee"]}, "unique[0]", "did you mean 'age'?"),
        ({"column": "agee", "between": [0, 1]}, "column[0]", "did you mean 'age'?"),
        ({"column": "dest", "in": "airports.fa"}, "in", "no column of the table airports is called 'fa'"),
        ({"column": "age", "monotonic": "increasing", "by": "carier"}, "by[0]", "did you mean 'carrier'?"),
        ({"freshness": "1 day", "time": "readat"}, "time", "did you mean 'read_at'?"),
    ],
)
def test_unknown_columns(rule: dict[str, Any], where: str, says: str) -> None:
    found = list(check_columns(pipeline(rule), lambda source: COLUMNS[source.path]))
    assert [place for place, _ in found] == [f"tables.flights.rules[0].{where}"]
    assert says in found[0][1]


def test_a_file_tells_places(tmp_path: Path) -> None:
    (tmp_path / "f.csv").write_text("age,zip\n1,2\n")
    file = tmp_path / "p.yaml"
    file.write_text(
        "pipeline: p\ntables:\n  t:\n    source: {format: csv, path: f.csv}\n    rules:\n"
        "      - {column: age, betwen: [0, 1]}\n      - {not_null: agee}\n      - {column: zip, in: [1, null]}\n"
    )
    with pytest.raises(ConfigError) as error:
        read_pipeline(file)
    said = [str(m).replace(str(tmp_path), "") for m in error.value.mistakes]
    assert [text.partition(": ")[0].rpartition(" ")[2] for text in said] == [
        "tables.t.rules[0].betwen", "tables.t.rules[1].not_null", "tables.t.rules[2].in",
    ]  # fmt: skip
    assert "did you mean 'between'?" in said[0]
    assert said[1].startswith("/p.yaml:7:")
    assert "did you mean 'age'?" in said[1]


def test_a_foreign_key_reads_the_other_table() -> None:
    asking = pipeline({"column": "dest", "in": "airports.faa"})
    assert tables_in(asking.tables["flights"]) == ("airports",)
    assert in_order(asking) == ("airports", "flights")


@pytest.mark.parametrize(
    ("rule", "made"),
    [
        ({"not_null": "age"}, "`age` is not null"),
        ({"column": "age", "between": [0, 120]}, "`age` >= 0 and `age` <= 120"),
        ({"column": "age", "between": [None, 1.5]}, "`age` <= 1.5"),
        ({"column": "day", "between": ["2024-01-01", None]}, "`day` >= '2024-01-01'"),
        (
            {"column": "zip", "between": [0, 9]},
            "nullif(trim(`zip`), '') is null or coalesce(try_cast(nullif(trim(`zip`), '') as double) >= 0 and "
            "try_cast(nullif(trim(`zip`), '') as double) <= 9, false)",
        ),
        ({"column": "age", "in": [1, 2]}, "`age` in (1, 2)"),
        ({"column": "age", "in": [2**60]}, f"cast(`age` as string) in ('{2**60}')"),
        ({"column": "zip", "in": ["it's", "a\\b", True]}, r"cast(`zip` as string) in ('it\'s', 'a\\b', 'true')"),
        ({"column": "dest", "in": "airports.faa"}, "`dest` is null or `dest` in (select airports.`faa` from airports)"),
        (
            {"column": "age", "in": "airports.icao"},
            "`age` is null or cast(`age` as string) in (select cast(airports.`icao` as string) from airports)",
        ),
        ({"column": "zip", "matches": r"\d{5}"}, r"cast(`zip` as string) rlike '\\A(?:\\d{5})\\z'"),
        (
            {"column": "zip", "parses": "int"},
            "nullif(trim(`zip`), '') is null or try_cast(nullif(trim(`zip`), '') as int) is not null",
        ),
        ({"column": "size", "parses": "int"}, "`size` is null or try_cast(`size` as int) is not null"),
        (
            {"unique": ["age", "zip"]},
            "`age` is null or `zip` is null or count(1) over (partition by _spread, `age`, `zip`) = 1",
        ),
        (
            {"column": "size", "monotonic": "increasing", "by": "zip", "time": "born"},
            "`zip` is null or `size` >= (max(case when cast(`born` as decimal(20,0)) is not null and `size` is not null then "
            "named_struct('at', cast(`born` as decimal(20,0)), 'value', `size`) end) over (partition by _spread, `zip` order by "
            "cast(`born` as decimal(20,0)) range between unbounded preceding and 1 preceding)).value",
        ),
    ],
)
def test_the_sql_of_a_rule(rule: dict[str, Any], made: str) -> None:
    assert list(sql(**rule).values()) == [made]


def test_rules_on_the_same_columns_share_a_shuffle() -> None:
    rules = [
        {"unique": ["zip", "age"]},
        {"unique": ["age", "dest"]},
        {"column": "size", "monotonic": "increasing", "by": "zip"},
        {"not_null": "age"},
        {"unique": ["age", "zip"], "name": "again"},
    ]
    groups = shuffles(checks_of(pipeline(*rules).tables["flights"], KINDS))
    assert [[c.name for c in g] for g in groups] == [
        ["size_increasing", "zip_age_unique", "again"],
        ["age_dest_unique"],
    ]


def test_thresholds_are_exact_shares() -> None:
    rules = [
        {"column": "age", "between": [0, 1], "at_most": "1%"},
        {"column": "zip", "matches": "a", "at_most": "0%", "on_fail": "warn"},
        {"not_null": "age", "on_fail": "fail"},
        {"not_null": "zip"},
    ]
    checks = checks_of(pipeline(*rules).tables["flights"], KINDS)
    some = {("total", "rows"): 300, ("quarantine", "zip_not_null"): 300}
    assert stopping(checks, {**some, ("quarantine", "age_between"): 3}) == {}
    assert stopping(checks, {("total", "rows"): 0}) == {}
    assert stopping(checks, {**some, ("quarantine", "age_between"): 4, ("warn", "zip_matches"): 1}) == {
        "age_between": "age_between: 4 of 300 rows (1.33 %), at most 1% may",
        "zip_matches": "zip_matches: 1 of 300 rows (0.333 %), at most 0% may",
    }
    assert stopping(checks, {**some, ("fail", "age_not_null"): 1}) == {"age_not_null": "age_not_null: 1 of 300 rows"}


NOW = datetime(2024, 3, 10, tzinfo=UTC)
DAY = 86_400_000_000


def fresh(newest: int | None, **changes: Any) -> Verdict:
    table = pipeline({"freshness": "1 day", **changes}).tables["flights"]
    [verdict] = judged_whole(table, {"read_at": newest}, NOW, ())
    return verdict


def test_freshness_holds_up_to_its_length_and_then_expires() -> None:
    now = int(NOW.timestamp()) * 1_000_000
    assert fresh(now - DAY).broken is None
    assert fresh(now - DAY).expires == datetime(2024, 3, 10, 0, 0, 0, 1, tzinfo=UTC)
    assert fresh(now).expires == datetime(2024, 3, 11, 0, 0, 0, 1, tzinfo=UTC)
    stale = fresh(now - DAY - 1)
    assert stale.broken == "freshness: the newest row is of 2024-03-08 23:59:59 UTC, 1 day, 0:00:00 ago; allowed: 1 day"
    assert stale.expires is None
    assert "no row that is kept has a time" in str(fresh(None).broken)
    assert "the newest row is of" in str(fresh(-(10**17)).broken)


def counted(*found: int, **changes: Any) -> Verdict:
    table = pipeline({"row_count_within": "20%", "of_last": 3, **changes}).tables["flights"]
    [verdict] = judged_whole(table, {}, NOW, found)
    return verdict


def test_row_counts_are_held_against_the_median_of_the_last_loads() -> None:
    assert counted(80, 90, 100, 1000, 1).broken is None
    assert counted(120, 100).broken is None
    assert (
        counted(79, 100).broken
        == "row_count: 79 rows came, and the median of the last 1 loads is 100; allowed: within 20%"
    )
    assert counted(121, 90, 100, 1000, 1000).broken
    assert counted(5) == Verdict(counted(5).rule, note="row_count: there is no earlier load to compare with yet")


def test_a_load_is_a_state_of_the_raw_table() -> None:
    table = pipeline({"row_count_within": "20%", "of_last": 2}).tables["flights"]
    notes = [
        {"facts": {"load": name}, "counts": {"rows_in": rows}}
        for name, rows in [("d", 400), ("d", 400), ("c", 330), ("c", 330), ("b", 200), ("a", 100), ("z", 9)]
    ]
    notes.insert(1, {"counts": {"rows_in": 7}})
    assert loads("e", 450, notes, table, appended=False) == (450, 400, 330)
    assert loads("d", 400, notes, table, appended=False) == (400, 330, 200)
    assert loads("e", 450, notes, table, appended=True) == (50, 70, 130)
    assert loads("e", 450, notes[:1], table, appended=True) == (50,)
    assert loads("e", 450, [], table, appended=True) == ()
    assert loads("e", 450, notes, pipeline().tables["flights"], appended=True) == ()


def test_the_clock_is_part_of_a_step_where_a_rule_reads_it() -> None:
    def of(*rules: dict[str, Any]) -> Any:
        return config_of("flights", pipeline(*rules).tables["flights"])["tables"]["flights"].get("event_time")

    assert of({"not_null": "age"}) is None
    assert of({"freshness": "1 day", "time": "day"}) is None
    assert of({"freshness": "1 day"}) == "read_at"


IQR = {"method": "iqr", "until": "2024-01-01"}


def test_thresholds_need_a_clock_and_know_no_row_that_tests_the_model() -> None:
    rule = {"column": "age", "outlier": IQR}
    assert found(pipeline(rule, event_time=None)) == [("tables.flights.rules[0].outlier", "thresholds are learned")]
    split = {"by": "time", "train_until": "2023-12-31", "validation_until": "2024-02-01", "test_until": "2024-03-01"}
    whole = pipeline(rule).model_dump(mode="json", by_alias=True, exclude_unset=True)
    whole["training_set"] = {"from": "flights", "label": "age > 3", "split": split}
    assert found(Pipeline.model_validate(whole)) == [
        ("tables.flights.rules[0].outlier.until", "2024-01-01 00:00:00 is")
    ]
    split["train_until"] = "2024-01-01"
    assert found(Pipeline.model_validate(whole)) == []


def found(checked: Pipeline) -> list[tuple[str, str]]:
    return [(where, " ".join(said.split()[:3])) for where, said in check(checked) if "outlier" in where]


def test_a_change_of_what_is_learned_runs_again() -> None:
    def config(**outlier: Any) -> Any:
        return config_of("flights", pipeline({"column": "age", "outlier": {**IQR, **outlier}}).tables["flights"])

    assert config() == config()
    assert config() != config(factor=2)
    assert "event_time" in config()["tables"]["flights"]
