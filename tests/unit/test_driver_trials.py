"""Trials on driver threads when Spark ends under them, or what they found cannot be written: nobody waits for ever."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import hyperopt
import numpy as np
from hyperopt import hp
from py4j.protocol import Py4JNetworkError

from headrace.search.driver_trials import DriverTrials, Trial


class Gone:
    """Of a Spark that ends; what a trial sets for its thread is nothing here."""

    def __init__(self, ended: bool) -> None:
        self.ended = ended

    def setJobGroup(self, *_: Any, **__: Any) -> None: ...

    def setLocalProperty(self, *_: Any) -> None: ...

    @property
    def _jsc(self) -> Any:
        return self

    def sc(self) -> Any:
        return self

    def isStopped(self) -> bool:
        return self.ended

    def cancelJobGroup(self, _: str) -> None:
        raise Py4JNetworkError("An error occurred while trying to connect to the Java server")


def searched(
    objective: Callable[[float], Any], finished: Callable[[Trial], None], ended: bool = False
) -> BaseException | None:
    """What a search ends with, which has half a minute for it."""
    trials = DriverTrials(Gone(ended), "test", 2, None, None, finished)
    ended: list[BaseException] = []

    def run() -> None:
        try:
            hyperopt.fmin(
                objective, hp.uniform("x", 0, 1), algo=hyperopt.rand.suggest, max_evals=20, trials=trials,
                rstate=np.random.default_rng(1), verbose=False, show_progressbar=False, return_argmin=False,
            )  # fmt: skip
        except BaseException as error:  # noqa: BLE001 (it is what is asked)
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    return ended[0] if ended else None


def test_trials_that_lost_spark_have_not_failed() -> None:
    told: list[Trial] = []
    lost = threading.Event()

    def objective(x: float) -> dict[str, Any]:
        if len(told) < 3:
            return {"status": "ok", "loss": x}
        lost.wait(0.2)
        raise Py4JNetworkError("Answer from Java side is empty")

    error = searched(objective, told.append)
    assert isinstance(error, Py4JNetworkError)
    assert {trial.status for trial in told} == {"ok"}


def test_while_spark_ends_trials_fail_with_whatever_error() -> None:
    told: list[Trial] = []

    def objective(x: float) -> dict[str, Any]:
        raise ValueError("Cannot invoke DAGScheduler.cleanupQueryJobs, it is null")

    assert isinstance(searched(objective, told.append, ended=True), ValueError)
    assert not told


def test_what_was_found_before_spark_ended_counts() -> None:
    told: list[Trial] = []

    def objective(x: float) -> dict[str, Any]:
        if told:
            raise Py4JNetworkError("Answer from Java side is empty")
        return {"status": "ok", "loss": x}

    searched(objective, told.append, ended=True)
    assert {trial.status for trial in told} == {"ok"}


def test_what_cannot_be_written_ends_the_search() -> None:
    slow = threading.Event()

    def objective(x: float) -> dict[str, Any]:
        slow.wait(x)
        return {"status": "ok", "loss": x}

    def finished(_: Trial) -> None:
        raise OSError("no space left on device")

    assert "no space left" in str(searched(objective, finished))


def test_a_trial_that_fails_by_itself_ends_nothing() -> None:
    told: list[Trial] = []

    def objective(x: float) -> dict[str, Any]:
        if x < 0.5:
            raise ValueError("too small")
        if len(told) > 15:
            raise KeyError("x")
        return {"status": "ok", "loss": x}

    assert searched(objective, told.append) is None
    assert {trial.status for trial in told} == {"ok", "failed"}
    assert len(told) == 20
