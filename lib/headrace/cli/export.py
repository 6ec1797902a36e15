"""`headrace export`: a version as files for other programs, left only where they agree with Spark row by row."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from headrace.cli.promote import Env, File, Sets
from headrace.errors import HeadraceError
from headrace.models.exporting import formats, places

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.config.types import Environment, Pipeline
    from headrace.models.exporting.export import Checked, Export

ROWS = 1_000
"""Of the training set, that are compared."""
_HELP = f"any of {', '.join(formats.FORMATS)}"


def export(
    file: File,
    version: Annotated[str, typer.Argument(help="its number; headrace models shows them")] = "champion",
    format_: Annotated[str, typer.Option("--format", metavar="F", help=_HELP)] = ...,  # type: ignore[assignment]
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="where it is left, whole")] = ...,  # type: ignore[assignment]
    force: Annotated[bool, typer.Option("--force", help="replace an export that is there")] = False,
    env: Env = None,
    sets: Sets = None,
) -> None:
    """Write a version for programs without Headrace. Left only if it agrees with Spark row by row (else exit code 3).

    Example: headrace export conf/flights.yaml 3 --format onnx --out flights-3
    """
    formats.check_name(format_)
    places.check(out, force)
    if format_ in formats.REFUSED:
        _refuse(file, version, format_, env, sets)
    arguments = ["jobs/export.py", "--config", file, "--version", version, "--format", format_, "--out", str(out)]
    arguments += [*(["--force"] if force else []), *(["--env", env] if env else [])]
    arguments += [part for one in sets or [] for part in ("--set", one)]
    from headrace.cli.submit import main as submit

    submit(arguments)


def _refuse(file: str, wanted: str, form: str, env: str | None, sets: list[str] | None) -> NoReturn:
    """Say why, and what is nearest for this version; without Spark."""
    from headrace.cli.running import hush
    from headrace.config.reading import read_pipeline
    from headrace.runtime.home import has_models
    from headrace.runtime.home import places as homes

    pipeline, environment = read_pipeline(file, env=env, sets=sets or [])
    hush()
    where = homes(pipeline, environment)
    if has_models(where.tracking_uri):
        from headrace.models.store import ModelStore

        store = ModelStore(where.tracking_uri)
        card = store.card(store.resolve(where.schema, wanted).run_id)
        formats.check(form, card.estimator, card.task)
    raise formats.refusal(form, formats.REFUSED[form], "spark")


def job(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry of `jobs/export.py`."""
    import argparse

    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/export.py",
        description="export: writes a version for programs without Headrace. See headrace export --help.",
        epilog="example: ./spark-submit.sh jobs/export.py --config conf/flights.yaml --format onnx --out flights-3",
    )
    made.add_argument("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    made.add_argument("--version", default="champion", help="a number, or an alias")
    made.add_argument("--format", required=True, dest="form", help=_HELP)
    made.add_argument("--out", required=True, type=Path, metavar="FOLDER", help="where it is left")
    made.add_argument("--force", action="store_true", help="replace an export that is there")
    made.add_argument("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/")
    made.add_argument("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value")
    asked = made.parse_args(argv)
    code = 0
    try:
        _work(asked)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def _work(asked: Any) -> None:
    from headrace.cli.running import hush
    from headrace.config.reading import read_pipeline
    from headrace.runtime.session import session

    pipeline, environment = read_pipeline(asked.config, asked.env, asked.sets)
    hush()
    lines = exporting(
        lambda: session(f"headrace export {pipeline.pipeline}"),
        pipeline, environment, asked.version, asked.form, asked.out, asked.force,
    )  # fmt: skip
    sys.stdout.write("\n".join(lines) + "\n")


def exporting(
    session: Any, pipeline: Pipeline, environment: Environment, wanted: str, form: str, out: Path, force: bool
) -> list[str]:
    """Export a version.

    Args:
        session: Gives the Spark session, once all that needs none is known to be in order.
        pipeline: The configuration.
        environment: The overlay.
        wanted: A version's number, or an alias.
        form: The format.
        out: Where it is left.
        force: An export that is there is replaced.

    Returns:
        Lines for people.

    Raises:
        ConfigError: If there is no such version, it cannot go to the format, or the place is taken.
        DataError: If what was written differs from Spark; nothing is left then.
    """
    from headrace.cli.reproduce import run_of_then
    from headrace.models.exporting.export import exported, prepared
    from headrace.models.store import ModelStore
    from headrace.runtime.home import places as homes
    from headrace.runtime.spark_errors import translated

    formats.check_name(form)
    where = homes(pipeline, environment)
    store = ModelStore(where.tracking_uri)
    version = store.resolve(where.schema, wanted)
    one = prepared(store, version, form)
    places.check(out, force)
    spark = session()
    try:
        rows = some(run_of_then(spark, pipeline, where, version).read("training_set"), tuple(one.card.features))
        checked = exported(spark, one, rows, out, force)
    except HeadraceError:
        raise
    except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
        raise translated(error, "export") from error
    return told(one, checked, out)


def some(frame: Any, features: tuple[str, ...]) -> pa.Table:
    """Some rows of a training set, drawn at random, the same each time. Runs Spark jobs."""
    share = min(1.0, 1.5 * ROWS / max(frame.count(), 1))
    chosen = frame.select(*[f"`{name}`" for name in features])
    return chosen.sample(share, seed=1).limit(ROWS).toArrow()  # bounded


def told(one: Export, checked: Checked, out: Path) -> list[str]:
    """What was written and how it was compared, in lines."""
    odd = f"{checked.made_up:,}" if checked.made_up else "none: Spark refuses them"
    return [
        f"{one.version.name} version {one.version.number} ({one.card.estimator}) as {one.form}, compared with Spark",
        f"  rows of the training set  {checked.real:,}",
        f"  made-up rows              {odd}",
        f"  largest difference        {checked.largest:g} (tolerance {checked.tolerance:g}, relative)",
        f"  files                     {', '.join(sorted(file.name for file in out.iterdir()))}",
        f"written to {out}",
    ]
