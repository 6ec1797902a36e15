"""Which role a column has: a number, a category, text, a moment; and what the configuration says against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from headrace.config.file.complaints import meant
from headrace.config.preparation import Preparation
from headrace.errors import ConfigError

NUMBERS = ("tinyint", "smallint", "int", "bigint", "float", "double")
MOMENTS = ("timestamp", "timestamp_ntz", "date")
Role = Literal["number", "category", "text", "moment"]
_CAN: dict[str, tuple[Role, ...]] = {
    "string": ("category", "text", "number"),
    "number": ("number", "category"),
    "moment": ("moment", "number", "category"),
}
_KEYS: dict[Role, tuple[str, ...]] = {
    "number": ("impute", "fill", "indicator", "scale", "curve", "bins", "bin_count", "edges"),
    "category": ("encode", "keep", "smoothing", "size"),
    "text": ("tokens", "ngrams", "weights", "size"),
    "moment": ("parts", "cyclic", "elapsed", "impute", "fill", "indicator", "scale"),
}
PLACE = "search.preparation"


def _kind(kind: str) -> str | None:
    if kind in NUMBERS or kind == "boolean" or kind.startswith("decimal"):
        return "number"
    return "moment" if kind in MOMENTS else "string" if kind == "string" else None


def given(conf: Preparation, types: Mapping[str, str]) -> dict[str, Role | None]:
    """The role of each column that can have one, by its type and the configuration; None: text, which its words tell.

    Raises:
        ConfigError: If the configuration speaks of columns that are not there, or gives one a role that it cannot have.
    """
    for name in conf.columns:
        _there(f"{PLACE}.columns.{name}", name, types)
    found: dict[str, Role | None] = {}
    for name, kind in types.items():
        of, one = _kind(kind), conf.columns.get(name)
        if of is None:
            continue
        if one is None:
            found[name] = None if of == "string" else _CAN[of][0]
            continue
        if one.role and one.role not in _CAN[of]:
            raise ConfigError(
                f"{PLACE}.columns.{name}.role: {name!r} is {kind}; it can be {', '.join(_CAN[of])}, and no {one.role}"
            )
        by_key: list[Role] = [role for role in _CAN[of] if any(_set(one, key) for key in _KEYS[role])]
        found[name] = one.role or (by_key[0] if of == "string" and by_key else None if of == "string" else _CAN[of][0])
        _fitting(name, found[name], one)
    return found


def _set(one: Any, key: str) -> bool:
    return getattr(one, key) not in (None, ())


def _fitting(name: str, role: Role | None, one: Any) -> None:
    keys = [key for key in type(one).model_fields if key != "role" and _set(one, key)]
    wrong = [key for key in keys if role and key not in _KEYS[role]]
    if wrong:
        raise ConfigError(
            f"{PLACE}.columns.{name}.{wrong[0]}: {name!r} is prepared as a {role}, which has "
            f"{', '.join(_KEYS[role or 'number'])}; write role: ... to prepare it as something else"
        )


def _there(where: str, name: str, names: Mapping[str, Any]) -> None:
    if name not in names:
        raise ConfigError(f"{where}: no feature is called {name!r}; there are: {', '.join(names)}{meant(name, names)}")


def useless(given: Mapping[str, Role | None], facts: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Columns that can teach nothing -> why."""
    found = {}
    for name in given:
        if not facts[name]["known"]:
            found[name] = "always null"
        elif not facts[name]["differ"] and facts[name]["known"] == facts[name]["rows"]:
            found[name] = "always the same"
    return found


def pairs(
    conf: Preparation, types: Mapping[str, str], told: Mapping[str, Role]
) -> tuple[dict[str, tuple[str, str]], tuple[tuple[str, str], ...]]:
    """Interactions: pairs of categories by the name of the new one, and pairs of numbers; none of dropped columns.

    Raises:
        ConfigError: If a column is not there, or the two are not of one kind.
    """
    crosses, products = {}, []
    for number, (one, other) in enumerate(conf.interactions):
        where = f"{PLACE}.interactions[{number}]"
        for name in (one, other):
            _there(where, name, types)
        of = (told.get(one), told.get(other))
        if None in of:
            continue
        if of == ("category", "category"):
            crosses[f"{one}__x__{other}"] = (one, other)
        elif of == ("number", "number"):
            products.append((one, other))
        else:
            raise ConfigError(
                f"{where}: {one!r} is a {of[0]}, {other!r} a {of[1]}; an interaction is of two numbers or two "
                f"categories: give one a role in {PLACE}.columns"
            )
    return crosses, tuple(products)


def most_kept(conf: Preparation, name: str, keep: int, many: int, by_label: bool) -> int:
    """The most values of a category that any plan keeps.

    Args:
        conf: The configuration.
        name: Of the column, or of a pair.
        keep: Values that are kept where nothing else is said.
        many: Values that are kept where they take no column each.
        by_label: Whether the label's mean tells more values than `keep` apart, where nothing else is said.
    """
    own = conf.columns.get(name)
    asked = (own and own.keep) or conf.categories.keep or ()
    encodes = (own and own.encode) or conf.categories.encode
    auto = by_label and "auto" in encodes
    wide = not asked and (auto or any(encode in ("frequency", "target", "woe") for encode in encodes))
    return max(keep + auto, *asked, many if wide else 0)  # one more than are kept tells that there are more
