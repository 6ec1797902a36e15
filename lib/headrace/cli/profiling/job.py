"""The work of `headrace profile`, on Spark: data -> facts -> a table of columns."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import NoReturn

from headrace.cli.drafting.job import add_source, looked_at, source_of
from headrace.cli.profile import FORMATS
from headrace.cli.profiling.facts import Request
from headrace.cli.profiling.text import as_json, as_markdown, as_text
from headrace.errors import HeadraceError

WRITERS = dict(zip(FORMATS, (as_text, as_markdown, as_json), strict=True))


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/profile_data.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/profile_data.py",
        description="profile: types, missing values, ranges and examples of a data set's columns.",
        epilog="example: ./spark-submit.sh jobs/profile_data.py data/churn.csv --format markdown",
    )
    add_source(made.add_argument, "--source-format")
    made.add_argument("--label", metavar="COL", help="look for leaks of this column")
    made.add_argument("--format", choices=FORMATS, default="text", help="how to print it")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Print and exit: 0 done, 2 a flag or path is wrong, 3 the data cannot be used."""
    given = parser().parse_args(argv)
    try:
        request = Request(**source_of(given), label=given.label)
        from headrace.runtime.session import session

        facts = looked_at(session("headrace profile"), request)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write(WRITERS[given.format](facts, request))
    raise SystemExit(0)
