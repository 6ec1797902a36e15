"""The journal of the champion as a table: `model_changes`."""

from __future__ import annotations

from typing import Any

from headrace.models.changes import Journal
from headrace.models.store import CHAMPION

TABLE = "model_changes"
COLUMNS = {
    "change": ("int", "place in the model's journal, from 1"),
    "changed_at": ("timestamp", "when, UTC"),
    "model": ("string", "the registered model"),
    "alias": ("string", "the alias that moved"),
    "action": ("string", "promote, demote, rollback: by people; register: by a run; outside: with MLflow itself"),
    "from_version": ("int", "the version before; null: none"),
    "to_version": ("int", "the version from then on; null: none"),
    "who": ("string", "user@machine"),
    "why": ("string", "in their words"),
    "forced": ("boolean", "whether its gates had not passed"),
    "run_id": ("string", "the run that made it; null: a command"),
}
"""Of the table `model_changes`: type and meaning."""
SCHEMA = ", ".join(f"{name} {kind}" for name, (kind, _) in COLUMNS.items())
"""In Spark's terms."""


def rows(model: str, journal: Journal) -> list[dict[str, Any]]:
    """A row per change, from the first on; times are in UTC and know it."""
    return [
        {
            "change": one.number, "changed_at": one.at, "model": model, "alias": CHAMPION, "action": one.action,
            "from_version": one.from_version, "to_version": one.to_version, "who": one.who, "why": one.why,
            "forced": one.forced, "run_id": one.run_id,
        }
        for one in journal.changes
    ]  # fmt: skip
