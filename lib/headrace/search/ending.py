"""When a search has seen enough before its time, or its number of trials, is over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headrace.config.learning import Search
from headrace.search.begun import Key, key_of
from headrace.search.ledger import Row
from headrace.search.recipe import Recipe
from headrace.search.space import Point, count

REPEATED, HOPELESS = 20, 20
"""Of a search that is given a time alone: trials in a row whose points were tried before; trials that failed, and none did not."""


class Ending:
    """Looks at the trials that are over, in their order.

    Args:
        search: The configuration.
        estimators: That are searched.
        recipes: Of all estimators.
        starting: How many points to start with there are; all of them are tried.
    """

    def __init__(
        self, search: Search, estimators: Sequence[str], recipes: Mapping[str, Recipe], starting: int = 0
    ) -> None:
        self._conf, self._recipes, self._starting = search, recipes, starting
        self._size = count(estimators, recipes)
        self._tried: set[Key] = set()
        self._inside: set[Key] = set()
        self._losses: list[float | None] = []
        self._repeated, self._worked = 0, False

    def note(self, row: Row) -> None:
        """A trial is over."""
        self._losses.append(row.loss if row.status == "ok" else None)
        if row.status == "cancelled":
            return
        key = key_of(row.point)
        self._repeated = self._repeated + 1 if key in self._tried else 0
        self._tried.add(key)
        recipe = self._recipes.get(row.estimator)
        if recipe and recipe.holds(row.point.params):  # points of the user's may lie outside
            self._inside.add(key_of(Point(row.estimator, recipe.placed(row.point.params))))
        self._worked = self._worked or row.status in ("ok", "pruned")

    def why(self) -> str | None:
        """Why no more trials are to be started; None: they are. Not before all points to start with are tried."""
        if len(self._losses) < self._starting:
            return None
        if self._conf.patience is not None and self._behind() >= self._conf.patience:
            return f"the last {self._behind()} trials were no better than the best before"
        if not self._conf.open_ended:
            return None
        if not self._worked:  # the same point once more may work
            return f"all of {len(self._losses)} trials failed" if len(self._losses) >= HOPELESS else None
        if len(self._inside) >= self._size:
            return f"all {len(self._inside)} points of the space are tried"
        if self._repeated >= REPEATED:
            return f"the points of the last {self._repeated} trials were tried before"
        return None

    def _behind(self) -> int:
        """Trials since the best."""
        best = min((loss for loss in self._losses if loss is not None), default=None)
        return len(self._losses) - 1 - self._losses.index(best) if best is not None else 0
