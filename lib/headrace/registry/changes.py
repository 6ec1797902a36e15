"""The table `model_changes`: who made which version champion, when and why, as the model store has it."""

from __future__ import annotations

from headrace.models.audit import COLUMNS, SCHEMA, TABLE, rows
from headrace.models.changes import Journal, up_to_date
from headrace.models.store import ModelStore
from headrace.runtime.home import has_models
from headrace.runtime.step import Done, Output, Run


def written(run: Run) -> Done:
    """Run the step: finish what was left unfinished, and write the journal as it is."""
    there = has_models(run.tracking_uri)
    journal = up_to_date(ModelStore(run.tracking_uri), run.model_name) if there else Journal(None)
    found = [tuple(row.values()) for row in rows(run.model_name, journal)]
    comments = {name: meaning for name, (_, meaning) in COLUMNS.items()}
    frame = run.spark.createDataFrame(found, SCHEMA).coalesce(1)
    output = Output(
        TABLE,
        frame,
        expect_rows=len(found) or None,
        comments=comments,
        description="Which version became champion: who, when, why; one row per change",
    )
    return Done((output,))
