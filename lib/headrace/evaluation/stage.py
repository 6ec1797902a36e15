"""Stage `evaluate`: the refitted winner on the test part, read once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.runtime.step import Done, Run, Step

if TYPE_CHECKING:
    from headrace.config.types import Pipeline


LEAST = 100
"""Rows of a segment that is judged, where no gate says otherwise."""


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """The evaluation, where there is a training set."""
    if pipeline.training_set is None:
        return ()
    return (
        Step(
            "evaluate",
            "evaluate",
            inputs=("training_set", "trials"),
            outputs=("evaluation", "test_predictions"),
            config=_config(pipeline),
            run=_run,
        ),
    )


def slices_of(pipeline: Pipeline) -> dict[str, int]:
    """Columns whose values are judged one by one, with the least rows: those of the gates, and that of the segments."""
    segments = pipeline.search.segments
    slices: dict[str, int] = {segments.by: LEAST} if segments else {}
    for gate in pipeline.gates:
        if gate.slice:
            slices[gate.slice] = min(gate.min_rows, slices.get(gate.slice, gate.min_rows))
    return dict(sorted(slices.items()))


def ordered(pipeline: Pipeline) -> bool:
    """Whether the concordance is measured, a sort of all rows: of labels that may be censored, and where it is asked for."""
    asked = (pipeline.search.metric, *(gate.metric for gate in pipeline.gates))
    training = pipeline.training_set
    return "concordance" in asked or bool(training and training.censored)


def _config(pipeline: Pipeline) -> Any:
    """Of the gates only what is judged slice by slice: a changed bound judges anew, but tests nothing again."""
    own = {"metrics": {name: one.model_dump(mode="json") for name, one in pipeline.metrics.items()}}
    chosen: dict[str, Any] = {"slices of the gates": slices_of(pipeline), "search": {"seed": pipeline.search.seed}}
    chosen |= {"concordance": True} if ordered(pipeline) else {}
    return chosen | (own if pipeline.metrics else {})


def _run(run: Run) -> Done:
    from headrace.evaluation.evaluate import evaluate  # Spark and MLflow only when there is work

    return evaluate(run)
