"""Where an export is left: whole or not at all, and never over something else."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from headrace.errors import ConfigError

ABOUT = "export.json"
"""What an export says of itself; by it one is told from any other folder."""


def check(out: Path, force: bool) -> None:
    """Refuse a place that is taken.

    Raises:
        ConfigError: If there is something, and it is not to be replaced, or is no export.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not force:
        raise ConfigError(f"--out {out} is there already; name another place, or replace it with --force")
    if not (out / ABOUT).is_file():
        raise ConfigError(f"--out {out} is no export (it has no {ABOUT}), and is not replaced; name another place")


@contextmanager
def left_whole(out: Path, force: bool) -> Iterator[Path]:
    """A folder beside a place, which takes the place once all is well; gone otherwise.

    Args:
        out: The place.
        force: An export that is there is replaced.

    Raises:
        ConfigError: If the place is taken.
    """
    check(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    made, old = (out.parent / f".{out.name}.{what}-{uuid.uuid4().hex[:8]}" for what in ("new", "old"))
    made.mkdir()
    try:
        yield made
        check(out, force)
        if out.exists():
            os.rename(out, old)
        try:
            os.rename(made, out)
        except OSError as error:  # somebody else was quicker
            raise ConfigError(f"--out {out} was taken in the meantime; name another place") from error
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
