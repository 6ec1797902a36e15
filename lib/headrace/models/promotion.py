"""Which version is champion, by a person's word: promote, demote, roll back."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

from headrace.errors import ConfigError, GateError
from headrace.models.admission import accept
from headrace.models.changes import Action, Change, Journal, move, read, up_to_date
from headrace.models.store import ModelStore
from headrace.models.version import Version


@dataclass(frozen=True)
class Word:
    """What a person gives with a change.

    Attributes:
        why: In their words; may be empty, but not with `force`.
        force: A version that its gates refused, or never judged, all the same.
    """

    why: str = ""
    force: bool = False


@dataclass(frozen=True)
class Moved:
    """What a command came to.

    Attributes:
        change: What was put on record; None where the champion was this one already.
        finished: A change that an earlier command or run had left unfinished.
        champion: The champion now; another than `change` says, where somebody acted at the same time.
        accepted: Whether definitions were let pass for which `score` had refused the version.
    """

    change: Change | None
    finished: Change | None
    champion: int | None
    accepted: bool = False


def promote(store: ModelStore, name: str, number: int, word: Word) -> Moved:
    """Make a version champion. By force it also scores rows of the definitions for which `score` last refused it.

    Raises:
        ConfigError: If there is no such version, or it cannot score.
        GateError: If its gates have not passed, and nobody forces it.
    """
    _check_word(word)
    begun = read(store, name).unfinished
    journal = up_to_date(store, name)
    accepted = word.force and accept(store, store.resolve(name, str(number)), word.why)
    if journal.champion == number:
        return Moved(None, begun, number, accepted)
    return replace(_moved(store, name, number, "promote", word, begun), accepted=accepted)


def demote(store: ModelStore, name: str, word: Word) -> Moved:
    """Let no version be champion; nothing is scored until there is one."""
    begun = read(store, name).unfinished
    up_to_date(store, name)
    return _moved(store, name, None, "demote", word, begun)


def rollback(store: ModelStore, name: str, word: Word) -> Moved:
    """Make the champion before the present one champion again; each further one goes one further back.

    A rollback that was left unfinished is finished, and no other made: to repeat it is harmless.

    Raises:
        ConfigError: If there was none before, or it is no longer there.
        GateError: If its gates have not passed, and nobody forces it.
    """
    _check_word(word)
    begun = read(store, name).unfinished
    journal = up_to_date(store, name)
    if begun and begun.action == "rollback":
        return Moved(None, begun, journal.champion)
    target = journal.before()
    if target is None:
        raise ConfigError(f"{name} has had no other champion to go back to; headrace models shows its versions")
    return _moved(store, name, target, "rollback", word, begun)


def failed(version: Version) -> list[str] | None:
    """What the gates that refused a version say; None where they never judged it."""
    if version.tags.get("outcome") is None:
        return None
    return [str(gate["text"]) for gate in gates(version) if not gate["passed"]]


def gates(version: Version) -> list[dict[str, Any]]:
    """The verdict of each gate: `passed`, `text`."""
    found: list[dict[str, Any]] = json.loads(version.tags.get("gates", "[]"))
    return found


def _moved(store: ModelStore, name: str, number: int | None, action: Action, word: Word, begun: Change | None) -> Moved:
    forced = number is not None and _check(store, name, number, word)
    earlier = read(store, name)
    journal = move(store, name, number, action, word.why, forced=forced)
    return Moved(_mine(earlier, journal, number, action), begun, journal.champion)


def _mine(earlier: Journal, journal: Journal, number: int | None, action: str) -> Change | None:
    """Of the changes since, the one that was asked for; None where none was needed."""
    there = {change.tag for change in earlier.changes}
    new = (c for c in reversed(journal.changes) if c.tag not in there)
    return next((c for c in new if (c.to_version, c.action) == (number, action)), None)


def _check_word(word: Word) -> None:
    if word.force and not word.why.strip():
        raise ConfigError('--force needs a reason, which is put on record: --force --why "..."')


def _check(store: ModelStore, name: str, number: int, word: Word) -> bool:
    """Whether a version has to be forced through, as the word does.

    Raises:
        ConfigError: If there is no such version, or it was not registered by Headrace.
        GateError: If it has to be, and is not.
    """
    version = store.resolve(name, str(number))
    if "card" not in version.tags:
        raise ConfigError(
            f"version {number} of {name} was not registered by a run of the pipeline, which could not score with it; "
            "headrace models shows those that were"
        )
    refused = failed(version)
    if refused == []:
        return False
    if word.force:
        return True
    said = "has not been judged by its gates" if refused is None else f"was refused by {len(refused)} of its gates"
    listed = "".join(f"\n  {text}" for text in refused or ())
    raise GateError(
        f'version {number} of {name} {said}:{listed}\nTo make it champion all the same: --force --why "..."'
    )
