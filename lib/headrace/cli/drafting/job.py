"""The work of `headrace init`, on Spark: data -> facts -> choices -> YAML, checked before it is kept."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from headrace.cli.drafting.choices import Choices, choose
from headrace.cli.drafting.draft import draft
from headrace.cli.drafting.outfile import check_out, keep
from headrace.cli.profiling.facts import DataFacts, Request
from headrace.config.learning import TASKS
from headrace.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/init.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/init.py",
        description="init: profiles data and writes a commented YAML that trains a model.",
        epilog="example: ./spark-submit.sh jobs/init.py data/churn.csv --label churn --out conf/churn.yaml",
    )
    add = made.add_argument
    add_source(add)
    add("--label", metavar="COL", help="the column to predict")
    add("--key", action="append", default=[], metavar="COL", help="what makes a row unique; may be repeated")
    add("--event-time", metavar="COL", help="when a row came to be: splits by time")
    add("--task", metavar="T", help=f"{', '.join(TASKS)}; default: by the label")
    add("--user", metavar="COL", help="recommendation: who rates, buys or clicks")
    add("--item", metavar="COL", help="recommendation: what is recommended")
    add("--rating", metavar="COL", help="recommendation: the rating; without it each row says that the item was liked")
    add("--exclude", action="append", default=[], metavar="COL", help="no feature; may be repeated")
    add("--name", metavar="N", help="the pipeline's name; default: the file's")
    add("--out", required=True, metavar="FILE.yaml", help="where to write")
    add("--force", action="store_true", help="replace a file that is there")
    return made


def add_source(add: Callable[..., object], flag: str = "--format") -> None:
    """Arguments that say where the data are."""
    add("data", metavar="DATA", nargs="?", default="", help="a file, folder or glob, a table, or a Delta path")
    add(
        flag,
        dest="source_format",
        metavar="F",
        help="format of Spark's reader (jdbc, delta, orc ...); default: by DATA",
    )
    add("--option", action="append", default=[], metavar="K=V", help="option of Spark's reader; may be repeated")


def source_of(given: argparse.Namespace) -> dict[str, Any]:
    """Data, format and options of a command line.

    Raises:
        ConfigError: If they do not say where the data are.
    """
    pairs = [text.partition("=") for text in given.option]
    wrong = next((key for key, sign, _ in pairs if not sign or not key), None)
    if wrong is not None:
        raise ConfigError(f"--option {wrong} is no option; write --option KEY=VALUE")
    if not given.data and not given.source_format:
        raise ConfigError("say where the data are: DATA (a file, folder, table), or --format jdbc --option url=...")
    return {"data": given.data, "format": given.source_format, "options": {key: value for key, _, value in pairs}}


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run and exit: 0 done, 2 a flag or path is wrong, 3 the data cannot be used."""
    given = parser().parse_args(argv)
    try:
        check_out(given.out, given.force)
        request = Request(
            **source_of(given),
            label=given.label,
            key=tuple(given.key),
            event_time=given.event_time,
            task=given.task,
            user=given.user,
            item=given.item,
            rating=given.rating,
            exclude=tuple(given.exclude),
            name=given.name,
        )
        from headrace.runtime.session import session

        facts, choices = write(session("headrace init"), request, given.out)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(told(facts, choices, given.out))
    raise SystemExit(0)


def write(spark: SparkSession, request: Request, out: str) -> tuple[DataFacts, Choices]:
    """Write the YAML; it appears only when it is valid.

    Raises:
        ConfigError: If a column or file that the request names is not there.
        DataError: If the data cannot be used.
    """
    facts = looked_at(spark, request)
    choices = choose(facts, request)
    keep(draft(facts, choices, request, out), out)
    return facts, choices


def looked_at(spark: SparkSession, request: Request) -> DataFacts:
    """The facts; errors of Spark in words.

    Raises:
        HeadraceError: If the data cannot be read or used.
    """
    from headrace.cli.profiling.look import look
    from headrace.runtime.spark_errors import translated

    try:
        return look(spark, request)
    except HeadraceError:
        raise
    except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
        raise translated(error, "init") from error


def told(facts: DataFacts, choices: Choices, out: str) -> str:
    """What people read at the end."""
    what = f"label {choices.label} ({choices.label_reason})" if choices.label else choices.label_reason
    lines = [f"{out}: {choices.task}, {what}"]
    lines.append(f"  {facts.rows:,} rows, {len(facts.columns)} columns, key {', '.join(facts.key) or 'none found'}")
    lines += [f"  {choices.balance}"] if choices.balance else []
    lines += [f"  left out: {name} ({why})" for name, why in choices.excluded.items()]
    lines.append(f"next: ./spark-submit.sh jobs/pipeline.py --config {out}")
    return "\n".join(lines) + "\n"
