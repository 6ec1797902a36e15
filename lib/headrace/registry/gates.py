"""What a version must fulfil to become champion: judged on the table `evaluation`, and against the champion."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from headrace.config.learning import Gate
from headrace.config.metrics import ALL_METRICS, DEFAULT_METRIC, unknown_metric
from headrace.errors import ConfigError
from headrace.metrics.measure import Difference


@dataclass(frozen=True)
class Verdict:
    """Of one gate: whether it passes, and what was seen."""

    passed: bool
    text: str


@dataclass(frozen=True)
class Incomparable:
    """Why two models that score the same rows cannot be compared: nobody knows whether the new one is better."""

    why: str


Compared = Difference | Incomparable | str
"""How much better the new version is than the champion, or why there is nothing to compare."""
Beats = Callable[[str], Compared]
"""From a metric to that."""


def judge(
    gates: Sequence[Gate],
    evaluation: Sequence[Mapping[str, Any]],
    task: str,
    beats: Beats,
    own: Collection[str] = (),
) -> list[Verdict]:
    """The verdict of each gate, in order.

    Args:
        gates: From the configuration.
        evaluation: Rows of the table `evaluation`.
        task: Of the model.
        beats: Compares with the champion.
        own: Names of the user's metrics.

    Raises:
        ConfigError: If a gate's metric is none of the task's.
    """
    wrong = [unknown for gate in gates if gate.metric and (unknown := unknown_metric(gate.metric, task, own))]
    if wrong:
        raise ConfigError("gates: " + "; ".join(wrong))
    found = []
    for gate in gates:
        if gate.beats:
            found.append(_champion(beats(gate.metric or DEFAULT_METRIC[task])))
        else:
            found.append(_bound(gate, [row for row in evaluation if row["metric"] == gate.metric]))
    return found


def _bound(gate: Gate, rows: Sequence[Mapping[str, Any]]) -> Verdict:
    bound = f">= {gate.at_least}" if gate.at_least is not None else f"<= {gate.at_most}"
    if gate.slice is None:
        value = next((row["value"] for row in rows if row["slice_column"] is None), None)
        return Verdict(_holds(gate, value), f"{gate.metric} = {_number(value)}, wanted {bound}")
    judged = [row for row in rows if row["slice_column"] == gate.slice and row["rows"] >= gate.min_rows]
    # one class only: the metric says nothing of this slice
    known = [row for row in judged if row["value"] is not None]
    bad = sorted((row for row in known if not _holds(gate, row["value"])), key=lambda row: -row["rows"])
    what = f"{gate.metric} {bound} for each {gate.slice} with {gate.min_rows} rows or more"
    if not bad:
        return Verdict(True, f"{what}: {len(known)} values hold")
    examples = ", ".join(f"{row['slice_value']} = {_number(row['value'])} ({row['rows']} rows)" for row in bad[:5])
    return Verdict(False, f"{what}: {len(bad)} of {len(known)} do not: {examples}")


def _holds(gate: Gate, value: float | None) -> bool:
    if value is None:
        return False
    return value >= gate.at_least if gate.at_least is not None else value <= (gate.at_most or 0.0)


def _champion(compared: Compared) -> Verdict:
    if isinstance(compared, Incomparable):
        advice = 'to take it all the same: headrace promote FILE.yaml VERSION --force --why "..."'
        return Verdict(False, f"beats champion: {compared.why}; {advice}")
    if isinstance(compared, str):
        return Verdict(True, f"beats champion: {compared}")
    by = f"beats champion: {compared.metric} better by {compared.value:+.4f} on the same rows"
    if compared.lower is not None and compared.upper is not None:
        text = f"{by}, 95 % interval [{compared.lower:+.4f}, {compared.upper:+.4f}]"
        passed = compared.lower > 0
    elif compared.metric not in ALL_METRICS:
        text, passed = f"{by} (a metric in Python: no interval)", compared.value > 0
    elif math.isnan(compared.value):
        text, passed = f"beats champion: {compared.metric} of one of the two is not defined on the same rows", False
    else:
        text, passed = f"{by} (too few, or too alike, for an interval)", False
    return Verdict(passed, text if passed else f"{text}, wanted above zero")


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.4f}"
