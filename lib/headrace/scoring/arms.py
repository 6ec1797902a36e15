"""Which version scores which rows: by `scoring.strategy`, and the same as in real time (see `models.assignment`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.config.strategies import CHAMPION
from headrace.engine.time import moment
from headrace.errors import ConfigError, HeadraceError
from headrace.models.assigned import assigned_column
from headrace.models.card import ModelCard, check_columns
from headrace.models.store import ModelStore
from headrace.models.version import Version
from headrace.runtime.step import Run
from headrace.scoring.rejected import tried
from headrace.scoring.ways import Way, chosen, ready, withdraw

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

ROLE = "__role"


@dataclass(frozen=True)
class Arm:
    """A version and the rows that it scores.

    Attributes:
        version: Pinned.
        rows: With their features.
        count: Of the rows.
    """

    version: Version
    rows: DataFrame
    count: int


def others(run: Run) -> dict[str, Version | None]:
    """What the strategy's aliases and versions beside the champion stand for; None of one that is not there."""
    store, name = ModelStore(run.tracking_uri), run.model_name
    wanted = run.pipeline.scoring.strategy.others
    numbers = {str(version.number): version for version in store.versions(name)} if wanted else {}
    return {one: numbers.get(one) if one.isdigit() else store.alias(name, one) for one in wanted}


def able(
    run: Run, there: Mapping[str, Version | None], rows: DataFrame, admit: Callable[[Version, ModelCard], str | None]
) -> tuple[dict[str, Version], list[str]]:
    """Those that can score the rows; the champion scores for the others. What people should know of them.

    Args:
        run: The run.
        there: What the strategy's names stand for.
        rows: With their features.
        admit: Lets a version score, or refuses; see `models.admission`.
    """
    columns = {field.name: field.dataType.simpleString() for field in rows.schema}
    found, notes = dict[str, Version](), list[str]()
    for name, version in there.items():
        if version is None:
            notes.append(f"no version of {run.model_name} is {name}: the champion scores in its place")
            continue
        try:
            card = ModelStore(run.tracking_uri).card(version.run_id)
            check_columns(card, columns)
            warning = admit(version, card)
            ready(run, version)
        except HeadraceError as error:
            notes.append(
                f"{name} (version {version.number}) cannot score, the champion does in its place: {error.message}"
            )
            continue
        found[name] = version
        notes += [warning] if warning else []
    return found, notes


def divided(
    run: Run, champion: Version, roles: Mapping[str, Version], rows: DataFrame, key: Sequence[str], count: int
) -> list[Arm]:
    """The rows by who scores them. Runs a Spark job where several do.

    Args:
        run: The run.
        champion: Scores what nobody else does.
        roles: Those that can score beside it.
        rows: With their features.
        key: Of the spine.
        count: Of the rows.

    Raises:
        ConfigError: If the columns that decide are not among those of the rows.
    """
    strategy = run.pipeline.scoring.strategy
    if strategy.kind not in ("canary", "ab") or not roles:
        return [Arm(champion, rows, count)]
    entity = tuple(strategy.entity) or tuple(key)
    missing = [name for name in entity if name not in rows.columns]
    if missing:
        raise ConfigError(
            f"scoring.strategy.entity: {', '.join(missing)} is neither of the spine's key nor a feature; there are "
            f"{', '.join(sorted(rows.columns)[:20])}"
        )
    at = F.coalesce(F.col("predict_at"), moment(run.as_of))
    role = assigned_column(rows, strategy, entity, at)
    named = rows.withColumn(ROLE, F.when(role.isin(list(roles)), role).otherwise(F.lit(CHAMPION)))
    for name, version in roles.items():  # what it has no answer for is the champion's
        named = _without(named, name, tried(run, run.pipeline.scoring.output, version.number), key)
    counts = {row[ROLE]: row["count"] for row in named.groupBy(ROLE).count().collect()}  # a row per arm
    versions = {CHAMPION: champion, **roles}
    return [
        Arm(versions[name], named.where(F.col(ROLE) == name).drop(ROLE), found)
        for name, found in sorted(counts.items())
    ] or [Arm(champion, rows, 0)]


def _without(named: DataFrame, role: str, refused: DataFrame | None, key: Sequence[str]) -> DataFrame:
    """Rows with their role, but for those that it has refused."""
    if refused is None:
        return named
    there = refused.select(*key, "predict_at").distinct().withColumn("__refused", F.lit(True))
    same = reduce(and_, (named[name].eqNullSafe(there[name]) for name in (*key, "predict_at")))
    kept = [named[name] for name in named.columns if name != ROLE]
    theirs = (F.col(ROLE) == role) & F.col("__refused").isNotNull()
    joined = named.join(there, same, "left")
    return joined.select(*kept, F.when(theirs, F.lit(CHAMPION)).otherwise(F.col(ROLE)).alias(ROLE))


@dataclass(frozen=True)
class Scorings:
    """Arms and how each is scored.

    Attributes:
        arms: Versions and rows.
        ways: One each.
        stamped: From version and scored rows to rows of the table of predictions.
    """

    arms: Sequence[Arm]
    ways: Sequence[Way]
    stamped: Callable[[Version, DataFrame], DataFrame]

    @classmethod
    def of(
        cls, run: Run, arms: Sequence[Arm], keep: Sequence[str], stamped: Callable[[Version, DataFrame], DataFrame]
    ) -> Scorings:
        """The way of each arm; `keep`: columns carried over."""
        return cls(arms, [chosen(run, arm.version, arm.rows, keep, arm.count) for arm in arms], stamped)

    def frame(self, transformed: Sequence[bool] = ()) -> DataFrame:
        """All arms' predictions; of those that are told `transform` is asked."""
        whole = [*transformed, *[False] * (len(self.arms) - len(transformed))]
        frames = [
            self.stamped(arm.version, way.transformed() if slow else way.scored)
            for arm, way, slow in zip(self.arms, self.ways, whole, strict=True)
        ]
        return reduce(lambda one, other: one.unionByName(other), frames)

    def checked(self, run: Run) -> DataFrame | None:
        """Compare some of the rows that were written with `transform`; all predictions anew where they differ."""
        wrong = [way.wrong() for way in self.ways]
        for arm, why in zip(self.arms, wrong, strict=True):
            if why is not None:
                withdraw(run, arm.version, why)
        return self.frame([why is not None for why in wrong]) if any(wrong) else None

    def counted(self) -> list[str]:
        """For people: who has scored how many rows."""
        return [f"{arm.count:,} rows scored by {arm.version.name} version {arm.version.number}" for arm in self.arms]

    def warnings(self) -> list[str]:
        """For people: why rows take a slower way."""
        return [way.warning for way in self.ways if way.warning]
