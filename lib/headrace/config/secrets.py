"""Secrets: `${secret:NAME}` stands in the configuration, its value only where it is used.

The configuration keeps the reference, so that plans, hashes, commits and models hold names and never values. What
uses a secret (a reader's options, Spark's settings, a webhook) asks `reveal` at that moment; every value read in
this process is known from then on, and `redacted` puts `***` in its place in every text that leaves.
"""

from __future__ import annotations

import base64
import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, quote_plus

from headrace.config.file.document import Loc
from headrace.errors import ConfigError

HIDDEN = "***"
MAX_FILE = 1_000_000
"""Bytes of a secret's file."""

_REFERENCE = re.compile(r"\$\{secret:([^{}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])")
_LAST = frozenset(
    "password passwd pwd passphrase token secret apikey accesskey secretkey privatekey credentials".split()
)
_PAIRS = frozenset((first, "key") for first in ("access", "secret", "api", "account", "private", "shared"))
_HARMLESS = frozenset({"spark.kerberos.renewal.credentials"})
"""Settings of Spark that are called like a secret and hold none."""
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_IN_URL = re.compile(
    r"""(?i)((?:[?&;,\s"]|^)\w*(?:password|passwd|pwd|secret|token)\s*=\s*["']?|://[^/\s:@]*:(?=[^\s/]*@)|:(?:thin|oci8?):[^/\s:@]+/(?=\S*@))([^\s&;,"'@]+)"""
)
"""`...;password=VALUE` and `//user:VALUE@`, of Oracle `thin:user/VALUE@`."""

_known: dict[str, None] = {}  # values read in this process, as they may stand in a text
_pattern: list[re.Pattern[str]] = []


def names(text: str) -> tuple[str, ...]:
    """The secrets that a text refers to.

    >>> names("jdbc:postgresql://${secret:DB_USER}:${secret:DB_PASSWORD}@db/shop")
    ('DB_USER', 'DB_PASSWORD')
    """
    return tuple(dict.fromkeys(_REFERENCE.findall(text)))


def allowed(loc: Loc) -> bool:
    """Whether a secret may stand at a path: in options, a source's url, user and password, `spark`, `on_failure`,
    `privacy`, and an overlay's `mlflow`."""
    if loc[:1] == ("tables",) and loc[2:3] == ("source",) and loc[3:] in (("url",), ("user",), ("password",)):
        return True
    return loc[:1] in (("spark",), ("on_failure",), ("mlflow",), ("privacy",)) or "options" in loc[:-1]


def check_name(name: str) -> None:
    """Refuse what names no secret.

    Raises:
        ConfigError: With what a name looks like.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(f"${{secret:{name}}} names no secret; write ${{secret:NAME}}, with letters, digits and _")


def value_of(name: str, env: Mapping[str, str] = os.environ) -> str:
    """A secret's value: of the environment variable NAME, else of the file that NAME_FILE names.

    Args:
        name: As in `${secret:NAME}`.
        env: The environment.

    Raises:
        ConfigError: If there is none, in words that do not hold it.
    """
    check_name(name)
    value = env.get(name) or _file(name, env)
    if not value:
        raise ConfigError(
            f"the secret {name} is not set; set the environment variable {name}, "
            f"or let {name}_FILE name a file that holds it"
        )
    _remember(value)
    return value


def _file(name: str, env: Mapping[str, str]) -> str | None:
    place = env.get(f"{name}_FILE")
    if not place:
        return None
    try:
        path = Path(place)
        if not path.is_file() or path.stat().st_size > MAX_FILE:
            raise ConfigError(f"{name}_FILE={place} is no file of at most {MAX_FILE} bytes; mend the variable")
        return path.read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "it is no text in UTF-8"
        raise ConfigError(f"{name}_FILE={place} cannot be read: {reason}") from error


def reveal(text: str, env: Mapping[str, str] = os.environ) -> str:
    """A text with its secrets in place: only for the one that uses it, never for a message or a table.

    Raises:
        ConfigError: If one is not set.
    """
    return _REFERENCE.sub(lambda match: value_of(match.group(1), env), text)


def revealed(options: Mapping[str, Any], env: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Options as Spark's readers take them, `true` not `True`, with their secrets. What is null is left out."""
    return {
        key: str(value).lower() if isinstance(value, bool) else reveal(str(value), env)
        for key, value in options.items()
        if value is not None
    }


def plain_text(key: str, value: object) -> str | None:
    """What is wrong with an option that holds a secret in plain text, in words that do not hold it; else None."""
    if not isinstance(value, str | int | float) or isinstance(value, bool) or str(value).strip() == "":
        return None
    text = str(value)
    name = re.sub(r"\W+", "_", key).strip("_").upper()
    if is_secret(key) and not names(text):
        return f"a secret stands here in plain text; write ${{secret:{name}}}, and set {name} where the job runs"
    jaas = key.lower().endswith("jaas.config")
    if (jaas or _URL.match(text)) and any("${secret:" not in found[1] for found in _IN_URL.findall(_shielded(text))):
        return "a password stands in this text; write ${secret:NAME} in its place, and set NAME where the job runs"
    return None


def is_secret(key: str) -> bool:
    """Whether an option is called like a secret.

    >>> [is_secret(key) for key in ("sslPassword", "fs.s3a.secret.key", "tokenizer", "account")]
    [True, True, False, False]
    """
    words = [word.lower() for word in _WORD.findall(key)]
    ends = tuple(words[-2:]) in _PAIRS or (words and words[-1] in _LAST)
    return bool(ends or ".account.key." in key) and key not in _HARMLESS


def _shielded(text: str) -> str:
    """References without the signs at which a password in a URL ends."""
    return _REFERENCE.sub("${secret:}", text)


def masked(setting: str) -> str:
    """A `--set` as it may be shown and kept: without a secret in plain text.

    >>> masked("tables.t.source.options.password=abc"), masked("search.max_evals=5")
    ('tables.t.source.options.password=***', 'search.max_evals=5')
    """
    key, sign, value = setting.partition("=")
    name = re.sub(r"""["\]\s]+$""", "", key)
    if sign and (is_secret(name) or name.endswith("webhook")) and not names(value):
        value = HIDDEN
    value = _IN_URL.sub(lambda m: m[0] if "${secret:" in m[0] else f"{m[1]}{HIDDEN}", value)
    return redacted(f"{key}{sign}{value}")


def _remember(value: str) -> None:
    """Keep a value, and the forms in which messages may hold it."""
    if value in _known:
        return
    lines = [line.strip() for line in value.splitlines() if len(line.strip()) >= 8]
    for part in dict.fromkeys([value, value.strip(), re.sub(r"\s+", " ", value), *lines]):
        forms = (json.dumps(part)[1:-1], repr(part)[1:-1], quote(part), quote(part, safe=""), quote_plus(part))
        _known.update(dict.fromkeys((part, *forms, base64.b64encode(part.encode()).decode().rstrip("="))))
    # the longest first: a secret may be part of another; a short one only where it is a whole word
    parts = sorted(filter(None, _known), key=len, reverse=True)
    pattern = "|".join(re.escape(p) if len(p) > 3 else rf"(?<!\w){re.escape(p)}(?!\w)" for p in parts)
    _pattern[:] = [re.compile(pattern)]


def redacted(text: str) -> str:
    """A text with `***` in place of every secret that this process has read."""
    return _pattern[0].sub(HIDDEN, text) if _pattern else text


def held_by(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, holds a secret's value in its message."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if redacted(str(error)) != str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


def guard_output() -> None:
    """Let nothing that Python prints, tracebacks and libraries' logs included, hold a secret's value."""
    if not isinstance(sys.stderr, Guarded):
        sys.stdout, sys.stderr = Guarded(sys.stdout), Guarded(sys.stderr)  # type: ignore[assignment]


class Guarded:
    """A stream that redacts what is written to it; all else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, redacted."""
        self._stream.write(redacted(text))
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write lines, redacted."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
