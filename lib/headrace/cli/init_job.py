"""The work of `headrace init`, on Spark: data -> facts -> choices -> YAML, checked before it is kept."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.choices import Choices, choose
from headrace.cli.draft import draft
from headrace.cli.facts import DataFacts, Request
from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/init.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/init.py",
        description="init: profiles a file and writes a commented YAML that trains a model.",
        epilog="example: ./spark-submit.sh jobs/init.py data/churn.csv --label churn --out conf/churn.yaml",
    )
    add = made.add_argument
    add("data", metavar="DATA", help="a file, folder or glob: CSV, Parquet or JSON")
    add("--label", required=True, metavar="COL", help="the column to predict")
    add("--key", action="append", default=[], metavar="COL", help="what makes a row unique; may be repeated")
    add("--event-time", metavar="COL", help="when a row came to be: splits by time")
    add("--task", metavar="T", help="binary, multiclass or regression; default: by the label")
    add("--exclude", action="append", default=[], metavar="COL", help="no feature; may be repeated")
    add("--name", metavar="N", help="the pipeline's name; default: the file's")
    add("--out", required=True, metavar="FILE.yaml", help="where to write")
    add("--force", action="store_true", help="replace a file that is there")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run and exit: 0 done, 2 a flag or path is wrong, 3 the data cannot be used."""
    given = parser().parse_args(argv)
    request = Request(
        data=given.data,
        label=given.label,
        key=tuple(given.key),
        event_time=given.event_time,
        task=given.task,
        exclude=tuple(given.exclude),
        name=given.name,
    )
    try:
        check_out(given.out, given.force)
        from headrace.runtime.session import session

        facts, choices = write(session("headrace init"), request, given.out)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(told(facts, choices, given.out))
    raise SystemExit(0)


def check_out(out: str, force: bool) -> None:
    """Refuse to replace a file unasked.

    Raises:
        ConfigError: If there is one.
    """
    if Path(out).is_dir():
        raise ConfigError(f"--out {out} is a folder; give the name of a file in it")
    if Path(out).exists() and not force:
        raise ConfigError(f"--out {out} is there already; give another name, or --force to replace it")


def write(spark: SparkSession, request: Request, out: str) -> tuple[DataFacts, Choices]:
    """Write the YAML; it appears only when it is valid.

    Raises:
        ConfigError: If a column or file that the request names is not there.
        DataError: If the data cannot be used.
    """
    from headrace.cli.profiling import look
    from headrace.runtime.spark_errors import translated

    try:
        facts = look(spark, request)
    except HeadraceError:
        raise
    except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
        raise translated(error, "init") from error
    choices = choose(facts, request)
    target = Path(out)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        part.write_text(draft(facts, choices, request, out), encoding="utf-8")
        read_pipeline(part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
    return facts, choices


def told(facts: DataFacts, choices: Choices, out: str) -> str:
    """What people read at the end."""
    lines = [f"{out}: {choices.task}, label {choices.label} ({choices.label_reason})"]
    lines.append(f"  {facts.rows:,} rows, {len(facts.columns)} columns, key {', '.join(facts.key) or 'none found'}")
    lines += [f"  left out: {name} ({why})" for name, why in choices.excluded.items()]
    lines.append(f"next: ./spark-submit.sh jobs/pipeline.py --config {out}")
    return "\n".join(lines) + "\n"
