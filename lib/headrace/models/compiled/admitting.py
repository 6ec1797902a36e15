"""A version's compiled scorer: built and compared with `transform` when the version is registered, read to score."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from headrace.config.secrets import redacted
from headrace.errors import HeadraceError
from headrace.models.card import ModelCard
from headrace.models.compiled import extremes, running
from headrace.models.compiled.agreement import answered, different, transformed
from headrace.models.compiled.batch import CHECKED
from headrace.models.compiled.builder import TASKS, build
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled
from headrace.models.store import ModelStore
from headrace.models.version import ADMITTED, COMPILED, Version

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_read: dict[tuple[str, str], Compiled] = {}


def admit(store: ModelStore, version: Version, model_uri: str, card: ModelCard, rows: Callable[[], DataFrame]) -> str:
    """Compile a version's model and compare it with `transform`; kept with the version where they agree.

    Runs Spark jobs, but where the version has an admitted one already.

    Args:
        store: The model store.
        version: Just registered.
        model_uri: Its model.
        card: Its card.
        rows: Gives rows with its features.

    Returns:
        `admitted`, or why not; it is the version's tag from then on.
    """
    if version.tags.get(COMPILED) == ADMITTED:
        return ADMITTED
    verdict = ADMITTED
    try:
        with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
            made = _built(model_uri, card, Path(folder)) if card.task in TASKS else build(Path(folder), card)
            wrong = _compared(store, model_uri, card, made, rows())
            if wrong is None:
                made.save(Path(folder) / COMPILED)
                store.client.log_artifacts(version.run_id, str(Path(folder) / COMPILED), COMPILED)
            else:
                verdict = f"differs from transform: {wrong}"
    except NotCompiled as error:
        verdict = f"not for {error}"
    except Exception as error:  # noqa: BLE001 (a scorer that fails in any way is none; the version scores by transform)
        verdict = f"failed: {type(error).__name__}: {error}"
    verdict = redacted(verdict)[:500]
    store.tag(version, {COMPILED: verdict})
    return verdict


def _built(model_uri: str, card: ModelCard, folder: Path) -> Compiled:
    import mlflow

    return build(Path(mlflow.artifacts.download_artifacts(f"{model_uri}/sparkml", dst_path=str(folder))), card)


def _compared(store: ModelStore, uri: str, card: ModelCard, made: Compiled, frame: DataFrame) -> str | None:
    """How it differs on real rows, and on rows with what seldom is in one. Runs Spark jobs.

    Where only Spark's own columns differ, these are left out.
    """
    chosen: Any = frame.select(*[f"`{name}`" for name in card.features]).limit(CHECKED)
    real: pa.Table = chosen.toArrow()  # bounded
    odd = scorable(made, extremes.rows(real))
    for what, rows in (("real rows", real), ("made-up rows", odd)):
        theirs = transformed(frame.sparkSession, store.load(uri), card, rows)
        wrong = different(card, made.score(rows), theirs)
        if wrong:
            return f"{wrong} ({what})"
        made.in_spark = made.in_spark and _in_spark(frame.sparkSession, made, rows, theirs)
    return None


def _in_spark(spark: SparkSession, made: Compiled, rows: pa.Table, theirs: pa.Table) -> bool:
    """Whether it agrees where Spark's own columns compute it, if it is of that kind, and if this session can."""
    if running.planned(spark, made) is None:
        return True  # another session may, and each run compares
    try:
        ours = answered(spark, made.card, rows, lambda frame, keep: running.score(made, frame, keep))
    except (PySparkException, Py4JError):  # of rows that the model takes
        return False
    return different(made.card, ours, theirs) is None


def scorable(made: Compiled, rows: pa.Table) -> pa.Table:
    """Without rows that are refused: of these `transform` gives nothing either, but an error for all."""
    try:
        made.score(rows)
    except ValueError:
        return rows.filter(pa.array(np.array([_scores(made, rows.slice(at, 1)) for at in range(rows.num_rows)], bool)))
    return rows


def _scores(made: Compiled, row: pa.Table) -> bool:
    try:
        made.score(row)
    except ValueError:
        return False
    return True


def compiled(store: ModelStore, version: Version) -> tuple[Compiled | None, str | None]:
    """The compiled scorer of a version, where it was admitted; and a warning, where it cannot be read."""
    if version.tags.get(COMPILED) != ADMITTED:
        return None, None
    key = (store.tracking_uri, version.run_id)
    try:
        if key not in _read:
            _read[key] = _fetched(store, version)
        return _read[key], None
    except HeadraceError:
        raise
    except Exception as error:  # noqa: BLE001 (whatever is wrong with it, there is `transform`, and people are told)
        return None, redacted(f"the compiled scorer cannot be read ({type(error).__name__}: {error})")


def _fetched(store: ModelStore, version: Version) -> Compiled:
    import mlflow

    _ = store.client
    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        there = mlflow.artifacts.download_artifacts(f"runs:/{version.run_id}/{COMPILED}", dst_path=folder)
        return Compiled.read(Path(there))
