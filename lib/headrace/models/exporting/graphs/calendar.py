"""Parts of dates, of days since 1970 in integers (Hinnant, chrono-compatible low-level date algorithms, 2013)."""

from __future__ import annotations

from headrace.models.exporting.graphs.graph import Graph


class Days:
    """Year, month and day of some days.

    Args:
        graph: It is written to.
        days: Name of the days since 1970.
    """

    def __init__(self, graph: Graph, days: str) -> None:
        self._graph = graph
        since = self._plus(days, 719_468)  # from 1 March of the year 0
        era = down(graph, since, 146_097)
        of_era = graph.op("Sub", since, self._times(era, 146_097))
        leap = graph.op("Sub", of_era, self._over(of_era, 1460))
        leap = graph.op("Sub", graph.op("Add", leap, self._over(of_era, 36_524)), self._over(of_era, 146_096))
        year = self._over(leap, 365)
        before = graph.op("Sub", graph.op("Add", self._times(year, 365), self._over(year, 4)), self._over(year, 100))
        of_year = graph.op("Sub", of_era, before)
        month = self._over(self._plus(self._times(of_year, 5), 2), 153)
        first = self._over(self._plus(self._times(month, 153), 2), 5)
        self.day = self._plus(graph.op("Sub", of_year, first), 1)
        late = graph.op("Less", month, graph.whole(10))
        self.month = graph.op("Where", late, self._plus(month, 3), self._plus(month, -9))
        whole = graph.op("Add", year, self._times(era, 400))
        early = graph.op("LessOrEqual", self.month, graph.whole(2))
        self.year = graph.op("Where", early, self._plus(whole, 1), whole)
        self.quarter = self._plus(self._over(self._plus(self.month, -1), 3), 1)

    def _plus(self, name: str, number: int) -> str:
        return self._graph.op("Add", name, self._graph.whole(number))

    def _times(self, name: str, number: int) -> str:
        return self._graph.op("Mul", name, self._graph.whole(number))

    def _over(self, name: str, number: int) -> str:
        return self._graph.op("Div", name, self._graph.whole(number))


def down(graph: Graph, name: str, by: int) -> str:
    """Divided, and rounded down also below 0: `Div` goes towards 0."""
    rest = graph.op("Mod", name, graph.whole(by))
    return graph.op("Div", graph.op("Sub", name, rest), graph.whole(by))
