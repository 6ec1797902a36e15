"""From rows with their features to what is written of them: by the strategy, compiled or not, and checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from headrace.config.secrets import redacted
from headrace.config.types import Pipeline
from headrace.errors import DataError
from headrace.models.admission import admitted
from headrace.models.made import Made
from headrace.models.store import ModelStore
from headrace.models.version import Version
from headrace.runtime.step import Output, Run
from headrace.runtime.transforms import TRANSFORM, proven
from headrace.scoring.arms import Arm, Scorings, able, divided, others
from headrace.scoring.candidates import changed
from headrace.scoring.output import predictions, stamped_rows
from headrace.scoring.rejected import reason, reject

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Rows:
    """Rows to be scored.

    Attributes:
        bare: Of the spine.
        featured: The same with their features.
        key: Of the spine.
        count: Of the rows.
    """

    bare: DataFrame
    featured: DataFrame
    key: tuple[str, ...]
    count: int


@dataclass(frozen=True)
class Answers:
    """What comes of rows that are scored.

    Attributes:
        outputs: Tables to write, the predictions last.
        counted: For people: how many rows each version has scored.
        notes: For people: what they should know.
        release: Called when the outputs are written.
    """

    outputs: tuple[Output, ...]
    counted: tuple[str, ...]
    notes: tuple[str, ...]
    release: Callable[[], None] | None


def answers(run: Run, version: Version, rows: Rows, made_of: Callable[[], Made]) -> Answers:
    """Score rows, one at least.

    Args:
        run: The run.
        version: The champion, pinned.
        rows: To be scored.
        made_of: How they are made.
    """
    key, count, frame, release = rows.key, rows.count, rows.featured, None
    if run.pipeline.training_set and run.pipeline.training_set.transform:
        frame, release = proven(run.pipeline, TRANSFORM, rows.bare, frame, (*key, "predict_at"))
    try:
        beside, told = able(
            run, others(run), frame, lambda one, card: admitted(ModelStore(run.tracking_uri), one, card, made_of())
        )
        arms = divided(run, version, beside, frame, key, count)
        main = _scorings(run, arms, key)
        shadows = (
            [_scorings(run, [Arm(one, frame, count)], key) for one in beside.values()] if _shadow(run.pipeline) else []
        )
        scored = main.frame()
    except BaseException:
        if release:
            release()
        raise
    if run.pipeline.search.transformers:
        _check_kept(scored, count)
    outputs = [_checked(run, table, one, key) for table, one in zip(_shadow(run.pipeline), shadows, strict=False)]
    table, expected = run.pipeline.scoring.output, None if run.rescore else count
    alone = partial(_alone, run, Arm(version, frame, count), beside, key, expected) if len(arms) > 1 else None
    outputs.append(_checked(run, table, main, key, scored, expected, alone))
    return Answers(tuple(outputs), tuple(main.counted()), (*main.warnings(), *told), release)


def _alone(
    run: Run, champion: Arm, beside: Mapping[str, Version], key: tuple[str, ...], expected: int | None, error: Exception
) -> Output:
    """The champion's predictions of all rows, where a version beside it may have failed on one; if it was the champion, that fails too."""
    names = ", ".join(f"{name} (version {one.number})" for name, one in sorted(beside.items()))
    run.say(
        f"while {names} scored beside the champion Spark failed ({redacted(str(error)).splitlines()[0][:300]}): nothing was "
        "written, and the champion scores all rows of this run"
    )
    return _checked(run, run.pipeline.scoring.output, _scorings(run, [champion], key), key, None, expected)


def verified(pipeline: Pipeline) -> tuple[str, ...]:
    """Tables of predictions, of which some rows are compared with `transform` when they are written."""
    return (*_shadow(pipeline), pipeline.scoring.output)


def _shadow(pipeline: Pipeline) -> tuple[str, ...]:
    """Where predictions lie that nobody acts on."""
    return (f"{pipeline.scoring.output}_shadow",) if pipeline.scoring.strategy.kind == "shadow" else ()


def _scorings(run: Run, arms: list[Arm], key: tuple[str, ...]) -> Scorings:
    stamped = partial(stamped_rows, run, key=key)
    return Scorings.of(run, arms, (*key, "predict_at"), stamped)


def _checked(
    run: Run,
    table: str,
    scorings: Scorings,
    key: tuple[str, ...],
    frame: DataFrame | None = None,
    count: int | None = None,
    failed: Callable[[Exception], Output] | None = None,
) -> Output:
    """The table of predictions; when it is written, some rows are compared with `transform`.

    `count`: of the rows to be scored; where fewer were written, some may have no answer, and are entered as rejected.
    `failed`: what to write where Spark cannot score them.
    """
    earlier = run.read(table) if run.rescore and run.exists(table) else None
    versions = [arm.version for arm in scorings.arms]

    def revised(scored: DataFrame) -> Output:
        rows = scored if earlier is None else changed(scored, earlier, key)
        return predictions(table, rows.where(reason(rows).isNull()), key, versions, (run.since, run.until))

    def refused(scored: DataFrame, written: int) -> None:
        if count is not None and written < count:  # or another run was faster with some of them
            reject(run, table, scored, key)

    def verify(written: int) -> Output | None:
        anew = scorings.checked(run)
        if anew is None:
            refused(whole, written)
            return None
        return replace(revised(anew), verify=lambda rows: refused(anew, rows), made=made, failed=failed)

    made = f"run_id = '{run.run_id}'"
    whole = scorings.frame() if frame is None else frame
    optional = table != run.pipeline.scoring.output
    return replace(revised(whole), verify=verify, made=made, failed=failed, optional=optional)


def _check_kept(scored: DataFrame, count: int) -> None:
    """Stop where Python of the user's has dropped or doubled rows. Runs a Spark job."""
    left = scored.count()
    if left != count:
        raise DataError(
            f"search.transformers: {count:,} rows were to be scored and {left:,} came back; a transformer keeps rows. "
            "Nothing was written"
        )
