"""`headrace reproduce`: train a version again on the tables that it was trained on, and compare the predictions."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from headrace.cli.promote import Env, File, Sets
from headrace.errors import ConfigError, DataError, HeadraceError

if TYPE_CHECKING:
    from headrace.config.types import Environment, Pipeline
    from headrace.models.store import ModelStore
    from headrace.models.version import Version
    from headrace.runtime.step_run import StepRun
    from headrace.search.reproduce import Compared

TOLERANCE = 1e-6


def reproduce(
    file: File,
    version: Annotated[str, typer.Argument(help="its number; headrace models shows them")] = "champion",
    tolerance: Annotated[float, typer.Option(help="a larger difference of a probability counts")] = TOLERANCE,
    env: Env = None,
    sets: Sets = None,
) -> None:
    """Train a version again, and compare what the two predict, row by row. Exit code 3 if they differ.

    Example: headrace reproduce conf/flights.yaml 3
    """
    arguments = ["jobs/reproduce.py", "--config", file, "--version", version, "--tolerance", str(tolerance)]
    arguments += ["--env", env] if env else []
    arguments += [part for one in sets or [] for part in ("--set", one)]
    from headrace.cli.submit import main as submit

    submit(arguments)


def job(argv: Sequence[str] | None = None) -> NoReturn:
    """The entry of `jobs/reproduce.py`."""
    import argparse

    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/reproduce.py",
        description="reproduce: trains a version again and compares; writes nothing. See headrace reproduce --help.",
        epilog="example: ./spark-submit.sh jobs/reproduce.py --config conf/flights.yaml --version 3",
    )
    made.add_argument("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    made.add_argument("--version", default="champion", help="a number, or an alias")
    made.add_argument("--tolerance", type=float, default=TOLERANCE, help="a larger difference counts")
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
    spark = session(f"headrace reproduce {pipeline.pipeline}")
    lines, same = reproduction(spark, pipeline, environment, asked.version, asked.tolerance)
    sys.stdout.write("\n".join(lines) + "\n")
    if not same:
        raise DataError(f"version {asked.version} was not reproduced; see above")


def reproduction(
    spark: Any, pipeline: Pipeline, environment: Environment, wanted: str, tolerance: float
) -> tuple[list[str], bool]:
    """Reproduce a version.

    Returns:
        Lines for people, and whether all rows agree.

    Raises:
        ConfigError: If there is no such version, or its training set is gone.
        DataError: If its rows cannot be read any more as they were.
    """
    from headrace.models.record import record_of
    from headrace.models.store import ModelStore
    from headrace.runtime.home import places
    from headrace.runtime.spark_errors import translated
    from headrace.search.reproduce import reproduced

    where = places(pipeline, environment)
    store = ModelStore(where.tracking_uri)
    version = store.resolve(where.schema, wanted)
    card = store.card(version.run_id)
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        record = record_of(store, version) or {}
        then = of_then(store, version, pipeline, record, Path(folder))
        run = run_of_then(spark, then, where, version)
        try:
            found = reproduced(run, store.load(version.uri), card, tolerance)
        except HeadraceError:
            raise
        except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
            raise translated(error, "reproduce") from error
    lines = told(found, version, run.version("training_set"), card.estimator, tolerance)
    return lines + ([] if found.same else of_release((record.get("environment") or {}).get("headrace"))), found.same


def of_release(then: str | None) -> list[str]:
    """Why rows may differ, where another release of Headrace trained; its defaults may have been others.

    Args:
        then: The release, if the version tells.
    """
    from headrace.models.record import environment

    now = environment("").get("headrace")
    if then == now:
        return []
    came = f"Headrace {then}" if then else "a release of Headrace that it does not name"
    return [f"it was trained by {came}, and this is {now}: what nobody wrote may have been otherwise then, as "
            "how features are prepared. Install the release of then to train it as it was"]  # fmt: skip


def of_then(store: ModelStore, version: Version, pipeline: Pipeline, record: dict[str, Any], folder: Path) -> Pipeline:
    """The pipeline with the search that made a version and what it was to learn, and the Python that it keeps.

    Args:
        store: The model store.
        version: The version.
        pipeline: As it is now; it stands in where the version does not tell.
        record: What the version carries.
        folder: Where its Python may be put.
    """
    from headrace.config.learning import Search, TrainingSet
    from headrace.models.loading import own_code

    card = store.card(version.run_id)
    told = (record.get("configuration") or {}) if record else None
    search = pipeline.search if told is None else Search.model_validate(told.get("search", {}))
    learned = (told or {}).get("training_set")
    training = TrainingSet.model_validate(learned) if learned else pipeline.training_set
    own = tuple(one for one in search.estimators if one.name in card.estimators)
    named = {one.name for one in own}
    rest = [name for name in card.estimators if name not in named]
    only = own + (Search.model_validate({"estimators": rest}).estimators if rest else ())
    winner = search.model_copy(update={"estimators": only, "metric": None})
    code = own_code(version.uri, folder)
    changed = pipeline.model_copy(update={"search": winner, "training_set": training})
    return changed.beside(*([code] if code else []), *pipeline.folders)


def run_of_then(spark: Any, pipeline: Pipeline, where: Any, version: Version) -> StepRun:
    """A run in which the training set is as it was."""
    from datetime import UTC, datetime

    from headrace.runtime.progress import Progress
    from headrace.runtime.session import task_slots
    from headrace.runtime.step_run import StepRun
    from headrace.runtime.tables import Tables

    tables = Tables(spark, where.root, where.schema, where.elsewhere)
    number = int(version.tags.get("training_set_version", -1))
    commit = tables.log.last("training_set", until=number) if number >= 0 else None
    if commit is None or commit.version != number:
        raise ConfigError(
            f"the training set of version {version.number} is not there any more "
            f"({where.schema}.training_set version {number}); a version whose tables are gone cannot be compared"
        )
    return StepRun(
        spark, pipeline, where.schema, "reproduce", "", datetime.now(UTC), None, None, False, None, task_slots(spark),
        where.tracking_uri, where.schema, tables, {"training_set": commit}, {}, Progress(),
    )  # fmt: skip


def told(found: Compared, version: Version, rows_of: int, estimator: str, tolerance: float) -> list[str]:
    """The comparison in lines."""
    far = found.rows - found.close
    verdict = "reproduced bit by bit" if found.equal == found.rows else f"reproduced within {tolerance:g}"
    return [
        f"{version.name} version {version.number} ({estimator}), trained again on training_set version {rows_of}",
        f"  rows compared       {found.rows:,}",
        f"  equal, bit by bit   {found.equal:,}",
        f"  within {tolerance:<12g} {found.close:,}",
        f"  largest difference  {found.largest:g}",
        f"  layout              {'; '.join(found.layout) or 'as then'}",
        verdict if not far else f"not reproduced: {far:,} rows differ by more than {tolerance:g}",
    ]
