"""Views that tables bring along: their SQL is carried by the tables' commits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


def united(brought: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """SQL by name of view, in an order in which they can be made.

    Args:
        brought: Per table its views in their order. A view that several tables bring is all of them, one below the
            other, and may be made of the views that each brings alone.
    """
    parts: dict[str, list[str]] = {}
    for views in brought:
        for name, sql in views.items():
            parts.setdefault(name, []).append(sql)
    ordered = sorted(parts, key=lambda name: len(parts[name]) > 1)
    return {name: " UNION ALL ".join(parts[name]) for name in ordered}
