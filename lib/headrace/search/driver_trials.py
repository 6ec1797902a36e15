"""Hyperopt on driver threads: each trial may itself use all of Spark, several at once.

hyperopt's SparkTrials runs a trial inside a task, where there is no Spark. Here a trial is a thread of the
driver with a FAIR pool and a job group of its own, by which it is cancelled when its time is over.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import hyperopt
from hyperopt.base import JOB_STATE_DONE, JOB_STATE_NEW, JOB_STATE_RUNNING, spec_from_misc
from hyperopt.fmin import FMinIter
from py4j.protocol import Py4JError
from pyspark import SparkContext

from headrace.config.secrets import redacted
from headrace.runtime.spark_errors import spark_ended

POLL = 0.1
"""Seconds between two looks at times; what happens meanwhile wakes the dispatcher."""
CHOOSE_EVERY = 0.02
"""Seconds after which hyperopt looks whether another point is wanted; in its own `fmin` it is one."""
CANCEL_EVERY = 0.5
"""A cancel that falls between two Spark jobs is lost, so it is repeated."""


@dataclass
class Trial:
    """A trial while it runs and when it is over.

    Attributes:
        doc: hyperopt's record.
        sample: What hyperopt chose.
        status: `ok`, `pruned`, `failed`, `timed_out` or `cancelled`.
        lost: The error of one that did not fail by itself: there is no Spark any more.
    """

    doc: dict
    sample: Mapping[str, Any]
    group: str
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0
    status: str = "ok"
    result: Any = None
    error: str | None = None
    lost: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)
    stopping: float | None = None

    @property
    def tid(self) -> int:
        """Number of the trial, hyperopt's."""
        return int(self.doc["tid"])


class DriverTrials(hyperopt.Trials):
    """Trials on driver threads; give it to `hyperopt.fmin` as `trials`.

    Args:
        context: Spark's.
        group: Prefix of job groups and pools.
        parallelism: Trials at once.
        trial_timeout: Seconds that a trial may take, or None.
        deadline: `time.monotonic()` at which running trials are cancelled and no new ones started, or None. Where no
            trial has finished by then, those that run (the first, if none does) go on until one has: a search on a
            slow day is late, and not in vain.
        finished: Told of each trial that is over, in the dispatcher's thread; the objective returns a dictionary
            with `loss`, and why it stopped before its end (`pruned`), if it did.
        ready: Whether a sample's trial can start at once (its features are prepared).
        hopeful: Whether an earlier trial of the search has finished.
        enough: Whether no more trials are to be started; those that run go on to their end.
    """

    asynchronous = True

    def __init__(
        self,
        context: SparkContext,
        group: str,
        parallelism: int,
        trial_timeout: float | None,
        deadline: float | None,
        finished: Callable[[Trial], None],
        ready: Callable[[Mapping[str, Any]], bool] = lambda _: True,
        hopeful: bool = False,
        enough: Callable[[], bool] = lambda: False,
    ) -> None:
        super().__init__()
        self._context, self._group, self._parallelism = context, group, parallelism
        self._trial_timeout, self._deadline, self._finished = trial_timeout, deadline, finished
        self._ready, self._hopeful, self._tried, self._enough = ready, hopeful, False, enough
        self._running: list[Trial] = []
        self._mine = threading.local()
        self._stop, self._news = threading.Event(), threading.Event()
        self._broken: BaseException | None = None
        self._fmin_cancelled = False  # hyperopt looks at this name

    @property
    def number(self) -> int:
        """Number of the trial whose objective asks, hyperopt's; other threads have none."""
        return int(self._mine.number)

    def fmin(self, fn: Callable[[Any], Mapping[str, Any]], space: Any, **options: Any) -> Any:
        """Called by `hyperopt.fmin`; runs the search with this object's threads."""
        dispatcher = threading.Thread(target=self._dispatch, args=(fn, space), name=f"{self._group}-dispatcher")
        dispatcher.start()
        try:
            # hyperopt pickles the objective of asynchronous trials for workers elsewhere; ours stay here
            domain = hyperopt.base.Domain(_unused, space)
            chooser = FMinIter(options["algo"], domain, self, poll_interval_secs=CHOOSE_EVERY, **_understood(options))
            chooser.exhaust()
            if not any(trial["result"].get("status") == "ok" for trial in self.trials):
                return None
            return self.argmin if options.get("return_argmin") else hyperopt.space_eval(space, self.argmin)
        finally:
            self._stop.set()
            dispatcher.join()
            if self._broken:
                raise self._broken

    def insert_trial_docs(self, docs: Any) -> Any:
        """As hyperopt's; and they are looked at soon."""
        made = super().insert_trial_docs(docs)
        self._news.set()
        return made

    def _dispatch(self, fn: Callable[[Any], Mapping[str, Any]], space: Any) -> None:
        try:
            while not self._stop.is_set():
                self._step(fn, space)
                self._news.wait(POLL)
                self._news.clear()
        except BaseException as error:  # noqa: BLE001 (handed to the caller; else fmin would wait for ever)
            self._broken = error
        finally:
            self._fmin_cancelled = True
            self._cancel_all()
            self._drop_queue()
            while not self._stop.wait(POLL):  # fmin may have been choosing a point just now
                self._drop_queue()

    def _cancel_all(self) -> None:
        while self._running:
            for trial in self._running:
                self._cancel(trial, "cancelled")
            try:
                self._reap(quiet=self._broken is not None)
            except BaseException as error:  # noqa: BLE001 (as in `_dispatch`)
                self._broken = error
            time.sleep(POLL)

    def _step(self, fn: Callable[[Any], Mapping[str, Any]], space: Any) -> None:
        late = self._deadline is not None and time.monotonic() >= self._deadline
        waiting = late and not self._hopeful and bool(self._running or not self._tried)
        over = late and not waiting
        for trial in self._running:
            if over:
                self._cancel(trial, "cancelled")
            elif self._trial_timeout is not None and time.monotonic() - trial.began >= self._trial_timeout:
                self._cancel(trial, "timed_out")
        self._reap()
        if over:
            self._fmin_cancelled = True
            self._drop_queue()
            return
        if self._enough():
            self._drop_queue()
            self._fmin_cancelled = not self._running
        elif waiting and self._tried:
            self._drop_queue()
        else:
            self._start_some(space, fn, 1 if waiting else self._parallelism)

    def _start_some(self, space: Any, fn: Callable[[Any], Mapping[str, Any]], most: int) -> None:
        for doc in list(self._dynamic_trials):
            if len(self._running) >= most:
                return
            if doc["state"] == JOB_STATE_NEW:
                sample = hyperopt.space_eval(space, spec_from_misc(doc["misc"]))
                if self._ready(sample):
                    self._start(doc, sample, fn)

    def _start(self, doc: dict, sample: Mapping[str, Any], fn: Callable[[Any], Mapping[str, Any]]) -> None:
        trial = Trial(doc, sample, f"{self._group}-trial-{doc['tid']}")
        self._tried = True
        doc["state"] = JOB_STATE_RUNNING

        def body() -> None:
            self._context.setJobGroup(trial.group, trial.group, interruptOnCancel=True)
            self._context.setLocalProperty("spark.scheduler.pool", trial.group)
            self._mine.number = trial.tid
            try:
                trial.result = fn(sample)
            except Exception as error:  # noqa: BLE001 (any reason at all is the trial's result, not the search's end)
                trial.error = reason(error)
                trial.lost = error if spark_ended(error) or self._stopped() else None
            finally:
                trial.over.set()
                self._news.set()

        self._running.append(trial)
        threading.Thread(target=body, name=trial.group, daemon=True).start()

    def _stopped(self) -> bool:
        """Whether Spark has ended, or is about to: then all may fail, with whatever error."""
        try:
            return bool(self._context._jsc.sc().isStopped())  # type: ignore[union-attr]
        except (Py4JError, OSError):
            return True

    def _cancel(self, trial: Trial, status: str) -> None:
        now = time.monotonic()
        if trial.stopping is None:
            trial.status = status
        if trial.stopping is None or now - trial.stopping >= CANCEL_EVERY:
            trial.stopping = now
            with suppress(Py4JError, OSError):  # without Spark the trial ends by itself
                self._context.cancelJobGroup(trial.group)

    def _reap(self, quiet: bool = False) -> None:
        for trial in [one for one in self._running if one.over.is_set()]:
            self._running.remove(trial)
            self._settle(trial)
            try:
                if trial.lost and not quiet:
                    raise trial.lost
                if not quiet:
                    self._finished(trial)
            finally:
                trial.doc["state"] = JOB_STATE_DONE  # hyperopt waits for all of them, whatever happens

    def _settle(self, trial: Trial) -> None:
        """What became of a trial that is over, for us and for hyperopt."""
        trial.seconds = time.monotonic() - trial.began
        if trial.error is None and trial.result is not None:
            trial.error = trial.result.get("pruned")
            trial.status = "pruned" if trial.error else "ok"  # it came in before the cancel took hold
        elif trial.status == "ok":
            trial.status = "failed"
        else:
            trial.error = _OVER[trial.status]
        ok = trial.status == "ok"
        self._hopeful = self._hopeful or ok
        told = ok or trial.status == "pruned"
        trial.doc["result"] = {"status": "ok", "loss": float(trial.result["loss"])} if told else {"status": "fail"}

    def _drop_queue(self) -> None:
        """Points that nobody will try: as if they had never been chosen."""
        self._dynamic_trials[:] = [doc for doc in self._dynamic_trials if doc["state"] != JOB_STATE_NEW]


def _unused(_: Any) -> None:
    raise AssertionError("the objective runs in DriverTrials")


def _understood(options: Mapping[str, Any]) -> dict[str, Any]:
    """What of `hyperopt.fmin`'s options is the iteration's."""
    known = ("max_evals", "timeout", "loss_threshold", "max_queue_len", "rstate", "verbose", "show_progressbar")
    return {name: options[name] for name in (*known, "early_stop_fn") if name in options}


_OVER = {"timed_out": "it took longer than search.trial_timeout", "cancelled": "the time of the search was over"}
_CAUSE = re.compile(r"^[\s:]*(Caused by: )?[\w.]*(Error|Exception)\b.*: \S")


def reason(error: Exception) -> str:
    """The innermost cause of an error, short enough for a table; Spark puts it last."""
    text = redacted(str(error)).strip() or type(error).__name__
    causes = [line.strip(" :") for line in text.splitlines() if _CAUSE.match(line)]
    first = next(iter(text.splitlines()), "")
    return f"{type(error).__name__}: {(causes[-1] if causes else first).removeprefix('Caused by: ')}"[:500]
