"""Features and what a learner says of them, as SQL."""

from __future__ import annotations

from dataclasses import dataclass

from headrace.models.compiled.native.kernel.function import Function
from headrace.models.compiled.native.lookup import lookup
from headrace.models.compiled.native.printed import number


@dataclass(frozen=True)
class Number:
    """A feature that is a number: SQL."""

    sql: str


@dataclass(frozen=True)
class Hot:
    """A 1 at the place of a text among `labels`, or at the last of all others."""

    of: str
    labels: tuple[str, ...]

    @property
    def place(self) -> str:
        """SQL of the place itself."""
        places = [float(at) for at in range(len(self.labels))]
        return lookup(self.of, self.labels, places, float(len(places)))


@dataclass(frozen=True)
class Said:
    """What a learner says, as SQL.

    Attributes:
        total: SQL of the sum that all else follows from.
        prediction: SQL of the number that is predicted, or of the class's index, from `total`.
        probability: SQL of that of the second class, None of a regression.
        function: That `total` asks, if any.
    """

    total: str
    prediction: str
    probability: str | None
    function: Function | None = None


def joined(terms: list[str], by: str) -> str:
    """Halves of halves: Spark walks down expressions, and thousands of sums one in the other are too deep."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({joined(terms[:middle], by)} {by} {joined(terms[middle:], by)})"


def above(cut: float) -> str:
    """For Spark NaN is greater than any number, for the model it is not."""
    return f"if(total > {number(float(cut))} and not isnan(total), 1D, 0D)"
