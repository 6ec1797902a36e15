"""What moved between two states of a quarantine: rows that left it, and rows that came, by the rules they broke."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

REASONS = "_reasons"
LEFT, CAME = "left", "came"
ROWS = ""
"""In place of a rule's name: rows, each counted once however many rules it broke."""


def landed_in(frame: DataFrame, since: datetime | None, until: datetime | None) -> DataFrame:
    """Rows that landed in a window.

    Args:
        frame: A quarantine, with `_ingested_at` (timestamp).
        since: Its start, inclusive; None: from the beginning.
        until: Its end, exclusive; None: to the end.
    """
    frame = frame.where(F.col("_ingested_at") >= F.lit(since)) if since else frame
    return frame.where(F.col("_ingested_at") < F.lit(until)) if until else frame


def moved(before: DataFrame, after: DataFrame) -> DataFrame:
    """Count what left a quarantine and what came into it. Rows are told apart by all they hold; equal rows by number.

    Args:
        before: The quarantine as it was: rows as they came, and `_reasons` (array of text).
        after: The same as it is now; may have other columns.

    Returns:
        `way` (`left`, `came`), `rule` (of rows that left the rule they had broken, of rows that came the one they
        break now; empty for rows at all), `rows` (bigint). A row or two per rule.
    """
    both = _tagged(before, 1).unionByName(_tagged(after, -1))
    balance = both.groupBy("content").agg(
        F.sum("sign").alias("more"),
        F.max(F.when(F.col("sign") > 0, F.col(REASONS))).alias(LEFT),
        F.max(F.when(F.col("sign") < 0, F.col(REASONS))).alias(CAME),
    )
    way = F.when(F.col("more") > 0, F.lit(LEFT)).otherwise(F.lit(CAME))
    reasons = F.when(F.col("more") > 0, F.col(LEFT)).otherwise(F.col(CAME))
    each = F.explode(F.concat(F.array(F.lit(ROWS)), reasons)).alias("rule")
    changed = balance.where(F.col("more") != 0).select(way.alias("way"), F.abs("more").alias("rows"), each)
    return changed.groupBy("way", "rule").agg(F.sum("rows").alias("rows"))


def _tagged(frame: DataFrame, sign: int) -> DataFrame:
    return frame.select(_content(frame).alias("content"), F.lit(sign).alias("sign"), F.col(REASONS))


def _content(frame: DataFrame) -> Column:
    """All that a row holds but its reasons; a null says as much as a column that is not there."""
    columns = sorted(c for c in frame.columns if c != REASONS)
    return F.to_json(F.struct(*[F.col(f"`{c}`") for c in columns]))
