"""Topics of Kafka, in ranges of offsets: where each partition was read to is in the raw table's commit.

Needs no connector of Spark: a DataSource in Python reads each partition's range in a task of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql.datasource import DataSource, DataSourceReader, InputPartition

from headrace.config import secrets
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.snapshots import stamped
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SCHEMA = (
    "key binary, value binary, topic string, partition int, offset bigint, timestamp timestamp, "
    "headers array<struct<key: string, value: binary>>"
)
PART = 500_000
"""Offsets that one task reads."""
SILENCE = 60_000
"""Milliseconds without an answer after which a broker is given up."""
_OWN = ("failondataloss",)


@dataclass(frozen=True)
class Range(InputPartition):
    """Offsets of one partition, the last one excluded."""

    partition: int
    first: int
    end: int


class KafkaRanges(DataSource):
    """Ranges of offsets of a topic."""

    @classmethod
    def name(cls) -> str:
        """How Spark calls it."""
        return "headrace_kafka"

    def schema(self) -> str:
        """The columns."""
        return SCHEMA

    def reader(self, schema: Any) -> DataSourceReader:
        """Reads the ranges that the options name."""
        return _Reader(self.options["topic"], json.loads(self.options["consumer"]), json.loads(self.options["ranges"]))


class _Reader(DataSourceReader):
    def __init__(self, topic: str, consumer: dict[str, Any], ranges: list[list[int]]) -> None:
        self._topic, self._consumer, self._ranges = topic, consumer, ranges

    def partitions(self) -> list[InputPartition]:
        return [
            Range(partition, start, min(start + PART, end))
            for partition, first, end in self._ranges
            for start in range(first, end, PART)
        ]

    def read(self, partition: InputPartition) -> Iterator[tuple[Any, ...]]:
        import datetime as dt

        from kafka import KafkaConsumer, TopicPartition

        assert isinstance(partition, Range)
        consumer = KafkaConsumer(**self._consumer)
        try:
            where = TopicPartition(self._topic, partition.partition)
            consumer.assign([where])
            consumer.seek(where, partition.first)
            silent = 0
            while consumer.position(where) < partition.end:  # not the last record: a compacted topic has gaps
                found = consumer.poll(timeout_ms=1000, max_records=5000).get(where, [])
                silent = 0 if found else silent + 1000
                if silent >= SILENCE and consumer.position(where) < partition.end:
                    raise TimeoutError(
                        f"partition {where.partition} of {where.topic} gave nothing for {SILENCE // 1000} s"
                    )
                for one in found:
                    if one.offset < partition.end:
                        moment = dt.datetime.fromtimestamp(one.timestamp / 1000, dt.UTC) if one.timestamp >= 0 else None
                        headers = [(key, value) for key, value in one.headers or ()]
                        yield one.key, one.value, one.topic, one.partition, one.offset, moment, headers
        finally:
            consumer.close()


def _consumer(source: Source) -> dict[str, Any]:
    """What a consumer is made with; options by kafka-python's names."""
    given = {k: secrets.reveal(v) if isinstance(v, str) else v for k, v in source.options.items()}
    given = {k: v for k, v in given.items() if k.lower() not in _OWN}
    servers = [one.strip() for one in secrets.reveal(source.servers or "").split(",")]
    return {"bootstrap_servers": servers, "group_id": None, "enable_auto_commit": False, **given}


@contextmanager
def _told(where: str, source: Source) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ConfigError(
            f"{where}: kafka is read by the Python package kafka-python, which is not installed; pip install "
            "'headrace[kafka]', on the executors too"
        ) from error
    except (AssertionError, TypeError, ValueError) as error:  # a consumer that cannot be made so
        raise ConfigError(
            f"{where}.options: {secrets.redacted(str(error))}; mend options, by kafka-python's names"
        ) from None
    except Exception as error:  # kafka-python's errors have a base class that only the package knows
        if type(error).__module__.partition(".")[0] != "kafka":
            raise
        text = secrets.redacted(f"{type(error).__name__} {error}".strip())
        raise ConfigError(
            f"{where}: {source.servers}: {text}; mend servers or options, or look whether it is up"
        ) from None


def offsets(where: str, source: Source) -> tuple[dict[int, int], dict[int, int]]:
    """The first offset that is there, and the one to come, by partition.

    Raises:
        ConfigError: If no broker answers, or there is no such topic.
    """
    with _told(where, source):
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(**_consumer(source))
        try:
            topics = consumer.topics()
            if source.topic not in topics:
                there = ", ".join(sorted(topics)) or "none"
                raise ConfigError(f"{where}.topic: there is no topic {source.topic!r}; there are: {there}")
            found = consumer.partitions_for_topic(source.topic) or set()
            parts = [TopicPartition(source.topic, number) for number in sorted(found)]
            first, end = consumer.beginning_offsets(parts), consumer.end_offsets(parts)
        finally:
            consumer.close()
    return {p.partition: first[p] for p in parts}, {p.partition: end[p] for p in parts}


def state(name: str, source: Source) -> Any:
    """The offsets to come."""
    return sorted(offsets(f"tables.{name}.source", source)[1].items())


def records(spark: SparkSession, source: Source, ranges: list[list[int]]) -> DataFrame:
    """The records of ranges `[partition, first, end]`."""
    spark.dataSource.register(KafkaRanges)
    options = {"topic": source.topic, "consumer": json.dumps(_consumer(source)), "ranges": json.dumps(ranges)}
    return spark.read.format(KafkaRanges.name()).options(**options).load()


def ingest_offsets(run: Run, name: str, source: Source) -> Done:
    """Land the records that came since the last run, up to the offsets to come when this one began.

    Raises:
        DataError: If there is none at all, or some were cleared away before they were read.
    """
    raw, where = f"raw_{name}", f"tables.{name}.source"
    first, end = offsets(where, source)
    facts = run.facts(raw).get("facts", {}) if run.exists(raw) else {}
    reading = {"servers": source.servers, "topic": source.topic}
    before = {int(p): int(o) for p, o in facts.get("offsets", {}).items()} if facts.get("reading") == reading else {}
    lost = _lost(before, first, end)
    if lost and not _goes_on(source):
        raise DataError(
            f"{where}: {source.topic}: {lost}. Records that were never read are gone, or the topic was made anew; "
            "options: {failOnDataLoss: false} goes on with those that are there"
        )
    starts = {p: before[p] if first[p] <= before.get(p, -1) <= end[p] else first[p] for p in first}
    ranges = [[p, starts[p], end[p]] for p in sorted(end) if starts[p] < end[p]]
    if not ranges and not before:
        raise DataError(f"{where}: the topic {source.topic} holds no record")
    batch = int(facts.get("batch", 0)) + bool(ranges)
    made = stamped(records(run.spark, source, ranges), source.topic or "", _version(ranges), batch)
    output = Output(
        raw,
        made if ranges else run.read(raw).limit(0),
        mode="append",
        facts={
            "batch": batch,
            "since": int(facts["since"]) if before else batch,
            "mode": "append",
            "superseded": False,
            "reading": reading,
            "offsets": end,
            "columns": made.columns,
        },
        serializable=True,
        merge_schema=True,
        based_on=run.version(raw) if run.exists(raw) else -1,
        adds_nothing=not ranges,
    )
    return Done((output,), notes=(f"{name}: {lost}",) if lost else ())


def _goes_on(source: Source) -> bool:
    return any(k.lower() == "failondataloss" and str(v).lower() == "false" for k, v in source.options.items())


def _version(ranges: list[list[int]]) -> str:
    return ",".join(f"{partition}:{first}-{end}" for partition, first, end in ranges)


def _lost(before: Mapping[int, int], first: Mapping[int, int], end: Mapping[int, int]) -> str:
    """Partitions that begin behind the next offset to read, or end before it."""
    told = [f"partition {p} is gone" for p in sorted(set(before) - set(first))]
    told += [
        f"partition {p} begins at offset {first[p]:,}, and {o:,} would have been next"
        for p, o in sorted(before.items())
        if p in first and first[p] > o
    ]
    told += [
        f"partition {p} ends at offset {end[p]:,}, and {o:,} would have been next"
        for p, o in sorted(before.items())
        if p in end and end[p] < o
    ]
    return "; ".join(told)
