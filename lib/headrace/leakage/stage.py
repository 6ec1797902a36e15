"""A step of stage `training_set`: looks for leaks in the rows before a search spends its time on them.

No feature is judged by the labels of the test part: they are for `evaluate`, once. Of its rows keys and twins are counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from headrace.config.file.complaints import meant
from headrace.config.leakage import Leakage
from headrace.config.learning import UNLABELLED
from headrace.config.types import Pipeline
from headrace.errors import ConfigError
from headrace.leakage.advice import advice, line, refusal
from headrace.leakage.findings import Finding
from headrace.runtime.step import Done, Output, Run, Step

if TYPE_CHECKING:
    from headrace.leakage.looking import Look

TABLE = "leakage_findings"
SHOWN = 20
"""Findings that a run names; all are in the table."""
COLUMNS = {
    "feature": ("string", "the column; null: it is about the parts of the split"),
    "kind": ("string", "copy, missing, power, one_sided, collapse, entity, overlap, duplicates, id or constant"),
    "level": ("string", "error: the run ended with exit code 3; warn; allowed: by training_set.leakage.allow"),
    "measure": ("string", "what was measured"),
    "value": ("double", "what came out, on rows that nothing was learned of"),
    "threshold": ("double", "from where on it is a finding (collapse: below it)"),
    "train_value": ("double", "the same within training, each half judged by the other"),
    "rows": ("bigint", "rows that were looked at"),
    "says": ("string", "what it means"),
    "evidence": ("string", "values, and rows of each class"),
    "advice": ("string", "what to do"),
    "reason": ("string", "why it is allowed"),
    "run_id": ("string", "of the run that looked"),
}
TEXT = "What in the training set looks like a leak, a row per finding; written whole each time"


def steps(pipeline: Pipeline) -> tuple[Step, ...]:
    """One step, where there is a training set whose leaks can be looked for."""
    training = pipeline.training_set
    if training is None or training.leakage.policy == "off" or training.kind == "recommendation":
        return ()
    told = training.model_dump(mode="json", by_alias=True, include={"leakage": True, "split": {"by", "group"}})
    return (
        Step(
            stage="training_set",
            name="training_set:leakage",
            inputs=("training_set",),
            outputs=(TABLE,),
            config={"training_set": told},
            run=_run,
            code=("headrace.leakage",),
        ),
    )


def _run(run: Run) -> Done:
    from headrace.leakage.looking import look  # numpy and scipy only when there is work

    training = run.pipeline.training_set
    assert training is not None
    facts = run.facts("training_set")["facts"]
    _check_allowed(training.leakage, facts["features"])
    seen = look(run, facts)
    found = [_advised(one, run) for one in seen.findings]
    order = {"error": 0, "warn": 1, "allowed": 2}
    found.sort(key=lambda one: (order[one.level], one.kind, one.feature or ""))
    errors = [one for one in found if one.level == "error"]
    output = Output(
        TABLE,
        run.spark.createDataFrame(_rows(found, run.run_id), ", ".join(f"{n} {t}" for n, (t, _) in COLUMNS.items())),
        comments={name: text for name, (_, text) in COLUMNS.items()},
        description=TEXT,
        expect_rows=len(found),
        facts={"levels": _levels(found), "features": len(facts["features"])},
    )
    return Done(
        (output,),
        rows_in=seen.rows,
        notes=_notes(found, seen, facts["task"]),
        broken=refusal(errors[:SHOWN], run.schema) if errors else None,
    )


def _check_allowed(rules: Leakage, features: Sequence[str]) -> None:
    known = {name.lower() for name in features}
    for name in rules.allow:
        if name not in known:
            raise ConfigError(
                f"training_set.leakage.allow: no feature is called {name!r}{meant(name, sorted(known))}; take it out, or "
                "name one of those that `select * from training_set` shows"
            )


def _advised(finding: Finding, run: Run) -> Finding:
    from dataclasses import replace

    return replace(finding, advice=advice(finding, run.pipeline))


def _rows(found: Sequence[Finding], run_id: str) -> list[tuple[Any, ...]]:
    told = [{**one.__dict__, "run_id": run_id, "value": float(one.value)} for one in found]
    return [tuple(float(one[c]) if c == "threshold" else one[c] for c in COLUMNS) for one in told]


def _levels(found: Sequence[Finding]) -> Mapping[str, list[str]]:
    """What a model card tells: `kind feature` by level."""
    levels: dict[str, list[str]] = {}
    for one in found:
        levels.setdefault(one.level, []).append(f"{one.kind} {one.feature or ''}".strip())
    return {level: names[:SHOWN] for level, names in levels.items()}


def _notes(found: Sequence[Finding], seen: Look, task: str) -> tuple[str, ...]:
    allowed = sum(one.level == "allowed" for one in found)
    warnings = [one for one in found if one.level == "warn"]
    of = f"{seen.features} features in {seen.rows:,} rows" if task not in UNLABELLED else f"{seen.rows:,} rows"
    told = f"looked for leaks: {of}; {len(warnings) or 'no'} finding{'' if len(warnings) == 1 else 's'}"
    strongest = f"; the strongest feature alone: {seen.strongest}" if seen.strongest else ""
    notes = [f"{told}{f', {allowed} allowed' if allowed else ''}{strongest}"]
    notes += [f"leak? {line(one)}; {one.advice}" for one in warnings[:SHOWN]]
    if len(warnings) > SHOWN:
        notes.append(f"... and {len(warnings) - SHOWN} more, in {TABLE}")
    return tuple(notes)
