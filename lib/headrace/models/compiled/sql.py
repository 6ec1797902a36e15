"""A model's own statements, as `SQLTransformer` has them, taken apart into columns that can be computed without Spark."""

from __future__ import annotations

from typing import Any

import sqlglot
from sqlglot import exp

from headrace.models.compiled.expressions import Node
from headrace.models.compiled.functions import FUNCTIONS

Level = dict[str, Node]
"""Columns that a `select` adds: name -> what it is."""


class NotCompiled(Exception):
    """A model, or a part of it, that this scorer does not know; the text says why."""


_BINARY = {
    exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.IntDiv: "div", exp.LT: "<", exp.GT: ">", exp.LTE: "<=",
    exp.GTE: ">=", exp.EQ: "=", exp.NEQ: "<>", exp.And: "and", exp.Or: "or", exp.Mod: "%", exp.Pow: "power",
    exp.Nullif: "nullif",
}  # fmt: skip
_NAMED = {
    exp.Abs: "abs", exp.Sign: "sign", exp.Sqrt: "sqrt", exp.Exp: "exp", exp.Ln: "ln", exp.Sin: "sin", exp.Cos: "cos",
    exp.Pi: "pi", exp.Not: "not", exp.Neg: "neg", exp.IsNan: "isnan", exp.Coalesce: "coalesce", exp.Least: "least",
    exp.Greatest: "greatest", exp.UnixMicros: "unix_micros", exp.UnixDate: "unix_date", exp.Year: "year",
    exp.DateFromUnixDate: "date_from_unix_date", exp.Quarter: "quarter", exp.Month: "month", exp.Day: "day",
    exp.DayOfMonth: "day", exp.DayOfYear: "dayofyear", exp.DayOfWeek: "dayofweek", exp.Hour: "hour",
    exp.Minute: "minute", exp.Second: "second", exp.UnixSeconds: "unix_seconds", exp.Tan: "tan",
    exp.Radians: "radians", exp.Degrees: "degrees",
}  # fmt: skip
_PASSED = (exp.Paren, exp.TsOrDsToDate)
_TYPES = {
    "DOUBLE": "double",
    "INT": "int",
    "BIGINT": "bigint",
    "TEXT": "string",
    "TIMESTAMPTZ": "timestamp",
    "DATE": "date",
}


def levels(statement: str) -> list[Level]:
    """The columns that a statement adds, level by level, from the innermost.

    Args:
        statement: Selects from `__THIS__`. What it leaves out is left: nobody asks for it later.

    Raises:
        NotCompiled: If it does anything else, or by functions that are not known here.
    """
    select = sqlglot.parse_one(statement, read="spark")
    found: list[Level] = []
    while True:
        if not isinstance(select, exp.Select) or set(_given(select)) - {"expressions", "from_"}:
            raise NotCompiled(f"SQL of another form: {statement[:80]}")
        made = [one for one in select.expressions if not one.is_star]
        found.append({one.alias_or_name: _node(one.this if isinstance(one, exp.Alias) else one) for one in made})
        source = select.args["from_"].this
        if isinstance(source, exp.Table) and source.name == "__THIS__":
            return found[::-1]
        select = source.this


def _given(select: exp.Expression) -> list[str]:
    return [name for name, value in select.args.items() if value]


def _node(of: Any) -> Node:
    kind = type(of)
    if kind in _BINARY:
        return [_BINARY[kind], _node(of.this), _node(of.expression)]
    if kind in _NAMED:
        return [_NAMED[kind], *[_node(one) for one in [of.this, *of.expressions] if one is not None]]
    if isinstance(of, _PASSED):
        return _node(of.this)
    other = _OTHER.get(kind)
    if other is None:
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return other(of)


def _column(of: exp.Column) -> Node:
    return ["field", ["col", of.table], of.name] if of.table else ["col", of.name]


def _literal(of: exp.Literal) -> Node:
    if of.is_string:
        return ["lit", of.this]
    return ["lit", int(of.this) if of.this.isdigit() else float(of.this)]


def _case(of: exp.Case) -> Node:
    if of.this is not None:
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    parts = [_node(part) for one in of.args["ifs"] for part in (one.this, one.args["true"])]
    return ["case", *parts, _default(of.args.get("default"))]


def _default(of: Any) -> Node:
    return ["lit", None] if of is None else _node(of)


def _cast(of: exp.Cast) -> Node:
    kind, value = of.to.this.name, of.this
    if isinstance(value, exp.Literal) and kind in ("DOUBLE", "BIGINT"):
        return ["lit", int(value.this) if kind == "BIGINT" else float(value.this)]
    if isinstance(value, exp.RegexpSplit) and kind == "ARRAY":
        return ["list", [float(one) for one in value.this.this.split(value.expression.this)]]
    if kind not in _TYPES:
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return ["cast", _TYPES[kind], _node(value)]


def _struct(of: exp.Struct) -> Node:
    return ["struct", *[part for one in of.expressions for part in (one.this.name, _node(one.expression))]]


def _element(of: exp.Bracket) -> Node:
    if of.args.get("offset") != 1 or of.args.get("safe"):
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return ["element_at", _node(of.this), _node(of.expressions[0])]


def _json(of: exp.JSONFormat) -> Node:
    if not isinstance(of.this, exp.Array):
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return ["json", *[_node(one) for one in of.this.expressions]]


def _anonymous(of: exp.Anonymous) -> Node:
    name = str(of.this).lower()
    if name not in FUNCTIONS:
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return [name, *[_node(one) for one in of.expressions]]


def _whole(name: str) -> Any:
    def made(of: Any) -> Node:
        if of.args.get("decimals") is not None or of.args.get("to") is not None:
            raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
        return [name, _node(of.this)]

    return made


def _local(of: exp.AtTimeZone) -> Node:
    moment, zone = of.this, of.args["zone"]
    if isinstance(moment, exp.Cast) and moment.to.this.name.startswith("TIMESTAMP"):
        moment = moment.this  # sqlglot's own
    if not isinstance(zone, exp.Literal):
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return ["from_utc_timestamp", _node(moment), ["lit", zone.this]]


def _between(of: exp.Between) -> Node:
    value = _node(of.this)
    return ["and", [">=", value, _node(of.args["low"])], ["<=", value, _node(of.args["high"])]]


def _among(of: exp.In) -> Node:
    if not of.expressions:
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    found, *others = [["=", _node(of.this), _node(one)] for one in of.expressions]
    for one in others:
        found = ["or", found, one]
    return found


def _is(of: exp.Is) -> Node:
    if not isinstance(of.expression, exp.Null):
        raise NotCompiled(f"SQL with {of.sql(dialect='spark')[:60]}")
    return ["is null", _node(of.this)]


_OTHER: dict[type, Any] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.Boolean: lambda of: ["lit", bool(of.this)],
    exp.Null: lambda of: ["lit", None],
    exp.Case: _case,
    exp.If: lambda of: ["if", _node(of.this), _node(of.args["true"]), _default(of.args.get("false"))],
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.Struct: _struct,
    exp.Bracket: _element,
    exp.JSONFormat: _json,
    exp.Anonymous: _anonymous,
    exp.Is: _is,
    exp.Floor: _whole("floor"),
    exp.Ceil: _whole("ceil"),
    exp.AtTimeZone: _local,
    exp.Between: _between,
    exp.In: _among,
}
