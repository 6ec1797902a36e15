"""What to do about a finding, by the keys of the YAML that made the feature."""

from __future__ import annotations

from collections.abc import Sequence

from headrace.config.types import Pipeline
from headrace.leakage.findings import Finding


def advice(finding: Finding, pipeline: Pipeline) -> str:
    """What to do, in a sentence."""
    if finding.kind == "entity":
        return f"write training_set.split: {{group: {finding.feature}}}, if the model will be asked about new ones"
    if finding.kind == "overlap":
        return "build the training set again: --force training_set"
    if finding.kind == "duplicates":
        return (
            "give the table a `key` by which repeated rows are one, or write training_set.split.group; "
            "training_set.leakage.levels: {duplicates: off} if they are different things"
        )
    name = finding.feature
    leave = f"leave it out (training_set.exclude: [{name}])"
    allow = f'or allow it with a reason (training_set.leakage.allow: {{{name}: "..."}})'
    if finding.kind in ("id", "constant"):
        return f"{leave}, {allow}"
    return f"{_origin(str(name), pipeline)}; {leave}, {allow}"


def _origin(name: str, pipeline: Pipeline) -> str:
    """Where to look whether the feature is known in time."""
    training = pipeline.training_set
    assert training is not None
    table = pipeline.tables[training.spine]
    if name in training.row_features:
        return f"see what training_set.row_features.{name} is made of"
    source, _, _ = name.partition("__")
    if source in pipeline.feature_tables:
        events = pipeline.feature_tables[source].from_
        clock = pipeline.tables[events].available_at if events in pipeline.tables else None
        said = f"is that {clock}?" if clock else "it says none"
        return f"when is it known? tables.{events}.available_at: {said}"
    if name in table.known_early:
        return f"take it out of tables.{training.spine}.known_early if it is known only afterwards"
    if table.available_at is None:
        return (
            f"tables.{training.spine}.available_at (when a row becomes known) would keep all but known_early out of the "
            "features"
        )
    return "see where it comes from"


def refusal(findings: Sequence[Finding], schema: str) -> str:
    """What a run says that ends for them."""
    many = "a feature knows" if len(findings) == 1 else f"{len(findings)} findings: features know"
    lines = [f"  {line(one)}\n    {one.advice}" for one in findings]
    return (
        f"the training set leaks; {many} the label, or rows know those of other parts:\n"
        + "\n".join(lines)
        + f'\nAll that was found: headrace sql "select * from {schema}.leakage_findings". To go on all the same: '
        "training_set.leakage.policy: warn"
    )


def line(finding: Finding) -> str:
    """A finding in one line."""
    name = f"{finding.feature}: " if finding.feature else ""
    number = f"{finding.measure} {finding.value:.4g}, from {finding.threshold:.4g} on" if finding.threshold else ""
    told = "; ".join(part for part in (number, finding.evidence) if part)
    return f"{name}{finding.says} ({told})" if told else f"{name}{finding.says}"
