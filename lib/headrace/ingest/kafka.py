"""Topics of Kafka, in batches of ranges of offsets.

What has landed is in the raw table's commit, so that a message lands once whenever a job is killed and run again, and
wherever; consumer groups have no part in it. The brokers are asked once a run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config.checks.topics import LOSS, MOST
from headrace.config.types import Source, Table
from headrace.errors import DataError
from headrace.ingest import privacy
from headrace.ingest.brokers import ISOLATION, look
from headrace.ingest.messages import kind_of, messages
from headrace.ingest.offsets import Ranges, Topic, gone_since, ranges
from headrace.ingest.snapshots import Origin, same_types, withheld
from headrace.runtime.step import Done, Output, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Topics:
    """The topics of a table's source, as one run after the other sees them.

    Args:
        name: The table, without `raw_`.
        table: Its configuration.
    """

    def __init__(self, name: str, table: Table) -> None:
        self._name, self._table = name, table
        self._seen: tuple[str, dict[str, Topic]] = ("", {})

    def state(self, run: Run) -> Any:
        """What is there, and up to where this run would land it."""
        found = self._look(run)
        plan = _planned(self._table.source, found, _facts(run, self._name).get("offsets", {}))
        there = [[name, one.id, sorted(one.end.items())] for name, one in sorted(found.items())]
        return {"there": there, "lands": {name: plan.landed[name]["next"] for name in sorted(found)}}

    def ingest(self, run: Run) -> Done:
        """Land the messages that are new.

        Raises:
            ConfigError: If the brokers do not answer, or there is no such topic.
            DataError: If there is no message at all, messages are gone that had not landed, or a column's type is
                another one than before.
        """
        return _Landing(run, self._name, self._table, self._look(run)).done()

    def _look(self, run: Run) -> dict[str, Topic]:
        if self._seen[0] != run.run_id:
            self._seen = (run.run_id, look(run.spark, self._table.source, f"tables.{self._name}.source"))
        return self._seen[1]


def rows(run: Any, name: str, source: Source) -> DataFrame:
    """All messages that are there now; nothing lands."""
    found = look(run.spark, source, f"tables.{name}.source")
    return messages(run.spark, source, _planned(source, found, {}).read)


def _planned(source: Source, found: Mapping[str, Topic], landed: Mapping[str, Any], bounded: bool = True) -> Ranges:
    most = _option(source, MOST) if bounded else None
    return ranges(found, landed, int(most) if most else None)


def _option(source: Source, name: str) -> str | None:
    return next((str(v).strip() for key, v in source.options.items() if key.lower() == name.lower()), None)


def _facts(run: Run, name: str) -> dict[str, Any]:
    return dict(run.facts(f"raw_{name}").get("facts", {})) if run.exists(f"raw_{name}") else {}


class _Landing:
    """One run's landing of one table."""

    def __init__(self, run: Run, name: str, table: Table, found: dict[str, Topic]) -> None:
        self._run, self._name, self._table, self._found = run, name, table, found
        self._source, self._where = table.source, f"tables.{name}.source"
        self._facts = _facts(run, name)
        self._notes: list[str] = []

    def done(self) -> Done:
        privacy.refuse_plain(self._run, self._name, self._table)
        landed = self._facts.get("offsets", {}) if self._goes_on() else {}
        # what counts no more is replaced at once, and not by the first part of what is there
        anew = not landed and "offsets" in self._facts
        plan = _planned(self._source, self._found, landed, bounded=not anew)
        self._bear(plan.lost)
        if not plan.read and not landed:
            raise DataError(f"{self._where}: {self._source.path} holds no message; put data there, or mend options")
        if not plan.read and plan.landed == landed:
            return Done(rows_in=0, rows_out=0, notes=tuple(self._notes), unchanged=True)
        if plan.left:
            self._notes.append(f"{self._name}: {plan.left:,} offsets are left for the next run ({MOST}); run again")
        return Done((self._output(plan, anew=not landed),), notes=tuple(self._notes))

    def _goes_on(self) -> bool:
        """Whether what has landed counts on. What is read in another way is read anew, where all of it is there."""
        if "offsets" not in self._facts or self._run.forced:
            return False
        before = self._facts.get("reading", {})
        if before == self._reading():
            return True
        gone = list(gone_since(self._found, self._facts["offsets"]))
        if not gone:
            return False
        if before.get("privacy") != self._reading()["privacy"]:
            raise DataError(
                f"tables.{self._name}.sensitive: it or its key has changed, and all has to be read anew; but the brokers do "
                f"not have all of {', '.join(gone)} any more. With --force ingest what they have is read, and what landed "
                "before counts no more"
            )
        self._notes.append(
            f"{self._name}: value or schema have changed; what landed before stays as it was read, for the brokers do not "
            f"have all of {', '.join(gone)} any more (--force ingest reads what they have, and forgets the rest)"
        )
        return True

    def _reading(self) -> dict[str, Any]:
        """What decides which columns messages have."""
        table = self._table
        headers = (_option(self._source, "includeHeaders") or "false").lower() == "true"
        kept = privacy.reading(table, privacy.key_of(self._run.pipeline, table))
        return {
            "value": kind_of(self._source),
            "schema": self._source.schema_ or {},
            "headers": headers,
            "isolation": (_option(self._source, ISOLATION) or "read_committed").lower(),
            "privacy": kept,
        }

    def _bear(self, lost: tuple[str, ...]) -> None:
        """Stop at what is lost, or go on and say so, as `failOnDataLoss` has it.

        Raises:
            DataError: With the ranges, and how to go on.
        """
        if not lost:
            return
        told = "; ".join(lost[:5]) + (f"; and {len(lost) - 5} more" if len(lost) > 5 else "")
        if (_option(self._source, LOSS) or "true").lower() == "true":
            raise DataError(
                f"{self._where}: messages that have not landed are lost: {told}. Nothing has landed. To go on with what is "
                f"there, run once with --set 'tables.{self._name}.source.options.{LOSS}=false'; what landed stays. To read "
                "all that is there anew in its place: --force ingest"
            )
        self._notes.append(f"{self._name}: lost: {told}; gone on with what is there ({LOSS}: false)")

    def _output(self, plan: Ranges, anew: bool) -> Output:
        run, raw = self._run, f"raw_{self._name}"
        there, batch = run.exists(raw), int(self._facts.get("batch", 0)) + bool(plan.read)
        frame = self._rows(plan, batch) if plan.read else run.read(raw).limit(0)
        facts = {
            "batch": batch,
            "counts_from": batch if anew else int(self._facts["counts_from"]),
            "mode": self._source.mode or "append",
            "superseded": False,
            "reading": self._reading(),
            "sensitive": dict(self._table.sensitive),
            "offsets": plan.landed,
            "columns": frame.columns if plan.read else self._facts["columns"],
        }
        return Output(
            raw,
            frame,
            mode="append",
            facts=facts,
            serializable=True,
            merge_schema=True,
            based_on=run.version(raw) if there else -1,
            adds_nothing=not plan.read,
        )

    def _rows(self, plan: Ranges, batch: int) -> DataFrame:
        run, raw = self._run, f"raw_{self._name}"
        frame = withheld(run, self._name, self._table, messages(run.spark, self._source, plan.read))
        if run.exists(raw):
            origin = Origin(self._where, self._source.path, self._source.path, "Declare the types of before")
            same_types(origin, run.read(raw), frame)
        return frame.select(
            "*", F.current_timestamp().alias("_ingested_at"), F.lit(batch).cast("bigint").alias("_batch")
        )
