"""Thresholds of rules for outliers: learned once of rows before a stated time, recorded with the quarantine, pinned.

Later rows, and rows that arrive later, never change them; another rule, or other columns, learn them anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from headrace.config.rules import Rule
from headrace.config.types import Table
from headrace.engine.outliers import learn
from headrace.validate.checks import moment, number_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_BEFORE = ("types", "transform", "columns", "event_time", "available_at")


def recorded(
    frame: DataFrame,
    table: Table,
    kinds: Mapping[str, str],
    earlier: Mapping[str, Any],
    code: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """What the quarantine's commit carries of each rule for outliers. Runs Spark jobs only for what is not pinned.

    Args:
        frame: Typed rows.
        table: The table.
        kinds: Spark's type of each column, in lower case.
        earlier: What an earlier commit carries.
        code: What the modules of the table's transform do.

    Returns:
        By the rule's name: `whole`, `groups`, `rows` as `engine.outliers.Thresholds`, and what they were learned for.
    """
    found: dict[str, Any] = {}
    for rule in table.rules:
        for name, column in rule.parts.items() if rule.outlier else ():
            made_for = _made_for(rule, table, code or {})
            pinned = earlier.get(name, {})
            if pinned.get("made_for") == made_for and pinned["rows"]:
                found[name] = dict(pinned)
            else:
                found[name] = {**_learned(frame, rule, str(column), table, kinds), "made_for": made_for}
    return found


def _learned(frame: DataFrame, rule: Rule, column: str, table: Table, kinds: Mapping[str, str]) -> dict[str, Any]:
    assert rule.outlier is not None
    until = int(rule.outlier.until.timestamp()) * 1_000_000 + rule.outlier.until.microsecond
    for clock in filter(None, (table.event_time, table.available_at)):
        frame = frame.where(f"{moment(clock, kinds.get(clock, 'string'))} < {until}")
    value, _ = number_of(column, kinds.get(column, "string"))
    return learn(frame, value, rule.outlier).as_dict()


def _made_for(rule: Rule, table: Table, code: Mapping[str, str]) -> str:
    """Tells one rule, and one way to make its columns, from another; what becomes of a row is no part of it."""
    of_table = table.model_dump(mode="json", by_alias=True, include=set(_BEFORE))
    of_rule = rule.model_dump(mode="json", by_alias=True, include={"column", "outlier"})
    parts = [of_table, of_rule, *([dict(code)] if code else [])]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def notes(found: Mapping[str, Any], earlier: Mapping[str, Any]) -> Iterator[str]:
    """What people should know of thresholds that were learned now."""
    for name, kept in found.items():
        if not kept["rows"]:
            yield f"{name}: there is no row to learn thresholds from yet, so nothing is an outlier"
        elif kept["made_for"] != earlier.get(name, {}).get("made_for") or not earlier[name]["rows"]:
            ends = " to ".join("open" if end is None else f"{end:.6g}" for end in kept["whole"])
            groups = f", and of {len(kept['groups']):,} groups their own" if kept["groups"] else ""
            yield f"{name}: thresholds learned from {kept['rows']:,} rows and pinned: {ends}{groups}"
