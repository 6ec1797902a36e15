"""A query of Structured Streaming: where its checkpoint is, how it is stopped, and what Spark says against it."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from pyspark.errors import PySparkException

from headrace.config.durations import microseconds
from headrace.config.streaming import AVAILABLE_NOW, CONTINUOUS
from headrace.errors import ConfigError, DataError, HeadraceError
from headrace.runtime.commits import files_for
from headrace.runtime.spark_errors import translated

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

ORIGIN = "headrace.json"
"""In a checkpoint: what it is a checkpoint of."""
TWICE = 2.0
"""Seconds after which a signal is another one: a terminal sends the same to several processes."""
POLL, GRACE = 1, 15
"""Seconds between two looks at a query, and those that Spark has to note a micro-batch that is done."""

_SAID: dict[str, tuple[type[HeadraceError], str]] = {
    "DELTA_SOURCE_TABLE_IGNORE_CHANGES": (
        DataError,
        "rows of the source were updated, and predictions are never taken back. To let them stand, and score what a MERGE "
        "adds, write scoring.stream.on_change: ignore",
    ),
    "DELTA_SOURCE_IGNORE_DELETE": (
        DataError,
        "rows of the source were deleted, and predictions are never taken back. To let them stand, write "
        "scoring.stream.on_change: ignore",
    ),
    "DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE": (
        ConfigError,
        "the table is another one than that of the checkpoint {checkpoint}: it was deleted and made anew. Remove the "
        "checkpoint, and the stream starts again; what has been scored is not scored again",
    ),
    "CONCURRENT_STREAM_LOG_UPDATE": (
        HeadraceError,
        "another job uses the checkpoint {checkpoint} at this moment; this one gave way. To run two at the same time, give "
        "each its own: --set scoring.stream.checkpoint=FOLDER; each row is scored once all the same",
    ),
    "DELTA_SCHEMA_CHANGED": (
        HeadraceError,
        "the source has other columns than when the job started; start it again, and it goes on where it was",
    ),
    "KAFKA_DATA_LOSS": (
        DataError,
        "messages that were not read yet are gone from the topic. To go on with what is there, start once with --set "
        "scoring.stream.source.options.failOnDataLoss=false",
    ),
}
"""Conditions of Spark and Delta, the kind of error that they are, and what to do."""


class Stopped(Exception):
    """Raised in place of another micro-batch."""


class Stop:
    """Whether somebody wants the job to end."""

    def __init__(self) -> None:
        self.wanted = threading.Event()
        self._asked = 0.0

    def ask(self, _: str = "") -> None:
        """Somebody wants it to end. Who asks twice does not want to wait."""
        if self.wanted.is_set() and time.monotonic() - self._asked > TWICE:
            os._exit(130)
        self._asked = self._asked or time.monotonic()
        self.wanted.set()


def follow(
    frame: DataFrame, each: Callable[[DataFrame, int], None], checkpoint: str, trigger: str, stop: threading.Event
) -> None:
    """Hand over micro-batches until there are no more, or until somebody wants it to end.

    Args:
        frame: A streaming frame.
        each: Is handed each micro-batch, and its number; one that it fails on comes again when the job is started again.
        checkpoint: Where Spark notes how far it has come.
        trigger: See `config.streaming`.
        stop: Set when it shall end: after the micro-batch under way.

    Raises:
        HeadraceError: If Spark does not go on; in words.
        Exception: What `each` has raised.
    """
    failed: list[BaseException] = []
    busy = threading.Event()

    def batch(rows: DataFrame, number: int) -> None:
        if stop.is_set():
            raise Stopped("the job was asked to end")
        busy.set()
        try:
            each(rows, number)
        except BaseException as error:  # noqa: BLE001 (raised again by the thread that waits for the query)
            failed.append(error)
            raise Stopped(type(error).__name__) from None
        finally:
            busy.clear()

    logging.getLogger("py4j.clientserver").setLevel(logging.CRITICAL)  # an error in `each` is told once
    writer = frame.writeStream.foreachBatch(batch).option("checkpointLocation", checkpoint)
    query = writer.trigger(**_trigger(trigger)).start()
    try:
        _wait(query, stop, busy)
        if failed:  # the last one, when it was to end
            raise failed[0]
    except PySparkException as error:
        if failed:
            raise failed[0] from None
        if not stop.is_set():
            raise _told(error, checkpoint) from error
    finally:
        query.stop()


def _trigger(text: str) -> dict[str, Any]:
    if text == AVAILABLE_NOW:
        return {"availableNow": True}
    micros = 0 if text == CONTINUOUS else microseconds(text)
    return {"processingTime": f"{micros} microseconds"}


def _wait(query: StreamingQuery, stop: threading.Event, busy: threading.Event) -> None:
    """Until the query ends, or the micro-batch after which it shall end has been noted."""
    while not query.awaitTermination(POLL):
        if stop.is_set():
            break
    since = time.monotonic()
    while query.isActive and (busy.is_set() or query.status["isTriggerActive"]):
        if busy.is_set():
            since = time.monotonic()
        elif time.monotonic() - since > GRACE:  # it comes once more, and adds nothing
            break
        time.sleep(POLL / 5)


def _told(error: Exception, checkpoint: str) -> Exception:
    """What Spark says of a query, in words that a person can act on."""
    text = str(error)
    for condition, (kind, advice) in _SAID.items():
        if condition in text:
            return kind(f"stream: {advice.format(checkpoint=checkpoint)} [{condition}]")
    return translated(error, "stream")


def claim(spark: SparkSession, checkpoint: str, origin: Mapping[str, Any]) -> None:
    """Note in a checkpoint what it is one of.

    Raises:
        ConfigError: If it is one of something else.
    """
    jvm: Any = spark.sparkContext._jvm
    path = jvm.org.apache.hadoop.fs.Path(f"{checkpoint}/{ORIGIN}")
    system = path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    offsets = jvm.org.apache.hadoop.fs.Path(f"{checkpoint}/offsets")
    text = files_for(checkpoint, spark).text(f"{checkpoint}/{ORIGIN}") if system.exists(path) else ""
    if not text and not system.exists(offsets):  # or it was killed before it had written this
        stream = system.create(path, True)
        try:
            stream.write(bytearray(json.dumps(origin), "utf-8"))
        finally:
            stream.close()
        return
    known = json.loads(text) if text else {}
    if known != dict(origin):
        told = f"{known['format']} {known['name']} of {known['pipeline']}" if known else "something else"
        told += " in another cluster" if known and known.get("cluster") != origin.get("cluster") else ""
        raise ConfigError(
            f"scoring.stream.checkpoint: {checkpoint} tells how far {told} was read, and now it is {origin['format']} "
            f"{origin['name']} of {origin['pipeline']}; give another folder, or remove this one: what has been scored is "
            "not scored again"
        )
