"""Twenty rules over rows, as three libraries say them; run by `validation.py` in an environment that has the libraries.

    python benchmarks/validation_peers.py great_expectations|pandera|cuallee FOLDER OF A DELTA TABLE

Prints JSON: seconds, Spark jobs, and per rule the rows that break it (pandera: whether any does).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from contest import session
from pyspark.sql import DataFrame, SparkSession

Rule = tuple[str, str, Any]

RULES: tuple[Rule, ...] = (
    *(("not_null", column, None) for column in ("id", "customer", "amount", "code", "status", "email")),
    ("between", "amount", (0, 1_000)),
    ("between", "price", (0, 500)),
    ("between", "quantity", (1, 100)),
    ("between", "ratio", (0, 1)),
    ("between", "customer", (0, 99_999)),
    ("between", "lat", (-90, 90)),
    ("between", "lon", (-180, 180)),
    ("between", "weight", (0, 50)),
    ("in", "status", ("new", "paid", "sent", "back")),
    ("in", "country", ("DE", "FR", "IT", "ES", "PL")),
    ("in", "currency", ("EUR", "USD")),
    ("matches", "code", "[A-Z]{2}[0-9]{6}"),
    ("matches", "email", "[a-z0-9]+@[a-z]+[.]com"),
    ("matches", "phone", "[+]49[0-9]{9}"),
)


def name(rule: Rule) -> str:
    """As Headrace names the rule."""
    return f"{rule[1]}_{rule[0]}"


def orders(spark: SparkSession, rows: int) -> DataFrame:
    """Rows of 14 columns; of each rule some dozen in a hundred thousand break it, and 1 % of `amount` is null."""
    odd = "id % 99991 < 20"
    return spark.range(0, rows, 1, 8).selectExpr(
        "id",
        "cast(rand(1) * 100000 as int) + if(id % 99989 < 30, 100000, 0) as customer",
        f"if(id % 100 = 7, null, round(rand(2) * 1000, 2) + if({odd}, 5000, 0)) as amount",
        f"round(rand(3) * 500, 2) - if({odd}, 900, 0) as price",
        "cast(rand(4) * 99 as int) + if(id % 50021 < 9, 200, 1) as quantity",
        "rand(5) + if(id % 70001 < 4, 2, 0) as ratio",
        "rand(6) * 180 - 90 + if(id % 60013 < 4, 300, 0) as lat",
        "rand(7) * 360 - 180 as lon",
        "rand(8) * 50 - if(id % 40009 < 3, 60, 0) as weight",
        "if(id % 30011 < 5, 'lost', element_at(array('new', 'paid', 'sent', 'back'), cast(rand(9) * 4 as int) + 1)) as status",
        "element_at(array('DE', 'FR', 'IT', 'ES', 'PL'), cast(rand(10) * 5 as int) + 1) as country",
        "if(id % 20011 < 2, 'XXX', if(rand(11) < 0.5, 'EUR', 'USD')) as currency",
        "concat(if(id % 90001 < 7, 'a', 'A'), 'B', lpad(cast(id % 1000000 as string), 6, '0')) as code",
        "concat('u', id, if(id % 80021 < 8, '#', '@'), 'shop.com') as email",
        "concat('+49', lpad(cast(id % 1000000000 as string), 9, '0'), if(id % 75011 < 6, 'x', '')) as phone",
    )


def jobs(spark: SparkSession) -> int:
    """Spark jobs that the session has run."""
    return int(spark.sparkContext._jsc.sc().dagScheduler().numTotalJobs())  # type: ignore[union-attr]


def by_great_expectations(frame: DataFrame) -> dict[str, int]:
    """Great Expectations, one expectation per rule."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_spark(f"source_{time.monotonic_ns()}")
    batch = source.add_dataframe_asset("orders").add_batch_definition_whole_dataframe("all")
    suite = context.suites.add(gx.ExpectationSuite(name=f"suite_{time.monotonic_ns()}"))
    for rule in RULES:
        suite.add_expectation(_expectation(gx.expectations, rule))
    found = batch.get_batch({"dataframe": frame}).validate(suite, result_format={"result_format": "BASIC"})
    told = [(one.expectation_config.type, one.expectation_config.kwargs["column"], one.result) for one in found.results]
    kinds = {"null": "not_null", "between": "between", "set": "in", "regex": "matches"}
    return {f"{column}_{kinds[kind.split('_')[-1]]}": result["unexpected_count"] for kind, column, result in told}


def _expectation(of: Any, rule: Rule) -> Any:
    kind, column, given = rule
    if kind == "not_null":
        return of.ExpectColumnValuesToNotBeNull(column=column)
    if kind == "between":
        return of.ExpectColumnValuesToBeBetween(column=column, min_value=given[0], max_value=given[1])
    if kind == "in":
        return of.ExpectColumnValuesToBeInSet(column=column, value_set=list(given))
    return of.ExpectColumnValuesToMatchRegex(column=column, regex=f"^(?:{given})$")


def by_pandera(frame: DataFrame) -> dict[str, int]:
    """pandera: a schema; it says which checks fail, and for how many rows it does not."""
    import pandera.pyspark as pandera

    columns = {}
    for field in frame.schema:
        rules = [rule for rule in RULES if rule[1] == field.name]
        checks = [_check(pandera.Check, rule) for rule in rules if rule[0] != "not_null"]
        columns[field.name] = pandera.Column(field.dataType, checks, nullable=all(r[0] != "not_null" for r in rules))
    made = pandera.DataFrameSchema(columns).validate(frame)
    told = json.dumps(made.pandera.errors, default=str)
    errors = json.loads(told)
    failed = [one for kind in errors.get("DATA", {}).values() for one in kind]
    failed += [one for kind in errors.get("SCHEMA", {}).values() for one in kind]
    words = {"in_range": "between", "isin": "in", "str_contains": "matches", "nullable": "not_null"}
    return {
        f"{one['column']}_{word}": 1
        for one in failed
        for key, word in words.items()
        if key in f"{one['check']} {one['error']}"
    }


def _check(of: Any, rule: Rule) -> Any:
    kind, _, given = rule
    if kind == "between":
        return of.in_range(given[0], given[1])
    return of.isin(list(given)) if kind == "in" else of.str_contains(f"^(?:{given})$")


def by_cuallee(frame: DataFrame) -> dict[str, int]:
    """cuallee: one check with a rule each."""
    from cuallee import Check, CheckLevel

    check = Check(CheckLevel.WARNING, "orders")
    for kind, column, given in RULES:
        if kind == "not_null":
            check.is_complete(column)
        elif kind == "between":
            check.is_between(column, given)
        elif kind == "in":
            check.is_contained_in(column, given)
        else:
            check.has_pattern(column, f"^(?:{given})$")
    kinds = {"is_complete": "not_null", "is_between": "between", "is_contained_in": "in", "has_pattern": "matches"}
    rows = check.validate(frame).select("column", "rule", "violations").collect()
    return {f"{row['column']}_{kinds[row['rule']]}": int(row["violations"]) for row in rows}


PEERS: dict[str, Callable[[DataFrame], dict[str, int]]] = {
    "great_expectations": by_great_expectations,
    "pandera": by_pandera,
    "cuallee": by_cuallee,
}


def main(peer: str, folder: str) -> None:
    """Warm up on a hundredth of the rows, then run once."""
    spark = session()
    frame = spark.read.format("delta").load(folder)
    PEERS[peer](frame.where("id % 100 = 0"))
    before, started = jobs(spark), time.monotonic()
    found = PEERS[peer](frame)
    print(json.dumps({"seconds": time.monotonic() - started, "jobs": jobs(spark) - before, "counts": found}))
    spark.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
