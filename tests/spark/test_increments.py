"""New rows alone are judged and cleaned, and the tables are those of a pass over all rows."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable

import pytest

from headrace.errors import DataError
from headrace.runtime.commits import CommitLog, LocalFiles
from headrace.runtime.runner import Options
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

HEADER = "id,shop,at,known,amount,note\n"
YAML = """
pipeline: shop
tables:
  orders:
    source: {{format: csv, path: orders, mode: {mode}}}
    types: {{at: timestamp, known: timestamp}}
    {key}
    event_time: at
    available_at: known
    columns: {{cents: "amount * 100"}}
    rules:
      - {{column: amount, between: [0, null]}}
      - {{name: small, check: "amount < 90", on_fail: warn}}
      - {{column: shop, in: [a, b, c]}}
      {rules}
"""
SHOPS = "  shops: {source: {format: csv, path: shops.csv}}\n"
AGES = """
      - {freshness: 1000000 hours, on_fail: warn}
      - {row_count_within: 100%, on_fail: warn}
      - {column: amount, outlier: {method: zscore, factor: 4, until: 2024-01-15}, on_fail: warn}
"""


def log(project: Project) -> CommitLog:
    return CommitLog(str(project.folder / "home" / "warehouse" / "shop"), LocalFiles())


def operations(project: Project, table: str = "orders") -> list[str]:
    """How each commit changed the table, the oldest first."""
    found = [c for c in log(project).newest_first(table) if c.note.get("counts")]
    return ["whole" if c.whole else {"MERGE": "merged", "WRITE": "added"}[c.operation] for c in found[::-1]][1:]


def counts(project: Project, table: str = "orders") -> dict[str, int]:
    found = log(project).last(table)
    assert found is not None
    return dict(found.note["counts"])


def state(project: Project) -> tuple[list[tuple], list[tuple], dict[str, int], dict[str, int]]:
    """All that both tables hold, but for when it landed."""
    rows = [
        sorted((tuple(r) for r in t.drop("_ingested_at").collect()), key=repr)
        for t in (project.table("orders"), project.table("orders_quarantine"))
    ]
    return rows[0], rows[1], counts(project), counts(project, "orders_quarantine")


def batch(draw: random.Random, rows: int, ids: int, since: int) -> str:
    """Rows of which some are late, some have no time, and some break rules."""
    lines = []
    for _ in range(rows):
        day, amount = draw.randrange(since, 28), draw.choice(["", "-5", "7", "50", "95", "12"])
        at = draw.choice([f"2024-01-{day:02} 10:00:00"] * 4 + [""])
        known = draw.choice([f"2024-01-{day + 1:02} 10:00:00", ""])
        shop, note = draw.choice("aabbccz"), draw.choice(["", "n", "1"])
        lines.append(f"{draw.randrange(ids)},{shop},{at},{known},{amount},{note}\n")
    return HEADER + "".join(lines)


@pytest.mark.parametrize(
    ("mode", "key", "rules", "how"),
    [
        ("append", "", AGES, ["added", "added", "added"]),
        ("append", "key: [id, shop]", "", ["merged", "merged", "added"]),
        ("upsert", "key: id", "", ["merged", "merged", "added"]),
    ],
)
def test_increments_come_to_what_a_pass_over_all_rows_does(
    scratch: Project, mode: str, key: str, rules: str, how: list[str]
) -> None:
    yaml, draw = YAML.format(mode=mode, key=key, rules=rules.strip()), random.Random(3)
    for number in range(3):
        scratch.write(f"orders/{9 - number}.csv", batch(draw, 40, 30, 15 if number else 1))
        scratch.run(yaml)
    scratch.write("orders/1.csv", HEADER + "900,a,2024-01-05 00:00:00,2024-01-06 00:00:00,5,\n")  # a key of its own
    scratch.run(yaml)
    assert operations(scratch) == how
    assert operations(scratch, "orders_quarantine") == ["added"] * 3
    assert set(statuses(scratch.run(yaml)).values()) == {"unchanged"}
    grown = state(scratch)
    assert grown[2]["rows_in"] == 121 == sum(grown[2][k] for k in ("kept", "quarantined", "merged"))
    scratch.run(yaml, options=Options(force="validate"))
    assert operations(scratch)[-1] == "whole"
    assert state(scratch) == grown


APPEND = YAML.format(mode="append", key="key: id", rules="")
CASES: dict[str, tuple[str, Callable[[Project], object]]] = {
    "a rule over other rows": (APPEND + "      - {unique: note, on_fail: warn}\n", lambda p: None),
    "a column of other rows": (APPEND.replace("amount * 100", "sum(amount) over ()"), lambda p: None),
    "a column that asks the clock": (APPEND.replace("amount * 100", "unix_seconds(now())"), lambda p: None),
    "a type that changes": (APPEND, lambda p: p.write("orders/3.csv", f"{HEADER}8,a,,,12.5,\n")),
    "a replaced file": (APPEND, lambda p: p.write("orders/1.csv", f"{HEADER}1,a,,,70,\n6,a,,,8,\n")),
    "another table": (
        APPEND.replace("in: [a, b, c]", "in: shops.shop").replace("tables:\n", f"tables:\n{SHOPS}"),
        lambda p: p.write("shops.csv", "shop\na\nb\nq\n"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_all_rows_are_judged_where_new_ones_could_change_what_was_found(scratch: Project, case: str) -> None:
    yaml, change = CASES[case]
    scratch.write("shops.csv", "shop\na\nb\n")
    scratch.write("orders/1.csv", f"{HEADER}1,a,,,7,\n2,q,,,8,x\n")
    scratch.run(yaml)
    scratch.write("orders/2.csv", f"{HEADER}1,b,,,9,\n3,b,,,-1,\n")
    change(scratch)
    scratch.run(yaml)
    assert operations(scratch) == ["whole"]
    assert operations(scratch, "orders_quarantine") == ["whole"]


def test_a_run_killed_between_the_two_tables_is_ended_by_the_next(scratch: Project) -> None:
    for number in range(3):
        scratch.write(f"orders/{number}.csv", f"{HEADER}1,a,,,{number},\n{number + 5},z,,,8,\n{number + 2},b,,,8,\n")
        scratch.run(APPEND, to="ingest")
        # of two runs the quarantine alone was written
        steps_of(scratch, "validate:orders", *(["clean:orders"] if number == 0 else []))
    scratch.run(APPEND)
    assert operations(scratch) == ["merged"]
    grown = state(scratch)
    assert grown[2] == {"rows_in": 9, "kept": 4, "quarantined": 3, "merged": 2}
    scratch.run(APPEND, options=Options(force="validate"))
    assert state(scratch) == grown


def steps_of(project: Project, *names: str) -> None:
    from headrace import flow
    from headrace.config.reading import read_pipeline
    from headrace.runtime.progress import Progress
    from headrace.runtime.runner import Runner

    pipeline, environment = read_pipeline(project.folder / "pipeline.yaml")
    steps = [s for s in flow.steps(pipeline) if s.name in names]
    Runner(project.spark, pipeline, environment, Options(), Progress()).run(steps)


def test_shares_of_rows_that_may_break_a_rule_are_of_all_rows(scratch: Project) -> None:
    yaml = YAML.format(mode="append", key="", rules="- {column: amount, in: [7], name: seven, at_most: 40%}")
    scratch.write("orders/1.csv", HEADER + "1,a,,,7,\n" * 8)
    scratch.run(yaml)
    scratch.write("orders/2.csv", HEADER + "2,a,,,8,\n" * 4)  # a third of all
    scratch.run(yaml)
    assert counts(scratch) == {"rows_in": 12, "kept": 8, "quarantined": 4, "merged": 0}
    scratch.write("orders/3.csv", HEADER + "3,a,,,9,\n" * 2)
    with pytest.raises(DataError, match="seven: 6 of 14 rows"):
        scratch.run(yaml)
    assert operations(scratch) == ["added"]


def test_a_table_made_anew_is_another_one_though_its_version_is_the_same(scratch: Project) -> None:
    yaml = APPEND.replace("in: [a, b, c]", "in: shops.shop").replace("tables:\n", f"tables:\n{SHOPS}")
    tables = scratch.folder / "home" / "warehouse" / "shop"
    scratch.write("shops.csv", "shop\na\nb\n")
    scratch.write("orders/1.csv", f"{HEADER}1,a,,,7,\n2,b,,,8,\n")
    scratch.run(yaml)
    shutil.rmtree(tables / "shops")
    scratch.write("shops.csv", "shop\na\nq\n")
    scratch.write("orders/2.csv", f"{HEADER}3,q,,,9,\n")
    scratch.run(yaml)
    assert scratch.rows("orders", "id") == [(1,), (3,)]
    shutil.rmtree(tables / "raw_orders")
    scratch.write("orders/1.csv", f"{HEADER}1,a,,,70,\n")
    (scratch.folder / "orders" / "2.csv").unlink()
    scratch.run(yaml)
    assert scratch.rows("orders", "id", "amount") == [(1, 70)]
    assert operations(scratch) == ["whole", "whole"]


def test_nested_columns_that_grow(scratch: Project) -> None:
    yaml = """
pipeline: shop
tables:
  orders: {source: {format: json, path: orders, mode: append, on_drift: evolve}, key: id, rules: [{not_null: id}]}
"""
    for number, who in enumerate(('{"a": 1}', '{"a": 2, "b": "x"}', '{"a": 3, "b": "y"}')):
        scratch.write(f"orders/{number}.json", f'{{"id": {number}, "who": {who}}}\n')
        scratch.run(yaml)
    assert operations(scratch) == ["whole", "added"]
    assert scratch.rows("orders", "id", "who.b") == [(0, None), (1, "x"), (2, "y")]


def test_a_time_after_now_is_looked_at_again(scratch: Project) -> None:
    yaml = YAML.format(mode="append", key="", rules="- {freshness: 1000000 hours, on_fail: warn}")
    for number, year in enumerate((2023, 2100, 2024, 2024)):
        scratch.write(f"orders/{number}.csv", f"{HEADER}1,a,{year}-01-01 00:00:00,,7,\n")
        scratch.run(yaml)
    assert operations(scratch) == ["added", "whole", "whole"]
