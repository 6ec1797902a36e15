"""What a guess without any feature is worth: it runs first in every search, and every model is held against it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import fmean

from pyspark.ml.functions import array_to_vector
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from headrace.metrics.own import OwnMetric
from headrace.metrics.survival import CONCORDANCE, comparable
from headrace.runtime.step import Run
from headrace.search.fold import Fold
from headrace.search.ledger import BASELINE, Ledger, Row
from headrace.search.prepared import Parts
from headrace.search.problem import Problem
from headrace.search.trial import measured
from headrace.search.wanted import beside


@dataclass(frozen=True)
class Guess:
    """A guess and its metric on the validation part.

    Attributes:
        name: `class shares`, `mean`, `last value`, `popularity` ...
        value: The metric; NaN where it is not defined.
    """

    name: str
    value: float

    def beaten_by(self, value: float, larger: bool) -> float:
        """By how much a value is better; negative: worse."""
        return value - self.value if larger else self.value - value


def first(run: Run, problem: Problem, ledger: Ledger) -> Guess:
    """Measure the baseline and enter it into `trials`, before any trial, once per attempt. Runs Spark jobs."""
    known = _known(run, ledger.attempt)
    if known:
        return known
    began = datetime.now(UTC)
    found = best(problem)
    ended = datetime.now(UTC)
    ledger.put(
        Row(
            run_id=run.run_id,
            fingerprint=ledger.attempt,
            trial=-1,
            estimator=BASELINE,
            params=json.dumps({"guess": found.name}),
            status=BASELINE,
            metric=problem.metric,
            value=found.value if found.value == found.value else None,
            loss=None,
            seconds=round((ended - began).total_seconds(), 3),
            error=None,
            started_at=began,
            finished_at=ended,
        )
    )
    run.say(f"baseline ({found.name}): {problem.metric} {found.value:.4f}")
    return found


def _known(run: Run, attempt: str) -> Guess | None:
    """The baseline that an interrupted run of this attempt has measured."""
    if not run.exists("trials"):
        return None
    row = run.read("trials").where(f"fingerprint = '{attempt}' and status = '{BASELINE}'").first()
    if row is None:
        return None
    return Guess(json.loads(row["params"])["guess"], float("nan") if row["value"] is None else row["value"])


def best(problem: Problem) -> Guess:
    """The best of the guesses that the task has; of several folds by its mean."""
    of = [_guesses(problem, fold) for fold in problem.folds]
    means = [Guess(one.name, fmean(guesses[one.name].value for guesses in of)) for one in of[0].values()]
    return max(means, key=lambda one: one.value if problem.larger_is_better else -one.value)


def _guesses(problem: Problem, fold: Fold) -> dict[str, Guess]:
    parts, metric, known, own = fold.parts, problem.metric, fold.known, fold.known.own
    if known.special:
        guesses = [Guess(known.special.guess, known.special.baseline(parts.train, parts.validation, metric))]
    elif known.target.task != "regression":
        guesses = [Guess("class shares", shares(known.target.task, metric, known.target.rows, parts, own))]
    elif metric == CONCORDANCE:  # ties count half, whatever the number is
        guesses = [Guess("constant", 0.5 if comparable(parts.validation) else float("nan"))]
    else:
        mean = parts.train.agg(F.avg("label")).collect()[0][0]
        guesses = [Guess("mean", constant(metric, mean, parts.validation, own))]
        if fold.last is not None:
            guesses.append(Guess("last value", constant(metric, fold.last, parts.validation, own)))
    return {one.name: one for one in guesses}


def constant(metric: str, value: float, validation: DataFrame, own: OwnMetric | None = None) -> float:
    """The metric of one number for every row."""
    return measured(validation.select(*beside(validation), F.lit(value).alias("prediction")), "regression", metric, own)


def shares(task: str, metric: str, rows: Sequence[int], parts: Parts, own: OwnMetric | None = None) -> float:
    """The metric of each class by its share, and the most frequent one as prediction.

    Args:
        task: `binary` or `multiclass`.
        metric: What is measured.
        rows: Training rows per class.
        parts: Rows with `label`.
        own: The metric, where it is the user's.
    """
    part = [count / sum(rows) for count in rows]
    vector = array_to_vector(F.array(*[F.lit(share) for share in part]))
    most = float(max(range(len(part)), key=part.__getitem__))
    frame = parts.validation.select("label", F.lit(most).alias("prediction"), vector.alias("probability"))
    return measured(frame, task, metric, own)
