"""A model store that does not answer, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headrace.config import secrets
from headrace.errors import HeadraceError


@contextmanager
def answered(tracking_uri: str) -> Iterator[None]:
    """Ask a model store; what keeps it from answering is told with its address, without secrets.

    Args:
        tracking_uri: Of the store.

    Raises:
        HeadraceError: If it is not there, refuses, or its database has no driver here.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, ImportError, OSError) as error:
        lines = str(error).splitlines()
        advice = "look whether it runs, and at `mlflow` of the overlay (--env)"
        if isinstance(error, ImportError):
            advice = "install the driver of its database"
        text = f"the model store {tracking_uri} did not answer: {lines[0] if lines else type(error).__name__}; {advice}"
        raise HeadraceError(secrets.redacted(text)) from error
