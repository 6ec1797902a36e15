"""Whether what is published is what the champion learned from: the same question that `score` asks of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from headrace.config import hooks
from headrace.errors import ConfigError
from headrace.models.admission import admitted
from headrace.models.made import Made, made
from headrace.models.store import CHAMPION, ModelStore
from headrace.training.definition import config_of, inputs

if TYPE_CHECKING:
    from headrace.config.types import Pipeline
    from headrace.models.version import Version
    from headrace.runtime.home import Places
    from headrace.runtime.progress import Progress
    from headrace.runtime.tables import Tables


def made_now(pipeline: Pipeline, tables: Tables) -> Made:
    """How the features are made that a publish of now has."""

    def note(table: str, version: int) -> Mapping[str, Any]:
        commit = tables.log.last(table, until=version)
        return commit.note if commit else {}

    versions = {name: tables.last(name).version for name in inputs(pipeline)}
    return made(config_of(pipeline), versions, note, hooks.meanings(pipeline, "training_set"))


def refuse_others(pipeline: Pipeline, where: Places, found: Made, progress: Progress) -> None:
    """Refuse where the champion learned from other definitions: it would answer with features that it does not know.

    Raises:
        ConfigError: Says how they differ.
    """
    store = ModelStore(where.tracking_uri)
    version = _champion(store, where.schema, pipeline.scoring.model)
    if version is None:
        return
    try:
        warning = admitted(store, version, store.card(version.run_id), found)
    except ConfigError as error:
        raise ConfigError(f"nothing was published: {error.message}") from None
    if warning:
        progress.say(warning)


def _champion(store: ModelStore, name: str, wanted: str) -> Version | None:
    """What answers; None where there is no model yet: features may be published before."""
    if not store.there or store.model(name) is None:
        return None
    return store.alias(name) if wanted == CHAMPION else store.resolve(name, wanted)
