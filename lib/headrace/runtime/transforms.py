"""A user's `DataFrame -> DataFrame` that keeps rows: called, held to its contract, and proven on the data.

What Headrace itself needs of a row travels through the function in one column, `_kept`, and is taken from there
afterwards: the function can neither change a key nor see a label by accident.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.config.hooks import Use, use
from headrace.errors import DataError
from headrace.runtime.hooks import computing, load, naming

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from headrace.config.types import Pipeline

KEPT = "_kept"
PRINT = "_print"
Content = Mapping[str, Any]
"""Of rows: how many (`rows`) and their checksum (`checksum`), as JSON can hold it."""
TOLERANCE = 1e-6
TRANSFORM = "training_set.transform"
"""Where the YAML names the function that training and scoring both call."""


def transformed(
    pipeline: Pipeline, where: str, frame: DataFrame, kept: Sequence[str], hidden: Sequence[str] = ()
) -> DataFrame:
    """The frame as the hook at a place of the YAML makes it; a pure transformation, but for what the hook does.

    Args:
        pipeline: The configuration.
        where: As `training_set.transform`.
        frame: The rows.
        kept: Columns that are the same afterwards, whatever the hook does to them.
        hidden: Those of `kept` that the hook does not get by their name.

    Returns:
        `kept`, then the columns that the hook returned, names in lower case.

    Raises:
        DataError: If it returns no DataFrame, drops `_kept`, or names a column as Headrace names its own.
        HeadraceError: If it raises.
    """
    from pyspark.sql import functions as F

    one = use(pipeline, where)
    function = load(frame.sparkSession, pipeline, one)
    carried = F.struct(*[F.col(f"`{name}`") for name in kept]).alias(KEPT)
    shown = [F.col(f"`{name}`") for name in frame.columns if name not in hidden]
    given = frame.select(*shown, carried)
    with naming(one):
        made = function(given)
    _check(one, made, given, hidden)
    rest = [name for name in made.columns if name.lower() not in (KEPT, *(k.lower() for k in kept))]
    return made.select(
        *[F.col(f"{KEPT}.`{name}`").alias(name) for name in kept],
        *[F.col(f"`{name}`").alias(name.lower()) for name in rest],
    )


def _check(one: Use, made: Any, given: DataFrame, hidden: Sequence[str]) -> None:
    from pyspark.sql import DataFrame

    said = f"{one.where}: the hook {one.hook} returned"
    if not isinstance(made, DataFrame):
        raise DataError(f"{said} {_what(made)}; wanted is a DataFrame: the one it is given, with columns added")
    kinds = [frame.schema[KEPT].dataType.simpleString() for frame in (made, given) if KEPT in frame.columns]
    if made.columns.count(KEPT) != 1 or kinds[0] != kinds[-1]:
        raise DataError(
            f"{said} a DataFrame without the column {KEPT}, which holds what Headrace needs of each row; add columns "
            f"by withColumn or select('*', ...), or name {KEPT} among those that you keep. It came with: "
            f"{', '.join(given.columns)}"
        )
    lowered = [name.lower() for name in made.columns]
    twice = sorted({name for name in lowered if lowered.count(name) > 1})
    taken = sorted(set(lowered) & {name.lower() for name in hidden})
    new = sorted(set(lowered) - {name.lower() for name in given.columns})
    own = [name for name in new if name.startswith("_") or re.search(r"\W", name)]
    if twice or taken or own:
        raise DataError(
            f"{said} columns that cannot be: {', '.join([*twice, *taken, *own])} ({_why(twice, taken)}); rename"
        )


_NAMES = "a name has letters, digits and underscores, and does not begin with one"


def _why(twice: list[str], taken: list[str]) -> str:
    if twice:
        return "a name stands once, SQL does not see case"
    return "Headrace's own columns are called so" if taken else _NAMES


def _what(made: Any) -> str:
    return "nothing (is a `return` missing?)" if made is None else f"a {type(made).__module__}.{type(made).__name__}"


def prove_rows(pipeline: Pipeline, where: str, before: DataFrame, after: DataFrame, columns: Sequence[str]) -> None:
    """Rows in = rows out, and the same ones: compares count and checksum. Runs two Spark jobs.

    Args:
        pipeline: The configuration.
        where: Of the hook, as `training_set.transform`.
        before: The rows that the hook was given.
        after: What came of them; best persisted, for it is computed here.
        columns: What a row is known by.

    Raises:
        DataError: If rows were lost, added or exchanged.
    """
    given = content(before.select(fingerprint(columns)))
    with computing(use(pipeline, where)):
        found = content(after.select(fingerprint(columns)))
    prove(pipeline, where, given, found)


def prove(pipeline: Pipeline, where: str, given: Content, found: Content) -> None:
    """The same of what was counted elsewhere, in a pass that had to be made anyway.

    Raises:
        DataError: If rows were lost, added or exchanged.
    """
    if dict(given) == dict(found):
        return
    rows, left = int(given["rows"]), int(found["rows"])
    said = f"{where}: the hook {use(pipeline, where).hook} was given {rows:,} rows and returned {left:,}"
    exchanged = ", some of them twice and others not at all" if rows == left else ""
    raise DataError(
        f"{said}{exchanged}; a transform keeps rows. Set rows aside with `rules`, bring others in with a `source`"
    )


def proven(
    pipeline: Pipeline, where: str, before: DataFrame, after: DataFrame, columns: Sequence[str]
) -> tuple[DataFrame, Callable[[], None]]:
    """What came of a transform, computed once, kept on disk and proven to have the rows that it was given.

    Returns:
        The rows, and what gives their room back when they are used no more.
    """
    from pyspark import StorageLevel

    kept = after.persist(StorageLevel.DISK_ONLY)
    try:
        prove_rows(pipeline, where, before, kept, columns)
    except BaseException:
        kept.unpersist()
        raise

    def release() -> None:
        kept.unpersist()

    return kept, release


def prove_alone(
    pipeline: Pipeline,
    where: str,
    whole: DataFrame,
    alone: DataFrame,
    key: Sequence[str],
    columns: Sequence[str],
) -> None:
    """A row's values are the same whichever rows come with it: few are scored where many trained. Runs a Spark job.

    Args:
        pipeline: The configuration.
        where: Of the hook.
        whole: What came of all rows.
        alone: What came of some of them, for which the hook was called alone.
        key: What a row is known by.
        columns: To compare; plain types, numbers with a tolerance of 1e-6.

    Raises:
        DataError: If any value differs.
    """
    from pyspark.sql import functions as F
    from pyspark.sql.types import DoubleType, FloatType

    left, right = alone.alias("alone"), whole.alias("whole")
    condition = F.lit(True)
    for name in key:
        condition = condition & F.col(f"alone.`{name}`").eqNullSafe(F.col(f"whole.`{name}`"))
    counts = []
    for name in columns:
        one, other = F.col(f"alone.`{name}`"), F.col(f"whole.`{name}`")
        same = one.eqNullSafe(other)
        if isinstance(alone.schema[name].dataType, DoubleType | FloatType):
            close = F.abs(one - other) <= TOLERANCE * F.greatest(F.abs(one), F.abs(other))
            same = same | F.coalesce(close, F.lit(False))
        counts.append(F.count_if(~same).alias(name))
    joined = F.broadcast(left).join(right, condition)
    found: Any = joined.agg(F.count("*").alias("_rows"), *counts).first()
    differing = {name: found[name] for name in columns if found[name]}
    if differing:
        told = ", ".join(f"{name} ({count:,})" for name, count in list(differing.items())[:5])
        raise DataError(
            f"{where}: called for {found['_rows']:,} rows alone, the hook {use(pipeline, where).hook} gives other values "
            f"than for these rows among all: {told}. Scoring would not give what training learned from: a value "
            "depends on its own row only. What is learned of many rows belongs to `search.transformers`, what "
            "others did before to `feature_tables`"
        )


def fingerprint(columns: Sequence[str]) -> Column:
    """What a row is known by as one number, in the column `_print`."""
    from pyspark.sql import functions as F

    return F.xxhash64(F.to_json(F.struct(*[F.col(f"`{name}`") for name in columns]))).alias(PRINT)


def content(frame: DataFrame) -> Content:
    """Rows and their checksum, of a frame that has `_print`. Runs a Spark job."""
    from pyspark.sql import functions as F

    found: Any = frame.agg(F.count("*").alias("rows"), checksum(PRINT)).first()
    return {"rows": int(found["rows"]), "checksum": str(found[PRINT])}


def checksum(name: str) -> Column:
    """The sum of fingerprints, whichever order the rows come in."""
    from pyspark.sql import functions as F

    return F.sum(F.col(name).cast("decimal(38,0)")).alias(name)
