"""What a pass over a raw table can build on: rows that were judged before stay as they were judged.

A pass sees all rows that count, or only those that have come since the last one: where each row is typed and judged
alone and alike in every run, by the same configuration and code, and the raw table has only grown. Both come to the
same tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.clean.columns import types_of
from headrace.clean.inference import Counts, added
from headrace.config.needs import tables_in
from headrace.config.sql.reads import is_clock, of_one_row
from headrace.config.types import Table
from headrace.runtime.step import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_SAME = ("mode", "from", "counts_from", "since", "reading", "columns", "folders", "sensitive")
"""What the raw table's commit says of its rows, and what must still hold for those that were judged."""


@dataclass(frozen=True)
class Base:
    """What was judged before.

    Attributes:
        batch: The last batch of the raw table that was.
        note: What the commit carries of the table that was made of it.
    """

    batch: int
    note: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the pass found out."""
        return dict(self.note.get("facts", {}))

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows, as the pass counted them."""
        return dict(self.note.get("counts", {}))


def base_of(run: Run, name: str, table: Table, made: str, version: int) -> Base | None:
    """What a table that was made of the raw one can be brought up to date from; None: all rows are judged.

    Args:
        run: The run.
        name: The table.
        table: Its configuration.
        made: The table made of it: the quarantine, or the cleaned one.
        version: Of the raw table, to be judged now.
    """
    if run.forced or run.sample or not rowwise(table) or not run.exists(made) or not run.made_alike(made):
        return None
    note, raw = run.facts(made), f"raw_{name}"
    if not grown(run, note, raw, version) or not all(_is(run, note, other) for other in tables_in(table)):
        return None
    then = int(note["inputs"][raw])
    commit, now = run.facts(raw, then), run.facts(raw, version).get("facts", {})
    before = commit.get("facts", {})
    same = all(before.get(key) == now.get(key) for key in _SAME) and _types(run, raw, then) == _types(run, raw, version)
    known = commit.get("hashes") and before.get("batch")  # else the rows are somebody else's
    return Base(int(before["batch"]), note) if same and known and _grows(now) else None


def rowwise(table: Table) -> bool:
    """Whether each row is typed, judged and kept alone, and alike in every run."""
    texts = [*table.columns.values(), *(rule.check for rule in table.rules if rule.check)]
    others = table.transform or table.source.delete_when or any(r.unique or r.monotonic for r in table.rules)
    bounds = [bound for rule in table.rules for bound in rule.between or () if isinstance(bound, str)]
    return not others and not any(map(is_clock, bounds)) and all(of_one_row(text) for text in texts)


def grown(run: Run, note: Mapping[str, Any], table: str, version: int) -> bool:
    """Whether a table is the one that a commit was made of, and since then rows were only added to it."""
    then = note.get("inputs", {}).get(table)
    if then is None or run.identity(table, then) != note.get("identities", {}).get(table):
        return False  # also where the table was made anew, and has come to the same version again
    return run.only_added(table, then, version)


def _is(run: Run, note: Mapping[str, Any], table: str) -> bool:
    """Whether a table has the rows that it had when a commit was made of it."""
    return run.identity(table) == note.get("identities", {}).get(table)


def _types(run: Run, raw: str, version: int) -> list[tuple[str, str]]:
    """The columns' types: nested ones may have grown, and what is made of them with them."""
    return [(f.name, f.dataType.simpleString()) for f in run.read_version(raw, version).schema]


def _grows(landed: Mapping[str, Any]) -> bool:
    """Whether new rows of the raw table take nothing away from those that were there."""
    if landed.get("mode") == "upsert":
        return int(landed.get("since", 1)) <= 1
    return landed.get("mode") == "append" and landed.get("superseded") is False and not landed.get("emptied")


def rows_since(raw: DataFrame, base: Base | None) -> DataFrame:
    """The rows that have come since; all of them where there is nothing to build on."""
    return raw.where(F.col("_batch") > base.batch) if base else raw


def same_types(table: Table, before: Mapping[str, Counts], new: Mapping[str, Counts]) -> dict[str, Counts] | None:
    """Counts of the values of all rows; None where they give a column another type than it had."""
    if before.keys() != new.keys():
        return None
    both: dict[str, Counts] = {column: added(before[column], new[column]) for column in new}
    return both if types_of(table, both) == types_of(table, before) else None
