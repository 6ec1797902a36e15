"""The work of `headrace replay`: judge the rows of tables again, and tell what moved.

Validate and clean make a table anew from all raw rows that count, so that rules which have changed hold for every
row, and duplicates are merged with the rows that were kept. A replay is these two steps alone. They are skipped when
rules, rows and code are as they were: a second replay moves nothing. One killed between the two commits is ended by
the next: the quarantine has a new version, and the cleaned table is made from it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, NoReturn

from headrace.cli.job import moment_argument
from headrace.cli.replay import check_table
from headrace.config import secrets
from headrace.config.reading import read_pipeline
from headrace.errors import HeadraceError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.config.types import Environment, Pipeline
    from headrace.runtime.commits import CommitLog
    from headrace.runtime.tables import Tables


@dataclass(frozen=True)
class State:
    """What a cleaned table was made of, and what came of it.

    Attributes:
        quarantine: Version of the quarantine that belongs to it; None where there is no cleaned table yet.
        raw: Version of the raw table.
        counts: `rows_in`, `kept`, `quarantined`, `merged`.
    """

    quarantine: int | None
    raw: int | None
    counts: dict[str, int]


def parser() -> argparse.ArgumentParser:
    """The command line of `jobs/replay.py`."""
    made = argparse.ArgumentParser(
        prog="./spark-submit.sh jobs/replay.py",
        description="replay: judges quarantined rows again, and moves what passes into the cleaned tables.",
        epilog="example: ./spark-submit.sh jobs/replay.py --config conf/flights.yaml --table flights",
    )
    add = made.add_argument
    add("--config", required=True, metavar="FILE.yaml", help="the pipeline")
    add("--env", metavar="NAME", help="overlay: env/NAME.yaml beside the file, or in conf/: where things are")
    add("--table", action="append", default=[], metavar="T", help="only this table; repeatable")
    add("--since", type=moment_argument, metavar="T", help="report on rows that landed from here on")
    add("--until", type=moment_argument, metavar="T", help="report on rows that landed before this")
    add("--force", action="store_true", help="judge again though nothing has changed")
    add("--set", dest="sets", action="append", default=[], metavar="a.b=value", help="change a value of the YAML")
    return made


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Replay and exit: 0 done, 2 configuration, 3 a `fail` rule is broken."""
    given = parser().parse_args(argv)
    secrets.guard_output()
    try:
        pipeline, environment = read_pipeline(given.config, given.env, given.sets)
        for name in given.table:
            check_table(name, _made(pipeline))
        from headrace.cli.running import hush
        from headrace.runtime.session import session

        hush()
        spark = session(f"headrace replay {pipeline.pipeline}")
        lines = replayed(spark, pipeline, environment, given.table, (given.since, given.until), given.force)
    except HeadraceError as error:
        sys.stderr.write(f"\n{error.message}\n")
        raise SystemExit(error.exit_code) from None
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()
    raise SystemExit(0)


def _made(pipeline: Pipeline) -> list[str]:
    return [name for name, table in pipeline.tables.items() if not table.shared]


def replayed(
    spark: SparkSession,
    pipeline: Pipeline,
    environment: Environment,
    tables: Sequence[str] = (),
    window: tuple[datetime | None, datetime | None] = (None, None),
    force: bool = False,
) -> list[str]:
    """Judge again, and tell what moved.

    Args:
        spark: The session.
        pipeline: The configuration.
        environment: The overlay.
        tables: Only these; none: all that the pipeline makes.
        window: The report is on rows that landed in it, half-open; all rows are judged whatever it says.
        force: Also where nothing has changed (a rule that asks the clock).

    Raises:
        ConfigError: If a table has not been ingested yet.
        DataError: If a rule of `on_fail: fail` is broken.
    """
    from headrace import flow
    from headrace.runtime.runner import Options, Runner

    chosen = [name.lower() for name in tables] or _made(pipeline)
    wanted = {f"{stage}:{name}" for stage in flow.INSEPARABLE for name in chosen}
    runner = Runner(spark, pipeline, environment, Options(force="" if force else None))
    log = runner.tables.log
    before = {name: state(log, name) for name in chosen}
    runner.run([step for step in flow.steps(pipeline) if step.name in wanted])
    return [line for name in chosen for line in _told(runner.tables, name, before[name], state(log, name), window)]


def state(log: CommitLog, table: str) -> State:
    """What the newest cleaned table was made of; also that of a run that a killed one left half done."""
    commit = log.last(table)
    note = commit.note if commit else {}
    inputs = note.get("inputs", {})
    return State(inputs.get(f"{table}_quarantine"), inputs.get(f"raw_{table}"), note.get("counts", {}))


def _told(
    tables: Tables, name: str, before: State, after: State, window: tuple[datetime | None, datetime | None]
) -> list[str]:
    balance = "{rows_in:,} in = {kept:,} kept + {quarantined:,} quarantined + {merged:,} merged"
    lines = [f"{name}: {balance.format(**after.counts)}"]
    if before.quarantine is None:
        return [*lines, "  judged for the first time"]
    if before.quarantine == after.quarantine:
        return [*lines, "  nothing moved: rules and rows are as they were"]
    from headrace.validate.replay import landed_in, moved

    assert after.quarantine is not None, "clean has made the table from a quarantine"
    then, now = (
        landed_in(tables.read(f"{name}_quarantine", v), *window) for v in (before.quarantine, after.quarantine)
    )
    found = {(r["way"], r["rule"]): int(r["rows"]) for r in moved(then, now).collect()}  # a row or two per rule
    lines.append(f"  before: {balance.format(**before.counts)}")
    lines += _way(found, "left", "left the quarantine", "rows that had broken")
    lines += _way(found, "came", "came into it", "rows that break")
    if before.raw != after.raw and found:
        lines.append("  other rows have landed since: what left may have been replaced, what came may be new")
    return lines


def _way(found: dict[tuple[str, str], int], way: str, says: str, rule: str) -> list[str]:
    by_rule = sorted(((n, name) for (to, name), n in found.items() if to == way and name), reverse=True)
    total = f"  {found.get((way, ''), 0):,} rows {says}"
    return [total, *(f"    {n:>12,}  {rule} {name}" for n, name in by_rule)]
