"""The winner's calibration and threshold, learned on rows that it has not learned from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any

from pyspark import StorageLevel
from pyspark.ml import Transformer
from pyspark.sql import DataFrame

from headrace.config.deciding import Threshold
from headrace.models.segmented import SEGMENTS
from headrace.search import segments
from headrace.search.calibration import calibrator, untouched
from headrace.search.cuts import HALF, Best, Counts, best, counts_at
from headrace.search.ensemble import ENSEMBLE, decided_by, heard
from headrace.search.prepared import Prepared
from headrace.search.problem import Problem
from headrace.search.space import Point
from headrace.search.trial import fit


@dataclass(frozen=True)
class Decided:
    """What comes after a classifier.

    Attributes:
        stages: Of Spark ML.
        learned: For the model's card: `calibration`, `threshold`, `held_out_rows`.
        notes: What people should know.
    """

    stages: tuple[Transformer, ...]
    learned: Mapping[str, Any] | None
    notes: tuple[str, ...] = ()


def decided(problem: Problem, point: Point, seed: int, slots: int) -> Decided | None:
    """Learn calibration and threshold; None where nobody wants any. Runs Spark jobs.

    The point is fitted once more on the training rows (of folds: those of each), and predicts the rows that validate.
    """
    how, wanted = problem.search.calibration, problem.search.threshold
    if how == "none" and wanted is None:
        return None
    cut = wanted or Threshold(at=HALF)
    if how == "none" and cut.at is not None:  # nothing is learned
        stages = untouched(problem.rows.sparkSession).stages(cut.at)
        return Decided(
            tuple(stages), _learned(how, cut, cut.at, 0), (f"the answer is yes from probability {cut.at:g}",)
        )
    with held_out(problem, point, seed, slots) as rows:
        made = calibrator(how, rows)
        known = made.of(rows)
        chosen, half = best(known, cut), counts_at(known, HALF)
    count = half.positive + half.negative
    notes = [f"probabilities are calibrated ({how}) on {count:,} held-out rows"] if how != "none" else []
    notes += [told(cut, chosen, half, count)] if wanted else []
    return Decided(tuple(made.stages(chosen.at)), _learned(how, cut, chosen.at, count), tuple(notes))


def _learned(how: str, cut: Threshold, at: float, rows: int) -> dict[str, Any]:
    wanted = cut.model_dump(exclude_none=True)
    return {"calibration": how, "threshold": at, "threshold_by": wanted, "held_out_rows": rows}


@contextmanager
def held_out(problem: Problem, point: Point, seed: int, slots: int) -> Iterator[DataFrame]:
    """`label` and `probability` of the rows that validate, by models that have not learned from them; in memory."""
    if point.estimator == ENSEMBLE:
        with heard(problem, point, seed, slots) as said:
            yield decided_by(problem, point, said).select("label", "probability")
        return
    if point.estimator == SEGMENTS:
        with segments.heard(problem, point, seed, slots) as said:
            yield said
        return
    prepared, frames = Prepared(problem.folds, []), list[DataFrame]()
    prepared.start()
    try:
        for fold in problem.folds:
            with prepared.using(fold.number, problem.plan(point, fold.known)) as parts:
                model = fit(point, problem.target.task, parts.train, seed, slots, problem.recipes, problem.balance)
                said = model.transform(parts.validation).select("label", "probability")
                frames.append(said.persist(StorageLevel.MEMORY_AND_DISK))
                frames[-1].count()
        yield reduce(DataFrame.unionByName, frames)
    finally:
        prepared.release()
        for frame in frames:
            frame.unpersist()


def told(cut: Threshold, chosen: Best, half: Counts, count: int) -> str:
    """What the cut brings on the held-out rows, against a half."""
    now, then = chosen.counts.figures, half.figures
    named = ", ".join(f"{key} {_number(now[key])} ({_number(then[key])})" for key in now)
    if cut.cost:
        paid = [_cost(cut, one) for one in (chosen.counts, half)]
        named = f"cost {paid[0]:,.10g} ({paid[1]:,.10g}), {named}"
    text = f"the answer is yes from probability {chosen.at:.6g}; on {count:,} held-out rows (in brackets: from 0.5): {named}"
    if not chosen.met:
        text += f". No cut is as precise as {cut.precision:g}: this is the most precise one"
    return text


def _cost(cut: Threshold, of: Counts) -> float:
    if cut.cost is None:
        return 0.0
    return cut.cost.false_positive * of.wrong + cut.cost.false_negative * (of.positive - of.right)


def _number(value: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
