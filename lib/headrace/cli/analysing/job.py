"""The work of `headrace validate --data`: Spark's word on every expression of a pipeline."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from headrace.cli.validate import counted, summary
from headrace.config.reading import placed, read_pipeline
from headrace.config.types import Pipeline
from headrace.errors import ConfigError, HeadraceError


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/validate.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/validate.py",
        description="validate: analyses every SQL expression against the sources' columns; writes nothing.",
        epilog="example: ./spark-submit.sh jobs/validate.py --config conf/flights.yaml",
    )
    made.add_argument("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    made.add_argument(
        "--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are"
    )
    made.add_argument("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value")
    return made


def _analysed(pipeline: Pipeline) -> list[tuple[str, str]]:
    from headrace.cli.analysing.expressions import analysed
    from headrace.cli.running import hush
    from headrace.runtime import hooks
    from headrace.runtime.session import session
    from headrace.runtime.spark_errors import translated

    hush()
    spark = session("headrace validate")
    hooks.ready(spark, pipeline)
    try:
        return analysed(spark, pipeline)
    except HeadraceError:
        raise
    except Exception as error:  # Spark's errors have no common base; translated() keeps what it does not know
        raise translated(error, "validate") from error


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Check and exit: 0 all expressions can be run, 2 there are mistakes."""
    given = parser().parse_args(argv)
    try:
        pipeline, _ = read_pipeline(given.config, given.env, given.sets)
        found = _analysed(pipeline)
        if found:
            raise ConfigError(placed(given.config, given.sets, found))
    except ConfigError as error:
        sys.stderr.write(f"\n{error.message}\n{counted(len(error.mistakes))}\n")
        raise SystemExit(error.exit_code) from None
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(f"{given.config} is valid, and Spark can run all of its SQL: {summary(pipeline)}\n")
    sys.stdout.flush()
    raise SystemExit(0)
