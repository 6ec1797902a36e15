"""The YAML that `headrace init` leaves behind: never in place of another unasked, and only when it is valid."""

from __future__ import annotations

import os
from pathlib import Path

from headrace.config.reading import read_pipeline
from headrace.config.schema import write_beside
from headrace.errors import ConfigError


def check_out(out: str, force: bool) -> None:
    """Refuse to replace a file unasked.

    Raises:
        ConfigError: If there is one.
    """
    if Path(out).is_dir():
        raise ConfigError(f"--out {out} is a folder; give the name of a file in it")
    if Path(out).exists() and not force:
        raise ConfigError(f"--out {out} is there already; give another name, or --force to replace it")


def keep(text: str, out: str) -> None:
    """Check a YAML beside its place and move it there, with the JSON schema that its first line refers to.

    Raises:
        ConfigError: With the mistakes in it, or where it cannot be written.
    """
    target = Path(out)
    part = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        read_pipeline(part)
        part.replace(target)
        write_beside(target)
    except OSError as error:
        raise ConfigError(f"--out {out} cannot be written: {error.strerror}; name another file") from error
    finally:
        part.unlink(missing_ok=True)
