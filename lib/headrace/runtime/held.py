"""A frame kept between two steps of a run that read the same rows: validate judges them, clean takes the good ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.runtime.step import Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


class Held:
    """At most one persisted frame, and what it was made of."""

    def __init__(self) -> None:
        self._made_of: Any = None
        self._frame: DataFrame | None = None

    def keep(self, made_of: Any, frame: DataFrame) -> None:
        """Keep a persisted frame; the one before it is released."""
        self.release()
        self._made_of, self._frame = made_of, frame

    def take(self, made_of: Any) -> DataFrame | None:
        """Hand out the frame if it was made of the same; it is then the taker's to release."""
        if self._frame is None or self._made_of != made_of:
            return None
        frame, self._frame = self._frame, None
        return frame

    def release(self) -> None:
        """Give back the room it takes."""
        if self._frame is not None:
            self._frame.unpersist()
            self._frame = None


def made_of(run: Run, table: str, version: int, others: tuple[str, ...], after: int) -> Any:
    """What decides which rows a pass sees: the run, a table's batches after one, at a version, other tables at theirs."""
    return run.run_id, table, after, version, tuple((name, run.version(name)) for name in others)
