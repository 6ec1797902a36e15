"""Pydantic's errors in words for people: what came, what is allowed, did you mean."""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headrace.config.file.document import Document, Loc, shown
from headrace.config.file.repair import misspelt
from headrace.config.spines import MAPPING, TEXT
from headrace.config.types import Environment, Pipeline
from headrace.config.values import LONGEST_SQL
from headrace.errors import Mistake

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "dict_type": "a mapping (`key: value`)",
    "model_type": "a mapping (`key: value`)",
    "model_attributes_type": "a mapping (`key: value`)",
    "tuple_type": "a list",
    "list_type": "a list",
    "datetime_type": "a date or time such as 2013-10-01 or 2013-10-01T06:00:00Z",
    "datetime_parsing": "a date or time such as 2013-10-01 or 2013-10-01T06:00:00Z",
    "datetime_from_date_parsing": "a date or time such as 2013-10-01 or 2013-10-01T06:00:00Z",
    "finite_number": "a finite number",
}
_PATTERNS = {
    r"^[A-Za-z0-9_]*$": "letters, digits and underscores",
    r"^(https?://|\$\{secret:)": "a URL that begins with http:// or https://, or ${secret:NAME}",
}
"""What patterns of the types mean."""
_SYNONYMS = {
    **dict.fromkeys(("drop", "reject", "discard", "remove", "ignore"), "quarantine"),
    **dict.fromkeys(("error", "abort", "stop", "raise"), "fail"),
    **dict.fromkeys(("log", "alert"), "warn"),
    **dict.fromkeys(("classification", "classifier", "binary_classification"), "binary"),
    **dict.fromkeys(("regressor", "numeric"), "regression"),
    **dict.fromkeys(("bayesian", "bayes", "optuna"), "tpe"),
    **dict.fromkeys(("date", "temporal"), "time"),
    **dict.fromkeys(("key", "random", "group"), "hash"),
    **dict.fromkeys(("hourly", "1h", "1 hour"), "hour"),
    **dict.fromkeys(("daily", "nightly", "1d", "1 day"), "day"),
    **dict.fromkeys(("weekly", "7 days", "1 week"), "week"),
    **dict.fromkeys(("monthly", "30 days", "1 month"), "month"),
}
"""What other tools call it."""


def mistakes_of(error: ValidationError, model: type[BaseModel], document: Document) -> list[Mistake]:
    """All mistakes of a document, each with its place."""
    problems = [_unmarked(problem) for problem in error.errors(include_url=False)]
    unknown = {tuple(problem["loc"]) for problem in problems if problem["type"] == "extra_forbidden"}
    return [_mistake(p, model, document) for p in problems if not _only_misspelt(p, document, unknown)]


def _unmarked(problem: ErrorDetails) -> ErrorDetails:
    """Without the marks of what was written where a text or a mapping may stand."""
    problem["loc"] = tuple(part for part in problem["loc"] if part not in (TEXT, MAPPING))
    return problem


def _only_misspelt(problem: ErrorDetails, document: Document, unknown: set[tuple[str | int, ...]]) -> bool:
    """A key is missing because it is misspelt, which is reported already."""
    loc = tuple(problem["loc"])
    return problem["type"] == "missing" and (*loc[:-1], misspelt(document.data, loc)) in unknown


def meant(wrong: object, right: Iterable[str]) -> str:
    """`; did you mean 'x'?`, or nothing.

    >>> meant("colums", ["columns", "rules"])
    "; did you mean 'columns'?"
    """
    by_lower = {text.lower(): text for text in right}
    close = difflib.get_close_matches(str(wrong).lower(), by_lower, n=1, cutoff=0.6)
    return f"; did you mean {by_lower[close[0]]!r}?" if close else ""


def _mistake(problem: ErrorDetails, model: type[BaseModel], document: Document) -> Mistake:
    kind = problem["type"]
    loc: Loc = tuple(part for part in problem["loc"] if part != "[key]")
    if kind == "extra_forbidden" and model is Environment and len(loc) == 1 and loc[0] in Pipeline.model_fields:
        message = (
            f"{loc[0]!r} says what is computed, and an overlay (--env) only where things are: put it into the pipeline's "
            f"file, or change it for one run by --set {loc[0]}... (which is recorded)"
        )
        return document.mistake(loc, message, key=True)
    if kind == "extra_forbidden":
        allowed = sorted(_keys(_type_at(model, loc[:-1])))
        message = f"unknown key {loc[-1]!r}; allowed here: {', '.join(allowed)}{meant(loc[-1], allowed)}"
        return document.mistake(loc, message, key=True)
    if kind == "missing":
        return document.mistake(loc, f"{loc[-1]!r} is missing, and has no default; add it", key=True)
    is_key = len(loc) != len(problem["loc"])
    return document.mistake(loc, _words(problem, kind), key=is_key)


def _words(problem: ErrorDetails, kind: str) -> str:
    came = shown(problem["input"])
    context: dict[str, Any] = problem.get("ctx") or {}
    if kind == "literal_error":
        allowed = [part.strip(" '") for part in str(context["expected"]).replace(" or ", ", ").split(",")]
        synonym = _SYNONYMS.get(str(problem["input"]).lower())
        close = f"; did you mean {synonym!r}?" if synonym in allowed else meant(problem["input"], allowed)
        return f"{came} is not one of {', '.join(allowed)}{close}"
    if kind == "value_error":
        text = str(context.get("error", problem["msg"]))
        return _WANTED_TIME.format(came=came) if re.search("isoformat|must be in|out of range", text) else text
    if kind in ("greater_than", "greater_than_equal", "less_than", "less_than_equal"):
        return f"{came} came; it must be {problem['msg'].removeprefix('Input should be ')}"
    if kind == "too_long" or (kind == "too_short" and "actual_length" in context):
        length = context.get("max_length", context.get("min_length"))
        return f"{came} with {context['actual_length']} entries came; allowed: {length}"
    if kind == "string_too_long":
        how = "cut it into several columns" if context["max_length"] == LONGEST_SQL else "make it shorter"
        return f"{came} with more than {context['max_length']} characters came; {how}"
    if kind == "string_pattern_mismatch":
        return f"{came} came; it must be {_PATTERNS.get(context['pattern'], 'of the form ' + context['pattern'])}"
    if kind == "string_too_short":
        return "the text is empty; write something or leave the key out"
    if kind in _WANTED:
        return f"{came} came; it must be {_WANTED[kind]}"
    return f"{came} came; {problem['msg'][:1].lower()}{problem['msg'][1:]}"


_WANTED_TIME = "{came} is no time; write a date or time such as 2013-10-01 or 2013-10-01T06:00:00Z"


def _keys(kind: Any) -> list[str]:
    if not (isinstance(kind, type) and issubclass(kind, BaseModel)):
        return []
    return [field.alias or name for name, field in kind.model_fields.items()]


def _type_at(model: Any, loc: Loc) -> Any:
    """The type that stands at a path of the configuration."""
    kind = _bare(model)
    for part in loc:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            found = [f for n, f in kind.model_fields.items() if part in (n, f.alias)]
            kind = _bare(found[0].annotation) if found else None
        elif get_origin(kind) is dict:
            kind = _bare(get_args(kind)[1])
        elif get_origin(kind) in (tuple, list):
            kind = _bare(get_args(kind)[0])
        else:
            return None
    return kind


def _bare(kind: Any) -> Any:
    """Without `Annotated` and `| None`."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        rest = [arg for arg in get_args(kind) if arg is not type(None)]
        sections = [arg for arg in map(_bare, rest) if isinstance(arg, type) and issubclass(arg, BaseModel)]
        return _bare(rest[0]) if len(rest) == 1 else sections[0] if sections else kind
    return None if get_origin(kind) is Literal else kind
