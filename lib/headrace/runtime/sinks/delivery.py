"""What is to be sent, and what a sink says was sent last."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Sent:
    """What a sink holds, by its own record.

    Attributes:
        version: Of the table that was sent.
        identity: Tells that state of the table from any other (`runtime.commits.Commit.identity`).
    """

    version: int
    identity: str


@dataclass(frozen=True)
class Delivery:
    """A state of a table, to be brought to a sink.

    Attributes:
        sink: Unique name of the sink, as `flights.crm`.
        state: Version and identity of the table.
        run_id: The run that sends.
        keys: Columns by which rows are unique, of a table that rows are only added to; empty: the sink is to hold
            just the rows of this state.
        earlier: What the sink held when the rows were chosen; None: nothing.
    """

    sink: str
    state: Sent
    run_id: str
    keys: tuple[str, ...]
    earlier: Sent | None
