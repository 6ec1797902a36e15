"""What a person sees while a job runs: a line a step, with seconds and rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

from headrace.config.secrets import redacted

MARKS = {"done": "[green]done[/]", "unchanged": "[dim]unchanged[/]", "failed": "[red]failed[/]"}


def rows(count: int | None) -> str:
    """A row count as people read it."""
    return "" if count is None else f"{count:,}"


class Progress:
    """Prints progress to standard error, so that standard output stays free for results."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False, emoji=False, soft_wrap=not sys.stderr.isatty())
        self._status: object = None

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """While a step runs: a spinner on a terminal, a line elsewhere."""
        if self.console.is_terminal:
            with self.console.status(f"{escape(name)} ..."):
                yield
        else:
            self.console.print(f"  {escape(name)} ...")
            yield

    def ended(self, name: str, status: str, seconds: float, rows_in: int | None, rows_out: int | None) -> None:
        """A step is over."""
        line = f"  {escape(name):<34} {MARKS[status]:<22} {seconds:7.1f} s"
        if rows_in is not None or rows_out is not None:
            line += f"  {rows(rows_in):>12} in {rows(rows_out):>12} out"
        self.console.print(line)

    def say(self, text: str) -> None:
        """A line within a step."""
        self.console.print(f"      {escape(redacted(text))}")

    def heading(self, text: str) -> None:
        """A line of its own."""
        self.console.print(f"[bold]{escape(redacted(text))}[/]")
