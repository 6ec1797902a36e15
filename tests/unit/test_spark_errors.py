"""Spark's errors as people read them."""

from __future__ import annotations

from py4j.protocol import Py4JNetworkError

from headrace.errors import ConfigError, DataError
from headrace.runtime.spark_errors import translated

DIVIDED = """[DIVIDE_BY_ZERO] Division by zero. Use `try_divide` to tolerate divisor being 0 and return NULL instead. \
If necessary set "spark.sql.ansi.enabled" to "false" to bypass this error. SQLSTATE: 22012
== SQL (line 1, position 1) ==
1/(n-5)
^^^^^^^
\tat org.apache.spark.sql.errors.QueryExecutionErrors$.divideByZeroError(QueryExecutionErrors.scala:1)"""


def test_an_error_of_a_value_names_the_sql_and_advises_nothing_that_is_refused() -> None:
    found = translated(RuntimeError(DIVIDED), "validate:t")
    assert isinstance(found, DataError)
    assert str(found).startswith("validate:t: Division by zero. Use `try_divide`")
    assert "In: 1/(n-5). A value in the data" in str(found)
    assert "ansi" not in str(found)


def test_a_job_that_was_stopped_says_that_it_can_go_on() -> None:
    found = translated(Py4JNetworkError("Answer from Java side is empty"), "search")
    assert "search: Spark ended while it worked" in str(found)
    assert "the same command goes on from there" in str(found)
    cancelled = RuntimeError("Job 7 cancelled because SparkContext was shut down")
    assert "Spark ended while it worked" in str(translated(cancelled, "clean:t"))


def test_a_server_that_refuses_is_not_a_spark_that_ended() -> None:
    refused = ConnectionRefusedError(111, "Connection refused")
    assert translated(refused, "publish") is refused


def test_a_regular_expression_that_java_refuses_is_a_mistake_in_the_file() -> None:
    told = "[INVALID_PARAMETER_VALUE.PATTERN] The value of parameter(s) `regexp` in `rlike` is invalid: '(?P<x>a)'. SQLSTATE: 22023"
    found = translated(RuntimeError(told), "clean:t")
    assert isinstance(found, ConfigError)
    assert "Java's are meant" in str(found)


def test_a_key_that_stands_twice_in_a_looked_up_table() -> None:
    told = "[USER_RAISED_EXCEPTION] the lookup table has more than one row for customer = 1 SQLSTATE: P0001"
    found = translated(RuntimeError(told), "training_set")
    assert isinstance(found, DataError)
    assert str(found) == "training_set: the lookup table has more than one row for customer = 1"
