"""A version in memory, without Spark: its compiled form, where it was admitted."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from headrace.errors import ConfigError
from headrace.models.version import ADMITTED, COMPILED, Version
from headrace.serving.models import Served
from headrace.serving.typed import arrow_type

if TYPE_CHECKING:
    from headrace.models.store import ModelStore


def loaded(store: ModelStore, version: Version) -> Served:
    """Load a version.

    Raises:
        ConfigError: If it cannot be served without Spark; says what can be done.
        HeadraceError: If the model store does not answer.
    """
    import mlflow

    from headrace.models.answers import answered
    from headrace.models.compiled.scorer import Compiled

    if version.tags.get(COMPILED) != ADMITTED:
        raise ConfigError(_refusal(version))
    with answered(store.tracking_uri), tempfile.TemporaryDirectory() as folder:
        _ = store.client
        there = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path=COMPILED, dst_path=folder, tracking_uri=store.tracking_uri
        )
        compiled = Compiled.read(Path(there))
    return check(Served(version, compiled.card, compiled))


def _refusal(version: Version) -> str:
    said = version.tags.get(COMPILED)
    why = f" ({said})" if said else ""
    return (
        f"{version.uri} has no form that scores without Spark{why}: headrace serve cannot serve it. Serve it with Spark: "
        f"mlflow models serve -m {version.uri}; or train again, with another estimator or preparation"
    )


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
