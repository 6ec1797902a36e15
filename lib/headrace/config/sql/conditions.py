"""Casts that run only under a condition fail only there: their pairs carry the condition."""

from __future__ import annotations

from dataclasses import dataclass, field

Pair = tuple[str, str]
"""An operand and its safe cast: where the first is not null and the second is, the cast failed."""


@dataclass
class Part:
    """A rewritten stretch of SQL: `end` is the token after it."""

    text: str
    pairs: list[Pair] = field(default_factory=list)
    end: int = 0


def under(pairs: list[Pair], before: str, after: str) -> list[Pair]:
    """The pairs as they stand within more text: what comes before an operand and a cast, and after."""
    return [(before + operand + after, before + cast + after) for operand, cast in pairs]


def guarded(name: str, parts: list[Part]) -> list[Part]:
    """The pairs of arguments that are evaluated only under a condition, with that condition."""
    texts = [part.text for part in parts]
    if name in ("if", "iff", "nvl2") and len(parts) == 3:
        condition = f"({texts[0]}) is not null" if name == "nvl2" else texts[0]
        yes = under(parts[1].pairs, f"case when {condition} then ", " end")
        no = under(parts[2].pairs, f"case when {condition} then null else ", " end")
        return [parts[0], Part("", yes), Part("", no)]
    if name in ("coalesce", "nvl", "ifnull"):
        nulls = [f"({text}) is null" for text in texts]
        return parts[:1] + [
            Part("", under(part.pairs, f"case when {' and '.join(nulls[:i])} then ", " end"))
            for i, part in enumerate(parts)
            if i
        ]
    return parts
