"""Sources in Python: a function `(spark, **options) -> DataFrame`, or a DataSource of Spark.

Whether such a source has changed nobody can tell but by reading it: each run does, and its rows land as a new
snapshot where their content differs from that of the last one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from headrace.config import secrets
from headrace.config.hooks import Use, use
from headrace.config.names import column_names
from headrace.config.types import Source, Table
from headrace.errors import DataError
from headrace.ingest.snapshots import Origin, land
from headrace.runtime.hooks import computing, load, naming
from headrace.runtime.step import Done, Run

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


def ingest_python(run: Run, name: str, declared: Table) -> Done:
    """Read a source in Python, and land its rows in `raw_<table>` if they are others than before.

    Raises:
        ConfigError: If a column is declared sensitive that is not there, or that has landed in plain.
        DataError: If it returns no DataFrame, or no row.
    """
    one = use(run.pipeline, f"tables.{name}.source.python")
    origin = Origin(one.where, one.hook, f"the hook {one.hook}", "Cast in the hook")
    return land(run, name, declared, origin, _named(_read(run, one, declared.source), one), computing(one))


def python_rows(run: Run, name: str, source: Source) -> DataFrame:
    """The rows of a source in Python, their columns named as in the tables; nothing lands.

    Raises:
        DataError: If it returns no DataFrame.
    """
    one = use(run.pipeline, f"tables.{name}.source.python")
    return _named(_read(run, one, source), one)


def _read(run: Run, one: Use, source: Source) -> Any:
    from pyspark.sql.datasource import DataSource

    found = load(run.spark, run.pipeline, one)
    with naming(one):
        if isinstance(found, type) and issubclass(found, DataSource):
            run.spark.dataSource.register(found)
            return run.spark.read.format(found.name()).options(**secrets.revealed(source.options)).load()
        return found(run.spark, **{name: _revealed(value) for name, value in source.options.items()})


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
