"""What a pass counted: rows by what became of them, and the newest times that rules ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.types import Table
from headrace.runtime.settings import held
from headrace.runtime.transforms import PRINT
from headrace.validate.checks import moment
from headrace.validate.handed import Base
from headrace.validate.rules import kinds_of, tally
from headrace.validate.whole import clocks, micros

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, Row

_AHEAD = "{} ahead"


@dataclass(frozen=True)
class Tally:
    """What a pass over rows counted.

    Attributes:
        counts: Rows by (how a rule acted, the rule); `("total", "rows")`, `("total", "quarantined")`.
        newest: Per clock that a rule asks for, the newest time of kept rows up to the run's now, in microseconds.
        ahead: Clocks of which a kept row has a later time.
        checksum: Of the rows' fingerprints, where they have any.
    """

    counts: Mapping[tuple[str, str], int]
    newest: Mapping[str, int | None]
    ahead: tuple[str, ...] = ()
    checksum: str | None = None

    @property
    def rows(self) -> int:
        """All rows."""
        return self.counts.get(("total", "rows"), 0)

    @property
    def quarantined(self) -> int:
        """Those set aside."""
        return self.counts.get(("total", "quarantined"), 0)

    @property
    def reasons(self) -> dict[str, int]:
        """Rows per rule, as a commit carries them: by `quarantine:positive`."""
        return {f"{kind}:{rule}": n for (kind, rule), n in self.counts.items() if kind != "total"}

    def facts(self) -> dict[str, Any]:
        """What a later pass needs to go on from here."""
        return {"newest": dict(self.newest), "ahead": list(self.ahead)} if self.newest else {}


def goes_on(base: Base, table: Table, as_of: datetime) -> bool:
    """Whether the rules can be judged of new rows and of what is known of those before them."""
    learned = all(kept["rows"] for kept in base.facts.get("outliers", {}).values())
    times = base.facts.get("newest", {}).values()
    told = base.facts.get("ahead") == [] and all(time is None or time <= micros(as_of) for time in times)
    return learned and (told or not clocks(table))


def tallied(judged: DataFrame, table: Table, as_of: datetime, base: Base | None = None) -> Tally:
    """Judge every row, and count; with a base also the rows that were judged before."""
    found = counted(judged, times_of(judged, table, as_of))
    counts = {(r["kind"], r["name"]): int(r["count"]) for r in found}
    of_all = next((r for r in found if (r["kind"], r["name"]) == ("total", "rows")), None)
    named = {clock: of_all[f"_most_{clock}"] if of_all else None for clock in clocks(table)}
    ahead = tuple(c for c in clocks(table) if of_all and of_all[f"_most_{_AHEAD.format(c)}"] is not None)
    checksum = str(of_all[PRINT]) if of_all and PRINT in of_all else None
    now = Tally(counts, named, ahead, checksum)
    return _after(base, now) if base else now


def counted(judged: DataFrame, most: dict[str, Column] | None = None) -> list[Row]:
    """Judge every row, and count. One Spark job for rules over rows: adaptive execution would make three of it."""
    with held(judged.sparkSession, {"spark.sql.adaptive.enabled": "false"}):
        return tally(judged, most=most).coalesce(1).collect()


def times_of(judged: DataFrame, table: Table, as_of: datetime) -> dict[str, Column]:
    """Of the clocks that a rule asks for, the times of the rows that are kept, up to `as_of` and after it."""
    kinds, now, kept = kinds_of(judged), F.lit(micros(as_of)), F.size("_reasons") == 0
    times = {clock: F.expr(moment(clock, kinds.get(clock, "string"))) for clock in clocks(table)}
    upto = {clock: F.when(kept & (time <= now), time) for clock, time in times.items()}
    return upto | {_AHEAD.format(clock): F.when(kept & (time > now), time) for clock, time in times.items()}


def _after(base: Base, now: Tally) -> Tally:
    before = {("total", "rows"): base.counts["rows_in"], ("total", "quarantined"): base.counts["quarantined"]}
    before |= {(key.partition(":")[0], key.partition(":")[2]): n for key, n in base.counts.items() if ":" in key}
    counts = {key: before.get(key, 0) + now.counts.get(key, 0) for key in {**before, **now.counts}}
    earlier = base.facts.get("newest", {})
    newest = {
        c: max((t for t in (earlier.get(c), time) if t is not None), default=None) for c, time in now.newest.items()
    }
    return Tally(counts, newest, now.ahead)
