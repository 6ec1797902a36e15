"""Whether what was published is what a version learned from: the same question that `score` asks of its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from headrace.errors import ConfigError
from headrace.models.admission import admitted
from headrace.serving.models import Served
from headrace.serving.online.store import OnlineStore, Publish

if TYPE_CHECKING:
    from headrace.models.store import ModelStore


class Fitting:
    """Refuses versions that would answer with features of other definitions.

    Args:
        store: The model store.
        online: Where features are looked up.
    """

    def __init__(self, store: ModelStore, online: OnlineStore) -> None:
        self._store, self._online = store, online
        self._known: dict[tuple[int, int], str | None] = {}

    def __call__(self, served: Served) -> None:
        """Let a version answer, or refuse.

        Raises:
            ConfigError: Says how the definitions differ.
            HeadraceError: If a store does not answer.
        """
        publish = self._online.publish()
        if publish is None or publish.made is None or not _asked(served, publish):
            return
        key = served.version.number, publish.number
        if key not in self._known:
            self._known[key] = self._refusal(served, publish)
        wrong = self._known[key]
        if wrong:
            raise ConfigError(wrong)

    def _refusal(self, served: Served, publish: Publish) -> str | None:
        assert publish.made is not None, "it was asked"
        try:
            admitted(self._store, served.version, served.card, publish.made)
        except ConfigError as error:
            return (
                f"features were published (headrace publish) for another version: {error.message}. With the YAML that it learned "
                "from, run headrace publish again"
            )
        return None


def _asked(served: Served, publish: Publish) -> bool:
    """Whether a version takes features that are looked up, or made of such."""
    looked = {f"{name}__{column}" for name, table in publish.tables.items() for column, _ in table.columns}
    return any(name in looked or name in {one.name for one in publish.row_features} for name, _ in served.features)
