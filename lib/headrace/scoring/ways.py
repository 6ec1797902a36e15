"""How rows are scored: by the compiled scorer of the version, or by `transform`; the former is compared with the latter."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from py4j.protocol import Py4JError
from pyspark.errors import PySparkException

from headrace.config.secrets import redacted
from headrace.errors import HeadraceError
from headrace.models.compiled import running
from headrace.models.compiled.admitting import compiled
from headrace.models.compiled.agreement import disagreement
from headrace.models.predict import predict
from headrace.models.store import ModelStore
from headrace.models.version import COMPILED

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from headrace.models.version import Version
    from headrace.runtime.step import Run


@dataclass(frozen=True)
class Way:
    """How rows are scored.

    Attributes:
        scored: Rows with `prediction` and `probability`.
        wrong: What is wrong with them, asked when they are written; None: nothing. Runs a Spark job.
        transformed: The same rows, scored by `transform`.
        warning: What people should know.
    """

    scored: DataFrame
    wrong: Callable[[], str | None]
    transformed: Callable[[], DataFrame]
    warning: str | None = None


def chosen(run: Run, version: Version, rows: DataFrame, keep: Sequence[str], count: int) -> Way:
    """The way for a version.

    Args:
        run: The run.
        version: To score with.
        rows: With their features.
        keep: Columns carried over.
        count: Of the rows.
    """
    store = ModelStore(run.tracking_uri)
    card = store.card(version.run_id)
    ready, warning = compiled(store, version)

    def transformed() -> DataFrame:
        return predict(store.load(version.uri), card, rows, keep)

    if ready is None:
        return Way(transformed(), lambda: None, transformed, warning)
    watch = running.watch(run.spark, ready, count)
    if running.takes_no_trees(ready, watch):
        run.say(
            f"{version.name} version {version.number} is scored in Python, at half the speed: this session of Spark takes no jar, in which "
            "trees are handed to the executors. With Spark Connect, or where spark.jars may not grow, that is so; else look at "
            "the log of the driver"
        )

    def wrong() -> str | None:
        some, failed = watch.found()
        if some is None and not failed and count:
            run.say(f"what {version.name} version {version.number} wrote was not compared: no row of it was heard of")
        if failed or some is None:
            return failed
        told = some.select(["__prediction", "__probability"]).rename_columns(["prediction", "probability"])
        try:
            return disagreement(run.spark, store.load(version.uri), card, some.select(list(ready.inputs)), told)
        except HeadraceError as error:  # the model store does not answer
            run.say(f"what {version.name} version {version.number} wrote could not be compared: {error.message}")
            return None
        except (PySparkException, Py4JError) as error:  # rows that the model refuses: it shall say so itself
            return f"transform fails ({type(error).__name__})"

    return Way(running.score(ready, rows, keep, watch), wrong, transformed)


def ready(run: Run, version: Version) -> None:
    """Read a version, so that one that cannot be read is found before anything is written.

    Raises:
        HeadraceError: With the reason.
    """
    store = ModelStore(run.tracking_uri)
    try:
        compiled(store, version)[0] or store.load(version.uri)
    except HeadraceError:
        raise
    except Exception as error:  # a missing file, a class of the user's that is no more, a package
        raise HeadraceError(f"it cannot be read: {redacted(str(error))[:300]}") from error


def withdraw(run: Run, version: Version, wrong: str) -> None:
    """Tell people that the compiled scorer of a version is not trusted any more, and let it be."""
    wrong = redacted(wrong)
    run.say(
        f"the compiled scorer of {version.name} version {version.number} differs from the model: {wrong}. All rows are "
        "written anew by the model's own transform, and so are those of later runs, until the version is registered "
        "again (jobs/train.py --only register --force register)"
    )
    ModelStore(run.tracking_uri).tag(version, {COMPILED: f"differs from transform: {wrong}"[:500]})
