"""Safe casts on Spark: no row aborts, and exactly those whose cast would have failed are told."""

from __future__ import annotations

import pytest
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from headrace.config.sql.expressions import safe_casts

ROWS = "values (1, '7', '2013-01-01', 5), (2, 'x', '2013-13-01', 0), (3, null, null, null) as t(id, a, d, n)"


@pytest.mark.parametrize(
    ("expression", "failing"),
    [
        ("cast(a as int) + 1", [2]),
        ("a::bigint", [2]),
        ("int(a)", [2]),
        ("to_date(d)", [2]),
        ("to_timestamp(d, 'yyyy-MM-dd')", [2]),
        ("to_number(a, '9')", [2]),
        ("make_timestamp(2013, n, 1, 0, 0, 0)", [2]),
        ("case when a rlike '^[0-9]+$' then cast(a as int) else 0 end", []),
        ("case when n = 0 then 0 else cast(10 / n as int) end", []),
        ("if(a = 'x', 0, cast(a as int))", []),
        ("coalesce(n, cast(a as int))", []),
        ("cast(cast(d as date) as timestamp)", [2]),
        ("cast(n as string)", []),
    ],
)
def test_only_failing_casts_are_told(spark: SparkSession, expression: str, failing: list[int]) -> None:
    safe, pairs = safe_casts(expression)
    failed = " or ".join(f"(({operand}) is not null and ({cast}) is null)" for operand, cast in pairs)
    found = spark.sql(f"select id, {safe} as value, {failed} as failed from {ROWS}").orderBy("id").collect()

    assert [row["id"] for row in found if row["failed"]] == failing
    good = ", ".join(str(row["id"]) for row in found if not row["failed"])
    plain = spark.sql(f"select id, {expression} as value from {ROWS} where id in ({good})").orderBy("id").collect()
    assert [(row["id"], row["value"]) for row in found if not row["failed"]] == [(r["id"], r["value"]) for r in plain]
    for row_id in failing:
        with pytest.raises(PySparkException):
            spark.sql(f"select {expression} from {ROWS} where id = {row_id}").collect()
