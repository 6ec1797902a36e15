"""Parts of dates, of days since 1970 in doubles (Hinnant, chrono-compatible low-level date algorithms, 2013)."""

from __future__ import annotations

from xml.etree.ElementTree import Element

from headrace.models.exporting.pmml.sheet import Sheet, apply, constant


class Days:
    """Year, month and day of some days.

    Args:
        sheet: It is written to.
        days: Days since 1970.
    """

    def __init__(self, sheet: Sheet, days: Element) -> None:
        self._sheet = sheet
        since = self._kept(_plus(days, 719_468))  # from 1 March of the year 0
        era = self._kept(down(since, 146_097))
        of_era = self._kept(apply("-", since, _times(era, 146_097)))
        leap = apply("-", of_era, down(of_era, 1460))
        leap = apply("-", apply("+", leap, down(of_era, 36_524)), down(of_era, 146_096))
        year = self._kept(down(leap, 365))
        before = apply("-", apply("+", _times(year, 365), down(year, 4)), down(year, 100))
        of_year = self._kept(apply("-", of_era, before))
        month = self._kept(down(_plus(_times(of_year, 5), 2), 153))
        first = down(_plus(_times(month, 153), 2), 5)
        self.day = _plus(apply("-", of_year, first), 1)
        late = apply("lessThan", month, constant(10.0), missing="false")
        self.month = self._kept(apply("if", late, _plus(month, 3), _plus(month, -9)))
        whole = self._kept(apply("+", year, _times(era, 400)))
        early = apply("lessOrEqual", self.month, constant(2.0), missing="false")
        self.year = apply("if", early, _plus(whole, 1), whole)
        self.quarter = _plus(down(_plus(self.month, -1), 3), 1)

    def _kept(self, expression: Element) -> Element:
        return self._sheet.named(expression, wanted="__days")


def _plus(of: Element, by: int) -> Element:
    return apply("+", of, constant(float(by)))


def _times(of: Element, by: int) -> Element:
    return apply("*", of, constant(float(by)))


def down(of: Element, by: float) -> Element:
    """Divided, and rounded down."""
    return apply("floor", apply("/", of, constant(float(by))))
