"""Signals that ask a job to end: they reach the JVM first, around which spark-submit builds a job, and often it alone."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ASKED = ("TERM", "INT")
"""Schedulers send the first, Ctrl-C is the second."""
PATIENCE = 3.0
"""Seconds for Spark to fall silent."""


class _Heard:
    """What the JVM calls."""

    def __init__(self, act: Callable[[str], None]) -> None:
        self._act = act

    def handle(self, heard: Any) -> None:
        """Called by the JVM, in a thread of py4j's."""
        self._act(str(heard.getName()))

    class Java:
        """For py4j."""

        implements = ("sun.misc.SignalHandler",)


def hear(spark: SparkSession, act: Callable[[str], None]) -> None:
    """From here on call `act` with the name of a signal, in place of ending at once; to be called in the main thread."""
    from pyspark.java_gateway import ensure_callback_server_started

    gateway: Any = spark.sparkContext._gateway
    ensure_callback_server_started(gateway)
    heard = _Heard(act)
    for name in ASKED:
        signal.signal(getattr(signal, f"SIG{name}"), lambda number, _: act(signal.Signals(number).name[3:]))
        gateway.jvm.sun.misc.Signal.handle(gateway.jvm.sun.misc.Signal(name), heard)


def end_when_asked(spark: SparkSession) -> None:
    """Whoever asks a job to end gets a line that says what has become of it, and its end; Spark's too.

    Nothing has to be tidied up: what is written is written whole, and what is not is made again.
    """
    asked = threading.Event()

    def end(name: str) -> None:
        if asked.is_set():  # a terminal tells several processes
            return
        asked.set()
        sys.stderr.write(f"\nstopped by SIG{name}. What was finished stands; the same command goes on from there\n")
        sys.stderr.flush()
        code = 128 + signal.Signals[f"SIG{name}"]
        threading.Thread(target=_leave, args=(spark, code), daemon=True).start()

    hear(spark, end)


def _leave(spark: SparkSession, code: int) -> None:
    """End this process, Spark's own tales of each task that does not end well silenced, if it still listens."""
    hushing = threading.Thread(target=_hush, args=(spark,), daemon=True)
    hushing.start()
    hushing.join(PATIENCE)
    os._exit(code)


def _hush(spark: SparkSession) -> None:
    with suppress(Exception):  # there may be nobody any more
        log4j: Any = spark.sparkContext._jvm.org.apache.logging.log4j  # type: ignore[union-attr]
        log4j.core.config.Configurator.setAllLevels("", log4j.Level.OFF)
