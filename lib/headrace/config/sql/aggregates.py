"""SQL over aggregates, as `coalesce(sum(amount), 0) > 100`: which aggregates it asks for, and what it makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sqlglot import Token, TokenType
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import SqlglotError

from headrace.config.sql import expressions as sql

PLACE = "__headrace_aggregate_{}"
"""What stands for an aggregate in the expression around it."""
FUNCTIONS = {
    "count": "count", "count_if": "count", "sum": "sum", "avg": "mean", "mean": "mean", "min": "min", "max": "max",
    "stddev": "stddev", "stddev_samp": "stddev", "std": "stddev", "first": "first", "last": "last", "mode": "mode",
    "any": "max", "some": "max", "bool_or": "max", "every": "min", "bool_and": "min",
    "approx_count_distinct": "approx_distinct", "median": "p50", "percentile": "",
}  # fmt: skip
"""Spark's aggregates that can be had, and what windows call them."""
ALLOWED = f"allowed: {', '.join(FUNCTIONS)}; count with `distinct`, each with `filter (where ...)` behind it"


@dataclass(frozen=True)
class Call:
    """One aggregate over the events.

    Attributes:
        function: As in `window_features`.
        value: SQL over the event, or `*`.
        condition: SQL: only events for which it holds; None: all.
    """

    function: str
    value: str
    condition: str | None = None


@dataclass(frozen=True)
class Aggregation:
    """An expression and the aggregates in it.

    Attributes:
        around: The expression, with `PLACE` in place of the aggregates, by their number.
        calls: The aggregates, each once.
    """

    around: str
    calls: tuple[Call, ...]


def aggregation(text: str) -> Aggregation:
    """Take an expression over aggregates apart; all around them stays as it was written.

    >>> aggregation("count(*) = 0 or sum(amount) filter (where paid) > 9").around
    '__headrace_aggregate_0 = 0 or __headrace_aggregate_1 > 9'

    Raises:
        ValueError: In words, if an aggregate cannot be had, or a column stands outside of one.
    """
    tokens = _tokens(text)
    parts, calls, at, end = list[str](), list[Call](), 0, 0
    while at < len(tokens):
        if not _opens(tokens, at):
            at += 1
            continue
        call, last = _call(text, tokens, at)
        if call not in calls:
            calls.append(call)
        parts += [text[end : tokens[at].start], PLACE.format(calls.index(call))]
        at, end = last + 1, tokens[last].end + 1
        if at < len(tokens) and tokens[at].text.lower() == "over":
            raise ValueError("`over` is for windows of rows; the events of each prediction are the window here")
    around = "".join([*parts, text[end:]])
    _check_around(around, calls)
    return Aggregation(around, tuple(calls))


def columns(text: str) -> set[str]:
    """Columns of the events that an expression over aggregates reads; none where it cannot be taken apart."""
    return {column for part in texts(text) for column in sql.columns(part)}


def texts(text: str) -> Iterator[str]:
    """SQL over the events that stands in the aggregates; none where the expression cannot be taken apart."""
    try:
        calls = aggregation(text).calls
    except ValueError:
        return
    for call in calls:
        yield from (part for part in (call.value, call.condition) if part and part != "*")


def _check_around(around: str, calls: list[Call]) -> None:
    if not calls:
        raise ValueError(f"no aggregate of the events is in it, as count(*) or sum(amount); {ALLOWED}")
    places = {PLACE.format(number) for number in range(len(calls))}
    bare = sorted(sql.columns(around) - places) if sql.parsed(around) is not None else []
    if bare:
        raise ValueError(f"{', '.join(map(repr, bare))} stands in no aggregate that can be had; {ALLOWED}")


def _tokens(text: str) -> list[Token]:
    try:
        return Databricks().tokenize(text)
    except (SqlglotError, ValueError, IndexError) as error:
        raise ValueError("no SQL expression: it cannot be read") from error


def _opens(tokens: list[Token], at: int) -> bool:
    """Whether an aggregate begins here: its name, not after a dot, and a parenthesis."""
    token = tokens[at]
    named = token.text.lower() in FUNCTIONS and token.token_type not in (TokenType.STRING, TokenType.IDENTIFIER)
    before = tokens[at - 1].token_type if at else None
    return named and before is not TokenType.DOT and _is(tokens, at + 1, TokenType.L_PAREN)


def _is(tokens: list[Token], at: int, kind: TokenType) -> bool:
    return at < len(tokens) and tokens[at].token_type is kind


def _closing(tokens: list[Token], opening: int) -> int:
    depth = 0
    for at in range(opening, len(tokens)):
        kind = tokens[at].token_type
        depth += (kind is TokenType.L_PAREN) - (kind is TokenType.R_PAREN)
        if depth == 0:
            return at
    raise ValueError("no SQL expression: a parenthesis is never closed")


def _call(text: str, tokens: list[Token], at: int) -> tuple[Call, int]:
    """The aggregate that begins here, and its last token."""
    name, last = tokens[at].text.lower(), _closing(tokens, at + 1)
    inside = tokens[at + 2 : last]
    if any(_opens(tokens, inner) for inner in range(at + 2, last)):
        raise ValueError(f"an aggregate cannot stand inside of {name}()")
    distinct = bool(inside) and inside[0].token_type is TokenType.DISTINCT
    arguments = _arguments(text, inside[1:] if distinct else inside)
    condition = None
    if (
        last + 2 < len(tokens)
        and tokens[last + 1].text.lower() == "filter"
        and _is(tokens, last + 2, TokenType.L_PAREN)
    ):
        opening, last = last + 2, _closing(tokens, last + 2)
        within = tokens[opening + 1 : last]
        if len(within) < 2 or within[0].token_type is not TokenType.WHERE:
            raise ValueError(f"write `filter (where ...)` behind {name}()")
        condition = text[within[1].start : within[-1].end + 1]
    return _named(name, arguments, distinct, condition), last


def _arguments(text: str, tokens: list[Token]) -> list[str]:
    """The texts between the commas of the outermost level."""
    groups: list[list[Token]] = [[]] if tokens else []
    depth = 0
    for token in tokens:
        opens = token.token_type in (TokenType.L_PAREN, TokenType.L_BRACKET)
        depth += opens - (token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET))
        if token.token_type is TokenType.COMMA and depth == 0:
            groups.append([])
        else:
            groups[-1].append(token)
    if any(not group for group in groups):
        raise ValueError("no SQL expression: something is missing beside a comma")
    return [text[group[0].start : group[-1].end + 1] for group in groups]


def _named(name: str, arguments: list[str], distinct: bool, condition: str | None) -> Call:
    wanted = 2 if name == "percentile" else 1
    if len(arguments) != wanted:
        raise ValueError(f"{name}() takes {wanted} argument{'s' * (wanted > 1)}; {len(arguments)} came")
    value = arguments[0]
    if value == "*" and name != "count":
        raise ValueError(f"{name}(*) has no meaning; name a column")
    if distinct and (name != "count" or value == "*"):
        raise ValueError(f"`distinct` goes with count of a column, not with {name}({value})")
    if distinct:
        return Call("distinct", value, condition)
    if name == "count_if":
        return Call("count", "*", value if condition is None else f"({value}) and ({condition})")
    if name == "percentile":
        return Call(_quantile(arguments[1]), value, condition)
    return Call(FUNCTIONS[name], value, condition)


def _quantile(text: str) -> str:
    """The name of a percentile that windows know: of whole hundredths."""
    try:
        hundredths = float(text) * 100
    except ValueError:
        hundredths = 0.0
    if not 1 <= round(hundredths) <= 99 or abs(hundredths - round(hundredths)) > 1e-9:
        raise ValueError(f"percentile(..., {text}): write a number from 0.01 to 0.99 with two digits")
    return f"p{round(hundredths):02d}"
