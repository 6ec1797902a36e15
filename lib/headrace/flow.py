"""The flow: which stages there are, and what feeds what. Rooms know nothing of each other; they meet here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from headrace.clean import stage as clean
from headrace.clean.increments import base_of
from headrace.clean.shaping import shaped
from headrace.config import hooks
from headrace.config.types import Pipeline
from headrace.delivery import stage as delivery
from headrace.errors import ConfigError, Mistake
from headrace.evaluation import stage as evaluation
from headrace.features import stage as features
from headrace.ingest import stage as ingest
from headrace.ingest.streams import Arriving, arriving
from headrace.leakage import stage as leakage
from headrace.monitoring import stage as monitoring
from headrace.registry import stage as registry
from headrace.runtime.held import Held
from headrace.runtime.step import STAGES, Step
from headrace.scoring import stage as scoring
from headrace.scoring import stream
from headrace.search import stage as search
from headrace.training import definition
from headrace.training import stage as training
from headrace.training.spine import needed_columns, with_times
from headrace.validate import stage as validate
from headrace.validate.rules import judge

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from headrace.runtime.tables import Tables

ROOMS = {
    "ingest": (),  # a file that has landed is not read again because the code has changed
    "validate": ("headrace.validate", "headrace.clean"),
    "clean": ("headrace.clean", "headrace.validate"),
    "features": ("headrace.features",),
    "training_set": ("headrace.training",),
    "search": ("headrace.search",),
    "evaluate": ("headrace.evaluation",),
    "register": ("headrace.registry",),
    "score": ("headrace.scoring", "headrace.training"),
    "monitor": ("headrace.monitoring", "headrace.training"),
}
"""The rooms whose code a stage runs."""

INSEPARABLE = ("validate", "clean")
"""Two halves of one pass over the same rows: neither is run without the other."""


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """All steps of a pipeline, each after those that feed it."""
    held = Held()
    judged = {s.name: s for s in validate.steps(pipeline, shaped, base_of, held)}
    cleaned = clean.steps(pipeline, judge, validate.config_of, held)
    tables = [s for c in cleaned for s in (judged[c.name.replace("clean:", "validate:", 1)], c)]
    rest = [
        *features.steps(pipeline),
        *delivery.steps(pipeline, "features"),
        *training.steps(pipeline),
        *leakage.steps(pipeline),
        *search.steps(pipeline),
        *evaluation.steps(pipeline),
        *registry.steps(pipeline),
        *_scoring(pipeline),
        *delivery.steps(pipeline, "score"),
        *_monitoring(pipeline),
    ]
    every = (*ingest.steps(pipeline), *tables, *rest)
    return tuple(
        replace(s, code=s.code or ROOMS[s.stage], hooks=hooks.code(pipeline, *_hooks_of(s, pipeline))) for s in every
    )


def _hooks_of(step: Step, pipeline: Pipeline) -> tuple[str, ...]:
    """Places in the YAML whose Python a step runs; a fitted model is made of classes that the search names."""
    table = f"tables.{step.name.partition(':')[2]}"
    return {
        "ingest": (f"{table}.source",),
        "validate": (f"{table}.transform",),
        "clean": (f"{table}.transform",),
        "training_set": ("training_set",),
        "search": ("search", f"metrics.{pipeline.search.metric}"),
        "evaluate": ("search", "metrics"),
        "register": ("search", "metrics"),
        "score": ("search", "training_set"),
    }.get(step.stage, ())


def _scoring(pipeline: Pipeline) -> tuple[Step, ...]:
    """Scoring makes its rows as training does, by the same functions of the same configuration."""
    if pipeline.training_set is None:
        return ()
    inputs, rows = definition.inputs(pipeline), definition.config_of(pipeline)
    return scoring.steps(pipeline, inputs, rows, training.split_spine, training.training_rows)


def stream_step(pipeline: Pipeline, came: DataFrame, tally: stream.Tally) -> Step:
    """The step that scores a micro-batch of a stream, by the functions by which the batch job scores.

    Args:
        pipeline: The configuration.
        came: The rows of the micro-batch, as `ingest.streams` gives them.
        tally: Is told what became of them.
    """
    given = stream.Given(
        definition.inputs(pipeline),
        definition.config_of(pipeline),
        with_times,
        training.split_spine,
        training.training_rows,
    )
    return replace(
        stream.step(pipeline, given, came, tally),
        code=ROOMS["score"],
        hooks=hooks.code(pipeline, "search", "training_set"),
    )


def streamed(spark: SparkSession, pipeline: Pipeline, tables: Tables) -> Arriving:
    """The rows that a stream brings, in the columns of the cleaned table of the spine.

    Raises:
        ConfigError: If the pipeline has no stream or has not run yet, or the source has not these columns.
    """
    if pipeline.scoring.stream is None or pipeline.training_set is None:
        raise ConfigError(
            "the YAML has no scoring.stream, which says where rows come from; write scoring: {stream: {source: {format: "
            "delta, path: FOLDER}}}, or of Kafka format, options and schema"
        )
    spine = pipeline.training_set.spine
    cleaned = tables.read(spine, tables.last(spine).version).schema
    return arriving(spark, pipeline, cleaned, needed_columns(cleaned.names, pipeline))


def _monitoring(pipeline: Pipeline) -> tuple[Step, ...]:
    """Monitoring takes labels from the spine, where they come first, and features of rows scored since the training."""
    if pipeline.training_set is None:
        return ()
    inputs = tuple(dict.fromkeys((*definition.label_inputs(pipeline), *definition.inputs(pipeline))))
    return monitoring.steps(
        pipeline, inputs, definition.config_of(pipeline), training.labelled_spine, training.training_rows
    )


def chosen(
    all_steps: Sequence[Step],
    only: str | None = None,
    from_: str | None = None,
    to: str | None = None,
    select: str | None = None,
) -> tuple[Step, ...]:
    """The steps that a command line asks for.

    Args:
        all_steps: The flow.
        only: One stage.
        from_: First stage.
        to: Last stage.
        select: A table; with a `+` behind it also all that depends on it.

    Raises:
        ConfigError: If there is no such stage or table.
    """
    if only is not None and (from_ is not None or to is not None):
        raise ConfigError("--only stands alone: leave out --from and --to, or --only")
    stages = _stages(only, from_, to)
    found = [s for s in all_steps if s.stage in stages]
    return tuple(found if select is None else _selected(all_steps, found, select))


def chosen_stages(first: str, last: str) -> tuple[str, ...]:
    """The stages from one to another, both included."""
    return STAGES[STAGES.index(first) : STAGES.index(last) + 1]


def check_sources(steps: Sequence[Step], pipeline: Pipeline) -> None:
    """Before Spark is asked for anything: are the files there that the steps will read?

    Raises:
        ConfigError: With all that are missing.
    """
    ingested = [s.outputs[0].removeprefix("raw_") for s in steps if s.stage == "ingest"]
    missing = [
        Mistake(f"tables.{n}.source.path", problem)
        for n in ingested
        if (problem := ingest.missing(pipeline.tables[n].source))
    ]
    if missing:
        raise ConfigError(missing)


def _stages(only: str | None, from_: str | None, to: str | None) -> tuple[str, ...]:
    for flag, stage in (("--only", only), ("--from", from_), ("--to", to)):
        if stage is not None and stage not in STAGES:
            raise ConfigError(f"{flag} {stage}: there is no such stage; there are {', '.join(STAGES)}")
    if only is not None:
        return INSEPARABLE if only in INSEPARABLE else (only,)
    first = "validate" if from_ == "clean" else from_ or STAGES[0]
    last = "clean" if to == "validate" else to or STAGES[-1]
    if STAGES.index(first) > STAGES.index(last):
        raise ConfigError(f"--from {from_} comes after --to {to}; the order is {', '.join(STAGES)}")
    return chosen_stages(first, last)


def _selected(all_steps: Sequence[Step], found: Sequence[Step], select: str) -> list[Step]:
    table, downstream = select.removesuffix("+").lower(), select.endswith("+")
    makers = [s for s in all_steps if table in s.outputs]
    if not makers:
        there = sorted({o for s in all_steps for o in s.outputs})
        raise ConfigError(f"--select {select}: no step makes this table; there are {', '.join(there)}")
    names = {s.name for s in makers}
    tables = {o for s in makers for o in s.outputs} if downstream else set()
    for step in all_steps:
        twin = step.name.replace("validate:", "clean:", 1)
        if twin in names or (downstream and tables & set(step.inputs)):
            names.add(step.name)
            if downstream:
                tables |= set(step.outputs)
                if step.stage == "evaluate":  # what follows a model is fed by it, though no table says so
                    names |= {s.name for s in all_steps if s.stage in ("register", "score", "monitor")}
    return [s for s in found if s.name in names]
