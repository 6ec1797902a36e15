"""Watermarks of sources that are no databases: functions, DataSources, tables of the catalogue, readers of Spark."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.runtime.runner import Options
from headrace.runtime.tables import Tables
from tests.support.runs import statuses

pytestmark = pytest.mark.usefixtures("interpreted")

AT = dt.datetime(2024, 3, 1, 12, 0, 0, 123456)

SOURCES = """
from pathlib import Path

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition


def orders(spark, folder, since):
    with Path("asked").open("a") as asked:
        print(since, file=asked)
    return spark.read.parquet(folder)


def whole(spark, folder):
    return spark.read.parquet(folder)


def broken(spark, folder, since=None):
    return spark.range(1).selectExpr("timestamp '2024-03-01 12:00:00' as updated_at", "int(raise_error('no ' || id)) as id")


class Numbers(DataSource):
    @classmethod
    def name(cls):
        return "numbers_since"

    def schema(self):
        return "n bigint, text string, more map<string,int>"

    def reader(self, schema):
        return Reader(int(self.options.get("since", 0)), self.options["until"], self.options["asked"])


class Reader(DataSourceReader):
    def __init__(self, since, until, asked):
        self.since, self.until, self.asked = since, until, asked

    def partitions(self):
        with Path(self.asked).open("a") as asked:
            print(self.since, file=asked)
        return [InputPartition(part) for part in range(2)]

    def read(self, partition):
        for n in range(self.since, int(Path(self.until).read_text())):
            if n % 2 == partition.value:
                yield n, "even" if n % 2 == 0 else None, {"n": n}
"""


class Shop:
    """Rows in a folder, and which of them are to have landed."""

    def __init__(self, scratch) -> None:
        self.scratch, self.rows = scratch, {}
        scratch.write("my_sources.py", SOURCES)

    def yaml(self, hook: str, more: str = "watermark: updated_at", key: str = "key: id", options: str = "") -> str:
        return f"""
pipeline: p
tables:
  orders:
    source:
      python: "my_sources:{hook}"
      options: {{{options or f"folder: {self.scratch.folder}/orders"}}}
      {more}
    {key}
"""

    def put(self, *rows: tuple[int, dt.datetime | None, str | None]) -> None:
        """Insert or update, by the first value."""
        self.rows |= {row[0]: row for row in rows}
        lines = [f"({n}, {'null' if at is None else repr(str(at))}, {'null' if t is None else repr(t)})"
                 for n, at, t in self.rows.values()]  # fmt: skip
        text = f"select id, timestamp(at) as updated_at, note from values {', '.join(lines)} as t(id, at, note)"
        self.scratch.spark.sql(text).write.mode("overwrite").parquet(str(self.scratch.folder / "orders"))

    def landed(self, where: str = "true") -> list[tuple]:
        rows = self.scratch.table("raw_orders").where(where)
        return sorted(rows.selectExpr("id", "cast(updated_at as timestamp_ntz)", "note").collect(), key=repr)

    def asked(self) -> list[str]:
        return Path("asked").read_text().split("\n")[:-1]


@pytest.fixture
def shop(scratch) -> Shop:
    return Shop(scratch)


def killed(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_function_is_told_since_when_and_each_row_lands_once(shop: Shop, scratch, monkeypatch) -> None:
    first = [(n, AT + dt.timedelta(minutes=n), None if n % 5 == 0 else f"note {n}") for n in range(20)]
    shop.put(*first, (99, None, "no time"))
    with monkeypatch.context() as patch:  # between the commit and the end of the run
        patch.setattr(Tables, "_check_rows", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(shop.yaml("orders"))
    assert statuses(scratch.run(shop.yaml("orders")))["ingest:orders"] == "unchanged"
    newest = first[-1][1]
    more = [
        (4, newest + dt.timedelta(days=1), "updated"),
        (20, newest, "as late as the latest"),
        (21, newest - dt.timedelta(minutes=59), "came late"),
        (22, None, None),
    ]
    shop.put(*more, (23, newest - dt.timedelta(days=9), "before the overlap: as if it had always been there"))
    with monkeypatch.context() as patch:  # before the commit
        patch.setattr(Tables, "_try_write", killed)
        with pytest.raises(KeyboardInterrupt):
            scratch.run(shop.yaml("orders"))
    assert statuses(scratch.run(shop.yaml("orders")))["ingest:orders"] == "done"
    assert shop.landed("_batch = 1") == sorted([*first, (99, None, "no time")], key=repr)
    assert shop.landed("_batch = 2") == sorted(more, key=repr)
    assert [row for row in scratch.rows("orders", "id", "note") if row[0] in (3, 4)] == [(3, "note 3"), (4, "updated")]
    assert statuses(scratch.run(shop.yaml("orders")))["ingest:orders"] == "unchanged"
    lower = f"{newest - dt.timedelta(hours=1)}+00:00"
    assert shop.asked()[:5] == ["None", lower, lower, lower, f"{newest + dt.timedelta(hours=23)}+00:00"]
    assert scratch.table("raw_orders").count() == 25


def test_what_reads_all_anew_and_what_a_function_without_since_does(shop: Shop, scratch) -> None:
    shop.put((1, AT, "a"), (2, AT, "b"))
    scratch.run(shop.yaml("whole"), only="ingest")
    shop.put((3, AT + dt.timedelta(hours=5), "c"))
    scratch.run(shop.yaml("whole"), only="ingest")
    assert shop.landed("_batch = 2") == [(3, AT + dt.timedelta(hours=5), "c")]
    scratch.write("my_sources.py", SOURCES + "\n# a comment\n")
    assert statuses(scratch.run(shop.yaml("whole"), only="ingest")) == {"ingest:orders": "unchanged"}
    scratch.write("my_sources.py", SOURCES.replace("read.parquet(folder)", "read.parquet(folder).where('id <> 2')"))
    scratch.run(shop.yaml("whole"))
    assert (len(shop.landed("_batch = 3")), scratch.rows("orders", "id")) == (2, [(1,), (3,)])
    scratch.run(shop.yaml("whole"), only="ingest", options=Options(force="ingest"))
    assert scratch.table("raw_orders").where("_batch = 4").count() == 2
    scratch.run(shop.yaml("whole", "watermark: id\n      overlap: 1"), only="ingest")
    assert scratch.table("raw_orders").where("_batch = 5").count() == 2


def test_a_data_source_gets_since_as_an_option(shop: Shop, scratch) -> None:
    text = shop.yaml(
        "Numbers", "watermark: n\n      overlap: 3", "", f"until: {scratch.folder}/until, asked: {scratch.folder}/asked"
    )
    scratch.write("until", "10")
    scratch.run(text, only="ingest")
    assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
    scratch.write("until", "14")
    scratch.run(text, only="ingest")
    rows = scratch.table("raw_orders").select("_batch", "n", "text", "more").orderBy("n").collect()
    assert rows == [(1 if n < 10 else 2, n, None if n % 2 else "even", {"n": n}) for n in range(14)]
    assert dict.fromkeys(shop.asked()) == dict.fromkeys(["0", "6"])


def test_a_table_of_the_catalogue_by_its_days(scratch, spark) -> None:
    day = dt.date(2024, 3, 1)
    spark.sql("create schema if not exists crm")
    spark.sql("drop table if exists crm.visits")
    spark.sql("create table crm.visits (id int, day date) using parquet")
    spark.sql("insert into crm.visits select id, date '2024-03-01' + int(id) from range(5)")
    text = """
pipeline: p
tables:
  orders: {source: {format: table, table: crm.visits, watermark: day, overlap: 1 day}, key: id}
"""
    try:
        scratch.run(text, only="ingest")
        assert statuses(scratch.run(text, only="ingest")) == {"ingest:orders": "unchanged"}
        spark.sql("insert into crm.visits values (7, date '2024-03-04'), (8, date '2024-03-02'), (9, null)")
        scratch.run(text, only="ingest")
        rows = scratch.table("raw_orders").where("_batch = 2").select("id", "day").orderBy("id").collect()
        assert rows == [(7, day + dt.timedelta(days=3)), (9, None)]
    finally:
        spark.sql("drop table crm.visits")


def test_mistakes_are_told_in_words(shop: Shop, scratch) -> None:
    shop.put((1, AT, "a"))
    told = [
        ("watermark: updatedat", "", ConfigError, r"no column 'updatedat'.*did you mean 'updated_at'"),
        ("watermark: note", "", ConfigError, "note is string; wanted is"),
        ("watermark: id\n      overlap: 1 day", "", ConfigError, "id is int; write a number"),
        ("watermark: updated_at", "sensitive: {updated_at: mask}", ConfigError, "is sensitive; name a `key`"),
    ]
    for more, key, kind, says in told:
        with pytest.raises(kind, match=says):
            scratch.run(shop.yaml("orders", more, key), only="ingest")
    with pytest.raises(HeadraceError, match="USER_RAISED_EXCEPTION"):
        scratch.run(shop.yaml("broken"), only="ingest")
    with pytest.raises(ConfigError, match="needs the option since"):
        scratch.run(shop.yaml("orders", "packages: []"), only="ingest")
    shop.put((2, dt.datetime(2999, 1, 1), "future"))
    with pytest.raises(DataError, match="in the future; rows written until then would never be read"):
        scratch.run(shop.yaml("orders"), only="ingest")


def test_sensitive_values_are_withheld_before_anything_is_kept(shop: Shop, scratch, monkeypatch) -> None:
    monkeypatch.setenv("PRIVACY_KEY", "k" * 32)
    text = shop.yaml("orders", key="key: id\n    sensitive: {note: mask}") + 'privacy: {key: "${secret:PRIVACY_KEY}"}\n'
    shop.put((1, AT, "Ann 7"), (2, AT, None))
    scratch.run(text, only="ingest")
    shop.put((3, AT + dt.timedelta(days=2), "Bob 9"))
    scratch.run(text, only="ingest")
    assert [row[2] for row in shop.landed()] == ["Xxx*n", None, "Xxx*n"]
