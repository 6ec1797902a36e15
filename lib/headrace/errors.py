"""The error tree of Headrace: what a person sees, and the exit code that a schedule sees.

Every message says what came, what is allowed, and what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class HeadraceError(Exception):
    """Anything that Headrace stops for, with a message meant for people.

    Args:
        message: What came, what is allowed, what to do next.
    """

    exit_code = 1

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class Mistake:
    """One mistake in a configuration file.

    Attributes:
        where: Path of the value, as `tables.flights.rules[1].on_fail`.
        message: What came, what is allowed, what to do next.
        file: The file, or None where there is none (a flag).
        line: One-based line, or None.
        column: One-based column, or None.
    """

    where: str
    message: str
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        if not (place and self.where):
            return ": ".join(part for part in (place, self.where, self.message) if part)
        return f"{place}{'' if self.line else ':'} {self.where}: {self.message}"


class ConfigError(HeadraceError):
    """Mendable in the YAML, a path or a flag. All mistakes are reported at once."""

    exit_code = 2

    def __init__(self, mistakes: str | Sequence[Mistake]) -> None:
        self.mistakes = [] if isinstance(mistakes, str) else list(mistakes)
        super().__init__(mistakes if isinstance(mistakes, str) else "\n".join(map(str, mistakes)))


class DataError(HeadraceError):
    """The data are there and cannot be used: empty, of one class, unparsable, a `fail` rule broken."""

    exit_code = 3


class GateError(HeadraceError):
    """A gate refused the model. Scoring and monitoring still go on with the present champion.

    Attributes:
        result: What the run came to all the same; set by `headrace.Pipeline.run`.
    """

    exit_code = 4
    result: Any = None
