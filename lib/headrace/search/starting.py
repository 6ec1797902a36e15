"""What a search tries before its algorithm chooses: the user's points, the estimators' first, the best of the last search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from pyspark.sql import functions as F

from headrace.runtime.step import Run
from headrace.search.problem import Problem
from headrace.search.space import CHOICE, Point, first_points


def starting_points(run: Run, problem: Problem, attempt: str) -> list[Point]:
    """Each once, at most as many as there are trials. Runs a Spark job where there is a warm start.

    Args:
        run: Of the search.
        problem: What is searched.
        attempt: Names this search; its own trials are no earlier ones.
    """
    conf = problem.search
    asked = [_whole(problem, str(point[CHOICE]), point) for point in conf.points]
    first = first_points(problem.estimators, conf.most_evals, problem.recipes)
    found = [*asked, *first, *(_best(run, problem, attempt) if conf.warm_start else [])]
    unique = {json.dumps([point.estimator, dict(point.params)], sort_keys=True): point for point in reversed(found)}
    return list(reversed(unique.values()))[: conf.most_evals]


def _whole(problem: Problem, name: str, given: Mapping[str, Any]) -> Point:
    """A point of what is given; the rest is as in the estimator's first."""
    recipe = problem.recipes[name]
    return Point(name, {key: given.get(key, first) for key, first in recipe.first.items()})


def _best(run: Run, problem: Problem, attempt: str) -> list[Point]:
    """The best trials of the last search, as far as they lie in the space of this one."""
    if not run.exists("trials"):
        return []
    earlier = run.read("trials").where(
        (F.col("fingerprint") != attempt)
        & (F.col("status") == "ok")
        & (F.col("metric") == problem.metric)
        & ~F.contains("fingerprint", F.lit("#"))  # searches within one
    )
    last = earlier.orderBy(F.desc("finished_at")).select("fingerprint").first()
    if last is None:
        return []
    of_last = earlier.where(F.col("fingerprint") == last["fingerprint"])
    rows = of_last.orderBy("loss", "trial").limit(problem.search.warm_start).select("estimator", "params").collect()
    known = [(row["estimator"], json.loads(row["params"])) for row in rows]
    return [_whole(problem, name, params) for name, params in known if _inside(problem, name, params)]


def _inside(problem: Problem, name: str, params: Mapping[str, Any]) -> bool:
    if name not in problem.estimators:
        return False
    space = problem.recipes[name].space
    return all(space[key].holds(value) for key, value in params.items() if key in space)
