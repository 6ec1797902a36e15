"""Messages to Kafka in transactions: what runs in Spark's tasks, one part of the rows after the other.

A part is all rows whose key's hash falls to it, and is written by one producer at a time: who takes the part's
transactional id locks out whoever had it before. In the same transaction as its messages the producer writes, to the
part's own partition of the record, up to which hash the part is at which state of the table. So nobody can have sent
messages of a part that its record does not tell of, and a part that is half sent goes on where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, NamedTuple

from headrace.runtime.sinks.delivery import Sent

if TYPE_CHECKING:
    import pyarrow as pa

LAST = 2**63 - 1
"""The greatest hash: a part that is sent up to here is sent."""
ROWS, BYTES = 20_000, 16_000_000
"""What one transaction holds at most: the rows of one key are never parted, whatever they weigh."""
WAIT = 60.0
REPORT = "part int, sent bigint, before bigint, problem string"

Segment = tuple[int, Sent]
Segments = tuple[Segment, ...]
"""Of a part up to which hash it is at which state, in ascending order; beyond the last nothing was sent."""


class Row(NamedTuple):
    """A message to send."""

    part: int
    hash: int | None
    key: str
    value: str | None


def advanced(segments: Segments, state: Sent, upto: int) -> Segments:
    """A part of which all up to a hash is at a state.

    >>> old, new = Sent(1, "a"), Sent(2, "b")
    >>> [(hash, state.version) for hash, state in advanced(((LAST, old),), new, 7)] == [(7, 2), (LAST, 1)]
    True
    """
    return ((upto, state), *(one for one in segments if one[0] > upto))


class PartsChangedError(Exception):
    """The record has another number of partitions than when rows were sent: nobody knows which part a key was in."""


def text_of(segments: Segments, parts: int) -> str:
    """Segments as the record keeps them, and of how many parts they tell one."""
    return json.dumps({"parts": parts, "sent": [[upto, state.version, state.identity] for upto, state in segments]})


def segments_of(text: str, parts: int) -> Segments:
    """Segments from the record.

    Raises:
        PartsChangedError: If they are of another number of parts.
    """
    told = json.loads(text)
    if told["parts"] != parts:
        raise PartsChangedError(f"it told of {told['parts']} parts, and has {parts} partitions now")
    return tuple((int(upto), Sent(int(version), str(identity))) for upto, version, identity in told["sent"])


def recorded(settings: Mapping[str, str], record: str, parts: range, of: int) -> dict[int, Segments]:
    """What the record tells of parts: the last message of each partition that was committed.

    Args:
        settings: Of the client.
        record: The topic.
        parts: Those that are asked for.
        of: How many there are.

    Raises:
        PartsChangedError: If there were more or fewer when rows were sent.
    """
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    reading = {
        "group.id": "headrace",  # never joined: partitions are assigned, and offsets are kept nowhere
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
        "auto.offset.reset": "earliest",
        "fetch.wait.max.ms": "20",
    }
    consumer = Consumer({**settings, **reading})
    found: dict[int, Segments] = dict.fromkeys(parts, ())
    waiting = set(parts)
    try:
        consumer.list_topics(record, timeout=WAIT)  # whoever asks for the leader first need not wait for it
        consumer.assign([TopicPartition(record, part, OFFSET_BEGINNING) for part in parts])
        while waiting:
            message: Any = consumer.poll(WAIT)
            if message is None:
                raise TimeoutError(f"the topic {record} could not be read within {WAIT:.0f} s")
            if not message.error():
                found[message.partition()] = segments_of(message.value().decode(), of)
            elif message.error().name() == "_PARTITION_EOF":
                waiting.discard(message.partition())
            elif not message.error().retriable():
                raise _kafka_exception()(message.error())
    finally:
        consumer.close()
    return found


def _kafka_exception() -> Any:
    from confluent_kafka import KafkaException

    return KafkaException


@dataclass(frozen=True)
class Sending:
    """Sends the rows of a task, which are whole parts in the order of their hashes; each part begins with a bare row.

    Attributes:
        settings: Of the client.
        topic: Where messages go.
        record: The topic that tells what was sent; one partition for each part.
        state: What is sent.
        expected: What the rows were chosen against, by part.
        rows: What one transaction holds at most.
    """

    settings: Mapping[str, str]
    topic: str
    record: str
    state: Sent
    expected: Mapping[int, Segments]
    rows: int = ROWS

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Send, and report by part: rows that were sent, those that had been before, and what went wrong."""
        import pyarrow as pa

        rows = (
            Row(*values) for batch in batches for values in zip(*(c.to_pylist() for c in batch.columns), strict=True)
        )
        for part, those in groupby(rows, key=lambda row: row.part):
            sent, before, problem = self._told(part, those)
            yield pa.RecordBatch.from_arrays(
                [pa.array([part], pa.int32()), pa.array([sent]), pa.array([before]), pa.array([problem], pa.string())],
                names=["part", "sent", "before", "problem"],
            )

    def _told(self, part: int, rows: Iterator[Row]) -> tuple[int, int, str | None]:
        counts = {"sent": 0, "before": 0}
        try:
            problem = self._part(part, rows, counts)
        except (_kafka_exception(), TimeoutError, PartsChangedError) as error:
            problem = _words(error)
        return counts["sent"], counts["before"], problem

    def _part(self, part: int, rows: Iterator[Row], counts: dict[str, int]) -> str | None:
        """Send what a part lacks; counts what was sent now, and before. What went wrong, or None."""
        from confluent_kafka import Producer

        own = {"transactional.id": f"{self.record}-{part}", "enable.idempotence": "true"}
        producer = Producer({"partitioner": "murmur2_random", **self.settings, **own})
        producer.init_transactions(WAIT)  # from here on nobody else writes this part
        parts, expected = len(self.expected), self.expected[part]
        now = recorded(self.settings, self.record, range(part, part + 1), parts)[part]
        upto = now[0][0] if now and now[0][1] == self.state else None
        if now != expected and (upto is None or now != advanced(expected, self.state, upto)):
            return "another run has sent rows meanwhile"
        for chunk, end in _chunks(_left(rows, upto, counts), self.rows):
            if upto == LAST:
                break
            self._transaction(producer, part, chunk, advanced(expected, self.state, end))
            counts["sent"] += len(chunk)
        return None

    def _transaction(self, producer: Any, part: int, chunk: list[Row], told: Segments) -> None:
        producer.begin_transaction()
        try:
            for row in chunk:
                _produce(producer, self.topic, row.value, row.key)
            _produce(producer, self.record, text_of(told, len(self.expected)), "sent", part)
            _commit(producer)
        except BaseException:
            _abort(producer)
            raise


def _left(rows: Iterator[Row], upto: int | None, counts: dict[str, int]) -> Iterator[Row]:
    """The rows that are not sent yet, without the bare one; those that are, are counted."""
    for row in rows:
        if row.hash is None:
            continue
        if upto is not None and row.hash <= upto:
            counts["before"] += 1
        else:
            yield row


def _chunks(rows: Iterator[Row], most: int) -> Iterator[tuple[list[Row], int]]:
    """Rows for a transaction, and the hash up to which all is sent with it; the last may have none."""
    held: list[Row] = []
    size = 0
    for row in rows:
        if held and (len(held) >= most or size >= BYTES) and row.hash != held[-1].hash:
            yield held, int(held[-1].hash or 0)
            held, size = [], 0
        held.append(row)
        size += len(row.key) + len(row.value or "")
    yield held, LAST


def _produce(producer: Any, topic: str, value: str | None, key: str, partition: int = -1) -> None:
    while True:
        try:
            producer.produce(topic, value, key, partition=partition)
            return
        except BufferError:  # its queue is full
            producer.poll(1.0)


def _commit(producer: Any) -> None:
    for attempt in range(5):
        try:
            producer.commit_transaction(WAIT)
            return
        except _kafka_exception() as error:
            if attempt == 4 or not error.args[0].retriable():
                raise


def _abort(producer: Any) -> None:
    try:
        producer.abort_transaction(WAIT)
    except _kafka_exception():
        pass  # locked out, or the broker is gone, and ends it itself: the error that led here is the one to tell


def _words(error: Exception) -> str:
    cause: Any = error.args[0] if error.args else error
    if not hasattr(cause, "name"):
        return str(error)
    if cause.name() in ("_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"):
        return "another run has sent rows meanwhile"
    return f"{cause.str()} [{cause.name()}], as when another run sends at the same time, or a broker is gone"
