"""Casts that cannot abort: `cast(x as T)` becomes `try_cast(x as T)`, and the caller learns where that hid a failure.

The text is changed at token positions only; the rest stays as written. A cast that stands under a condition
(`case`, `if`, `coalesce`) fails only where the condition lets it run, so its pair carries the condition.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from sqlglot import Token, TokenType
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import SqlglotError

from headrace.config.sql.conditions import Pair, Part, guarded, under

_SAFE = {
    "to_timestamp": "try_to_timestamp",
    "to_date": "try_to_date",
    "to_number": "try_to_number",
    "make_timestamp": "try_make_timestamp",
}
_NEEDS_ALL = ("make_timestamp",)
_TYPES = ("boolean", "tinyint", "smallint", "int", "bigint", "float", "double", "decimal", "date", "timestamp")
_QUERY = (TokenType.SELECT, TokenType.WITH, TokenType.FROM)
_CLOSED_BY = {TokenType.L_PAREN: TokenType.R_PAREN, TokenType.L_BRACKET: TokenType.R_BRACKET}


def safe_casts(expression: str) -> tuple[str, list[Pair]]:
    """Make the casts of an expression safe.

    `cast(x as T)`, `x::T`, `T(x)`, and `to_date`, `to_timestamp`, `to_number`, `make_timestamp` get their `try_`
    form. Those in subqueries and lambdas stay as they are: their operands mean nothing outside.

    Args:
        expression: SQL over a row.

    Returns:
        The safe expression, and pairs (operand, safe cast): a row whose cast failed has an operand that is not null
        and a safe cast that is null. Inner casts come before those around them.

    >>> safe_casts("cast(a as int) + 1")
    ('try_cast(a as int) + 1', [('a', 'try_cast(a as int)')])
    """
    try:
        tokens = Databricks().tokenize(expression)
        if not tokens:
            return expression, []
        part = _Rewriter(expression, tokens).stretch(0, len(tokens))
    except (SqlglotError, RecursionError, _UnknownFormError):
        return expression, []  # left alone: Spark will say what is wrong with it
    if not part.pairs and "try_" not in part.text:
        return expression, []  # nothing was made safe: as it came, to the blank
    return expression[: tokens[0].start] + part.text + expression[tokens[-1].end + 1 :], part.pairs


class _UnknownFormError(Exception):
    """Brackets or a `case` that do not match."""


class _Rewriter:
    """Walks over the tokens once; text between tokens is kept."""

    def __init__(self, sql: str, tokens: list[Token]) -> None:
        self.sql = sql
        self.tokens = tokens
        self.partner = dict(_partners(tokens))

    def stretch(self, start: int, stop: int) -> Part:
        text, pairs, at = "", [], start
        if start < stop and self.tokens[start].token_type in _QUERY:
            return Part(self.raw(start, stop), [], stop)
        while at < stop:
            part = self.postfix(at, stop)
            text += (self.gap(at) if at > start else "") + part.text
            pairs += part.pairs
            at = part.end
        return Part(text, pairs, stop)

    def raw(self, start: int, stop: int) -> str:
        return self.sql[self.tokens[start].start : self.tokens[stop - 1].end + 1] if start < stop else ""

    def gap(self, at: int) -> str:
        """What stands before a token: spaces and comments."""
        return self.sql[self.tokens[at - 1].end + 1 : self.tokens[at].start]

    def kind(self, at: int, stop: int) -> TokenType | None:
        return self.tokens[at].token_type if at < stop else None

    def postfix(self, at: int, stop: int) -> Part:
        """A value with the `.field`, `[index]` and `::type` that follow it."""
        part = self.primary(at, stop)
        while True:
            end, kind = part.end, self.kind(part.end, stop)
            if kind is TokenType.DOT and end + 1 < stop:
                part = Part(part.text + self.gap(end) + self.raw(end, end + 2), part.pairs, end + 2)
            elif kind is TokenType.L_BRACKET:
                close = self.partner[end]
                inner = self.stretch(end + 1, close)
                text = part.text + self.gap(end) + "[" + inner.text + "]"
                part = Part(text, part.pairs + inner.pairs, close + 1)
            elif kind is TokenType.DCOLON and end + 1 < stop:
                after = self.type_end(end + 1, stop)
                part = _tried(part, self.raw(end + 1, after), after)
            else:
                return part

    def type_end(self, at: int, stop: int) -> int:
        after = at + 1
        if self.kind(after, stop) is TokenType.L_PAREN:
            return self.partner[after] + 1
        depth = 0
        while self.kind(after, stop) is TokenType.LT or depth:
            if after >= stop:
                raise _UnknownFormError
            depth += {TokenType.LT: 1, TokenType.GT: -1}.get(self.tokens[after].token_type, 0)
            after += 1
        return after

    def primary(self, at: int, stop: int) -> Part:
        kind = self.tokens[at].token_type
        if kind is TokenType.CASE:
            return self.case(at)
        if kind is TokenType.L_PAREN:
            inner = self.stretch(at + 1, self.partner[at])
            return self.wrapped(at, inner.text, inner.pairs)
        if self.kind(at + 1, stop) is TokenType.L_PAREN and self.tokens[at].text.isidentifier():
            return self.call(at)
        return Part(self.raw(at, at + 1), [], at + 1)

    def wrapped(self, opened: int, inner: str, pairs: list[Pair]) -> Part:
        """`(inner)` with the spaces that stood at both of its ends."""
        close = self.partner[opened]
        before, after = (self.gap(opened + 1), self.gap(close)) if close > opened + 1 else (self.gap(close), "")
        return Part(f"({before}{inner}{after})", pairs, close + 1)

    def call(self, at: int) -> Part:
        name, opened = self.tokens[at].text, at + 1
        lowered, close = name.lower(), self.partner[opened]
        if lowered in ("cast", "try_cast"):
            return self.cast(at, tried=lowered == "try_cast")
        spans = list(self.arguments(opened + 1, close))
        parts = [self.argument(start, stop) for start, stop in spans]
        if lowered in _TYPES and len(parts) == 1:
            return _tried(Part(parts[0].text, parts[0].pairs), name, close + 1)
        pairs = [pair for part in guarded(lowered, parts) for pair in part.pairs]
        inner = ""
        for number, ((start, _), part) in enumerate(zip(spans, parts, strict=True)):
            inner += (self.gap(start - 1) + "," + self.gap(start) if number else "") + part.text
        body = self.wrapped(opened, inner, pairs)
        if lowered not in _SAFE or not parts:
            return Part(name + self.gap(opened) + body.text, pairs, close + 1)
        text = _SAFE[lowered] + body.text
        operand = parts[0].text
        if lowered in _NEEDS_ALL:
            operand = "nullif(" + " and ".join(f"({part.text}) is not null" for part in parts) + ", false)"
        return Part(text, [*pairs, (operand, text)], close + 1)

    def arguments(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        first = at = start
        while at < stop:
            if self.tokens[at].token_type is TokenType.COMMA:
                yield first, at
                first = at + 1
            at = self.partner.get(at, at) + 1 if at in self.partner and self.partner[at] > at else at + 1
        if first < stop:
            yield first, stop

    def argument(self, start: int, stop: int) -> Part:
        if any(token.token_type is TokenType.ARROW for token in self.tokens[start:stop]):
            return Part(self.raw(start, stop), [], stop)
        return self.stretch(start, stop)

    def cast(self, at: int, *, tried: bool) -> Part:
        opened, close = at + 1, self.partner[at + 1]
        inside = at + 2
        while inside < close and self.tokens[inside].token_type is not TokenType.ALIAS:
            inside = max(self.partner.get(inside, inside), inside) + 1
        if inside >= close:
            raise _UnknownFormError
        operand = self.stretch(opened + 1, inside)
        body = self.wrapped(opened, operand.text + self.gap(inside) + self.raw(inside, close), operand.pairs)
        text = (self.tokens[at].text if tried else "try_cast") + self.gap(opened) + body.text
        pairs = operand.pairs if tried else [*operand.pairs, (operand.text, text)]
        return Part(text, pairs, body.end)

    def case(self, at: int) -> Part:
        """Each clause runs only when none before it held."""
        end = self.partner[at]
        marks = [*self.clauses(at, end), end]
        head = self.stretch(at + 1, marks[0])
        text = self.raw(at, at + 1) + (self.gap(at + 1) + head.text if head.text else "")
        start, earlier, condition = f"case {head.text}".strip(), "", ""
        pairs = list(head.pairs)
        for mark, after in pairwise(marks):
            part = self.stretch(mark + 1, after)
            text += self.gap(mark) + self.raw(mark, mark + 1) + self.gap(mark + 1) + part.text
            kind = self.tokens[mark].token_type
            if kind is TokenType.THEN:
                pairs += under(part.pairs, f"{start}{earlier} when {condition} then ", " end")
                earlier += f" when {condition} then null"
            else:
                before = (f"{start}{earlier} else ", " end") if earlier else ("", "")
                pairs += under(part.pairs, *before)
                condition = part.text
        return Part(text + self.gap(end) + self.raw(end, end + 1), pairs, end + 1)

    def clauses(self, at: int, end: int) -> Iterator[int]:
        inside = at + 1
        while inside < end:
            if self.tokens[inside].token_type in (TokenType.WHEN, TokenType.THEN, TokenType.ELSE):
                yield inside
            inside = max(self.partner.get(inside, inside), inside) + 1


def _tried(part: Part, kind: str, end: int) -> Part:
    text = f"try_cast({part.text} as {kind})"
    return Part(text, [*part.pairs, (part.text, text)], end)


def _partners(tokens: list[Token]) -> Iterator[tuple[int, int]]:
    """Opening and closing tokens of brackets and `case ... end`, both ways."""
    opened: list[int] = []
    for at, token in enumerate(tokens):
        if token.token_type in _CLOSED_BY or token.token_type is TokenType.CASE:
            opened.append(at)
        elif token.token_type in (TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END):
            first = tokens[opened[-1]].token_type if opened else None
            if first is None or _CLOSED_BY.get(first, TokenType.END) is not token.token_type:
                raise _UnknownFormError
            yield opened[-1], at
            yield at, opened.pop()
    if opened:
        raise _UnknownFormError
