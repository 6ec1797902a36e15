"""Score the rows that a stream brings: as the batch job would, a micro-batch at a time.

A micro-batch is a run of one step. What it writes is inserted by its keys, as the batch job's rows are: one that is
given once more, because the job was killed before Spark had noted it, adds nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import reduce
from typing import TYPE_CHECKING, Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from headrace.config import hooks
from headrace.config.types import Pipeline
from headrace.engine.time import moment, utc
from headrace.errors import ConfigError
from headrace.models.admission import admitted
from headrace.models.made import Made, made
from headrace.models.store import ModelStore
from headrace.models.version import Version
from headrace.runtime.step import Done, Output, Run, Step
from headrace.scoring.answers import Rows, answers, verified
from headrace.scoring.candidates import due, unscored
from headrace.scoring.rejected import tried
from headrace.scoring.stage import Features, Spine, key_of, pinned

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Times = Callable[["DataFrame", Pipeline, datetime], "DataFrame"]
"""Rows of the spine with `predict_at`; given by the flow."""

UNREAD = "_unread"
"""What the table's name is that of the predictions, and this: rows that nothing can be predicted for, with the reason."""
WAIT = timedelta(seconds=10)
"""A row whose time is no farther ahead than this is waited for: clocks differ."""
PLACE, TEXT, SENT, WRONG = "_came_from", "_came", "_came_at", "_wrong"
_AGAIN = "_again"


@dataclass
class Tally:
    """What became of a micro-batch.

    Attributes:
        came: Rows that came in.
        unread: Of these, rows that nothing can be predicted for.
        again: Of these, rows that the same micro-batch has twice.
        asked: Rows that had no prediction yet.
        newest: When the newest row was sent, or is predicted at where that is not known.
        version: Of the champion.
    """

    came: int = 0
    unread: int = 0
    again: int = 0
    asked: int = 0
    newest: datetime | None = None
    version: Version | None = None


@dataclass(frozen=True)
class Given:
    """What the flow gives of the training set's room, as to the batch job, and the rows.

    Attributes:
        inputs: Tables that the features are made of.
        rows: What of the configuration decides the rows and their features.
        times: Gives rows their times.
        spine: Gives the spine.
        features: Gives rows their features.
    """

    inputs: tuple[str, ...]
    rows: Any
    times: Times
    spine: Spine
    features: Features


def step(pipeline: Pipeline, given: Given, came: DataFrame, tally: Tally) -> Step:
    """The step that scores a micro-batch.

    Args:
        pipeline: The configuration.
        given: What the flow gives.
        came: The rows, with the columns of the cleaned table and where they came from.
        tally: Is told what became of them.
    """
    return Step(
        stage="score",
        name="stream",
        inputs=given.inputs,
        outputs=(f"{pipeline.scoring.output}{UNREAD}", pipeline.scoring.output),
        config={"stream": True, "scoring": pipeline.scoring.model_dump(mode="json", exclude={"stream"}), **given.rows},
        run=lambda run: _kept(run, given, came, tally),
        always=True,
        verified=verified(pipeline),
    )


def _kept(run: Run, given: Given, came: DataFrame, tally: Tally) -> Done:
    """Score rows that are read once."""
    judged = _judged(run, given, came).persist()
    try:
        done = _scored(run, given, came, judged, tally)
    except BaseException:
        judged.unpersist()
        raise

    def release() -> None:
        judged.unpersist()
        if done.cleanup:
            done.cleanup()

    return Done(done.outputs, rows_in=tally.came, rows_out=done.rows_out, notes=done.notes, cleanup=release)


def _judged(run: Run, given: Given, came: DataFrame) -> DataFrame:
    """The rows with their times, why nothing can be predicted for one, and whether it has been among them before."""
    timed, training, key = given.times(came, run.pipeline, run.as_of), run.pipeline.training_set, key_of(run)
    assert training is not None, "checked when the file was read"
    at = F.col("predict_at")
    wrong = [F.col(WRONG)]
    wrong += [F.when(F.col(f"`{c}`").isNull(), F.lit(f"{c}, of the key, is null")) for c in key]
    if training.predict_at or run.pipeline.tables[training.spine].event_time:
        wrong.append(F.when(at.isNull(), F.lit("predict_at is null")))
    ahead = "predict_at lies after the time when the row came: what it is predicted from is not known yet"
    wrong.append(F.when(at > moment(run.as_of + WAIT), F.lit(ahead)))
    told = timed.withColumn(WRONG, F.coalesce(*wrong))
    same = Window.partitionBy(WRONG, *key, "predict_at").orderBy(PLACE, TEXT)
    again = F.col(WRONG).isNull() & (F.row_number().over(same) > 1)
    return told.withColumn(_AGAIN, again)


def _scored(run: Run, given: Given, came: DataFrame, judged: DataFrame, tally: Tally) -> Done:
    version = pinned(run)
    if version is None:
        raise ConfigError(
            f"no version of {run.model_name} is champion, so nothing can be scored; train one (jobs/train.py), or make one "
            "champion (headrace promote). The stream goes on where it was"
        )
    tally.version = version
    first, last = _counted(judged, tally)
    unread = (_unread(run, judged),) if tally.unread else ()
    if tally.came == tally.unread:
        return Done(unread, rows_out=0)
    as_of = run.as_of
    if last is not None and last > as_of:
        time.sleep((last - as_of).total_seconds())
        as_of = last
    right = judged.where(F.col(WRONG).isNull() & ~F.col(_AGAIN)).select(*_columns(came))
    brought = run.bringing(right, as_of, first, None if last is None else last + timedelta(microseconds=1))
    done = _answered(brought, given, version, tally)
    return Done((*unread, *done.outputs), rows_out=done.rows_out, notes=done.notes, cleanup=done.cleanup)


def _answered(run: Run, given: Given, version: Version, tally: Tally) -> Done:
    """Score the rows that have no prediction yet."""
    key, table = key_of(run), run.pipeline.scoring.output
    earlier = [run.read(table) if run.exists(table) else None, tried(run, table, version.number)]

    def among(rows: DataFrame) -> DataFrame:
        wanted = rows.where(due(run.as_of, run.since, run.until))
        return reduce(lambda left, one: unscored(left, one, key, run.since, run.until), earlier, wanted)

    rows = given.spine(run, among)
    tally.asked = rows.count()
    if tally.asked == 0:
        return Done(rows_out=0)
    times = None if run.since is None or run.until is None else (run.since, run.until)
    store = ModelStore(run.tracking_uri)

    def made_of() -> Made:
        versions = {name: run.version(name) for name in given.inputs}
        return made(given.rows, versions, run.facts, hooks.meanings(run.pipeline, "training_set"))

    warning = admitted(store, version, store.card(version.run_id), made_of())
    found = answers(run, version, Rows(rows, given.features(run, None, times, among), key, tally.asked), made_of)
    notes = (*([warning] if warning else []), *found.notes)
    return Done(found.outputs, notes=notes, cleanup=found.release)


def _counted(judged: DataFrame, tally: Tally) -> tuple[datetime | None, datetime | None]:
    """Count the rows; the first and last time of those that can be predicted. Runs a Spark job, which reads the rows."""
    right = F.col(WRONG).isNull()
    times = [F.unix_micros(f(F.when(right, F.col("predict_at")))) for f in (F.min, F.max)]
    newest = F.unix_micros(F.max(F.when(right, F.coalesce(F.col(SENT), F.col("predict_at")))))
    counts = [F.count("*"), F.count_if(~right), F.count_if(F.col(_AGAIN))]
    found: Any = judged.agg(*[c.alias(f"c{n}") for n, c in enumerate([*counts, *times, newest])]).first()
    tally.came, tally.unread, tally.again = (int(n) for n in found[:3])
    first, last, tally.newest = (None if micros is None else utc(micros) for micros in found[3:])
    return first, last


def _columns(came: DataFrame) -> Sequence[str]:
    """The columns of the cleaned table."""
    return [f"`{c}`" for c in came.columns if c not in (PLACE, TEXT, SENT, WRONG)]


def _unread(run: Run, judged: DataFrame) -> Output:
    """Rows that nothing can be predicted for; those that are entered already are not entered again."""
    rows = judged.where(F.col(WRONG).isNotNull()).select(
        F.col(PLACE).alias("came_from"),
        F.col(TEXT).alias("content"),
        F.col(WRONG).alias("reason"),
        F.lit(run.run_id).alias("run_id"),
        F.current_timestamp().alias("noticed_at"),
    )
    keys = ("came_from", "content")
    return Output(
        f"{run.pipeline.scoring.output}{UNREAD}",
        rows.dropDuplicates(list(keys)),
        mode="insert",
        keys=keys,
        serializable=True,
        description="Rows that a stream has brought and that nothing can be predicted for, with the reason",
    )
