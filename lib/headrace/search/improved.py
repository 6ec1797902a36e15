"""The best trial, made better: several trials together, and a model per segment, each where that is worth it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from headrace.runtime.step import Run
from headrace.search.driver_trials import reason
from headrace.search.ensemble import together
from headrace.search.ledger import Row
from headrace.search.problem import Problem
from headrace.search.segments import divided
from headrace.search.space import Point


def with_ensemble(run: Run, problem: Problem, rows: list[Row], best: Row) -> tuple[Row, tuple[str, ...]]:
    """The best row, or one of several trials together that are better; and what people should know."""
    if problem.search.ensemble is None:
        return best, ()
    try:
        found, note = together(run, problem, rows, best, max(1, run.parallelism))
    except Exception as error:  # noqa: BLE001 (whatever it is, the best trial is there)
        return best, (
            f"search.ensemble: the best trials could not learn together ({reason(error)}); the best goes alone",
        )
    if found is None:
        return best, (note,)
    return _instead(problem, best, found.point, found.value), (note,)


def with_segments(run: Run, problem: Problem, best: Row) -> tuple[Row, Mapping[str, Any], tuple[str, ...]]:
    """The best row, or one with models per segment that are better; what is known of segments; what people should know."""
    if problem.search.segments is None:
        return best, {}, ()
    try:
        found, notes = divided(run, problem, best.point, max(1, run.parallelism))
    except Exception as error:  # noqa: BLE001 (whatever it is, the best trial is there)
        told = f"search.segments: segments could not learn alone ({reason(error)}); all rows have the general model"
        return best, {}, (told,)
    if found is None:
        return best, {}, notes
    return _instead(problem, best, found.point, found.value), {"segments": found.told}, notes


def _instead(problem: Problem, best: Row, point: Point, value: float) -> Row:
    """The best row, of a point that is made of others."""
    params = json.dumps(dict(point.params), sort_keys=True)
    loss = -value if problem.larger_is_better else value
    return replace(
        best,
        estimator=point.estimator,
        params=params,
        value=value,
        loss=loss,
        fold_values=None,
        rungs=None,
        bracket=None,
    )
