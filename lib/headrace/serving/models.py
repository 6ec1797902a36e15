"""The versions that a server answers with: it follows aliases of the registry, and never stands without a model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from headrace.errors import ConfigError, HeadraceError
from headrace.models.card import ModelCard
from headrace.models.version import Version

if TYPE_CHECKING:
    import pyarrow as pa

    from headrace.models.store import ModelStore


class Scorer(Protocol):
    """A model that needs no Spark."""

    def score(self, table: pa.Table) -> pa.Table:
        """Raw feature columns, typed as the card says -> `prediction`, `probability`."""


@dataclass(frozen=True)
class Served:
    """A version in memory.

    Attributes:
        version: As registered.
        card: What it takes and gives.
        scorer: Scores with it.
    """

    version: Version
    card: ModelCard
    scorer: Scorer
    features: tuple[tuple[str, str], ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "features", tuple(self.card.features.items()))


@dataclass(frozen=True)
class State:
    """What answers now.

    Attributes:
        roles: Alias or number -> the version that stands behind it; the first one is always there.
        main: Name of that first one.
        problem: Why what the registry says is not what is served, or None.
        checked: When the registry was last asked and answered, in seconds since 1970.
    """

    roles: Mapping[str, Served]
    main: str
    problem: str | None = None
    checked: float = 0.0

    @property
    def champion(self) -> Served:
        """What answers where nothing else is said."""
        return self.roles[self.main]


class Models:
    """Loads versions, and follows aliases from a thread of its own.

    Args:
        store: The model store.
        name: Of the registered model.
        wanted: Aliases and numbers of versions; the first one must be there.
        load: Loads a version.
        fit: Refuses one that must not answer now; asked at each look.
    """

    def __init__(
        self,
        store: ModelStore,
        name: str,
        wanted: Sequence[str],
        load: Callable[[ModelStore, Version], Served],
        fit: Callable[[Served], None] = lambda _: None,
    ) -> None:
        self._store, self._name, self._load, self._fit = store, name, load, fit
        self._wanted = tuple(dict.fromkeys(wanted))
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = self._first()

    def follow(self, seconds: float, changed: Callable[[State], None] = lambda _: None) -> None:
        """Look at the registry again and again, until `close`.

        Args:
            seconds: Between two looks.
            changed: Called after each.
        """
        changed(self.state)

        def run() -> None:
            while not self._stop.wait(seconds):
                self.refresh()
                changed(self.state)

        self._thread = threading.Thread(target=run, name="registry", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop following."""
        self._stop.set()
        if self._thread:
            self._thread.join(timeout=5)

    def refresh(self) -> State:
        """Ask the registry; load what is new beside what is old, then let it answer. What cannot be is told in `problem`."""
        old = self.state
        try:
            numbers = self._numbers()
        except HeadraceError as error:
            self.state = State(old.roles, old.main, error.message, old.checked)
            return self.state
        roles, problems = {}, []
        for role in self._wanted:
            before = old.roles.get(role)
            try:
                roles[role] = self._version(numbers.get(role), role, old)
            except HeadraceError as error:
                problems.append(error.message)
                if before is not None and (role == old.main or role in numbers):
                    roles[role] = before  # what it was goes on answering
        self.state = State(roles, old.main, "; ".join(problems) or None, time.time())
        return self.state

    def _first(self) -> State:
        main, *others = self._wanted
        numbers, nothing = self._numbers(), State({}, main)
        roles = {main: self._version(numbers.get(main), main, nothing)}
        problems = []
        for role in others:
            try:
                roles[role] = self._version(numbers.get(role), role, State(roles, main))
            except HeadraceError as error:
                problems.append(error.message)
        return State(roles, main, "; ".join(problems) or None, time.time())

    def _numbers(self) -> dict[str, int]:
        found = self._store.model(self._name)
        if found is None:
            raise ConfigError(
                f"there is no model {self._name} in {self._store.tracking_uri}; train one with jobs/train.py"
            )
        aliases, _ = found
        return aliases | {role: int(role) for role in self._wanted if role.isdigit()}

    def _version(self, number: int | None, role: str, old: State) -> Served:
        """A version that may answer: the one in memory, or loaded."""
        served = self._there(number, role, old)
        self._fit(served)
        return served

    def _there(self, number: int | None, role: str, old: State) -> Served:
        if number is None:
            raise ConfigError(
                f"no version of {self._name} is {role}; promote one: headrace promote FILE.yaml VERSION, or set the alias "
                "in MLflow"
            )
        known = next((one for one in old.roles.values() if one.version.number == number), None)
        if known:
            return known
        try:
            return self._load(self._store, self._store.version(self._name, number))
        except HeadraceError:
            raise
        except Exception as error:  # an artifact store may fail in any way, and what is served must go on
            raise HeadraceError(f"version {number} of {self._name} could not be loaded: {error}") from error
