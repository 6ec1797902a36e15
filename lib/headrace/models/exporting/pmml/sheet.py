"""A document of PMML as it is written, and what its values stand for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, SubElement

from headrace.models.exporting.graphs.graph import NotExported

OTHER_TEXT = "\ue001"
"""What null is among texts that are looked up several at once."""
_FORBIDDEN = re.compile("[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class Hot(NamedTuple):
    """A 1 at the place of a text among `labels`, or at the last of all others.

    Attributes:
        field: Holds the text.
        labels: Distinct.
        place: The field of the place itself.
    """

    field: str
    labels: tuple[str, ...]
    place: str


class Cell(NamedTuple):
    """A column.

    Attributes:
        values: Of `double`, `whole` (a double without a fraction), `date` (days since 1970), `timestamp` (milliseconds since
            1970) and `text` an expression, missing where it is null or NaN; of `bool` a pair of expressions that are never
            missing: where it is true, and where it is false; of `none` nothing; of `struct` cells by name; of `list`
            doubles; of `joined` the text cells; of `class` an index that has no number here.
        kind: What the values are.
        hot: Of the place of a text, where that is from.
    """

    values: Any
    kind: str = "double"
    hot: Hot | None = None


Vector = list[Any]
"""Cells of numbers, and `Hot`."""
Frame = dict[str, Any]
"""Cells and vectors by name."""
Params = Mapping[str, Any]
Arrays = Mapping[str, Any]


class Sheet:
    """Fields, in the order in which they are written.

    Attributes:
        derived: Before the model.
        segments: Models whose numbers the model is of, in a chain.
        local: Fields between these and the model.
        outputs: After it.
        model: Its element, once there is one: what comes later is an output.
    """

    def __init__(self, taken: Sequence[str] = (), name: str = "", inputs: Sequence[str] = ()) -> None:
        self.derived: list[Element] = []
        self.segments: list[Element] = []
        self.local: list[Element] = []
        self.outputs: list[Element] = []
        self.model: Element | None = None
        self.name, self.inputs = name, tuple(inputs)
        self._taken = set(taken)

    def free(self, wanted: str) -> str:
        """A name that nobody has, like the one that is wanted."""
        found, count = wanted, 1
        while found in self._taken:
            count += 1
            found = f"{wanted}__{count}"
        self._taken.add(found)
        return found

    def named(self, expression: Element, kind: str = "double", wanted: str = "__part") -> Element:
        """A reference to a field that holds an expression; what is one already stays."""
        if expression.tag == "Constant" or (expression.tag == "FieldRef" and "mapMissingTo" not in expression.attrib):
            return expression
        return self.field(expression, kind, wanted)

    def field(self, expression: Element, kind: str = "double", wanted: str = "__part", first: bool = False) -> Element:
        """A reference to a new field that holds an expression.

        Args:
            expression: Of fields that are there.
            kind: Its type.
            wanted: Its name, if nobody has it.
            first: It reads nothing of the segments, and is there for these too.
        """
        name = self.free(wanted)
        kinds = {"name": name, "optype": _OPTYPES.get(kind, "continuous"), "dataType": kind}
        if self.model is None:
            made = Element("DerivedField", kinds)
            (self.local if self.segments and not first else self.derived).append(made)
        else:
            made = Element("OutputField", {**kinds, "feature": "transformedValue", "isFinalResult": "false"})
            self.outputs.append(made)
        made.append(expression)
        return ref(name)

    def output(self, wanted: str, kind: str, final: bool = True, **more: str) -> str:
        """A new output of the model itself; its name."""
        name = self.free(wanted)
        kinds = {"name": name, "optype": _OPTYPES.get(kind, "continuous"), "dataType": kind, **more}
        self.outputs.append(Element("OutputField", kinds | ({} if final else {"isFinalResult": "false"})))
        return name


_OPTYPES = {"string": "categorical", "boolean": "categorical"}


def plain(text: str) -> str:
    """A text as the document has it: it holds no NUL, which stands for an empty category in Spark's list of them.

    Raises:
        NotExported: Of other characters that XML has not.
    """
    found = text.replace("\0", "\ue000")
    if _FORBIDDEN.search(found):
        raise NotExported(f"a category of characters that XML cannot hold ({found[:20]!r})")
    return found


def ref(name: str, missing: str | None = None) -> Element:
    """The value of a field."""
    return Element("FieldRef", {"field": name} | ({} if missing is None else {"mapMissingTo": missing}))


def written(value: float) -> str:
    """A double, to the last digit."""
    return repr(float(value)).replace("inf", "INF").replace("nan", "NaN")


def constant(value: Any) -> Element:
    """A number, a text or a mark; None: what is missing."""
    if value is None:
        return Element("Constant", {"missing": "true"})
    if isinstance(value, bool):
        made, made_text = Element("Constant", {"dataType": "boolean"}), str(value).lower()
    elif isinstance(value, str):
        made, made_text = Element("Constant", {"dataType": "string"}), plain(value)
        if made_text != made_text.strip() or set("<>&") & set(made_text):
            raise NotExported(f"SQL that makes the text {value[:20]!r}")
    else:
        made, made_text = Element("Constant", {"dataType": "double"}), written(value)
    made.text = made_text
    return made


def apply(function: str, *parts: Element, missing: str | None = None) -> Element:
    """A function of expressions.

    Args:
        function: One of PMML.
        parts: What it is of.
        missing: What it gives where any of these is missing; None: nothing.
    """
    made = Element("Apply", {"function": function} | ({} if missing is None else {"mapMissingTo": missing}))
    made.extend(parts)
    return made


def sum_of(parts: Sequence[Element]) -> Element:
    """A sum, one after the other; of nothing 0."""
    if not parts:
        return constant(0.0)
    found = parts[0]
    if len(parts) < 3:
        return found if len(parts) == 1 else apply("+", *parts)
    middle = len(parts) // 2  # halves of halves: readers walk down expressions
    return apply("+", sum_of(parts[:middle]), sum_of(parts[middle:]))


def looked_up(
    fields: Sequence[str], rows: Sequence[tuple[Sequence[str], str]], other: str | None, kind: str = "double"
) -> Element:
    """What stands beside the values of fields in a table.

    Args:
        fields: Names.
        rows: Values of them, and what stands beside.
        other: Of all else, and of what is missing; None: nothing.
        kind: Of what stands beside.
    """
    more = {} if other is None else {"defaultValue": other, "mapMissingTo": other}
    made = Element("MapValues", {"outputColumn": "told", "dataType": kind, **more})
    for place, name in enumerate(fields):
        SubElement(made, "FieldColumnPair", {"field": name, "column": f"of{place}"})
    table = SubElement(made, "InlineTable")
    for values, told in rows:
        row = SubElement(table, "row")
        for place, value in enumerate(values):
            SubElement(row, f"of{place}").text = value
        SubElement(row, "told").text = told
    return made


def is_value(field: str, value: str, missing: int = 0) -> Element:
    """1 where a field is a value, 0 where it is another."""
    return Element("NormDiscrete", {"field": field, "value": value, "mapMissingTo": written(missing)})
