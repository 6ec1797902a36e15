"""Whether a version may score rows: only those of the definitions that it learned from, or that somebody let pass."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from headrace.config.secrets import redacted
from headrace.errors import ConfigError
from headrace.models.card import ModelCard
from headrace.models.changes import who
from headrace.models.definitions import changed, digest, whole
from headrace.models.made import Made
from headrace.models.record import DEFINITIONS, record_of
from headrace.models.store import ModelStore
from headrace.models.version import Version

REFUSED = "definitions_refused"
"""Tag of a version: the digest of those that it was last refused for."""
ACCEPTED = "definitions_accepted."
"""Tags of a version, each with a digest behind it: those that somebody let pass; who, when and why, as JSON."""
SHOWN = 30
"""Lines of a difference that are told."""


def admitted(store: ModelStore, version: Version, card: ModelCard, rows: Made) -> str | None:
    """Let a version score rows, or refuse.

    Args:
        store: The model store.
        version: To score with.
        card: Its card.
        rows: How the rows are made.

    Returns:
        A warning, where nobody can tell; else None.

    Raises:
        ConfigError: If the features are defined otherwise now than when the version was trained; shows how.
    """
    known = version.tags.get(DEFINITIONS)
    if known is None:
        return (
            f"version {version.number} does not say of which definitions it learned; that its rows are made as they "
            "were then is not checked (versions trained from now on say so)"
        )
    features = tuple(card.features)
    now = digest(whole(rows, features))
    if now == known or ACCEPTED + now in version.tags:
        return None
    lines = different(store, version, features, rows)
    if not lines:
        return None
    store.tag(version, {REFUSED: now})
    more = ["  ..."] if len(lines) > SHOWN else []
    raise ConfigError(
        f"version {version.number} of {version.name} learned from other definitions than those of now (- trained on, "
        "+ now):\n" + "\n".join([*lines[:SHOWN], *more]) + "\n"
        "Train again (jobs/train.py), or go back to the YAML and Python of then (git checkout; the version's "
        "version.json in MLflow has them). If it makes no difference to any value: "
        f'headrace promote FILE.yaml {version.number} --force --why "..."'
    )


def different(store: ModelStore, version: Version, features: tuple[str, ...], rows: Made) -> list[str]:
    """Lines that say which definitions are others than those of a version; none where it does not tell its own."""
    trained = (record_of(store, version) or {}).get("definitions")
    return changed(trained, rows, features) if trained else []


def accept(store: ModelStore, version: Version, why: str) -> bool:
    """Let pass what a version was last refused for, on record; whether there was anything to let pass."""
    refused = version.tags.get(REFUSED)
    if refused is None or ACCEPTED + refused in version.tags:
        return False
    said = {"who": who(), "at": datetime.now(UTC).isoformat(timespec="seconds"), "why": redacted(why)}
    store.tag(version, {ACCEPTED + refused: json.dumps(said, ensure_ascii=False)})
    return True
