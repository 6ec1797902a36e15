"""What a search that has ended tells of its model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.errors import ConfigError

if TYPE_CHECKING:
    from headrace.runtime.step import Run


def searched(run: Run) -> dict[str, Any]:
    """The facts of the last search: its winner's card and where the model is.

    Raises:
        ConfigError: If the search was interrupted, or no trial of it was finished: there is no model of it.
    """
    facts: dict[str, Any] = run.facts("trials").get("facts") or {}
    if "model_uri" not in facts:
        raise ConfigError(
            "the last search has not ended, so there is no model of it; run jobs/train.py, which goes on with it"
        )
    return facts
