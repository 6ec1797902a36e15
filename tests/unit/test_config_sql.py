"""What is known of SQL without Spark: columns, tables, sure mistakes; and casts made safe."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headrace.config.sql import expressions as sql


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("arr_delay >= 15", {"arr_delay"}),
        ("`odd name` + Other", {"odd name", "Other"}),
        ("churn = 'Yes' -- and not no", {"churn"}),
        ("make_timestamp(year, month, day, hour div 100, 0, 0)", {"year", "month", "day", "hour"}),
        ("dest in (select faa from airports)", {"dest"}),
        ("dest in (select faa from airports a where a.faa = flights.dest2)", {"dest", "dest2"}),
        ("exists(xs, x -> x > limit_)", {"xs", "limit_"}),
        ("s.field", {"s", "field"}),
        ("count(*)", set()),
        ("extract(hour from at_)", {"at_"}),
        ("'year'", set()),
        ("a ! b", {"a", "b"}),
        ("f(a, 'it''s c' ! `d e`)", {"a", "d e"}),
    ],
)
def test_columns(expression: str, wanted: set[str]) -> None:
    assert sql.columns(expression) == wanted


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("dest in (select faa from Airports)", {"airports"}),
        ("a > (select avg(b) from x.y join z on true)", {"y", "z"}),
        ("exists (with q as (select 1 from t) select * from q)", {"t"}),
        ("arr_delay", set()),
        ("a ! (select", set()),
    ],
)
def test_tables(expression: str, wanted: set[str]) -> None:
    assert sql.tables(expression) == wanted


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("a >", "ends with '>'"),
        ("(a", "'(' at character 1 is never closed"),
        ("a)", "')' at character 2 closes nothing"),
        ("f(a]", "']' at character 4 closes nothing"),
        ("'x", "never closed"),
        ("or a", "begins with 'or'"),
        ("case when a then b", "has no `end`"),
        ("delay 15", "cannot be read, near '15'"),
        ("a and and b", "near 'and'"),
        ("a = = b", "near '='"),
        ("a > 1;", "ends with ';'"),
        ("a, b", "outside of parentheses"),
        ("", "there is no expression"),
        ("-- only words", "there is no expression"),
        ("agee is nto null", "'null' at its end belongs to nothing"),
        ("a like", "ends with 'like'"),
        ("a div", "ends with 'div'"),
        ("div div", "ends with 'div'"),
        ("like 'x'", "begins with 'like'"),
        ("chrun yes", "'yes' at its end belongs to nothing"),
        ("agee > 3 as t", "ends with 'as t'"),
        ("a > 3; drop table x", "';' at character 6 ends it"),
        ("a::int > 3, b", "outside of parentheses"),
        ("a::array<int>, b", "',' at character 14 stands outside"),
        ("t9.case in (1) or", "ends with 'or'"),
    ],
)
def test_sure_mistakes(expression: str, says: str) -> None:
    assert says in (sql.check(expression) or "nothing")


@pytest.mark.parametrize(
    "expression",
    [
        "arr_delay between -120 and 2880",
        "departs_at - interval 2 hours",
        "dest in (select faa from airports)",
        "transform(xs, x -> x + 1)[0]",
        "s:field::int > 1",
        "a <=> b or a rlike '^x' and not b is null",
        "-a * 2 % 3 div 1",
        "x is not distinct from y",
        "timestamp '2013-01-01' + make_dt_interval(0, 1)",
        "percentile(x) within group (order by y)",
        "a like any ('x', 'y')",
        "from_json(j, 'a int').a",
        "no_such_function_yet(a ?: b)",
        "case a when 1 then 'x' else 'y' end",
        "a::array<int>",
        "a::struct<x: int>",
        "a::struct<>",
        "a::map<string,int>",
        "a::map<string, array<int>>['x'] > 1",
        "a >> 1 >>> 1",
        "t9.case in (1)",
        "case x.case when 1 then 2 end",
        *(f"x.{word}" for word in ("in", "or", "is", "div", "like", "not", "between", "and", "as", "end")),
        "hour(x, 2)",
        "first(a) ignore nulls",
        "a collate utf8_lcase",
        "a is unknown",
        "'a' 'b'",
        "timestamp_ltz '2013-01-01'",
        "as = 1",
        "div > 3 and (like) and f(case, case > 3)",
        "div",
        "a - div",
        "-a div -b",
        "';' = a",
        "struct(a as b)",
    ],
)
def test_nothing_is_said_of_what_may_be_right(expression: str) -> None:
    assert sql.check(expression) is None


@pytest.mark.parametrize(
    ("expression", "safe", "pairs"),
    [
        ("cast( a  as  int ) + 1", "try_cast( a  as  int ) + 1", [("a", "try_cast( a  as  int )")]),
        (
            "CAST(CAST(a AS date) AS string)",
            "try_cast(try_cast(a AS date) AS string)",
            [
                ("a", "try_cast(a AS date)"),
                ("try_cast(a AS date)", "try_cast(try_cast(a AS date) AS string)"),
            ],
        ),
        ("s.f[0]::decimal(10, 2) || 'x'", "try_cast(s.f[0] as decimal(10, 2)) || 'x'", None),
        ("double(f(x))", "try_cast(f(x) as double)", [("f(x)", "try_cast(f(x) as double)")]),
        ("to_date(x, 'yyyy')", "try_to_date(x, 'yyyy')", [("x", "try_to_date(x, 'yyyy')")]),
        ("try_cast(a as int)", "try_cast(a as int)", []),
        ("'cast(a as int)' || `cast(b as int)` -- c::int", "'cast(a as int)' || `cast(b as int)` -- c::int", []),
        ("x in (select cast(y as int) from t)", "x in (select cast(y as int) from t)", []),
        ("transform(xs, x -> cast(x as int))", "transform(xs, x -> cast(x as int))", []),
        ("cast(a int", "cast(a int", []),
        ("f( ) + ( )", "f( ) + ( )", []),
        ("date '2013-01-01'", "date '2013-01-01'", []),
        ("", "", []),
    ],
)
def test_safe_casts(expression: str, safe: str, pairs: list[tuple[str, str]] | None) -> None:
    text, found = sql.safe_casts(expression)

    assert text == safe
    assert pairs is None or found == pairs


def test_a_cast_under_a_condition_fails_only_there() -> None:
    _, pairs = sql.safe_casts("case when a then cast(x as int) when b then 0 else cast(y as int) end")

    assert pairs == [
        ("case when a then x end", "case when a then try_cast(x as int) end"),
        (
            "case when a then null when b then null else y end",
            "case when a then null when b then null else try_cast(y as int) end",
        ),
    ]


def test_casts_in_if_and_coalesce_carry_their_condition() -> None:
    _, of_if = sql.safe_casts("if(c, cast(x as int), cast(y as int))")
    _, of_coalesce = sql.safe_casts("coalesce(x, cast(y as int))")

    assert [operand for operand, _ in of_if] == ["case when c then x end", "case when c then null else y end"]
    assert [operand for operand, _ in of_coalesce] == ["case when (x) is null then y end"]


PIECES = ["a", "cast(", "case", "when", "then", "end", "else", "(", ")", " as int", "::", "[", "]", ",", "'", "`", "->"]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(" ".join) | st.text(max_size=30))
@example("case when end")
def test_no_text_is_too_odd(expression: str) -> None:
    sql.columns(expression)
    sql.tables(expression)
    sql.check(expression)
    text, pairs = sql.safe_casts(expression)

    assert pairs or "try_" in text or text == expression
