"""`headrace promote`, `demote`, `rollback`: which version scores, by a person's word, on record. No Spark session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from headrace.cli.running import hush
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.runtime.home import Places, has_models, places

if TYPE_CHECKING:
    from headrace.config.types import Pipeline
    from headrace.models.changes import Change
    from headrace.models.promotion import Moved
    from headrace.models.store import ModelStore

File = Annotated[str, typer.Argument(help="the pipeline's YAML")]
Env = Annotated[str | None, typer.Option("--env", help="overlay: env/NAME.yaml beside the file, or in conf/")]
Sets = Annotated[list[str] | None, typer.Option("--set", metavar="a.b=value", help="change a value of the YAML")]
Why = Annotated[str, typer.Option("--why", help="goes on record")]
Force = Annotated[bool, typer.Option("--force", help="though its gates refused it; needs --why")]


def promote(
    file: File,
    version: Annotated[int, typer.Argument(help="its number; headrace models shows them")],
    why: Why = "",
    force: Force = False,
    env: Env = None,
    sets: Sets = None,
) -> None:
    """Make a version champion: the next run of `score` uses it. Exit code 4 if its gates refused it.

    Example: headrace promote conf/flights.yaml 3 --why "better for regional carriers"
    """
    from headrace.models.promotion import Word, promote

    pipeline, where, store = opened(file, env, sets)
    typer.echo(_told(promote(store, where.schema, version, Word(why, force)), where.schema, pipeline))


def demote(file: File, why: Why = "", env: Env = None, sets: Sets = None) -> None:
    """Let no version be champion: nothing is scored until there is one again.

    Example: headrace demote conf/flights.yaml --why "the weather feed is wrong"
    """
    from headrace.models.promotion import Word, demote

    pipeline, where, store = opened(file, env, sets)
    typer.echo(_told(demote(store, where.schema, Word(why)), where.schema, pipeline))


def rollback(file: File, why: Why = "", force: Force = False, env: Env = None, sets: Sets = None) -> None:
    """Make the champion before the present one champion again; each further one goes one further back.

    Example: headrace rollback conf/flights.yaml --why "version 3 is too slow"
    """
    from headrace.models.promotion import Word, rollback

    pipeline, where, store = opened(file, env, sets)
    typer.echo(_told(rollback(store, where.schema, Word(why, force)), where.schema, pipeline))


def opened(file: str, env: str | None, sets: list[str] | None) -> tuple[Pipeline, Places, ModelStore]:
    """The model store of a pipeline that has a model.

    Raises:
        ConfigError: If there is none yet.
    """
    pipeline, environment = read_pipeline(file, env=env, sets=sets or [])
    where = places(pipeline, environment)
    hush()
    if has_models(where.tracking_uri):
        from headrace.models.store import ModelStore  # MLflow: some seconds

        store = ModelStore(where.tracking_uri)
        if store.model(where.schema) is not None:
            return pipeline, where, store
    raise ConfigError(
        f"there is no model {where.schema} in {where.tracking_uri} yet; train one with jobs/train.py, "
        "or name the overlay under which it was trained: --env NAME"
    )


def _told(moved: Moved, name: str, pipeline: Pipeline) -> str:
    lines = []
    if moved.finished:
        lines.append(f"finished what was begun before: {told(moved.finished)}")
    if moved.change:
        lines.append(told(moved.change))
    if moved.accepted:
        lines.append("what `score` refused it for is let pass from now on, on record with the version")
    if moved.change and moved.change.to_version != moved.champion:
        lines.append("somebody else changed the champion at the same time; both are on record, theirs came last")
    now = f"version {moved.champion} is champion" if moved.champion else "there is no champion"
    lines.append(f"{name}: {now}{'' if moved.change or moved.finished else ' already'}; {_next(moved, pipeline)}")
    return "\n".join(lines)


def _next(moved: Moved, pipeline: Pipeline) -> str:
    wanted = pipeline.scoring.model
    if wanted.isdigit():
        return f"`score` goes on with version {wanted}, which scoring.model names"
    return (
        "the next run of `score` uses it"
        if moved.champion
        else "`score` scores nothing until there is one; servers that run go on with what they have"
    )


def told(change: Change) -> str:
    """A change in a line."""
    before, after = (f"version {one}" if one else "none" for one in (change.from_version, change.to_version))
    reason = f" ({change.why})" if change.why else ""
    forced = ", forced" if change.forced else ""
    return f"{change.at:%Y-%m-%d %H:%M:%S} UTC  {change.action}{forced}: {before} -> {after}, by {change.who}{reason}"
