"""A published feature table brought up to date: only entities and times that new, late or withdrawn events touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from pyspark.errors import AnalysisException
from pyspark.sql import functions as F

from headrace.config.types import FeatureTable, Table
from headrace.engine.definitions import clock, prepared_events, published
from headrace.engine.published import VALID_FROM, Published, published_schema
from headrace.engine.refreshed import SINCE
from headrace.engine.time import known_by, moment
from headrace.features import changes
from headrace.runtime.merging import CHANGE
from headrace.runtime.spark_errors import history_gone
from headrace.runtime.step import Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

SHARE = 0.5
"""Of the table's rows: where more than these lie in what is touched, building it anew is faster."""
UNTOUCHED = "no event that is new, late or gone: every row stays"


@dataclass(frozen=True)
class Base:
    """What a feature table was made of.

    Attributes:
        version: Of the cleaned table.
        same: Whether that is the version to be used now.
        as_of: The logical now of then.
    """

    version: int
    same: bool
    as_of: datetime


def made_of(run: Run, table: FeatureTable) -> dict[str, Any]:
    """What a commit of a feature table carries, so that a later run can build on it."""
    return {"as_of": run.as_of.isoformat(), "events": run.facts(table.from_).get("headrace")}


def base_of(run: Run, name: str, table: FeatureTable) -> Base | None:
    """What the feature table was made of, if a refresh can build on it: else it is made anew."""
    if (run.forced and not backfills(run)) or not run.exists(name) or not run.made_alike(name):
        return None
    note = run.facts(name)
    facts, version = note.get("facts", {}), note.get("inputs", {}).get(table.from_)
    if version is None or not facts.get("events"):
        return None
    as_of = datetime.fromisoformat(facts["as_of"])
    if run.facts(table.from_, version).get("headrace") != facts["events"] or as_of > run.as_of:
        return None
    return Base(version, version == run.version(table.from_), as_of)


def backfills(run: Run) -> bool:
    """Whether a window alone is to be computed anew: a backfill."""
    return run.forced and bool(run.since or run.until)


def events_at(cleaned: DataFrame, table: FeatureTable, source: Table, as_of: datetime) -> DataFrame:
    """The prepared events that are known, and have happened, at a logical now."""
    known = known_by(cleaned, source, as_of)
    return prepared_events(known.where(F.col(clock(table, source)) <= moment(as_of)), table, source)


def refreshed(
    run: Run, name: str, table: FeatureTable, source: Table, output: Callable[..., Output]
) -> tuple[Output, Callable[[], None], str] | None:
    """The changes that bring the table up to date, what to call when they are written, and what to say of them.

    Args:
        run: The run.
        name: The feature table.
        table: Its configuration.
        source: The cleaned table's configuration.
        output: Makes an output of a frame and how it is written.

    Returns:
        None where the table is to be made anew: it was made of other configuration or code, its base is gone, or most
        of it is touched.
    """
    base = base_of(run, name, table)
    if base is None:
        return None
    of, stands = published(table, source, run.as_of), run.read(name)
    new = events_at(run.read(table.from_), table, source, run.as_of)
    try:
        old = events_at(run.read_version(table.from_, base.version), table, source, base.as_of)
        if not _alike(old, new, stands, of):
            return None
        touched = _touched(run, table, source, of, base, stands).persist()
    except AnalysisException:  # the version is gone, or had no such column yet, or kept no feed
        return None
    found = _found(touched)
    if found is None or not found["entities"]:
        touched.unpersist()
        return None if found is None else (nothing(run, name, stands, output), lambda: None, UNTOUCHED)
    standing = changes.concerned(changes.near_rows(stands, found["since"]), touched, of).persist()
    rows = changes.changed_rows(changes.near(new, found["since"], of), touched, standing, of).persist()
    release = partial(release_all, rows, standing, touched)
    try:
        found |= _measured(standing, found["since"])
        if found["affected"] > SHARE * stands.count() and not backfills(run):
            release()
            return None
        found["only"] = changes.only_rows(touched, of, found["from"], found["entities"])
        return _merged(run, name, of, rows, found, output), release, _told(run, found)
    except Exception:  # whatever it was, it is raised again; only the room is given back
        release()
        raise


def _found(touched: DataFrame) -> dict[str, Any] | None:
    """How many entities are touched, and since when at the earliest; None where files of a version are gone."""
    try:
        counted = touched.agg(F.count("*").alias("entities"), F.unix_micros(F.min(SINCE)).alias("since")).first()
    except Exception as error:
        if not history_gone(error):
            touched.unpersist()
            raise
        return None
    assert counted is not None  # an aggregate without groups has one row
    return counted.asDict()


def release_all(*frames: DataFrame) -> None:
    """Give back the room of what was persisted."""
    for frame in frames:
        frame.unpersist()


def _alike(old: DataFrame, new: DataFrame, stands: DataFrame, of: Published) -> bool:
    """Whether the events have the same columns as before, and make those of the table."""
    shapes = [[(f.name, f.dataType) for f in frame.schema] for frame in (old, new)]
    wanted = [(f.name, f.dataType) for f in published_schema(new, of, of.asked(new))]
    there = [(f.name, f.dataType) for f in stands.schema]
    return shapes[0] == shapes[1] and wanted == there and changes.comparable(new)


def _touched(run: Run, table: FeatureTable, source: Table, of: Published, base: Base, stands: DataFrame) -> DataFrame:
    """Entities of which something differs: events went or came, became known, a grid has gone on; in a backfill all."""
    cleaned = run.read(table.from_)
    new = events_at(cleaned, table, source, run.as_of)
    found = []
    if not base.same:
        # of what nobody followed, all that was there went, and all that is there came
        gone, come = run.changes(table.from_, base.version) or (run.read_version(table.from_, base.version), cleaned)
        old = events_at(gone, table, source, base.as_of)
        found.append(changes.differing(old, events_at(come, table, source, run.as_of), of))
    if base.same or run.as_of > base.as_of:
        found.append(changes.newly_known(new, of, base.as_of))
    if of.every is not None and run.as_of > base.as_of:
        found.append(changes.instants_to_come(new, of, base.as_of))
    if backfills(run):
        found.append(changes.everybody(new, stands, of, run.since, run.until))
    return changes.earliest(*found, entity=of.entity)


def _measured(standing: DataFrame, since: int) -> Mapping[str, Any]:
    """From when on rows of the table can change, and how many are computed anew from `SINCE` on."""
    affected = F.count_if(F.col(VALID_FROM) >= F.col(SINCE)).alias("affected")
    found = standing.agg(affected, F.unix_micros(F.min(VALID_FROM)).alias("from")).first()
    assert found is not None  # an aggregate without groups has one row
    return {"affected": found["affected"], "from": min(since, since if found["from"] is None else found["from"])}


def _merged(
    run: Run, name: str, of: Published, rows: DataFrame, found: Mapping[str, Any], output: Callable[..., Output]
) -> Output:
    counts = {str(r[CHANGE]): int(r["count"]) for r in rows.groupBy(CHANGE).count().collect()}
    if not counts:
        return nothing(run, name, run.read(name), output)
    return output(
        rows,
        mode="merge",
        keys=(*of.entity, VALID_FROM),
        only=found["only"],
        counts=counts,
        expect_rows=sum(counts.values()),
        based_on=run.version(name),
    )


def nothing(run: Run, name: str, stands: DataFrame, output: Callable[..., Output]) -> Output:
    """No row, and a commit that says what the table is now up to date with."""
    # serializable: without a transaction number Delta makes no commit of no rows
    how: dict[str, Any] = {"mode": "append", "serializable": True, "adds_nothing": True}
    return output(stands.limit(0), based_on=run.version(name), **how)


def _told(run: Run, found: Mapping[str, Any]) -> str:
    if backfills(run):
        window = f"from {run.since or 'the beginning'} until {run.until or 'the end'}"
        return f"backfilled {window}: {found['entities']:,} entities computed anew; what is as it was stays"
    return f"refreshed: events of {found['entities']:,} entities are new, late or gone; the other rows stay"
