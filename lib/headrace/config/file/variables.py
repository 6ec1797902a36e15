"""`${VARIABLE}`, `${VARIABLE:-default}` and `${secret:NAME}` in the text of a configuration."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from typing import Any

from headrace.config import secrets
from headrace.config.file.document import Document, Loc, dotted
from headrace.errors import ConfigError, Mistake

_VARIABLE = re.compile(r"\$(\$)?\{(?:([^{}]*)\})?")
"""With what stands between the braces; without it where no brace closes, or a variable stands in a variable."""
_INSIDE = re.compile(r"[^{}]*\$\{")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET = "secret:"


class Outside:
    """Where a configuration's variables and secrets come from: the environment of this process."""

    def variable(self, name: str) -> str | None:
        """A variable's value, or None."""
        return os.environ.get(name)

    def secret(self, name: str) -> None:
        """Make sure that a secret can be had when it is used.

        Raises:
            ConfigError: If it is not set.
        """
        secrets.value_of(name)


def substitute(document: Document, mistakes: list[Mistake], outside: Outside) -> set[str]:
    """Put variables' values into all text; `$${` stands for `${`. References to secrets stay as they are.

    Args:
        document: Changed in place.
        mistakes: Gets what is wrong: a variable or secret that is not set, a secret where none can be needed, and a
            secret in plain text.
        outside: Where variables and secrets come from.

    Returns:
        Where a variable has no value: what else is wrong with the text there is of no interest.
    """
    unfilled: set[str] = set()

    def change(text: str, loc: Loc) -> str:
        def one(match: re.Match[str]) -> str:
            try:
                return _one(match, loc, outside)
            except ConfigError as error:
                mistakes.append(document.mistake(loc, error.message))
                unfilled.add(dotted(loc))
                return match.group(0) if (match.group(2) or "").startswith(_SECRET) else ""

        return _VARIABLE.sub(one, text)

    document.data = _map_text(document.data, (), change)
    for loc, value in _leaves(document.data, ()):
        keys = [part for part in loc if isinstance(part, str)]
        wrong = secrets.plain_text(keys[-1], value) if keys and secrets.allowed(loc) else None
        if wrong:
            mistakes.append(document.mistake(loc, wrong))
    return unfilled


def _one(match: re.Match[str], loc: Loc, outside: Outside) -> str:
    written, inner = match.group(0), match.group(2)
    if inner is None:
        return _open(match)
    if inner.startswith(_SECRET):
        return _secret(match, loc, outside)
    if match.group(1):
        return written[1:]
    name, given, default = inner.partition(":-")
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{written} names no variable; write ${{NAME}}")
    found = outside.variable(name)
    value = found or (default if given else found)
    if value is None:
        raise ConfigError(f"the environment variable {name} is not set; set it, or give a default: ${{{name}:-...}}")
    return value


def _open(match: re.Match[str]) -> str:
    """`${` that is no variable; what stands behind it is not repeated, it may be a default that is nobody's business."""
    if match.group(1):
        return match.group(0)[1:]
    rest = match.string[match.end() :]
    name = re.match(r"\w*", rest)
    written = match.group(0) + (name.group(0) if name else "")
    if _INSIDE.match(rest):
        raise ConfigError(
            f"in {written}... stands another variable; a default is plain text: ${{NAME:-default}}, without ${{ in it"
        )
    raise ConfigError(f"{written}... is not closed; write ${{NAME}}, or $${{ for the two signs themselves")


def _secret(match: re.Match[str], loc: Loc, outside: Outside) -> str:
    """The reference itself: its value is read where it is used."""
    written = match.group(0)
    if not secrets.allowed(loc):
        if match.group(1):
            return written[1:]
        raise ConfigError(
            f"{written} cannot stand here; secrets belong into `options`, a source's `url`, `user`, `password`, into `spark`, "
            "`on_failure`, and `mlflow` of an overlay (--env)"
        )
    if match.group(1):
        raise ConfigError(f"{written}: the text ${{secret: cannot be written here; it always means a secret")
    outside.secret(match.group(2).removeprefix(_SECRET))
    return written


def _map_text(value: Any, loc: Loc, change: Callable[[str, Loc], str]) -> Any:
    if isinstance(value, dict):
        return {key: _map_text(item, (*loc, key), change) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_text(item, (*loc, i), change) for i, item in enumerate(value)]
    return change(value, loc) if isinstance(value, str) else value


def _leaves(value: Any, loc: Loc) -> Iterator[tuple[Loc, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield loc, value
        return
    for key, item in items:
        yield from _leaves(item, (*loc, key))
