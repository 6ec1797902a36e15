"""The door of `jobs/stream.py`: arguments, the stream, the summary, the exit code."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.job import check_writable, report_to
from headrace.cli.running import hush
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.config.streaming import AVAILABLE_NOW, CONTINUOUS, trigger_of
from headrace.errors import ConfigError, HeadraceError

if TYPE_CHECKING:
    from headrace.config.types import Environment, Pipeline


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/stream.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/stream.py",
        description="stream: scores rows as they come (scoring.stream of the YAML), exactly once, as the job score would.",
        epilog=f"example: ./spark-submit.sh jobs/stream.py --config conf/flights.yaml --trigger {CONTINUOUS}",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    add(
        "--trigger",
        metavar="WHEN",
        help=f"{AVAILABLE_NOW}: all that is there, then end; {CONTINUOUS}: batch after batch, until SIGTERM or Ctrl-C ends it "
        "after the batch under way; '30 seconds': the same, a batch at most so often; default: as in the YAML",
    )
    add("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value of the YAML")
    add("--summary", metavar="OUT.json", help="write what was done as JSON")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the stream and exit: 0 done, or ended when asked to; 2 configuration, 3 data, 1 anything else."""
    given = parser().parse_args(argv)
    secrets.guard_output()
    code = 0
    try:
        pipeline, environment = read_pipeline(given.config, env=given.env, sets=given.sets)
        check_writable(given.summary)
        _run(pipeline, environment, given.trigger, given.summary)
    except HeadraceError as error:
        sys.stderr.write(f"\n{secrets.redacted(error.message)}\n")
        code = error.exit_code
    sys.stdout.flush()
    raise SystemExit(code)


def _run(pipeline: Pipeline, environment: Environment, when: str | None, summary: str | None) -> None:
    if when is not None:
        try:
            trigger_of(when)
        except ValueError as error:
            raise ConfigError(f"--trigger: {error}") from None
    hush()
    # heavy imports only now: a mistake in the YAML has been told by then
    from headrace.cli.streaming.stream import Scorer, require
    from headrace.runtime.progress import Progress
    from headrace.runtime.session import session
    from headrace.runtime.signals import hear
    from headrace.runtime.streams import Stop
    from headrace.runtime.webhook import failures_told

    require(pipeline)
    progress = Progress()
    with failures_told(pipeline, environment, None, progress) as watch:
        spark, stop = session(f"headrace stream {pipeline.pipeline}"), Stop()
        hear(spark, stop.ask)
        scorer = Scorer(spark, pipeline, environment, progress)
        watch.outcome = scorer.outcome
        try:
            scorer.run(when, stop.wanted)
        finally:
            report_to(summary)(scorer.summary())
        scorer.close()
