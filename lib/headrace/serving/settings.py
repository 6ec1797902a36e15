"""What a server is told at its start; workers get it through an environment variable."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from headrace.config.strategies import Strategy
from headrace.errors import ConfigError

VARIABLE = "HEADRACE_SERVE"
KEY_VARIABLE = "HEADRACE_API_KEY"
SHORTEST_KEY = 16


@dataclass(frozen=True)
class Settings:
    """What a server is told; nothing of it is a secret.

    Attributes:
        model: The registered model.
        tracking_uri: Of the model store; secrets by their names.
        alias: What answers: `champion`, another alias, or a number of a version.
        online: Where feature tables are looked up: `sqlite`, or a PostgreSQL URL; secrets by their names.
        strategy: `scoring.strategy` of the YAML, as JSON.
        log: Folder of the inference log; None: none is written.
        key_file: A file with API keys, one a line; None: the variable `HEADRACE_API_KEY`, or no key.
        poll: Seconds between two looks at the registry.
        max_body: Bytes of a request.
    """

    model: str
    tracking_uri: str
    alias: str = "champion"
    online: str = "sqlite"
    strategy: str = "{}"
    log: str | None = None
    key_file: str | None = None
    poll: float = 10.0
    max_body: int = 1_000_000

    @property
    def chosen(self) -> Strategy:
        """The strategy."""
        return Strategy.model_validate_json(self.strategy)

    def to_environment(self) -> dict[str, str]:
        """For workers."""
        return {VARIABLE: json.dumps(asdict(self))}

    @classmethod
    def from_environment(cls) -> Settings:
        """In a worker."""
        found: dict[str, Any] = json.loads(os.environ[VARIABLE])
        return cls(**found)


def keys(settings: Settings) -> tuple[bytes, ...]:
    """The API keys that are let in; none: everybody is.

    Raises:
        ConfigError: If the file is not there or holds none, or a key is too short.
    """
    if settings.key_file:
        try:
            lines = Path(settings.key_file).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise ConfigError(f"--api-key-file {settings.key_file}: {error.strerror}") from error
        found, where = [line.strip() for line in lines if line.strip()], f"--api-key-file {settings.key_file}"
        if not found:
            raise ConfigError(f"{where} is empty; write a key into it, one a line")
    else:
        found, where = [os.environ[KEY_VARIABLE]] if os.environ.get(KEY_VARIABLE) else [], KEY_VARIABLE
    if any(len(one) < SHORTEST_KEY for one in found):
        raise ConfigError(
            f"{where}: a key has at least {SHORTEST_KEY} characters; make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return tuple(one.encode() for one in found)
