"""Sources in Python: a function `(spark, **options) -> DataFrame`, or a DataSource of Spark.

Whether such a source has changed nobody can tell but by reading it: each run does. With a watermark it is told from
where on rows are wanted, as `since`.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from headrace.config import secrets
from headrace.config.hooks import Use, use
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import DataError
from headrace.ingest.marks import Since
from headrace.runtime.hooks import load, naming

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def python_rows(run: Any, name: str, source: Source, since: Since | None) -> DataFrame:
    """The rows of a source in Python, their columns named as in the tables; nothing lands.

    Args:
        run: Its `spark` and `pipeline` are asked for.
        name: The table.
        source: Its source.
        since: From where on rows are wanted: the argument `since` of a function that has one, an option of a
            DataSource; None: all. More rows do no harm.

    Raises:
        DataError: If it returns no DataFrame.
    """
    one = use(run.pipeline, f"tables.{name}.source.python")
    return _named(_read(run, one, source, since), one)


def _read(run: Any, one: Use, source: Source, since: Since | None) -> Any:
    from pyspark.sql.datasource import DataSource

    found = load(run.spark, run.pipeline, one)
    with naming(one):
        if isinstance(found, type) and issubclass(found, DataSource):
            run.spark.dataSource.register(found)
            options = secrets.revealed(source.options) | ({"since": since.text()} if since else {})
            return run.spark.read.format(found.name()).options(**options).load()
        given = {name: _revealed(value) for name, value in source.options.items()}
        if source.watermark and "since" in inspect.signature(found).parameters:
            given["since"] = since.plain() if since else None
        return found(run.spark, **given)


def _revealed(value: Any) -> Any:
    """An option as it stands in the YAML, a number as a number, with its secrets."""
    if isinstance(value, dict):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_revealed(item) for item in value]
    return secrets.reveal(value) if isinstance(value, str) else value


def _named(read: Any, one: Use) -> DataFrame:
    from pyspark.sql import DataFrame

    said = f"{one.where}: the hook {one.hook} returned"
    if not isinstance(read, DataFrame):
        raise DataError(f"{said} {type(read).__module__}.{type(read).__name__}; wanted is a DataFrame of Spark")
    if read.isStreaming or not read.columns:
        raise DataError(f"{said} {'a stream' if read.isStreaming else 'no column'}; wanted is a DataFrame with rows")
    return read.toDF(*column_names(read.columns))
