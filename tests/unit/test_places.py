"""Databases, Delta and other readers as sources: what is checked before Spark starts, and which jars they need."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from pyspark.sql.types import DateType, DecimalType, LongType, TimestampNTZType, TimestampType

from headrace.config.checks import references
from headrace.config.reading import read_pipeline
from headrace.config.secrets import plain_text
from headrace.config.source_types import place_of
from headrace.config.types import Environment, Pipeline, Source
from headrace.errors import ConfigError
from headrace.ingest.marks import Since, before
from headrace.runtime.packages import CONNECTORS, MARIADB, S3A, coordinates, lacking, needed, of_command

TOPIC = {"format": "kafka", "options": {"kafka.bootstrap.servers": "h:9092", "subscribe": "orders"}}


def topic(**options: object) -> dict:
    return {"format": "kafka", "options": {**TOPIC["options"], **options}}


BASE = {"format": "jdbc", "url": "jdbc:postgresql://db:5432/shop", "table": "orders"}


def found(source: dict) -> list[tuple[str, str]]:
    return references.check(Pipeline.model_validate({"pipeline": "p", "tables": {"t": {"source": source}}}))


@pytest.mark.parametrize(
    "source",
    [
        BASE | {"watermark": "updated_at", "overlap": "2 hours", "partition_column": "id", "bounds": [1, 100]},
        BASE | {"watermark": "id", "overlap": 500},
        BASE | {"url": "${secret:URL}"},
        BASE | {"url": "jdbc:mariadb://db/shop?sessionVariables=sql_mode=ANSI_QUOTES"},
        {"format": "delta", "path": "/data/orders"},
        {"format": "delta", "table": "shop.orders"},
        {"format": "table", "table": "shop.orders"},
        {"format": "mongodb", "options": {"connection.uri": "mongodb://db", "collection": "orders"}},
        TOPIC
        | {"schema": {"orderId": "bigint", "at": "timestamp", "to": "struct<city: string, lines: array<string>>"}},
        TOPIC | {"value": "binary"},
        topic(subscribe=None, subscribePattern="shop[.].*", maxOffsetsPerTrigger=1000, failOnDataLoss=False),
        {"format": "mongodb", "schema": {"_id": "string", "who": "struct<name: string>"}, "watermark": "at"},
        {"format": "dynamodb", "table": "orders", "options": {"region": "x"}, "watermark": "at", "overlap": 5},
        {"format": "table", "table": "shop.orders", "watermark": "at", "mode": "append"},
        {"format": "iceberg", "path": "shop.orders", "watermark": "at"},
        {"python": "json:loads", "options": {"s": 1}, "watermark": "at"},
        {"format": "geojson", "path": "x.geojson", "packages": "a.b:c_2.13:1.0"},
    ],
)
def test_what_is_right(source: dict) -> None:
    assert found(source) == []
    one = Source.model_validate(source)
    assert Source.model_validate(one.model_dump()) == one


@pytest.mark.parametrize(
    ("source", "where", "says"),
    [
        ({"watermark": "id", "format": "csv", "path": "x.csv"}, "watermark", "belongs to the format jdbc"),
        (BASE | {"url": "jdbc:mariadb://db:3306/shop"}, "url", "Write jdbc:mysql://host:3306/database"),
        (BASE | {"url": "postgresql://db/shop"}, "url", "a URL begins with jdbc:"),
        (BASE | {"query": "select 1"}, "query", "exactly one of table and query"),
        (BASE | {"table": None}, "format", "exactly one of table and query"),
        (BASE | {"path": "x"}, "path", "a database has no path"),
        (BASE | {"table": None, "query": "select 1;"}, "query", "a query ends without"),
        (BASE | {"partitions": 4}, "partitions", "no effect without partition_column"),
        (BASE | {"overlap": "1 hour"}, "overlap", "no effect without watermark"),
        (BASE | {"watermark": "id", "mode": "snapshot"}, "mode", "rows are appended"),
        (BASE | {"mode": "append"}, "mode", "without a watermark all is read"),
        (BASE | {"options": {"partitionColumn": "id"}}, "options.partitionColumn", "write it as partition_column"),
        (BASE | {"mode": "upsert"}, "mode", "upsert belongs to files and kafka"),
        (BASE | {"on_drift": "rescue"}, "on_drift", "policies of drift belong to files"),
        ({"format": "delta", "path": "x", "on_drift": "evolve"}, "on_drift", "policies of drift belong to files"),
        ({"format": "table", "table": "x", "on_corrupt": "skip"}, "on_corrupt", "only files can be left out"),
        ({"format": "kafka", "path": "x"}, "path", "kafka has no path"),
        ({"format": "kafka"}, "options", "write kafka.bootstrap.servers: HOST:9092"),
        (topic(subscribe=None), "options", "exactly one of subscribe"),
        (topic(subscribePattern="o.*"), "options", "exactly one of subscribe"),
        (topic(startingOffsets="earliest"), 'options["startingOffsets"]', "decided by ingest"),
        (topic(maxOffsetPerTrigger=5), 'options["maxOffsetPerTrigger"]', "did you mean 'maxOffsetsPerTrigger'?"),
        (topic(maxOffsetsPerTrigger=0), 'options["maxOffsetsPerTrigger"]', "how many offsets"),
        (topic(failOnDataLoss="no"), 'options["failOnDataLoss"]', "write true or false"),
        (TOPIC | {"mode": "snapshot"}, "mode", "messages are appended"),
        (TOPIC | {"value": "json"}, "value", "the fields of JSON are wanted"),
        (TOPIC | {"value": "text", "schema": {"a": "int"}}, "schema", "a schema belongs to JSON"),
        (TOPIC | {"schema": {"a": "bigintt"}}, 'schema["a"]', "did you mean 'bigint'?"),
        (TOPIC | {"schema": {"a": "struct<b>>"}}, 'schema["a"]', "is no type"),
        (TOPIC | {"mode": "upsert"}, "mode", "give tables.t.key"),
        (TOPIC | {"on_drift": "rescue"}, "on_drift", "policies of drift belong to files"),
        (BASE | {"value": "json"}, "value", "belongs to the format kafka"),
        ({"format": "delta"}, "format", "neither path nor table"),
        ({"format": "delta", "path": "a", "table": "b"}, "path", "exclude each other"),
        ({"format": "delta", "path": "x", "watermark": "id"}, "watermark", "belongs to the format jdbc and table"),
        (TOPIC | {"watermark": "id"}, "watermark", "belongs to the format jdbc and table"),
        (BASE | {"schema": {"a": "int"}}, "schema", "'schema' belongs to the format kafka and dynamodb"),
        ({"format": "mongodb", "schema": {"a": "strng"}}, 'schema["a"]', "did you mean 'string'?"),
        ({"format": "mongodb", "overlap": "1 hour"}, "overlap", "no effect without watermark"),
        ({"format": "mongodb", "mode": "append"}, "mode", "without a watermark all is read"),
        ({"format": "dynamodb"}, "format", "no table is named; write table: name"),
        ({"format": "mongdb"}, "format", "did you mean 'mongodb'?"),
        ({"format": "delat", "path": "a"}, "format", "did you mean 'delta'?"),
        ({"format": "jbdc"}, "format", "did you mean 'jdbc'?"),
    ],
)
def test_what_cannot_be(source: dict, where: str, says: str) -> None:
    mistakes = found(source)
    assert [place for place, _ in mistakes] == [f"tables.t.source.{where}"]
    assert says in mistakes[0][1]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("jdbc:oracle:thin:scott/tiger@//db:1521/x", "jdbc:oracle:thin:@//db:1521/x"),
        ("jdbc:oracle:thin:@db:1521:x", "jdbc:oracle:thin:@db:1521:x"),
        ("jdbc:postgresql://u:p@ss@db:1/x", "jdbc:postgresql://db:1/x"),
        ("jdbc:mysql://db/x?user=a&password=b", "jdbc:mysql://db/x"),
    ],
)
def test_places_hold_no_password(url: str, shown: str) -> None:
    assert place_of({"format": "jdbc", "url": url, "table": "t"}) == f"{shown} t"


def test_a_password_before_an_address_is_plain_text() -> None:
    assert "password stands" in str(plain_text("url", "jdbc:oracle:thin:scott/tiger@//db:1521/x"))
    assert plain_text("url", "jdbc:oracle:thin:scott/${secret:ORACLE}@//db:1521/x") is None
    assert plain_text("url", "jdbc:oracle:thin:@//db:1521/x") is None


def test_a_range_begins_before_it_ends_however_long_its_numbers_are() -> None:
    assert before("1" * 38, DecimalType(38, 0), None) == str(int("1" * 38) - 1000)


def written(folder: Path, more: str) -> Path:
    file = folder / "p.yaml"
    file.write_text(f"pipeline: p\ntables:\n  t:\n    source:\n      format: jdbc\n      table: t\n{more}")
    return file


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ("      url: jdbc:mysql://db/x\n      password: hunter22\n", "a secret stands here in plain text"),
        ("      url: jdbc:mysql://db/x?password=hunter22\n", "a password stands in this text"),
        ("      url: jdbc:mysql://db/x\n      watermrk: id\n", "did you mean 'watermark'?"),
        ("      url: jdbc:mysql://db/x\n      watermark: id\n      overlap: 1 month\n", "no fixed length"),
        ("      url: jdbc:mysql://db/x\n      packages: [mysql]\n", "write group:artifact:version"),
        ("      url: jdbc:mysql://db/x\n      partition_column: id\n      bounds: [1]\n", "two values are wanted"),
    ],
)
def test_what_a_file_says_wrongly_has_its_place(tmp_path: Path, more: str, says: str) -> None:
    with pytest.raises(ConfigError, match=r"p\.yaml:") as raised:
        read_pipeline(written(tmp_path, more))
    assert says in raised.value.message
    assert "hunter22" not in raised.value.message


def test_secrets_stay_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DB_PW", "hunter22")
    monkeypatch.setenv("DB_URL", "jdbc:postgresql://db/shop?password=hunter22")
    file = written(tmp_path, '      url: "${secret:DB_URL}"\n      password: "${secret:DB_PW}"\n      user: u\n')
    pipeline, _ = read_pipeline(file)
    assert "hunter22" not in str(pipeline.model_dump())
    assert coordinates(pipeline) == ("org.postgresql:postgresql:42.7.14",)


@pytest.mark.parametrize(
    ("source", "jars"),
    [
        (BASE, ("org.postgresql:postgresql:42.7.14",)),
        (BASE | {"url": "jdbc:mysql://db/shop"}, ("com.mysql:mysql-connector-j:9.7.0",)),
        (BASE | {"url": "jdbc:mysql://db/shop?permitMysqlScheme"}, (MARIADB,)),
        (BASE | {"packages": []}, ()),
        (BASE | {"packages": "a:b:1"}, ("a:b:1",)),
        ({"format": "csv", "path": "x.csv"}, ()),
        ({"format": "csv", "path": "hdfs://server/s3a/x.csv"}, ()),
        ({"format": "csv", "path": "s3a://lake/x.csv"}, (S3A,)),
        ({"format": "delta", "path": "s3a://lake/x"}, (S3A,)),
        ({"format": "avro", "path": "S3A://lake/x"}, (*CONNECTORS["avro"], S3A)),
        ({"format": "avro", "path": "s3a://lake/x", "packages": []}, ()),
        ({"format": "mongodb"}, ("org.mongodb.spark:mongo-spark-connector_2.13:10.5.0",)),
    ],
)
def test_only_the_jars_that_a_source_needs(source: dict, jars: tuple[str, ...]) -> None:
    assert needed(Source.model_validate(source)) == jars


def test_places_of_sinks_and_tables_need_jars_too() -> None:
    table = {"source": {"format": "csv", "path": "x.csv"}, "key": "id"}
    facts = {"from": "t", "entity": "id", "lookup": ["v"]}
    made = {"pipeline": "p", "tables": {"t": table}, "feature_tables": {"f": facts}}
    sink = {"lake": {"from": "f", "format": "parquet", "path": "s3a://lake/out"}}
    plain, sending = Pipeline.model_validate(made), Pipeline.model_validate(made | {"sinks": sink})
    assert coordinates(plain, Environment(warehouse="/data")) == ()
    assert coordinates(sending, Environment()) == (S3A,)
    assert coordinates(sending, Environment(warehouse="s3a://lake/tables")) == (S3A,)
    assert coordinates(plain, Environment(warehouse="s3a://lake/tables")) == (S3A,)


def test_a_command_line_asks_for_jars_by_path_format_and_ending() -> None:
    assert of_command(("s3a://lake/x.csv", "--out", "x.yaml")) == (S3A,)
    assert of_command(("/data/x.AVRO",)) == of_command(("/data", "--format", "avro")) == CONNECTORS["avro"]
    assert of_command(("data/avro/x.csv",)) == ()


def test_what_spark_or_the_user_has_is_not_fetched(tmp_path: Path) -> None:
    (tmp_path / "jars").mkdir()
    assert lacking((S3A, MARIADB), tmp_path, ("/opt/x.jar",)) == (S3A, MARIADB)
    assert lacking((S3A, MARIADB), tmp_path, ("/opt/x.jar,/opt/hadoop-aws-3.5.0.jar",)) == (MARIADB,)
    assert lacking((S3A, MARIADB), tmp_path, ("org.apache.hadoop:hadoop-aws:3.5.0",)) == (MARIADB,)
    (tmp_path / "jars" / "hadoop-aws-3.4.1.jar").touch()
    assert lacking((S3A, MARIADB), tmp_path, ()) == (MARIADB,)


def test_how_far_before_the_last_value_reading_starts() -> None:
    assert before("2024-03-01 00:00:00", TimestampType(), None) == "2024-02-29 23:00:00.000000"
    assert before("0001-01-01 00:10:00", TimestampType(), "1 hour") == "0001-01-01 00:00:00.000000"
    assert before("2024-03-01", DateType(), "1 hour") == "2024-02-29"
    assert before("5", LongType(), None) == "-995"


def test_a_start_is_handed_over_as_what_it_is() -> None:
    moment = Since("at", "2024-02-29 23:30:00.500000", TimestampType())
    assert moment.plain() == datetime(2024, 2, 29, 23, 30, 0, 500000, tzinfo=UTC)
    assert moment.text() == "2024-02-29T23:30:00.500000+00:00"
    assert Since("at", "2024-02-29 23:30:00", TimestampNTZType()).text() == "2024-02-29T23:30:00"
    assert Since("day", "2024-02-29", DateType()).plain() == date(2024, 2, 29)
    assert (Since("n", "-995", LongType()).plain(), Since("n", "1.50", DecimalType(9, 2)).text()) == (-995, "1.50")


def test_since_belongs_to_the_watermark() -> None:
    options = {"options": {"since": 1}, "watermark": "at"}
    assert next(where for where, _ in found({"python": "json:loads"} | options)) == "tables.t.source.options.since"


def test_where_a_source_is_says_no_secret() -> None:
    one = Source.model_validate(BASE | {"url": "jdbc:mysql://me:pw@db:1/x?password=pw"})
    assert one.path == "jdbc:mysql://db:1/x orders"
