"""`on_failure`: a webhook is told of a run that failed. Whatever becomes of it, the run's exit code stays."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from headrace.config import secrets
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, GateError, HeadraceError
from headrace.runtime.home import places
from headrace.runtime.progress import Progress

if TYPE_CHECKING:
    from headrace.runtime.runner import Outcome

TIMEOUT = 10.0
"""Seconds for each of the two attempts."""

ATTEMPTS = 2
LONGEST = 4000
"""Characters of an error that are sent."""


@dataclass
class Watch:
    """What is known of a run while it goes on; `outcome` is set when it begins."""

    outcome: Outcome | None = None


@contextmanager
def failures_told(
    pipeline: Pipeline, environment: Environment, sample: str | None, progress: Progress
) -> Iterator[Watch]:
    """Tell the webhook when what happens inside fails; the error goes on as it came.

    Args:
        pipeline: Whose run it is; the environment's `on_failure` wins over its own.
        environment: The overlay.
        sample: Of the run.
        progress: Gets a line when the webhook cannot be told.
    """
    wanted = environment.on_failure or pipeline.on_failure
    watch, started = Watch(), time.monotonic()
    try:
        yield watch
    except Exception as error:
        if wanted:
            schema = places(pipeline, environment, sample).schema
            problem = post(wanted.webhook, content(schema, error, watch.outcome, time.monotonic() - started))
            if problem:
                progress.say(problem)
        raise


def content(schema: str, error: Exception, outcome: Outcome | None, seconds: float) -> dict[str, Any]:
    """What is sent: `pipeline, run_id, stage, exit_code, status, error, seconds`, and `text` for chat rooms.

    Without a stage, the run failed before its first one; with `status: refused`, a gate refused the model.
    """
    refused = isinstance(error, GateError)
    code = error.exit_code if isinstance(error, HeadraceError) else 1
    failed = [record.stage for record in outcome.records if record.status == "failed"] if outcome else []
    stage = "register" if refused else next(iter(failed), None)
    told = secrets.redacted(str(error) or type(error).__name__)[:LONGEST]
    return {
        "pipeline": schema,
        "run_id": outcome.run_id if outcome else None,
        "stage": stage,
        "exit_code": code,
        "status": "refused" if refused else "failed",
        "error": told,
        "seconds": round(seconds, 3),
        "text": f"{schema}: {stage or 'the run'} {'was refused' if refused else 'failed'} (exit code {code}): {told}",
    }


def post(webhook: str, sent: dict[str, Any]) -> str | None:
    """POST JSON, twice at most; returns what to say when it was in vain, without the URL's secrets."""
    from http.client import HTTPException  # some 50 ms that only a failed run has to pay
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    reason = "nothing was tried"
    try:
        url = secrets.reveal(webhook)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "on_failure.webhook is no http(s) URL; nobody was told"
        ask = Request(url, json.dumps(sent).encode(), {"Content-Type": "application/json", "User-Agent": "headrace"})
    except (ConfigError, ValueError):
        return "on_failure.webhook is no URL, or its secret is not set; nobody was told"
    for _ in range(ATTEMPTS):
        try:
            with urlopen(ask, timeout=TIMEOUT):
                return None
        except HTTPError as error:
            reason = f"it answered {error.code}"
            error.close()
        except (OSError, HTTPException, ValueError) as error:
            reason = str(getattr(error, "reason", None) or error) or type(error).__name__
    return f"the webhook at {parts.hostname} could not be told: {secrets.redacted(reason)}"
