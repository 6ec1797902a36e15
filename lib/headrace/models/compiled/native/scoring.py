"""Rows of Spark scored in Spark's own columns; some of them are told to who wants to compare them."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyspark.sql import Observation
from pyspark.sql import functions as F

from headrace.models.card import check_columns
from headrace.models.compiled.batch import CHECKED, SOME_MORE
from headrace.models.compiled.native.after import YES
from headrace.models.compiled.native.plan import Plan
from headrace.models.compiled.native.printed import quoted
from headrace.models.compiled.scorer import Compiled
from headrace.models.predict import PREDICTION_TYPE

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

WAIT = 60.0
"""Seconds for Spark to tell what it observed; it does so when it has time."""
ONCE = "__once"
_CHANCES = 1 << 31


class Watch:
    """Hears what was given for some of the rows, and of how many there is no answer.

    Args:
        compiled: The model.
        plan: As SQL.
        rows: How many there are about.
    """

    def __init__(self, compiled: Compiled, plan: Plan, rows: int) -> None:
        self.plan = plan
        self.share = min(1.0, SOME_MORE * CHECKED / max(rows, 1))
        self.salt = uuid.uuid4().hex
        self._compiled, self._observed = compiled, Observation()

    def over(self, frame: DataFrame) -> DataFrame:
        """Scored rows, observed: `__some` are the inputs of those that are drawn, else null."""
        drawn = F.struct("__some", "prediction", "probability")
        return frame.observe(
            self._observed,
            F.collect_list(F.when(F.col("__some").isNotNull(), drawn)).alias("some"),
            F.count_if(F.col("prediction").isNull()).alias("refused"),
        )

    def found(self) -> tuple[pa.Table | None, str | None]:
        """Of about `CHECKED` rows drawn at random the inputs and answers, None where there are none; and what went wrong."""
        heard: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: heard.append(self._observed.get), daemon=True)  # it may never answer
        asking.start()
        asking.join(WAIT)
        if not heard:
            return None, None
        refused = heard[0]["refused"]
        some = heard[0]["some"][:CHECKED]
        wrong = f"it has no answer for {refused:,} rows" if refused else None
        return (_table(self._compiled, some) if some else None), wrong


def _table(compiled: Compiled, some: Sequence[Any]) -> pa.Table:
    columns = {}
    for place, (name, kind) in enumerate(compiled.types.items()):
        values = [row["__some"][place] for row in some]
        moment = pa.types.is_timestamp(kind) and kind.tz
        columns[name] = pa.array(values, pa.int64()).cast(kind) if moment else pa.array(values, kind)
    for field in compiled.schema:
        columns[f"__{field.name}"] = pa.array([row[field.name] for row in some], field.type)
    return pa.table(columns)


def score(
    compiled: Compiled, made: Plan, frame: DataFrame, keep: Sequence[str] = (), watch: Watch | None = None
) -> DataFrame:
    """Score rows by the plan of a model; see `running.score`."""
    check_columns(compiled.card, {field.name: field.dataType.simpleString() for field in frame.schema})
    kept = [f"__keep_{place}" for place in range(len(keep))]
    rows = frame.select(
        *[F.col(quoted(name)).alias(kept[place]) for place, name in enumerate(keep)],
        _some(compiled, watch, keep).alias("__some"),
        F.expr(made.said.total).alias("total"),
        _once().alias(ONCE),
    )
    rows = _answered(rows, compiled, made, [*kept, "__some"], watch is not None)
    whole = watch.over(rows) if watch else rows
    names = [F.col(f"__keep_{place}").alias(name) for place, name in enumerate(keep)]
    return whole.select(*names, "prediction", "probability")


def _some(compiled: Compiled, watch: Watch | None, keep: Sequence[str]) -> Column:
    """The inputs of rows that are drawn, null of all others."""
    if watch is None:
        return F.lit(None)
    inputs = [
        _plain(F.col(quoted(name)), kind).alias(f"i{place}")
        for place, (name, kind) in enumerate(compiled.types.items())
    ]
    chance = F.pmod(F.xxhash64(F.lit(watch.salt), *[F.col(quoted(name)) for name in keep]), F.lit(_CHANCES))
    return F.when(chance < int(watch.share * _CHANCES), F.struct(*inputs))


def _plain(of: Column, kind: pa.DataType) -> Column:
    """A moment as microseconds: Python would have it in the time zone of its machine."""
    return F.unix_micros(of) if pa.types.is_timestamp(kind) and kind.tz else of


def _once() -> Column:
    """True of every row, and two signs for Spark that this projection stays by itself.

    A function that makes no code: else Spark melts the projection with its neighbours into one method, and Java does not
    compile methods of more than 8,000 bytes, but interprets them, some ten times as slow. And chance: else a filter on what
    is made here goes below it, and everything is computed twice.
    """
    return F.forall(F.array(F.rand(0)), lambda one: one < 1)


def _answered(rows: DataFrame, compiled: Compiled, made: Plan, kept: Sequence[str], watched: bool) -> DataFrame:
    """From totals to answers in the label's own values; null where the model refuses a row."""
    rows = rows.select(
        *kept,
        _taken(made.refuses, watched).alias("__taken"),
        F.expr(made.said.prediction).alias("prediction"),
        F.expr(made.said.probability or "cast(null as double)").alias(YES),
    )
    for level in made.after:
        before = [F.col(quoted(name)) for name in rows.columns if name not in level]
        rows = rows.select(*before, *[F.expr(one).alias(name) for name, one in level.items()])
    answer = _own_value(compiled)
    return rows.select(
        *kept,
        F.when(F.col("__taken"), answer).alias("prediction"),
        F.when(F.col("__taken"), F.col(YES)).alias("probability"),
    )


def _taken(refuses: bool, watched: bool) -> Column:
    """Whether the model takes a row; where nobody hears of it, one that it does not take raises."""
    if not refuses:
        return F.col(ONCE)
    if watched:
        return F.col(ONCE) & ~F.isnan("total")
    why = "a feature is null or NaN in some rows, which the model does not take"
    return F.col(ONCE) & F.when(F.isnan("total"), F.raise_error(F.lit(why)).cast("boolean")).otherwise(True)


def _own_value(compiled: Compiled) -> Column:
    card = compiled.card
    if card.task != "binary":
        return F.col("prediction").cast(PREDICTION_TYPE[card.task])
    no, yes = [F.lit(label).cast(card.label_type) for label in card.labels]
    return F.when(F.col("prediction") == 1, yes).otherwise(no)
