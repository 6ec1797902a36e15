"""As much of JSON schema as the pipeline's needs: a schema with a keyword that is not known here is an error."""

from __future__ import annotations

import re
from typing import Any

KINDS: dict[str, Any] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
    "null": type(None),
}  # fmt: skip
SAYINGS = {"title", "description", "default", "$schema", "$defs"}


def complaints(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, at: str = "$") -> list[str]:
    """What is wrong with a value; empty where nothing is."""
    root = schema if root is None else root
    found: list[str] = []
    for keyword, wanted in schema.items():
        if keyword not in SAYINGS:
            found += CHECKS[keyword](value, wanted, schema, root, at)
    return found


def _ref(value: Any, wanted: str, schema: Any, root: Any, at: str) -> list[str]:
    return complaints(value, root["$defs"][wanted.removeprefix("#/$defs/")], root, at)


def _type(value: Any, wanted: str | list[str], schema: Any, root: Any, at: str) -> list[str]:
    kinds = [wanted] if isinstance(wanted, str) else wanted
    number = isinstance(value, bool) and "boolean" not in kinds  # Python takes a truth for a number
    fits = not number and any(isinstance(value, KINDS[kind]) for kind in kinds)
    return [] if fits else [f"{at}: {value!r} is no {' or '.join(kinds)}"]


def _any_of(value: Any, wanted: list[Any], schema: Any, root: Any, at: str) -> list[str]:
    tried = [complaints(value, one, root, at) for one in wanted]
    return [] if not all(tried) else [f"{at}: none of {len(wanted)} fits: {tried}"]


def _not(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    return [] if complaints(value, wanted, root, at) else [f"{at}: {value!r} cannot stand here"]


def _properties(value: Any, wanted: dict[str, Any], schema: Any, root: Any, at: str) -> list[str]:
    there = value if isinstance(value, dict) else {}
    return [c for key, one in wanted.items() if key in there for c in complaints(there[key], one, root, f"{at}.{key}")]


def _additional(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    extra = {k: v for k, v in value.items() if k not in schema.get("properties", {})} if isinstance(value, dict) else {}
    if wanted is False:
        return [f"{at}.{key}: unknown" for key in extra]
    if wanted is True:
        return []
    return [c for key, one in extra.items() for c in complaints(one, wanted, root, f"{at}.{key}")]


def _items(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
    rest = value[len(schema.get("prefixItems", ())) :] if isinstance(value, list) else []
    return [c for i, one in enumerate(rest) for c in complaints(one, wanted, root, f"{at}[{i}]")]


def _prefix(value: Any, wanted: list[Any], schema: Any, root: Any, at: str) -> list[str]:
    pairs = zip(value, wanted, strict=False) if isinstance(value, list) else ()
    return [c for i, (one, kind) in enumerate(pairs) for c in complaints(one, kind, root, f"{at}[{i}]")]


def _holds(says: str, test: Any) -> Any:
    def check(value: Any, wanted: Any, schema: Any, root: Any, at: str) -> list[str]:
        return [] if test(value, wanted) else [f"{at}: {value!r} is not {says} {wanted!r}"]

    return check


def _number(value: Any) -> bool:
    return isinstance(value, int | float)


CHECKS: dict[str, Any] = {
    "$ref": _ref,
    "type": _type,
    "anyOf": _any_of,
    "not": _not,
    "properties": _properties,
    "additionalProperties": _additional,
    "items": _items,
    "prefixItems": _prefix,
    "required": _holds("with", lambda v, w: not isinstance(v, dict) or set(w) <= set(v)),
    "enum": _holds("one of", lambda v, w: v in w),
    "const": _holds("equal to", lambda v, w: v == w),
    "pattern": _holds("like", lambda v, w: not isinstance(v, str) or re.search(w, v) is not None),
    "minLength": _holds("as long as", lambda v, w: not isinstance(v, str) or len(v) >= w),
    "maxLength": _holds("as short as", lambda v, w: not isinstance(v, str) or len(v) <= w),
    "minItems": _holds("of so many items", lambda v, w: not isinstance(v, list) or len(v) >= w),
    "maxItems": _holds("of so few items", lambda v, w: not isinstance(v, list) or len(v) <= w),
    "minProperties": _holds("of so many keys", lambda v, w: not isinstance(v, dict) or len(v) >= w),
    "minimum": _holds("at least", lambda v, w: not _number(v) or v >= w),
    "maximum": _holds("at most", lambda v, w: not _number(v) or v <= w),
    "exclusiveMinimum": _holds("above", lambda v, w: not _number(v) or v > w),
    "exclusiveMaximum": _holds("below", lambda v, w: not _number(v) or v < w),
}
