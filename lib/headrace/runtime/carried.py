"""The configuration that a commit carries: without values of secrets, and never larger than a log can bear.

A plan reads it to say what changed since. Whether a step runs again is decided by hashes, never by this copy.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headrace.config.secrets import redacted

if TYPE_CHECKING:
    from headrace.runtime.commits import Commit
    from headrace.runtime.step import Done, Step

PLAIN = 32_000
"""Characters of JSON up to which a configuration is carried as it is."""

PACKED = 256_000
"""Characters up to which a larger one is carried compressed: some megabytes of YAML. Beyond, it is left out."""


def carried(config: Any) -> Any:
    """What a commit carries of a configuration: itself, a compressed text of it, or None where that is too long."""
    text = json.dumps(without_secrets(config), default=str)
    if len(text) <= PLAIN:
        return json.loads(text)
    packed = base64.b64encode(zlib.compress(text.encode(), 9)).decode()
    return packed if len(packed) <= PACKED else None


def told(step: Step, done: Done) -> dict[str, Any]:
    """What the last commit of a step carries, for those who find the step unchanged."""
    rows_in = None if callable(done.rows_in) else done.rows_in
    rows = [rows_in, done.rows_out]
    return {"config": carried(step.config), "metrics": done.metrics, "expires": done.expires, "rows": rows}


def ended(last: Sequence[Commit | None]) -> Commit | None:
    """Of the newest commits of a step's tables, in their order, the one that ended the step.

    Returns:
        None where a table is not there yet, or where they are of several runs: one was killed between two tables, and
        what the first one holds is not what the last one tells.
    """
    there = [commit for commit in last if commit is not None]
    return there[-1] if len(there) == len(last) and len({c.note.get("run_id") for c in there}) == 1 else None


def without_secrets(value: Any) -> Any:
    """A nested value with `***` in place of secrets."""
    if isinstance(value, dict):
        return {key: without_secrets(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(item) for item in value]
    return redacted(value) if isinstance(value, str) else value


def unpacked(found: Any) -> Any:
    """The configuration that a commit carries, or None where it carries none."""
    return json.loads(zlib.decompress(base64.b64decode(found))) if isinstance(found, str) else found
