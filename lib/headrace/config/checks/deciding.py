"""Whether calibration, threshold, ensemble and segments go with the task, and with each other."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.learning import UNLABELLED, Search
from headrace.config.metrics import task_named

Found = tuple[str, str]
_NUMBER = "a number is predicted, without a probability"
_WHY = {
    "multiclass": "with more than two classes there is no single cut, and each would need a calibrator of its own",
    "regression": _NUMBER,
    "survival": _NUMBER,
    "recommendation": "items are ranked, without a probability",
}


def check(search: Search, task: str | None) -> Iterator[Found]:
    """What the task has no use for: pairs (where, what came and what is allowed).

    Args:
        search: The configuration.
        task: What is learned; None where nobody knows yet.
    """
    if search.ensemble and search.ensemble.best > search.most_evals:
        most = search.most_evals
        yield (
            "search.ensemble.best",
            f"{search.ensemble.best} of the best are wanted, and search.max_evals lets {most} be tried",
        )
    if search.nested and task in (*UNLABELLED, "recommendation"):
        yield "search.nested", f"it needs a label, and the task is {task}; leave it out"
    if search.ensemble and task in (*UNLABELLED, "recommendation"):
        yield "search.ensemble", f"it needs a label, and the task is {task}; leave it out"
    if search.segments and task in (*UNLABELLED, "recommendation"):
        yield "search.segments", f"it needs a label, and the task is {task}; leave it out"
    if search.segments and search.ensemble and search.ensemble.by == "stacking":
        told = "few rows of a segment are left to learn from what members say; write average, or leave segments out"
        yield "search.ensemble.by", f"stacking does not go with search.segments: {told}"
    if task in (None, "binary"):
        return
    why = _WHY.get(str(task), "it learns without a label")
    what = task_named(str(task))
    if search.calibration != "none":
        yield (
            "search.calibration",
            f"{search.calibration} is for two classes, and the task is {what}: {why}; leave it out",
        )
    if search.threshold:
        yield "search.threshold", f"it is for two classes, and the task is {what}: {why}; leave it out"
