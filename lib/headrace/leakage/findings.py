"""From what was measured to findings: which kind, how bad, on what evidence, and what to do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from headrace.config.leakage import Leakage
from headrace.config.preparation import WORDS

if TYPE_CHECKING:
    from headrace.leakage.alone import Told
    from headrace.leakage.copies import Twins

COLLAPSE = 0.5
"""What a feature tells within training, of all there is to tell, from which a loss is worth a word; and the share lost."""
SURE = 4
"""Standard deviations."""
ENTITY = {"classes": 0.75, "regression": 0.5}
"""What an entity alone tells (area under the ROC curve, R2) from which rows of it in both parts are remembered."""
ID_ROWS, ID_SHARE = 1_000, 0.95
"""Rows with a value, and the share of different ones, from which text is an id; of whole numbers all are different."""
NEW = 0.01
TWINS, DIFFERENT, AGREEING, LEAST_TWINS = 0.01, 0.5, 0.98, 10
"""Rows that stand in training as well: their share; only where training's own rows differ; and agree in rarer labels."""


@dataclass(frozen=True)
class Finding:
    """Something that looks like a leak.

    Attributes:
        feature: The column, or None: it is about the parts.
        kind: One of `config.leakage.FINDINGS`.
        level: `error`, `warn`, or `allowed`.
        measure: What was measured.
        value: What came out.
        threshold: From where on it is a finding.
        train_value: The same within training, where it was measured there too.
        rows: Rows looked at.
        says: What it means, in a sentence.
        evidence: Values, and rows per class.
        advice: What to do.
        reason: Why it is allowed.
    """

    feature: str | None
    kind: str
    measure: str
    value: float
    threshold: float
    rows: int
    says: str
    evidence: str = ""
    train_value: float | None = None
    level: str = "warn"
    advice: str = ""
    reason: str | None = None


@dataclass(frozen=True)
class Limits:
    """What is judged by.

    Attributes:
        task: Of the training set.
        rules: The section of the YAML.
        types: Spark's simple types of the features.
    """

    task: str
    rules: Leakage
    types: Mapping[str, str]

    @property
    def measure(self) -> str:
        """The name of what `power` is."""
        return "r2" if self.task == "regression" else "areaUnderROC"


def of_feature(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    """What is wrong with a feature: the worst of what it tells of the label, else what its values alone show."""
    first = next(
        (one for find in (_missing, _copy, _power, _one_sided, _collapse) for one in find(name, told, limits)), None
    )
    yield from (first,) if first else _values(name, told, limits)


def of_entity(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    """A part of the key by which rows of both parts are told apart, and which tells the label."""
    least = ENTITY["regression" if limits.task == "regression" else "classes"]
    repeats = told.filled >= 2 * told.distinct and told.distinct >= ONE_OF_MANY
    if repeats and told.judged_on == "validation" and told.power is not None and told.power >= least:
        says = (
            f"rows of the same {name} stand in several parts, and {name} alone tells the label: a model that remembers it "
            "looks better than it is for one that is new"
        )
        yield Finding(name, "entity", limits.measure, told.power, least, told.rows, says, told.examples, told.train)


ONE_OF_MANY = 50
"""Different values of what is taken for an entity."""


def of_parts(found: Twins, group: str) -> Iterator[Finding]:
    """What the parts of a split by hash know of each other."""
    if found.keys:
        says = f"rows of the same {group} stand in training and in validation or test"
        yield Finding(None, "overlap", "rows of the same key", found.keys, 1, found.judged or found.keys, says)
    share = found.met / found.judged if found.judged else 0.0
    differ = found.different >= DIFFERENT * found.rows
    agree = found.rare >= LEAST_TWINS and found.agreeing >= AGREEING * found.rare
    if share >= TWINS and differ and agree:
        says = "rows of validation and test stand in training as well, equal in all features and in the label"
        evidence = (
            f"{found.met:,} of {found.judged:,} rows; of the {found.rare:,} of them with a rarer label {found.agreeing:,} "
            f"have a twin with the same one; {found.different:,} of {found.rows:,} training rows are different"
        )
        yield Finding(None, "duplicates", "share of rows", share, TWINS, found.judged, says, evidence)


def levelled(finding: Finding, rules: Leakage) -> Finding | None:
    """The finding with what it does; None: nothing."""
    level = rules.level(finding.kind)
    if level == "off":
        return None
    reason = rules.allow.get((finding.feature or "").lower())
    return replace(finding, level="allowed" if reason else level, reason=reason)


def _missing(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    least = limits.rules.copied_from(limits.task)
    if told.missing is not None and told.missing >= least:
        says = "whether it has a value tells the label"
        yield Finding(name, "missing", "share of errors removed", told.missing, least, told.rows, says, told.gaps)


def _copy(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    least = limits.rules.copied_from(limits.task)
    if told.copy is not None and told.copy >= least:
        numbers = limits.task == "regression"
        says = "it is the label in other words, or nearly" if not numbers else "it rises and falls with the label"
        measure = "rank correlation" if numbers else "share of errors removed"
        yield Finding(name, "copy", measure, told.copy, least, told.rows, says, told.examples)


def _power(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    least = limits.rules.power
    if told.power is not None and told.power >= least:
        says = f"it alone tells the label: {limits.measure} {told.power:.4f} on {_part(told)}"
        train = None if limits.task == "regression" else told.train
        yield Finding(name, "power", limits.measure, told.power, least, told.rows, says, told.examples, train)


def _one_sided(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    if told.one_sided:
        word = "has a value" if told.one_sided == "filled" else "is empty"
        says = f"of one class it often {word}, of another (almost) never, as if it were filled in afterwards"
        yield Finding(name, "one_sided", "missing", told.missing or 0.0, 0.0, told.rows, says, told.gaps)


def _collapse(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    if told.train is None or told.validation is None or told.deviation is None:
        return
    regression = limits.task == "regression"
    tells = [one if regression else 2 * one - 1 for one in (told.train, told.validation)]
    lost, noise = tells[0] - tells[1], told.deviation * (1 if regression else 2)
    if tells[0] >= COLLAPSE and tells[1] < (1 - COLLAPSE) * tells[0] and lost > SURE * noise:
        measure = "rank correlation" if regression else limits.measure
        says = f"what it tells within training ({measure} {told.train:.3f}) is not so in validation ({told.validation:.3f})"
        least = (1 - COLLAPSE) * tells[0]
        threshold = least if regression else (least + 1) / 2
        yield Finding(name, "collapse", measure, told.validation, threshold, told.rows, says, told.examples, told.train)


def _values(name: str, told: Told, limits: Limits) -> Iterator[Finding]:
    kind = limits.types.get(name, "")
    share = told.distinct / told.filled if told.filled else 0.0
    least = ID_SHARE if kind == "string" else 1.0 if kind in ("int", "bigint") else None
    if least is not None and told.words < WORDS and told.filled >= ID_ROWS and share >= least:
        says = (
            "(almost) every row has a value of its own, as an id has: what is learned of one tells nothing of another"
        )
        yield Finding(name, "id", "share of different values", share, least, told.rows, says)
    if not told.repeated and told.new >= NEW:
        says = f"it is always the same in training, and {told.new:.1%} of the validation rows have another value"
        yield Finding(name, "constant", "share of other values", told.new, NEW, told.rows, says, told.examples)


def _part(told: Told) -> str:
    return "validation rows" if told.judged_on == "validation" else "training rows, each half judged by the other"
