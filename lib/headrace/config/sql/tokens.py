"""Tokens that mean something else than they say: keywords as fields, angle brackets of types, shifts."""

from __future__ import annotations

from sqlglot import Token, TokenType

BINARY = frozenset({
    TokenType.AND, TokenType.OR, TokenType.EQ, TokenType.NEQ, TokenType.LT, TokenType.LTE, TokenType.GT,
    TokenType.GTE, TokenType.PLUS, TokenType.DASH, TokenType.SLASH, TokenType.STAR, TokenType.MOD, TokenType.DPIPE,
    TokenType.LIKE, TokenType.RLIKE, TokenType.BETWEEN, TokenType.IN, TokenType.IS, TokenType.NOT, TokenType.DIV,
})  # fmt: skip
_NAMES = (TokenType.DIV, TokenType.LIKE, TokenType.CASE)
_BEFORE = {None, TokenType.L_PAREN, TokenType.COMMA, *BINARY}
_AFTER = {None, TokenType.R_PAREN, TokenType.COMMA, *BINARY} - {TokenType.NOT}
_NESTED = (TokenType.ARRAY, TokenType.MAP, TokenType.STRUCT)


def simplified(tokens: list[Token]) -> list[Token]:
    """Without what follows a dot, the inside of `::array<...>`, and `>>`, `>>>`, whose signs come one by one.

    A column that is called `div`, `like` or `case` becomes a name. The very tokens, where there is none of all these.
    """
    kept: list[Token] = []
    at = 0
    while at < len(tokens):
        token, last = tokens[at], kept[-1].token_type if kept else None
        if last is TokenType.DOT and token.text.isidentifier():
            kept.pop()
        elif last is TokenType.DCOLON and token.token_type in _NESTED:
            kept.append(token)
            at = _type_end(tokens, at)
        elif token.token_type in _NAMES and last in _BEFORE and _following(tokens, at) in _AFTER:
            kept.append(Token(TokenType.VAR, token.text, token.line, token.col, token.start, token.end))
        elif _is_shift(tokens, at):
            while _is_shift(tokens, at):
                at += 1
            kept.append(tokens[at])
        else:
            kept.append(token)
        at += 1
    return kept


def _following(tokens: list[Token], at: int) -> TokenType | None:
    return tokens[at + 1].token_type if at + 1 < len(tokens) else None


def _type_end(tokens: list[Token], at: int) -> int:
    """The last token of a type that begins here."""
    following = _following(tokens, at)
    if following is TokenType.NEQ:  # struct<>
        return at + 1
    depth, inside = 0, at + 1
    while following is TokenType.LT and inside < len(tokens):
        depth += {TokenType.LT: 1, TokenType.GT: -1}.get(tokens[inside].token_type, 0)
        if depth == 0:
            return inside
        inside += 1
    return at


def _is_shift(tokens: list[Token], at: int) -> bool:
    pair = tokens[at : at + 2]
    both = len(pair) == 2 and all(token.token_type is TokenType.GT for token in pair)
    return both and pair[0].end + 1 == pair[1].start
