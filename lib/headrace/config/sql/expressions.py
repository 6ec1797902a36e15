"""What can be known of a SQL expression without Spark: columns, tables, sure mistakes.

Spark has the last word. Where sqlglot is not sure, nothing is said. Making casts safe: `config/sql/casts.py`.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from functools import lru_cache

from sqlglot import Token, TokenType, exp, parse_one
from sqlglot.dialects.databricks import Databricks
from sqlglot.errors import ParseError, SqlglotError, TokenError

from headrace.config.sql.casts import safe_casts
from headrace.config.sql.tokens import BINARY, simplified

__all__ = ["check", "columns", "is_condition", "parsed", "safe_casts", "tables", "variables"]

_OPEN = {TokenType.L_PAREN: TokenType.R_PAREN, TokenType.L_BRACKET: TokenType.R_BRACKET}
_SIGNS = {TokenType.L_PAREN: "(", TokenType.R_PAREN: ")", TokenType.L_BRACKET: "[", TokenType.R_BRACKET: "]"}
_NOT_LAST = BINARY - {TokenType.STAR}
_NOT_FIRST = BINARY - {TokenType.NOT, TokenType.DASH, TokenType.PLUS, TokenType.STAR}
_PLAIN = (
    BINARY
    | {TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.NULL, TokenType.TRUE}
    | {TokenType.FALSE, TokenType.L_PAREN, TokenType.R_PAREN, TokenType.COMMA, TokenType.CASE, TokenType.WHEN}
    | {TokenType.THEN, TokenType.ELSE, TokenType.END}
) - {TokenType.STAR}
_ENDS = (
    TokenType.VAR, TokenType.IDENTIFIER, TokenType.STRING, TokenType.NUMBER, TokenType.NULL, TokenType.TRUE,
    TokenType.FALSE, TokenType.R_PAREN, TokenType.R_BRACKET, TokenType.END,
)  # fmt: skip
_ARGUMENTS = re.compile(r"number of provided arguments|missing for <class 'sqlglot\.expressions\.(?!core\.)")


def columns(expression: str) -> set[str]:
    """Columns that an expression reads, as written: outside of subqueries, and correlated ones inside them.

    Of `a.b`, which may be table and column or struct and field, both names are returned, unless `a` is a table
    of the subquery around it. Variables of lambdas are no columns. Compare names without regard to case.

    Returns:
        Names, without backquotes; those of all words that could be columns where the expression cannot be parsed.
    """
    tree = parsed(expression)
    if tree is None:
        return _words(expression)
    found: set[str] = set()
    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            continue
        parts = [part.name for part in column.parts]
        if parts[-1].lower() in variables(column) or parts[0].lower() in variables(column):
            continue
        inner = _sources(column)
        if inner is None:
            found |= set(parts)
        elif len(parts) > 1 and not {part.lower() for part in parts[:-1]} & inner:
            found.add(parts[-1])
    return found


def tables(expression: str) -> set[str]:
    """Tables that the subqueries of an expression read, in lower case, without those that it names itself (`with`).

    Returns:
        Names without catalog and schema; empty where the expression cannot be parsed.
    """
    tree = parsed(expression)
    if tree is None:
        return set()
    own = {cte.alias.lower() for cte in tree.find_all(exp.CTE)}
    return {table.name.lower() for table in tree.find_all(exp.Table) if table.name} - own


def is_condition(expression: str) -> bool:
    """Whether an expression is surely true or false: a comparison, or several with `and`, `or`, `not`.

    >>> is_condition("delay >= 15 and not cancelled"), is_condition("delay")
    (True, False)
    """
    tree = parsed(expression)
    while isinstance(tree, exp.Paren):
        tree = tree.this
    return isinstance(tree, exp.Predicate | exp.Connector | exp.Not)


def check(expression: str) -> str | None:
    """A sure mistake of syntax, in words; None where there is none, or where only Spark can tell."""
    try:
        tokens = Databricks().tokenize(expression)
    except TokenError:
        return "a quotation mark or comment is opened and never closed"
    except (SqlglotError, ValueError, IndexError):
        return None
    if not tokens:
        return "there is no expression"
    seen = simplified(tokens)
    shape = _shape(seen)
    if shape:
        return shape
    if [*map(id, seen)] != [*map(id, tokens)] or any(token.token_type not in _PLAIN for token in tokens):
        return None
    try:
        tree = _parse(expression)
    except ParseError as error:
        return _first(error)
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, IndexError, KeyError):
        return None  # sqlglot stumbled: it is not for it to judge
    if isinstance(tree, exp.Alias) and tokens[-1].text.strip("`") == tree.alias:
        return f"{tree.alias!r} at its end belongs to nothing"
    return None


def _shape(tokens: list[Token]) -> str | None:
    closing: list[Token] = []
    for number, token in enumerate(tokens):
        if token.token_type in _OPEN:
            closing.append(token)
        elif token.token_type in _OPEN.values():
            sign = _SIGNS[token.token_type]
            if not closing or _OPEN[closing.pop().token_type] is not token.token_type:
                return f"{sign!r} at character {token.start + 1} closes nothing"
        elif token.token_type is TokenType.COMMA and not closing:
            return f"',' at character {token.start + 1} stands outside of parentheses; one expression is wanted"
        elif token.token_type is TokenType.SEMICOLON and number < len(tokens) - 1:
            return f"';' at character {token.start + 1} ends it, and more follows; one expression is wanted"
    if closing:
        return f"{_SIGNS[closing[-1].token_type]!r} at character {closing[-1].start + 1} is never closed"
    if tokens[-1].token_type is TokenType.SEMICOLON:
        return "it ends with ';'; leave that out"
    if tokens[-1].token_type in _NOT_LAST:
        return f"it ends with {tokens[-1].text!r}; something is missing after it"
    if tokens[0].token_type in _NOT_FIRST:
        return f"it begins with {tokens[0].text!r}; something is missing before it"
    opened = sum(token.token_type is TokenType.CASE for token in tokens)
    ended = sum(token.token_type is TokenType.END for token in tokens)
    if opened > ended:
        return "a `case` has no `end`"
    if len(tokens) > 2 and tokens[-2].token_type is TokenType.ALIAS and _is_value(tokens[-3]) and _is_name(tokens[-1]):
        return f"it ends with 'as {tokens[-1].text}'; leave that out: an expression has no name of its own"
    return None


def _is_value(token: Token) -> bool:
    """Whether an operand surely ends here, so that `as` is no column's name."""
    return token.token_type in _ENDS


def _is_name(token: Token) -> bool:
    return token.token_type in (TokenType.VAR, TokenType.IDENTIFIER)


def _first(error: ParseError) -> str | None:
    """What is wrong, unless it is how many arguments a function has, which sqlglot does not know of Spark's."""
    first = error.errors[0] if error.errors else {}
    if _ARGUMENTS.search(first.get("description") or ""):
        return None
    near = first.get("highlight")
    return "it cannot be read" + (f", near {near!r}" if near else "")


def _parse(expression: str) -> exp.Expression:
    tree = parse_one(f"SELECT {expression}\n", dialect="databricks")
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or tree.args.get("from_"):
        raise ValueError("not one expression")
    return tree.expressions[0]


@lru_cache(maxsize=2_000)
def parsed(expression: str) -> exp.Expression | None:
    """The expression's tree, or None where sqlglot cannot read it. It is shared: read it only."""
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    try:
        return _parse(expression)
    except (SqlglotError, RecursionError, ValueError, AttributeError, TypeError, IndexError, KeyError):
        return None  # what sqlglot does not know is not known here


def variables(node: exp.Expression) -> set[str]:
    """Variables, in lower case, of the lambdas around a node."""
    names: set[str] = set()
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.Lambda):
            names |= {variable.name.lower() for variable in parent.expressions}
        parent = parent.parent
    return names


def _sources(column: exp.Column) -> set[str] | None:
    """Names of the tables of the subqueries around a column; None outside of any."""
    names: set[str] = set()
    inside = False
    parent = column.parent
    while parent is not None:
        if isinstance(parent, exp.Select) and parent.parent is not None:
            inside = True
            for source in parent.find_all(exp.Table, exp.Subquery):
                names |= {source.alias_or_name.lower(), source.name.lower()}
        parent = parent.parent
    return names if inside else None


def _words(expression: str) -> set[str]:
    """Every word that could be a column, when nothing better is to be had."""
    return set(_candidates(expression))


def _candidates(expression: str) -> Iterator[str]:
    text = re.sub(r"'(?:[^'\\]|\\.|'')*'", " ", expression)
    yield from re.findall(r"`([^`]+)`", text)
    text = re.sub(r"`[^`]*`", " ", text)
    for match in re.finditer(r"[A-Za-z_]\w*", text):
        if not text[match.end() :].lstrip().startswith("("):
            yield match.group()
