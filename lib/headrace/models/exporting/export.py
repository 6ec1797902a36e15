"""A version as files for other programs: written, read again, compared with `transform`, and only then left."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from headrace.errors import DataError
from headrace.models.card import ModelCard
from headrace.models.compiled import extremes
from headrace.models.compiled.admitting import scorable
from headrace.models.compiled.agreement import TOLERANCE, different, largest, transformed
from headrace.models.compiled.builder import TASKS, build
from headrace.models.compiled.scorer import Compiled
from headrace.models.compiled.sql import NotCompiled
from headrace.models.exporting import documents, formats, loose, places, spark_ml
from headrace.models.record import EXAMPLE_FILE, PAGE_FILE, RECORD_FILE, environment, record_of
from headrace.models.signature import signature
from headrace.models.store import CARD_FILE, ModelStore
from headrace.models.version import Version

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SIGNATURE_FILE = "signature.json"


@dataclass(frozen=True)
class Export:
    """What is to be written.

    Attributes:
        store: The model store.
        version: Of the registered model.
        card: Its card.
        form: One of `formats.FORMATS`.
        compiled: Its form without Spark; None where there is none, and where none is needed.
        content: Of formats that are one file for all of the scoring, that.
    """

    store: ModelStore
    version: Version
    card: ModelCard
    form: str
    compiled: Compiled | None = None
    content: bytes = b""

    @property
    def about(self) -> dict[str, Any]:
        """What each file says of its origin."""
        told = signature(self.card).to_dict()
        return {"model": self.version.name, "version": self.version.number, "signature": told}

    @property
    def tolerance(self) -> float:
        """Within which it must agree with Spark, relative; see `agreement`."""
        return documents.tolerance(self.compiled) if self.compiled and self.form in documents.FILES else TOLERANCE


@dataclass(frozen=True)
class Checked:
    """How an export was compared.

    Attributes:
        real: Rows of the training set.
        made_up: Rows with what seldom is in one.
        tolerance: Relative.
        largest: Difference of a number or a probability.
    """

    real: int
    made_up: int
    tolerance: float
    largest: float


def prepared(store: ModelStore, version: Version, form: str) -> Export:
    """All that can be done without Spark; whatever stands against a format is told here.

    Raises:
        ConfigError: If the version cannot go to the format, with the reason and the nearest that works.
    """
    card = store.card(version.run_id)
    formats.check(form, card.estimator, card.task)
    if form == "spark":
        return Export(store, version, card, form, _compiled_or_none(version, card))
    try:
        found = Export(store, version, card, form, _compiled(version, card))
    except NotCompiled as error:
        raise formats.refusal(form, f"it has no form without Spark, because of {error}", "spark") from error
    if form not in documents.FILES:
        return found
    assert found.compiled is not None
    return replace(found, content=documents.content(form, found.compiled, found.about))


def _compiled(version: Version, card: ModelCard) -> Compiled:
    import mlflow

    with tempfile.TemporaryDirectory(prefix="headrace-") as folder:
        return build(Path(mlflow.artifacts.download_artifacts(f"{version.uri}/sparkml", dst_path=folder)), card)


def _compiled_or_none(version: Version, card: ModelCard) -> Compiled | None:
    if card.task not in TASKS:
        return None
    try:
        return _compiled(version, card)
    except NotCompiled:
        return None


def exported(spark: SparkSession, one: Export, rows: pa.Table, out: Path, force: bool) -> Checked:
    """Write a version to a place, compare it with `transform`, and leave it there. Runs Spark jobs.

    Args:
        spark: The session.
        one: What is to be written.
        rows: Real ones: its features.
        out: The place, a folder.
        force: An export that is there is replaced.

    Raises:
        ConfigError: If the place is taken.
        DataError: If it differs from `transform`; nothing is left then.
    """
    with places.left_whole(out, force) as folder:
        _write(one, folder)
        checked = _compared(spark, one, folder, rows)
        _carry(one, folder, checked, spark.version)
    return checked


def _write(one: Export, folder: Path) -> None:
    if one.form == "spark":
        spark_ml.saved(folder, one.version.uri)
    elif one.form in documents.FILES:
        (folder / documents.FILES[one.form]).write_bytes(one.content)
    else:
        assert one.compiled is not None
        (loose.pickled if one.form == "pickle" else loose.boosted)(folder, one.compiled, one.about)


def _told(spark: SparkSession, one: Export, folder: Path) -> Callable[[pa.Table], pa.Table]:
    """Asks what was written, read again."""
    if one.form == "spark":
        return lambda rows: spark_ml.asked(spark, folder, one.card, rows)
    if one.form in documents.FILES:
        content, compiled = (folder / documents.FILES[one.form]).read_bytes(), one.compiled
        assert compiled is not None
        return lambda rows: documents.asked(one.form, content, compiled, rows)
    return lambda rows: loose.asked(one.form, folder, rows)


def _compared(spark: SparkSession, one: Export, folder: Path, real: pa.Table) -> Checked:
    """Compare on real rows and on made-up ones.

    Raises:
        DataError: If it differs anywhere.
    """
    model, told = one.store.load(one.version.uri), _told(spark, one, folder)
    odd = extremes.rows(real)
    if one.compiled is not None:
        odd = scorable(one.compiled, odd)
    counts, most = [], 0.0
    for what, rows in (("real", real), ("made-up", odd)):
        try:
            theirs = transformed(spark, model, one.card, rows)
        except Exception:  # whatever Spark says of rows that it refuses
            if what == "real" or one.compiled is not None:
                raise
            counts.append(0)  # without a form that says which ones, Spark refuses all rows for one of them
            continue
        wrong, by = _differs(one, told(rows), theirs)
        if wrong:
            raise DataError(
                f"the {one.form} of {one.version.name} version {one.version.number} differs from Spark's transform: {wrong} "
                f"({what} rows, tolerance {one.tolerance:g}); nothing was written"
            )
        counts.append(rows.num_rows)
        most = max(most, by)
    return Checked(counts[0], counts[1], one.tolerance, most)


def _differs(one: Export, ours: pa.Table, theirs: pa.Table) -> tuple[str | None, float]:
    if one.card.task in TASKS:
        return different(one.card, ours, theirs, one.tolerance), largest(one.card, ours, theirs)
    same = repr(ours.to_pylist()) == repr(theirs.to_pylist())  # NaN is written as NaN
    return (None if same else "other predictions"), 0.0


def _carry(one: Export, folder: Path, checked: Checked, spark_version: str) -> None:
    """Write what each export carries: whence it is, what it takes, and how it was compared."""
    written = sorted(file.name for file in folder.iterdir())
    about = {
        "format": one.form, "model": one.version.name, "version": one.version.number, "estimator": one.card.estimator,
        "task": one.card.task, "exported_at": datetime.now(UTC).isoformat(timespec="seconds"), "files": written,
        "environment": environment(spark_version), "compared": checked.__dict__,
    }  # fmt: skip
    texts: dict[str, Mapping[str, Any]] = {
        places.ABOUT: about, CARD_FILE: one.card.as_dict(), SIGNATURE_FILE: one.about["signature"]
    }  # fmt: skip
    record = record_of(one.store, one.version)
    if record is not None:
        texts |= {RECORD_FILE: record, EXAMPLE_FILE: one.store.read_json(one.version.run_id, EXAMPLE_FILE)}
        import mlflow

        page = mlflow.artifacts.load_text(f"runs:/{one.version.run_id}/{PAGE_FILE}")
        (folder / PAGE_FILE).write_text(page, encoding="utf-8")
    for name, content in texts.items():
        text = json.dumps(content, indent=1, ensure_ascii=False, default=str)
        (folder / name).write_text(text + "\n", encoding="utf-8")
