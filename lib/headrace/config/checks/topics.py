"""What is said of Kafka: of a source its topics, its messages and how they are read; of a sink its topic."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from headrace.config.file.complaints import meant
from headrace.config.sinks import SERVERS
from headrace.config.source_types import place_of
from headrace.config.types import Source

Found = tuple[str, str]

MOST = "maxOffsetsPerTrigger"
LOSS = "failOnDataLoss"
OPTIONS = (
    "subscribe", "subscribePattern", LOSS, MOST, "minPartitions", "maxRecordsPerPartition", "includeHeaders",
    "groupIdPrefix", "fetchOffset.numRetries", "fetchOffset.retryIntervalMs", "kafkaConsumer.pollTimeoutMs",
)  # fmt: skip
"""Options of a source beside those of Kafka's own consumer (`kafka.*`)."""

_RANGES = ("assign", "startingoffsets", "endingoffsets", "startingtimestamp", "endingtimestamp", "startingoffsetsbytimestamp",
           "endingoffsetsbytimestamp", "kafka.auto.offset.reset", "kafka.enable.auto.commit", "kafka.group.id")  # fmt: skip
_BYTES = ("kafka.key.deserializer", "kafka.value.deserializer")
_DECIDED = ("kafka.transactional.id", "kafka.enable.idempotence", "kafka.group.id", "kafka.isolation.level", "kafka.acks",
            "kafka.enable.auto.commit", "kafka.enable.partition.eof")  # fmt: skip
_OF_JAVA = re.compile(
    r"kafka\.(sasl\.jaas\.config|ssl\.(trust|key)store\..*|.*serializer|sasl\..*handler\.class)", re.I
)
_TOPIC = re.compile(r"[A-Za-z0-9._-]+")
_LONGEST = 249


def check(where: str, source: Source) -> Iterator[Found]:
    """What cannot be right of a source: pairs (where, what came and what is allowed)."""
    given = {str(key).lower(): value for key, value in source.options.items()}
    if source.path != place_of(source.model_dump()):
        yield (
            f"{where}.path",
            "kafka has no path; write options: {kafka.bootstrap.servers: HOST:9092, subscribe: TOPIC}",
        )
    elif not given.get(SERVERS):
        yield f"{where}.options", f"where the brokers are is not said; write {SERVERS}: HOST:9092"
    elif bool(given.get("subscribe")) == bool(given.get("subscribepattern")):
        yield f"{where}.options", "exactly one of subscribe (topics, with commas) and subscribePattern is wanted"
    if source.mode == "snapshot":
        yield f"{where}.mode", "messages are appended; leave out mode, or write upsert"
    for option, value in source.options.items():
        wrong = _wrong(str(option), value)
        if wrong:
            yield f'{where}.options["{option}"]', wrong
    yield from _fields(where, source)


def _wrong(option: str, value: Any) -> str | None:
    """What is wrong with an option of a source."""
    name = option.lower()
    if name in _RANGES:
        return f"{option!r} is decided by ingest, which reads on from what has landed; leave it out"
    if name in _BYTES:
        return f"{option!r} is decided by `value`; leave it out"
    if name == MOST.lower() and not re.fullmatch(r"[1-9]\d{0,17}", str(value).strip()):
        return f"{value!r} came; write how many offsets a run may land, as 10000000"
    if name == LOSS.lower() and str(value).strip().lower() not in ("true", "false"):
        return f"{value!r} came; write true or false"
    if name.startswith("kafka.") or name in {known.lower() for known in OPTIONS}:
        return None
    close = meant(option, OPTIONS) or f"; there are kafka.* and {', '.join(OPTIONS)}"
    return f"Spark's reader of Kafka has no option {option!r}{close}"


def _fields(where: str, source: Source) -> Iterator[Found]:
    if source.schema_ is not None and source.value in ("text", "binary"):
        yield (
            f"{where}.schema",
            f"a schema belongs to JSON, and value is {source.value}; write value: json, or leave it out",
        )
    if source.value == "json" and not source.schema_:
        yield f"{where}.value", "the fields of JSON are wanted; write schema: {order_id: bigint, amount: double}"


def topic_names(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The topics that a source names one by one.

    >>> topic_names({"Subscribe": "orders, returns"})
    ('orders', 'returns')
    """
    named: Iterable[str] = (str(v) for key, v in options.items() if key.lower() == "subscribe" and v is not None)
    return tuple(dict.fromkeys(name.strip() for text in named for name in text.split(",") if name.strip()))


def of_topic(options: Mapping[str, Any], beside: str) -> Iterator[Found]:
    """What cannot be right of a sink's options: pairs (option, what came and what is allowed).

    Args:
        options: Of the sink.
        beside: What the name of the record has after the topic's.
    """
    topic = str(options.get("topic") or "")
    if "${" not in topic and not _TOPIC.fullmatch(topic):
        yield "topic", f"{topic!r} is no topic; it has letters, digits, dots, underscores and hyphens"
    elif len(topic + beside) > _LONGEST:
        yield "topic", f"with {beside} after it the name has {len(topic + beside)} characters; allowed: {_LONGEST}"
    for option in options:
        if str(option).lower() in _DECIDED:
            yield str(option), f"{option!r} is decided by the delivery; leave it out"
        elif _OF_JAVA.fullmatch(str(option)):
            yield (
                str(option),
                f"{option!r} is for clients in Java, and sinks are written by librdkafka; it has kafka.sasl.username, "
                "kafka.sasl.password, kafka.ssl.ca.location, kafka.ssl.certificate.location and kafka.ssl.key.location",
            )
        elif option != "topic" and not str(option).startswith("kafka."):
            yield str(option), f"a sink of Kafka has no option {option!r}; there are topic and kafka.*"
