"""Upsert: of each key the row with the latest event time counts, whenever it came; deletes; every row accounted for."""

from __future__ import annotations

import random

import pytest

from headrace.errors import ConfigError
from headrace.runtime.commits import CommitLog, LocalFiles
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  orders:
    source: {format: csv, path: orders, mode: upsert, delete_when: "op = 'D'"}
    types: {at: timestamp, amount: bigint}
    key: [shop, order]
    event_time: at
    keep: [shop, order, at, amount]
    rules: [{name: positive, check: "amount > 0"}, {name: priced, check: "amount is not null"}]
"""
HEADER = "shop,order,at,amount,op\n"


def line(shop: str, order: int, day: int, amount: object, op: str = "U") -> str:
    return f"{shop},{order},2024-01-{day:02} 00:00:00,{amount},{op}\n"


def counts(project: Project) -> dict[str, int]:
    found = CommitLog(str(project.folder / "home" / "warehouse" / "shop"), LocalFiles()).last("orders")
    assert found is not None
    return dict(found.note["counts"])


def wanted(batches: list[list[tuple[str, int, int, int | None, str]]]) -> tuple[list[tuple], dict[str, int]]:
    """By hand: row after row, in the order in which they came."""
    newest: dict[tuple[str, int], tuple] = {}
    bad = total = 0
    for number, batch in enumerate(batches):
        for shop, order, day, amount, op in batch:
            total += 1
            if op != "D" and (amount is None or amount <= 0):
                bad += 1
                continue
            row = (day, number, amount, op)
            if (shop, order) not in newest or newest[shop, order] <= row:
                newest[shop, order] = row
    kept = sorted((s, o, day, amount) for (s, o), (day, _, amount, op) in newest.items() if op != "D")
    gone = len(newest) - len(kept)
    told = {"rows_in": total, "quarantined": bad, "merged": total - bad - len(kept), "kept": len(kept), "deleted": gone}
    return kept, told


def test_batches_in_any_order_come_to_what_they_would_by_hand(scratch: Project) -> None:
    draw = random.Random(7)
    batches: list[list[tuple[str, int, int, int | None, str]]] = []
    for number in range(3):
        # of one key no two rows of a day in one batch: which of them came later, a file cannot say
        keys = draw.sample([(s, o, d) for s in "ab" for o in range(6) for d in range(1, 29)], 60)
        batch = [(s, o, d, draw.choice([None, -1, 5, 6, 7]), draw.choice("UUUUD")) for s, o, d in keys]
        batches.append(batch)
        text = "".join(line(s, o, d, "" if a is None else a, op) for s, o, d, a, op in batch)
        scratch.write(f"orders/{9 - number}.csv", HEADER + text)  # names in another order than they come
        scratch.run(YAML)
        kept, told = wanted(batches)
        assert [
            tuple(r)
            for r in scratch.table("orders")
            .selectExpr("shop", "order", "day(at)", "amount")
            .orderBy("shop", "order")
            .collect()
        ] == kept
        assert counts(scratch) == told
        assert scratch.table("orders_quarantine").count() == told["quarantined"]
    assert set(statuses(scratch.run(YAML)).values()) == {"unchanged"}


def test_a_deleted_key_stays_deleted_for_late_rows_and_comes_back_with_newer_ones(scratch: Project) -> None:
    def landed(name: str, *lines: str) -> list[tuple]:
        scratch.write(f"orders/{name}.csv", HEADER + "".join(lines))
        scratch.run(YAML)
        return [
            tuple(r)
            for r in scratch.table("orders").selectExpr("order", "day(at)", "amount").orderBy("order").collect()
        ]

    assert landed("1", line("a", 1, 5, 10), line("a", 2, 5, 20), line("a", 3, 5, "", "D")) == [(1, 5, 10), (2, 5, 20)]
    assert landed("2", line("a", 1, 6, "", "D"), line("a", 9, 1, "", "D")) == [(2, 5, 20)]
    assert landed("3", line("a", 1, 4, 99), line("a", 3, 4, 99)) == [(2, 5, 20)]
    # a file that is replaced adds: what it said before happened
    scratch.write("orders/1.csv", HEADER + line("a", 2, 6, 21))
    assert landed("4", line("a", 1, 7, 11)) == [(1, 7, 11), (2, 6, 21)]
    assert counts(scratch) == {"rows_in": 9, "quarantined": 0, "merged": 7, "kept": 2, "deleted": 2}
    # of a row that deletes only the key and the times need cast
    assert landed("5", line("a", 1, 8, "abc", "D")) == [(2, 6, 21)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    key: [shop, order]\n", "", "'upsert' goes by key"),
        ("mode: upsert", "mode: append", "only rows of `mode: upsert` delete"),
        ("op = 'D'", "op = = 'D'", "no SQL expression"),
        ("op = 'D'", "opp = 'D'", "did you mean 'op'"),
    ],
)
def test_mistakes_are_told_before_anything_is_read(scratch: Project, old: str, new: str, said: str) -> None:
    scratch.write("orders/1.csv", HEADER + line("a", 1, 1, 1))
    with pytest.raises(ConfigError, match=said):
        scratch.run(YAML.replace(old, new))
