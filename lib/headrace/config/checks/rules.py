"""What is wrong with a table's rules and needs no columns to be seen."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.checks import syntax
from headrace.config.rules import Rule
from headrace.config.sql.types import wrong_type
from headrace.config.types import Pipeline, Table

Found = tuple[str, str]


def check(where: str, table: Table) -> Iterator[Found]:
    """Mistakes of SQL, types and clocks, and names that stand twice.

    Args:
        where: The table's place, as `tables.flights`.
        table: The table.
    """
    names: set[str] = set()
    for number, rule in enumerate(table.rules):
        here = f"{where}.rules[{number}]"
        yield from _rule(here, where, rule, table)
        twice = sorted(names & set(rule.parts))
        if twice and rule.name:
            yield f"{here}.name", f"two rules are called {twice[0]!r}; rename one"
        elif twice:
            yield f"{here}.{rule.kind}", f"two rules are called {twice[0]!r}; give one of them a `name`"
        names |= set(rule.parts)


def _rule(here: str, where: str, rule: Rule, table: Table) -> Iterator[Found]:
    yield from syntax.of_a_row(f"{here}.check", rule.check)
    wrong = wrong_type(rule.parses) if rule.parses is not None else None
    if wrong:
        yield f"{here}.parses", wrong
    if rule.kind in ("monotonic", "freshness") and not (rule.time or table.event_time):
        yield f"{here}.{rule.kind}", f"{rule.kind} needs a clock: give `time`, or {where}.event_time"
    if rule.outlier and not table.event_time:
        yield f"{here}.outlier", f"thresholds are learned of the rows before `until`: give {where}.event_time"


def pinned(pipeline: Pipeline) -> Iterator[Found]:
    """Thresholds that would be learned of rows that the model is chosen by, or tested on."""
    split = pipeline.training_set.split if pipeline.training_set else None
    if split is None or split.train_until is None:
        return
    for name, table in pipeline.tables.items():
        for number, rule in enumerate(table.rules):
            if rule.outlier and rule.outlier.until > split.train_until:
                yield (
                    f"tables.{name}.rules[{number}].outlier.until",
                    f"{rule.outlier.until:%Y-%m-%d %H:%M:%S} is after training_set.split.train_until "
                    f"({split.train_until:%Y-%m-%d %H:%M:%S}): thresholds would know what the model is tested on; take "
                    "train_until, or an earlier time",
                )
