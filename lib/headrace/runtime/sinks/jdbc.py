"""A table of a database as a sink: rows go into a staging table, and from there, in one transaction, to where they belong.

The same transaction moves the record in `headrace_sent`. A run that is killed leaves the target as it was before or
as it is after; the next one reads from the record which it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.sinks.delivery import Delivery, Sent

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

RECORD = "headrace_sent"
RUN = "headrace_run"
_RUN_TYPE = f"{RUN} varchar(60)"
_COLUMNS = (
    "sink varchar(200) not null primary key, table_version bigint not null, table_state varchar(100) not null, "
    "run_id varchar(60) not null"
)


class JdbcSink:
    """A table of a database.

    Args:
        spark: The session.
        where: Of the sink in the YAML, as `sinks.crm`.
        options: Of Spark's writer, secrets in place.
    """

    def __init__(self, spark: SparkSession, where: str, options: Mapping[str, str]) -> None:
        self._spark, self._where, self._options = spark, where, dict(options)
        jvm: Any = spark.sparkContext._jvm
        self._jvm = jvm
        self._table = self._options.pop("dbtable")
        self._staging = f"{self._table}_headrace"
        schema, dot, _ = self._table.rpartition(".")
        self._record = f"{schema}{dot}{RECORD}"
        self._dialect: Any = jvm.org.apache.spark.sql.jdbc.JdbcDialects.get(self._options["url"])

    def sent(self, sink: str) -> Sent | None:
        """What was sent last."""
        with self._connection() as connection:
            self._ready(connection)
            return self._sent(connection, sink)

    def deliver(self, rows: DataFrame, count: int, delivery: Delivery) -> None:
        """Bring rows to the table, once.

        Args:
            rows: Plain types only.
            count: How many there are.
            delivery: What they are.

        Raises:
            HeadraceError: If other rows than these were staged, or another run was first; nothing has changed then.
        """
        from pyspark.sql import functions as F

        self._write(rows.withColumn(RUN, F.lit(delivery.run_id)), self._staging, "overwrite")
        with self._connection() as connection:
            if not self._exists(connection, self._table):
                self._write(rows.limit(0), self._table, "append")
            connection.setAutoCommit(False)
            try:
                self._move(connection, rows.columns, count, delivery)
                connection.commit()
            except BaseException:
                connection.rollback()
                raise
            connection.setAutoCommit(True)
            self._run(connection, f"DROP TABLE {self._staging}")

    def _move(self, connection: Any, columns: list[str], count: int, delivery: Delivery) -> None:
        staged = self._number(
            connection, f"SELECT count(*) FROM {self._staging} WHERE {self._quoted(RUN)} = ?", delivery.run_id
        )
        if staged != count:
            raise HeadraceError(
                f"{self._where}: {count:,} rows were to be sent and {staged:,} are in {self._staging}, as when another run "
                "sends at the same time; nothing was moved. Run again"
            )
        names = ", ".join(self._quoted(c) for c in columns)
        if delivery.keys:
            same = " AND ".join(f"s.{self._quoted(k)} = {self._table}.{self._quoted(k)}" for k in delivery.keys)
            found = f"SELECT 1 FROM {self._staging} s WHERE s.{self._quoted(RUN)} = ? AND {same}"
            self._run(connection, f"DELETE FROM {self._table} WHERE EXISTS ({found})", delivery.run_id)
        else:
            self._run(connection, f"DELETE FROM {self._table}")
        chosen = f"SELECT {names} FROM {self._staging} WHERE {self._quoted(RUN)} = ?"
        self._run(connection, f"INSERT INTO {self._table} ({names}) {chosen}", delivery.run_id)
        self._keep(connection, delivery)

    def _keep(self, connection: Any, delivery: Delivery) -> None:
        """Move the record from the state that the rows were chosen against; nobody else may have moved it."""
        state, earlier = delivery.state, delivery.earlier
        told = (state.version, state.identity, delivery.run_id, delivery.sink)
        if earlier is None:
            insert = f"INSERT INTO {self._record} (table_version, table_state, run_id, sink) VALUES (?, ?, ?, ?)"
            self._run(connection, insert, *told)
            return
        update = f"UPDATE {self._record} SET table_version = ?, table_state = ?, run_id = ? WHERE sink = ? AND table_state = ?"
        if self._run(connection, update, *told, earlier.identity) != 1:
            raise HeadraceError(f"{self._where}: another run has sent rows meanwhile; nothing was moved. Run again")

    def _sent(self, connection: Any, sink: str) -> Sent | None:
        found = connection.prepareStatement(f"SELECT table_version, table_state FROM {self._record} WHERE sink = ?")
        try:
            found.setString(1, sink)
            rows = found.executeQuery()
            return Sent(int(rows.getLong(1)), str(rows.getString(2))) if rows.next() else None
        finally:
            found.close()

    def _ready(self, connection: Any) -> None:
        if not self._exists(connection, self._record):
            self._run(connection, f"CREATE TABLE {self._record} ({_COLUMNS})")

    def _exists(self, connection: Any, table: str) -> bool:
        statement = connection.createStatement()
        try:
            statement.executeQuery(self._dialect.getTableExistsQuery(table))
            return True
        except Py4JJavaError:  # what a database says of a table that is not there has no common form
            return False
        finally:
            statement.close()

    def _write(self, rows: DataFrame, table: str, mode: str) -> None:
        given = self._options.get("createTableColumnTypes")
        own = [_RUN_TYPE] if RUN in rows.columns else []
        types = {"createTableColumnTypes": ", ".join(filter(None, [given, *own]))} if given or own else {}
        rows.write.format("jdbc").options(**{**self._options, **types}, dbtable=table).mode(mode).save()

    def _run(self, connection: Any, sql: str, *values: str | int) -> int:
        statement = connection.prepareStatement(sql)
        try:
            for place, value in enumerate(values, 1):
                statement.setLong(place, value) if isinstance(value, int) else statement.setString(place, value)
            return int(statement.executeUpdate())
        finally:
            statement.close()

    def _number(self, connection: Any, sql: str, value: str) -> int:
        statement = connection.prepareStatement(sql)
        try:
            statement.setString(1, value)
            rows = statement.executeQuery()
            rows.next()
            return int(rows.getLong(1))
        finally:
            statement.close()

    def _quoted(self, name: str) -> str:
        return str(self._dialect.quoteIdentifier(name))

    @contextmanager
    def _connection(self) -> Iterator[Any]:
        """A connection as Spark itself makes it, with its driver wherever the jars are."""
        jvm = self._jvm
        options = jvm.PythonUtils.toScalaMap({**self._options, "dbtable": self._table})
        try:
            made = jvm.org.apache.spark.sql.execution.datasources.jdbc.JDBCOptions(options)
            connection = self._dialect.createConnectionFactory(made).apply(-1)
        except Py4JJavaError as error:
            reason = str(error.java_exception.getMessage()).splitlines()[0]
            raise ConfigError(
                f"{self._where}: no connection to the database: {reason}. Look at options.url, user and password, and "
                "that the driver's jar is in `jars` of the overlay (options.driver names its class)"
            ) from error
        try:
            yield connection
        finally:
            connection.close()
