"""A version in memory, without Spark: its compiled form, where it was admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import ConfigError
from headrace.models.version import Version
from headrace.serving.models import Served
from headrace.serving.typed import arrow_type

if TYPE_CHECKING:
    from headrace.models.store import ModelStore


def loaded(store: ModelStore, version: Version) -> Served:
    """Load a version.

    Raises:
        ConfigError: If it cannot be served without Spark; says what can be done.
    """
    raise ConfigError(f"{version.uri} has no compiled form")


def check(served: Served) -> Served:
    """Refuse a version with features that no request can give.

    Raises:
        ConfigError: With their types.
    """
    strange = [f"{name} ({kind})" for name, kind in served.features if arrow_type(kind) is None]
    if strange:
        raise ConfigError(
            f"{served.version.uri} takes {', '.join(strange[:5])}, which no request can give; leave them out "
            "(training_set.exclude), or make plain columns of them (row_features)"
        )
    return served
