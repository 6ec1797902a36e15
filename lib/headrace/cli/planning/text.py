"""A plan as text for people, as Markdown for a code review, as JSON for tools."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict

from headrace.cli.planning.changes import Change
from headrace.cli.planning.plans import Plan

MARK = {"run": "run", "may run": "may run", "unchanged": "-", "stopped": "STOPPED"}


def shown(plan: Plan, format_: str) -> str:
    """The plan in a format: `text`, `markdown` or `json`."""
    return {"text": text, "markdown": markdown, "json": as_json}[format_](plan)


def text(plan: Plan) -> str:
    """A line a step, the changes that make it run below it."""
    lines = []
    width = max((len(s.step) for s in plan.steps), default=0) + 2
    for step in plan.steps:
        tables = versions(step.outputs)
        why = step.why or "nothing changed"
        lines.append(f"{MARK[step.decision]:<8} {step.step:<{width}}{why}{f' ({tables})' if tables else ''}")
        lines += [f"{'':<9}    {change}" for change in step.changes]
    return "\n".join([*lines, "", closing(plan)])


def closing(plan: Plan) -> str:
    """The plan in one line."""
    more = [f"{n} may" for n in [plan.count("may run")] if n] + [
        f"{n} would stop" for n in [plan.count("stopped")] if n
    ]
    return f"{plan.count('run')} of {len(plan.steps)} steps would run{''.join(', ' + m for m in more)}"


def versions(tables: Mapping[str, int | None]) -> str:
    """Tables with their versions, as `flights@12`; `flights@-` is not there yet."""
    return ", ".join(f"{name}@{'-' if version is None else version}" for name, version in tables.items())


def markdown(plan: Plan) -> str:
    """What runs as a table, what changed as a diff, what stays as it is folded away."""
    runs = [s for s in plan.steps if s.decision != "unchanged"]
    rest = [s for s in plan.steps if s.decision == "unchanged"]
    parts = [f"### Plan of `{plan.schema}`, job `{plan.job}`: {closing(plan)}"]
    parts += [f"> **A run would stop:** {_cell(mistake)}" for mistake in plan.mistakes]
    if any(s.changes for s in plan.steps):
        parts.append(_diff(plan))
    if runs:
        rows = [
            f"| {s.decision} | `{s.step}` | {_cell(s.why)} | {_cell(versions(s.inputs))} | {_cell(versions(s.outputs))} |"
            for s in runs
        ]
        parts.append("\n".join(["| | step | why | reads | writes, now at |", "| --- | --- | --- | --- | --- |", *rows]))
    if rest:
        rows = [f"| `{s.step}` | {_cell(versions(s.outputs))} |" for s in rest]
        table = "\n".join(["| step | tables |", "| --- | --- |", *rows])
        parts.append(f"<details><summary>{len(rest)} unchanged</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def _diff(plan: Plan) -> str:
    """Each change once, before and after, under the steps that it makes run."""
    found: dict[Change, list[str]] = {}
    for step in plan.steps:
        for change in step.changes:
            found.setdefault(change, []).append(step.step)
    groups: dict[tuple[str, ...], list[Change]] = {}
    for change, steps in found.items():
        groups.setdefault(tuple(steps), []).append(change)
    lines = []
    for names, changes in groups.items():
        lines.append(f"@@ {', '.join(names)} @@")
        for change in changes:
            lines += [f"- {change.path}: {change.before}"] if change.before else []
            lines += [f"+ {change.path}: {change.after}"] if change.after else []
    body = "\n".join(lines)
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", body) or [""]))
    return f"{fence}diff\n{body}\n{fence}"


def _cell(value: str) -> str:
    return re.sub(r"\s+", " ", value).replace("|", "\\|").replace("<", "&lt;")


def as_json(plan: Plan) -> str:
    """All of it."""
    return json.dumps(asdict(plan), indent=2)
