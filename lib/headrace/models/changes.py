"""Who made which version champion, when and why: a journal kept with the registered model, which the alias follows.

A model store has no transaction over an alias and a note. So a change is one tag of the registered model that holds
all of it, and it is decided once that is written; then the alias is moved to where the newest change says; then the
change is marked as settled. Who is killed in between leaves a change that the next one finishes, and of two at the
same time both bring the alias to the same newest change: journal and alias come to agree, whoever does what when.
Changes are numbered by what their writers saw, so that no clock decides which is the newest.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

from headrace.config.secrets import redacted
from headrace.errors import ConfigError, HeadraceError
from headrace.models.store import CHAMPION, ModelStore

Action = Literal["promote", "demote", "rollback", "register", "outside"]
TAG = "change."
LONGEST = 1000
"""Characters of a reason: MLflow's databases hold 5,000 of a tag."""
ATTEMPTS, RETRIES = 100, 4
SETTLING = 0.3
"""Seconds that somebody else's change may take to settle, before it counts as made outside of Headrace."""


@dataclass(frozen=True)
class Change:
    """The alias `champion` moves.

    Attributes:
        number: Its place in the journal, from 1.
        at: When, UTC.
        action: `promote`, `demote`, `rollback` (by people), `register` (by a run), or `outside`: found to have been
            moved with MLflow itself.
        from_version: The champion before, or None.
        to_version: The champion from then on, or None.
        who: `user@machine`.
        why: In their words.
        forced: Whether its gates had not passed.
        run_id: Of the run that made it, or None.
        settled: Whether the alias has followed.
        tag: The tag that holds it.
    """

    number: int
    at: datetime
    action: str
    from_version: int | None
    to_version: int | None
    who: str
    why: str
    forced: bool
    run_id: str | None
    settled: bool
    tag: str


@dataclass(frozen=True)
class Journal:
    """What has happened to a model's alias, and where it is.

    Attributes:
        champion: The version that the alias stands for, or None.
        changes: From the first on.
    """

    champion: int | None
    changes: tuple[Change, ...] = ()

    @property
    def newest(self) -> Change | None:
        """The last change."""
        return self.changes[-1] if self.changes else None

    @property
    def unfinished(self) -> Change | None:
        """A change that is decided and may not have reached the alias yet."""
        return self.newest if self.newest and not self.newest.settled else None

    @property
    def moved_outside(self) -> bool:
        """Whether the alias is where no change has brought it."""
        return not self.unfinished and self.champion != (self.newest.to_version if self.newest else None)

    def before(self) -> int | None:
        """The champion before the present one, what was rolled back left aside; None where there is none."""
        held: list[int | None] = []
        for change in self.changes:
            if change.action == "rollback" and change.to_version in held:
                while held[-1] != change.to_version:
                    held.pop()
            elif not held or held[-1] != change.to_version:
                held.append(change.to_version)
        return next((one for one in reversed(held) if one is not None and one != self.champion), None)

    def held(self, number: int) -> bool:
        """Whether this version has been champion, now or before."""
        return any(change.to_version == number for change in self.changes)

    def taken_from(self, number: int) -> Change | None:
        """The last change that put another, or none, in the place of this version."""
        return next((c for c in reversed(self.changes) if c.from_version == number != c.to_version), None)

    @property
    def forced(self) -> Change | None:
        """The change by which somebody forced the present champion through, or None."""
        return self.newest if self.newest and self.newest.forced and not self.moved_outside else None


def read(store: ModelStore, name: str) -> Journal:
    """The journal of a model; an empty one where there is no such model."""
    aliases, tags = store.model(name) or ({}, {})
    found = sorted((_parsed(tag, value) for tag, value in tags.items() if tag.startswith(TAG)), key=_order)
    changes: list[Change] = []
    for number, change in enumerate(found, 1):
        earlier = changes[-1].to_version if changes else None
        changes.append(replace(change, number=number, from_version=earlier))
    return Journal(aliases.get(CHAMPION), tuple(changes))


def settle(store: ModelStore, name: str) -> Journal:
    """Finish what was begun: the alias goes where the newest change says. Harmless to repeat."""
    moved, failures = False, 0
    for _ in range(ATTEMPTS):
        journal = read(store, name)
        newest = journal.newest
        if newest is None or (newest.settled and (not moved or journal.champion == newest.to_version)):
            return journal
        try:
            there = journal.champion == newest.to_version
            moved = moved if there else store.set_alias(name, newest.to_version)
            if there or not moved:  # not moved: the version is gone; the change stands, and so does the alias
                _mark(store, name, newest)
        except HeadraceError:  # of two that set an alias where none was, MLflow's database refuses one: look again
            moved, failures = True, failures + 1
            if failures == RETRIES:
                raise
            time.sleep(0.05 * failures)
    raise HeadraceError(f"others keep changing the champion of {name}; look with headrace models, and try again")


def up_to_date(store: ModelStore, name: str) -> Journal:
    """The journal, settled, and without a gap: that the alias was moved with MLflow itself is put on record."""
    journal = settle(store, name)
    if not journal.moved_outside:
        return journal
    time.sleep(SETTLING)
    journal = settle(store, name)
    if not journal.moved_outside:
        return journal
    why = "the alias was moved with MLflow, not with Headrace"
    _append(store, name, journal.changes, journal.champion, "outside", "unknown", why, settled=True)
    return read(store, name)


def move(
    store: ModelStore,
    name: str,
    to: int | None,
    action: Action,
    why: str = "",
    forced: bool = False,
    run_id: str | None = None,
) -> Journal:
    """Let the alias `champion` stand for a version, or for none, and put it on record; nothing if it already does.

    Args:
        store: The model store.
        name: Of the registered model.
        to: The version, or None.
        action: What people call it.
        why: In their words.
        forced: Whether its gates had not passed.
        run_id: Of a run.

    Returns:
        The journal afterwards; somebody who acted at the same time may have had the last word.

    Raises:
        ConfigError: If the reason is too long.
    """
    if len(why) > LONGEST:
        raise ConfigError(f"--why has {len(why):,} characters; write at most {LONGEST:,}")
    journal = up_to_date(store, name)
    if journal.champion == to:
        return journal
    _append(store, name, journal.changes, to, action, who(), why, forced=forced, run_id=run_id)
    return settle(store, name)


def who() -> str:
    """The person or account that acts: `user@machine`."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user that has no name
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _append(
    store: ModelStore, name: str, changes: Sequence[Change], to: int | None, action: str, by: str, why: str, **more: Any
) -> None:
    place = 1 + max((_order(one)[0] for one in changes), default=0)
    content = {"at": datetime.now(UTC).isoformat(), "action": action, "to": to, "who": by, "why": redacted(why), **more}
    tag = f"{TAG}{place:06d}.{uuid.uuid4().hex[:8]}"
    store.tag_model(name, tag, json.dumps(content, ensure_ascii=False))


def _mark(store: ModelStore, name: str, change: Change) -> None:
    _, tags = store.model(name) or ({}, {})
    if change.tag in tags:
        content = {**json.loads(tags[change.tag]), "settled": True}
        store.tag_model(name, change.tag, json.dumps(content, ensure_ascii=False))


def _parsed(tag: str, value: str) -> Change:
    found = json.loads(value)
    return Change(
        0, datetime.fromisoformat(found["at"]), found["action"], None, found["to"], found["who"], found["why"],
        bool(found.get("forced")), found.get("run_id"), bool(found.get("settled")), tag,
    )  # fmt: skip


def _order(change: Change) -> tuple[int, datetime, str]:
    return int(change.tag.removeprefix(TAG).partition(".")[0]), change.at, change.tag
