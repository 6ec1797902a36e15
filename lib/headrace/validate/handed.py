"""What the flow hands to validate of the room next door: the rows to judge, and what was judged before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from headrace.config.types import Table
from headrace.runtime.step import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Base(Protocol):
    """What was judged before, and stays as it was judged."""

    @property
    def batch(self) -> int:
        """The last batch of the raw table that was judged."""
        ...

    @property
    def facts(self) -> Mapping[str, Any]:
        """What that pass found out."""
        ...

    @property
    def counts(self) -> Mapping[str, int]:
        """Rows, as it counted them."""
        ...


class Shaped(Protocol):
    """Raw rows typed, with `_raw` and `_reasons`: all that count, or those that have come since `base`."""

    @property
    def frame(self) -> DataFrame:
        """The rows."""
        ...

    @property
    def facts(self) -> dict[str, Any]:
        """What was found out about their types."""
        ...

    @property
    def base(self) -> Base | None:
        """What was judged before."""
        ...


Shape = Callable[[Run, str, Table, int, None, Any], Shaped]
"""From the raw table at a version to typed rows: `run, name, table, version, None, base`."""

BaseOf = Callable[[Run, str, Table, str, int], Base | None]
"""What a table made of the raw one can be brought up to date from: `run, name, table, made, version`."""
