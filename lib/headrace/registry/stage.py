"""Stage `register`: the refitted winner becomes a version; when its gates pass, the champion. Changes go on record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config.metrics import unknown_metric
from headrace.errors import ConfigError, Mistake
from headrace.runtime.step import Done, Run, Step

if TYPE_CHECKING:
    from headrace.config.types import Pipeline


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """The registration, and the table of what became champion, where there is a training set.

    Raises:
        ConfigError: If a gate names a metric that there is not.
    """
    if pipeline.training_set is None:
        return ()
    task, own = pipeline.training_set.way(pipeline.training_set.kind), tuple(pipeline.metrics)
    named = [(f"gates[{place}].metric", gate.metric) for place, gate in enumerate(pipeline.gates) if gate.metric]
    mistakes = [Mistake(where, wrong) for where, metric in named if (wrong := unknown_metric(metric, task, own))]
    if mistakes:
        raise ConfigError(mistakes)
    return (
        Step(
            "register",
            "register",
            inputs=("trials", "evaluation", "test_predictions", "training_set"),
            outputs=(),
            config=_config(pipeline),
            run=_run,
            done=_done,
        ),
        Step(
            "register",
            "register:model_changes",
            inputs=(),
            outputs=("model_changes",),
            config={},
            state=_changes,
            run=_write_changes,
        ),
    )


def _config(pipeline: Pipeline) -> Any:
    gates = {"gates": [gate.model_dump(mode="json") for gate in pipeline.gates]}
    own = {"metrics": {name: one.model_dump(mode="json") for name, one in pipeline.metrics.items()}}
    return gates | (own if pipeline.metrics else {})


def _run(run: Run) -> Done:
    from headrace.registry.register import register  # Spark and MLflow only when there is work

    return register(run)


def _done(run: Run) -> Done | None:
    from headrace.registry.register import registered

    return registered(run)


def _changes(run: Run) -> Any:
    """Tells one state of the journal from another, also when people have written in it."""
    from headrace.models.changes import read
    from headrace.models.store import ModelStore
    from headrace.runtime.home import has_models

    if not has_models(run.tracking_uri):
        return []
    journal = read(ModelStore(run.tracking_uri), run.model_name)
    return [*(change.tag for change in journal.changes), journal.champion]


def _write_changes(run: Run) -> Done:
    from headrace.registry.changes import written

    return written(run)
