"""The table of predictions: its columns, its keys, and the view of the newest revisions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from headrace.models.predict import PREDICTION_TYPE, PROBABILITY_TYPE
from headrace.models.version import Version
from headrace.runtime.step import Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def stamped_rows(run: Run, version: Version, scored: DataFrame, *, key: tuple[str, ...]) -> DataFrame:
    """Scored rows with who scored them, and when."""
    return scored.select(
        *key,
        "predict_at",
        F.lit(1).alias("revision"),
        "prediction",
        "probability",
        F.lit(version.name).alias("model_name"),
        F.lit(version.number).cast("int").alias("model_version"),
        F.lit(run.run_id).alias("run_id"),
        F.current_timestamp().alias("scored_at"),
    )


def no_rows(run: Run, rows: DataFrame, key: tuple[str, ...]) -> DataFrame:
    """No prediction, with the columns of predictions."""
    if run.exists(run.pipeline.scoring.output):
        return run.read(run.pipeline.scoring.output).where("false")
    none = F.lit(None)
    task = run.facts("training_set")["facts"]["task"] if run.exists("training_set") else "binary"
    label = F.col("label").cast(PREDICTION_TYPE[task]) if task in PREDICTION_TYPE else F.col("label")
    return rows.where("false").select(
        *key, "predict_at", F.lit(1).alias("revision"), label.alias("prediction"),
        none.cast(PROBABILITY_TYPE.get(task, "double")).alias("probability"), none.cast("string").alias("model_name"),
        none.cast("int").alias("model_version"), none.cast("string").alias("run_id"),
        F.current_timestamp().alias("scored_at"),
    )  # fmt: skip


def predictions(
    table: str,
    frame: DataFrame,
    key: tuple[str, ...],
    versions: Sequence[Version] = (),
    window: tuple[datetime | None, datetime | None] = (None, None),
) -> Output:
    """The table, inserted into by its keys.

    Args:
        table: Its name.
        frame: Its new rows.
        key: Of the spine.
        versions: That scored them.
        window: Between which times all of them lie, the second exclusive: what is there of others is not looked at.
    """
    keys = (*key, "predict_at", "revision")
    newest = ", ".join((*key, "predict_at"))
    view = (
        f"SELECT * EXCEPT (_rank) FROM (SELECT *, row_number() OVER (PARTITION BY {newest} ORDER BY revision DESC) "
        f"AS _rank FROM {{schema}}.{table}) WHERE _rank = 1"
    )
    return Output(
        table,
        frame,
        mode="insert",
        keys=keys,
        only=" AND ".join(
            f"t.predict_at {sign} timestamp_micros({round(at.timestamp() * 1_000_000)})"
            for sign, at in zip((">=", "<"), window, strict=True)
            if at
        )
        or None,
        serializable=True,
        facts={
            "model_version": versions[0].number if versions else None,
            "key": list(key),
            **({"model_versions": sorted({one.number for one in versions})} if len(versions) > 1 else {}),
        },
        description="One row per spine row and revision; revision 1 is what was acted on",
        views={f"latest_{table}": view},
    )
