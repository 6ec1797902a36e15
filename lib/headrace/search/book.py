"""The book of a search: its trials numbered, their rows kept and reported."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from headrace.runtime.step import Run
from headrace.search import space
from headrace.search.begun import Key, key_of
from headrace.search.brackets import Brackets
from headrace.search.driver_trials import DriverTrials, Trial
from headrace.search.ending import Ending
from headrace.search.ledger import Ledger, Row
from headrace.search.problem import Problem
from headrace.search.space import Point


class Book:
    """Numbers trials, keeps and reports their rows."""

    def __init__(
        self,
        run: Run,
        problem: Problem,
        earlier: list[Row],
        ledger: Ledger,
        deadline: float | None,
        rungs: Brackets | None,
        ending: Ending,
    ) -> None:
        self._run, self._problem, self._earlier, self._ledger = run, problem, earlier, ledger
        self._deadline, self._brackets, self._ending = deadline, rungs, ending
        self._lock = threading.Lock()
        self._known: dict[Key, dict[str, Any]] = {}
        self._ended = False
        self._offset = max((row.trial for row in earlier), default=-1) + 1 - len(earlier)
        self.rows: list[Row] = []
        for row in earlier:
            self._note(row)

    def _note(self, row: Row) -> None:
        self._ending.note(row)
        if row.status == "ok" and self._brackets is None:  # of these each is judged among those of its bracket
            result = {"status": "ok", "loss": row.loss, "value": row.value, "fold_values": row.fold_values}
            self._known.setdefault(key_of(row.point), result)

    def known(self, point: Point) -> dict[str, Any] | None:
        """The result of a point that has been tried to its end: it is fitted once, however often it is proposed."""
        with self._lock:
            return self._known.get(key_of(point))

    def numbered(self, tid: int) -> int:
        """The number of a trial in the table, of hyperopt's."""
        return tid + self._offset

    def open(self, trials: DriverTrials, first: Sequence[Point]) -> None:
        """Put earlier trials into hyperopt's history, then the points to start with that are not among them."""
        names, conf = self._problem.estimators, self._run.pipeline.search
        recipes = self._problem.recipes
        docs: list[dict[str, Any]] = []
        for row in self._earlier:
            result = {"status": "fail"} if row.loss is None else {"status": "ok", "loss": row.loss}
            docs.append(space.document(len(docs), row.point, names, result, recipes))
        tried = [(row.point.estimator, dict(row.point.params)) for row in self._earlier]
        for point in first:
            if (point.estimator, dict(point.params)) not in tried and len(docs) < conf.most_evals:
                docs.append(space.document(len(docs), point, names, recipes=recipes))
        trials.insert_trial_docs(docs)
        trials.refresh()
        if self._earlier:
            self._run.say(f"{len(self._earlier)} finished trials of an earlier run are kept")

    def best(self) -> tuple[int, Sequence[float]] | None:
        """Number and values per fold of the best trial that has finished."""
        with self._lock:
            finished = [row for row in (*self._earlier, *self.rows) if row.status == "ok" and row.fold_values]
        found = min(finished, key=lambda row: (row.loss, row.trial), default=None)
        return None if found is None else (found.trial, found.fold_values or ())

    def enter(self, trial: Trial) -> None:
        """A trial is over."""
        point, number = Point.of(trial.sample, self._problem.recipes), self.numbered(trial.tid)
        result = trial.result if trial.status in ("ok", "pruned") else {}
        row = Row(
            run_id=self._run.run_id,
            fingerprint=self._ledger.attempt,
            trial=number,
            estimator=point.estimator,
            params=json.dumps(dict(point.params), sort_keys=True),
            status=trial.status,
            metric=self._problem.metric,
            value=result.get("value"),
            loss=result.get("loss"),
            seconds=round(trial.seconds, 3),
            error=trial.error,
            started_at=trial.started_at,
            finished_at=datetime.now(UTC),
            fold_values=result.get("fold_values") if self._problem.cut else None,
            rungs=result.get("rungs"),
            bracket=self._brackets.bracket(number) if self._brackets and self._brackets.several else None,
        )
        with self._lock:
            self.rows.append(row)
            self._note(row)
        self._ledger.put(row)
        told = f"{row.metric} {row.value:.4f}" if row.value is not None else f"{row.status}: {row.error}"
        self._run.say(f"trial {row.trial} {row.estimator}: {told} ({row.seconds:.0f} s); {self._progress()}")

    def _progress(self) -> str:
        """Trials done, the best so far, the time left."""
        every = [*self._earlier, *self.rows]
        said = [f"{len(every)} of at most {self._problem.search.most_evals} done"]
        good = [row for row in every if row.status == "ok"]
        if good:
            best = min(good, key=lambda row: (row.loss, row.trial))
            said.append(f"best {best.value:.4f} (trial {best.trial})")
        if self._deadline is not None:
            said.append(f"{max(0.0, self._deadline - time.monotonic()):.0f} s left")
        return ", ".join(said)

    def enough(self) -> bool:
        """Whether no more trials are to be started."""
        why = self._ending.why()
        if why and not self._ended:
            self._ended = True
            self._run.say(f"no more trials are started: {why}")
        return why is not None
