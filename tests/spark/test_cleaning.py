"""Ingest, validate and clean: every row is accounted for, whatever it looks like."""

from __future__ import annotations

import pytest

from headrace.errors import ConfigError, DataError
from tests.support.runs import Project, statuses

pytestmark = pytest.mark.usefixtures("interpreted")

YAML = """
pipeline: shop
tables:
  shops: {source: {format: csv, path: shops.csv}, key: shop}
  orders:
    source: {format: csv, path: orders, options: {nullValue: NA}}
    columns: {amount_eur: "cast(amount as double) / 100"}
    key: order
    rules:
      - {name: positive, check: "amount_eur > 0"}
      - {name: known_shop, check: "shop in (select shop from shops)"}
      - {name: big, check: "amount_eur < 1000", on_fail: warn}
"""
SHOPS = "shop,town\na,Ulm\nb,Köln\n"
FIRST = "order,shop,amount\n1,a,100\n2,b,NA\n3,c,300\n4,a,-5\n5,c,-1\n,a,10\n1,a,100\n6,a,99900000\n"


@pytest.fixture
def shop(scratch: Project) -> Project:
    scratch.write("shops.csv", SHOPS)
    scratch.write("orders/day1.csv", FIRST)
    return scratch


def test_rows_in_are_kept_quarantined_or_merged(shop: Project) -> None:
    outcome = shop.run(YAML)
    assert shop.rows("orders", "order", "shop", "amount_eur") == [(1, "a", 1.0), (2, "b", None), (6, "a", 999000.0)]
    assert shop.rows("orders_quarantine", "order", "amount", "_reasons") == [
        ("3", "300", ["known_shop"]),
        ("4", "-5", ["positive"]),
        ("5", "-1", ["positive", "known_shop"]),
        (None, "10", ["key:order"]),
    ]
    counts = next(c for c in [shop_commit(shop, "orders")] if c)
    assert counts == {"rows_in": 8, "quarantined": 4, "merged": 1, "kept": 3}
    record = next(r for r in outcome.records if r.step == "validate:orders")
    assert (record.rows_in, record.rows_out) == (8, 4)


def shop_commit(shop: Project, table: str) -> dict[str, int]:
    from headrace.runtime.commits import CommitLog, LocalFiles

    commit = CommitLog(str(shop.folder / "home" / "warehouse" / "shop"), LocalFiles()).last(table)
    assert commit is not None
    return commit.note["counts"]


def test_a_second_run_changes_nothing_and_a_new_file_lands_once(shop: Project) -> None:
    shop.run(YAML)
    assert set(statuses(shop.run(YAML)).values()) == {"unchanged"}
    shop.write("orders/day2.csv", "order,shop,amount\n7,b,700\n")
    outcome = shop.run(YAML)
    assert statuses(outcome) == {
        "ingest:shops": "unchanged", "ingest:orders": "done", "validate:shops": "unchanged", "clean:shops": "unchanged",
        "validate:orders": "done", "clean:orders": "done",
    }  # fmt: skip
    assert [tuple(r) for r in shop.table("raw_orders").groupBy("_batch").count().orderBy("_batch").collect()] == [
        (1, 8),
        (2, 1),
    ]
    assert (7, "b", 7.0) in shop.rows("orders", "order", "shop", "amount_eur")


def test_odd_file_names_land_once(shop: Project) -> None:
    shop.write("orders/a b%20c+ü.csv", "order,shop,amount\n8,a,8\n")
    shop.run(YAML)
    assert (8, 8) in shop.rows("orders", "order", "amount")
    assert set(statuses(shop.run(YAML)).values()) == {"unchanged"}
    assert shop.table("raw_orders").count() == 9


def test_a_replaced_file_supersedes_its_earlier_rows(shop: Project) -> None:
    shop.run(YAML)
    shop.write("orders/day1.csv", "order,shop,amount\n1,a,200\n")
    shop.run(YAML)
    assert shop.rows("orders", "order", "amount") == [(1, 200)]
    assert shop.table("raw_orders").count() == 9


def test_changing_a_rule_cleans_again_and_ingests_nothing(shop: Project) -> None:
    shop.run(YAML)
    done = {k for k, v in statuses(shop.run(YAML.replace("amount_eur > 0", "amount_eur > 5"))).items() if v == "done"}
    assert done == {"validate:orders", "clean:orders"}


def test_changing_a_table_that_a_rule_reads_judges_again(shop: Project) -> None:
    shop.run(YAML)
    shop.write("shops.csv", SHOPS + "c,Bonn\n")
    shop.run(YAML)
    assert shop.rows("orders", "order") == [(1,), (2,), (3,), (6,)]


def test_what_does_not_cast_is_set_aside_and_not_lost(shop: Project) -> None:
    yaml = YAML.replace("    columns:", "    types: {amount: int}\n    columns:")
    shop.write("orders/day1.csv", 'order,shop,amount\n1,a,100\n2,a,"1,000"\n3,a,12x\n4,a, 7 \n5,a,\n')
    shop.run(yaml)
    assert shop.rows("orders", "order", "amount") == [(1, 100), (4, 7), (5, None)]
    assert shop.rows("orders_quarantine", "order", "amount", "_reasons") == [
        ("2", "1,000", ["cast:amount"]),
        ("3", "12x", ["cast:amount"]),
    ]


def test_what_only_spark_would_cast_is_set_aside(shop: Project) -> None:
    seen = "order,amount,at\n1,12D,2024-01-02 12:30\n2,-inf,12:30\n3,1e3,T09:15:00\n4,7f,2024-01-02\n5,2.5, 9:05 \n6,-inf,\n"
    shop.write("orders/day1.csv", seen)
    yaml = YAML[: YAML.index("    columns:")] + "    types: {amount: double, at: timestamp}\n    key: order\n"
    shop.run(yaml.replace(", options: {nullValue: NA}", ""))
    assert shop.rows("orders", "order", "amount", "at") == [(6, float("-inf"), None)]
    assert shop.rows("orders_quarantine", "order", "_reasons") == [
        ("1", ["cast:amount"]), ("2", ["cast:at"]), ("3", ["cast:at"]), ("4", ["cast:amount"]), ("5", ["cast:at"]),
    ]  # fmt: skip


def test_a_cast_in_columns_that_fails_is_a_reason(shop: Project) -> None:
    yaml = YAML.replace('"cast(amount as double) / 100"', '"cast(shop as int) + 1"').replace("amount_eur > 0", "true")
    shop.write("orders/day1.csv", "order,shop,amount\n1,a,1\n2,7,1\n")
    shop.write("shops.csv", "shop,town\na,x\n7,y\n")
    shop.run(yaml)
    assert shop.rows("orders", "order", "amount_eur") == [(2, 8)]
    assert shop.rows("orders_quarantine", "order", "_reasons") == [("1", ["cast:amount_eur"])]


def test_lines_that_do_not_fit_the_header_are_kept_whole(shop: Project) -> None:
    shop.write("orders/day1.csv", "order,shop,amount\n1,a,100\n2,a,100,surplus\n")
    shop.run(YAML)
    assert shop.rows("orders", "order") == [(1,)]
    [(text, reasons)] = shop.rows("orders_quarantine", "_corrupt", "_reasons")
    assert (text, reasons[0]) == ("2,a,100,surplus", "corrupt")


def test_of_equal_keys_the_newest_row_stays_in_any_order(shop: Project) -> None:
    shop.run(YAML)
    shop.write("orders/day0.csv", "order,shop,amount\n1,b,555\n")  # sorts first, comes later
    shop.run(YAML)
    assert (1, "b", 555) in shop.rows("orders", "order", "shop", "amount")


def test_a_rule_that_fails_the_run_writes_nothing(shop: Project) -> None:
    yaml = YAML.replace('check: "amount_eur > 0"', 'check: "amount_eur > 0", on_fail: fail')
    with pytest.raises(DataError, match=r"positive: 2 of 8 rows(.|\n)*order=4"):
        shop.run(yaml)
    assert not (shop.folder / "home" / "warehouse" / "shop" / "orders_quarantine").exists()


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("order,shop,amount\n", DataError, "holds no row"),
        ("order,shop,amount\n1,zz,5\n", DataError, "all 1 rows break a rule"),
    ],
)
def test_tables_that_cannot_be_used_are_told(shop: Project, text: str, error: type[Exception], words: str) -> None:
    shop.write("orders/day1.csv", text)
    with pytest.raises(error, match=words):
        shop.run(YAML)


def test_an_unknown_column_points_to_the_expression(shop: Project) -> None:
    with pytest.raises(ConfigError, match=r"orders.*amuont"):
        shop.run(YAML.replace("amount_eur > 0", "amuont > 0"))


def test_other_columns_in_a_later_file_are_refused(shop: Project) -> None:
    shop.run(YAML)
    shop.write("orders/day2.csv", "order,shop,price\n9,a,1\n")
    with pytest.raises(DataError, match="price"):
        shop.run(YAML)


def test_after_a_delete_by_hand_the_table_is_written_again(shop: Project) -> None:
    shop.run(YAML)
    place = shop.folder / "home" / "warehouse" / "shop" / "raw_orders"
    shop.spark.sql(f"delete from delta.`{place}` where `order` = '2'")
    shop.write("orders/day2.csv", "order,shop,amount\n7,b,700\n")
    shop.run(YAML)
    assert shop.rows("orders", "order") == [(1,), (6,), (7,)]
    assert set(statuses(shop.run(YAML)).values()) == {"unchanged"}


def test_a_mended_separator_reads_all_anew(shop: Project) -> None:
    shop.write("orders/day1.csv", "order;shop;amount\n1;a;100\n")
    bare = "pipeline: shop\ntables: {orders: {source: {format: csv, path: orders}}}\n"
    shop.run(bare)
    mended = bare.replace("path: orders", "path: orders, options: {sep: ';'}")
    shop.run(mended)
    assert shop.table("orders").columns == ["order", "shop", "amount"]
    shop.write("orders/day2.csv", "order;shop;amount\n2;b;200\n")
    shop.run(mended)
    assert shop.rows("orders", "order", "shop", "amount") == [(1, "a", 100), (2, "b", 200)]


def test_files_in_hidden_folders_are_left_alone(shop: Project) -> None:
    shop.write("orders/_temporary/0/part.csv", "order,shop,amount\n90,a,1\n")
    shop.write("orders/.staging/x.csv", "order,shop,amount\n91,a,1\n")
    shop.run(YAML)
    assert shop.table("raw_orders").count() == 8


def test_broken_json_lines_are_kept_whole(scratch: Project) -> None:
    scratch.write("events/a.json", '{"id": 1, "v": 2}\n{"id": 2, "v"\n')
    scratch.write("events/b.json", '{"id": 3, "v": 4}\n')
    scratch.run("pipeline: js\ntables: {events: {source: {format: json, path: events}}}\n")
    assert scratch.rows("events", "id", "v") == [(1, 2), (3, 4)]
    assert scratch.rows("events_quarantine", "_corrupt", "_reasons") == [('{"id": 2, "v"', ["corrupt"])]
