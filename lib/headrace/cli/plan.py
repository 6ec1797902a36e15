"""`headrace plan`: what would run, and why. Needs no Spark where the warehouse is on this machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from headrace.config.reading import read_pipeline
from headrace.config.types import Environment, Pipeline
from headrace.errors import HeadraceError


@dataclass(frozen=True)
class Planned:
    """A step, whether it would run, and why."""

    stage: str
    step: str
    runs: bool
    why: str


@dataclass(frozen=True)
class PlanRun:
    """What a step may ask when it is only planned: nothing of Spark."""

    spark: Any
    pipeline: Pipeline
    schema: str
    fingerprint: str
    as_of: datetime
    tracking_uri: str
    model_name: str
    since: datetime | None = None
    until: datetime | None = None
    rescore: bool = False
    sample: str | None = None
    run_id: str = "plan"
    parallelism: int = 1


def planned_steps(pipeline: Pipeline, environment: Environment) -> list[Planned]:
    """The steps in their order, each with the reason to run or the words `nothing changed`."""
    import pyspark

    from headrace import flow
    from headrace.runtime.commits import CommitLog, LocalFiles, is_local
    from headrace.runtime.home import places
    from headrace.runtime.runner import Options, digest, fingerprint_parts

    where = places(pipeline, environment)
    if not is_local(where.warehouse):
        raise HeadraceError(f"the warehouse {where.warehouse} is not on this machine; plan reads local warehouses only")
    log = CommitLog(where.root, LocalFiles())
    waiting: set[str] = set()
    found: list[Planned] = []
    for step in flow.steps(pipeline):
        upstream = [t for t in step.inputs if t in waiting]
        if step.stage == "score" and "model" in waiting:
            upstream.append("the model")
        if step.stage in ("register", "score") and not _has_models(where.tracking_uri):
            upstream = upstream or ["the model"]
        if upstream:
            why = f"{', '.join(upstream)} will be new"
        else:
            inputs = {t: c.identity for t in step.inputs if (c := log.last(t)) is not None}
            parts = fingerprint_parts(step, inputs, pyspark.__version__, Options())
            run = PlanRun(None, pipeline, where.schema, "", datetime.now(UTC), where.tracking_uri, where.schema)
            if step.state is not None:
                parts["state"] = step.state(run)  # type: ignore[arg-type]
            why = _reason(step, parts, digest, log, run)
        if why:
            waiting |= set(step.outputs)
            if step.stage == "register":
                waiting.add("model")
        found.append(Planned(step.stage, step.name, bool(why), why or "nothing changed"))
    return found


def _has_models(tracking_uri: str) -> bool:
    """Whether there is a store to ask; asking for one would make it."""
    return not tracking_uri.startswith("sqlite:///") or Path(tracking_uri.removeprefix("sqlite:///")).exists()


def _reason(step: Any, parts: Mapping[str, Any], digest: Any, log: Any, run: PlanRun) -> str:
    """Why a step runs; empty when nothing changed."""
    if step.done is not None:
        from dataclasses import replace

        return (
            ""
            if step.done(replace(run, fingerprint=digest(parts)))
            else "inputs or gates changed, or it has not run yet"
        )
    last = [log.last(t) for t in step.outputs]
    absent = [t for t, c in zip(step.outputs, last, strict=True) if c is None]
    if absent:
        return f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not there yet"
    from headrace.runtime.runner import expired

    before = last[-1].note.get("hashes") or {}
    if not before:
        return "an earlier run of it was interrupted"
    now = {k: digest(v) for k, v in parts.items()}
    if expired(last[-1], run.as_of):
        return "more has become due or known since"
    words = {"inputs": "its input tables changed", "config": "its configuration changed", "code": "its code changed",
             "state": "its sources or its model changed", "options": "--as-of or --sample differ"}  # fmt: skip
    return "; ".join(words[k] for k in now if now[k] != before.get(k))


def shown(planned: Sequence[Planned], markdown: bool) -> str:
    """As lines for people, or as a Markdown table for a review."""
    if markdown:
        rows = [f"| {p.stage} | {p.step} | {'run' if p.runs else 'unchanged'} | {p.why} |" for p in planned]
        return "\n".join(["| stage | step | | why |", "| --- | --- | --- | --- |", *rows])
    return "\n".join(f"{'run' if p.runs else '-':<4} {p.step:<36} {p.why}" for p in planned)


def plan(
    file: Annotated[str, typer.Argument(help="the pipeline's YAML")],
    env: Annotated[str | None, typer.Option("--env", help="overlay conf/env/NAME.yaml")] = None,
    sets: Annotated[list[str] | None, typer.Option("--set", help="a.b=value")] = None,
    format_: Annotated[str, typer.Option("--format", help="text or markdown")] = "text",
) -> None:
    """Say what would run, and why.

    Example: headrace plan conf/flights.yaml
    """
    try:
        pipeline, environment = read_pipeline(file, env=env, sets=tuple(sets or ()))
        planned = planned_steps(pipeline, environment)
    except HeadraceError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(error.exit_code) from error
    typer.echo(shown(planned, format_ == "markdown"))
    runs = sum(p.runs for p in planned)
    typer.echo(f"\n{runs} of {len(planned)} steps would run")
