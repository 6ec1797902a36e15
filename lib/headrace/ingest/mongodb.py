"""Collections of MongoDB, through its own connector.

The connector takes the types of fields from a sample of documents, and makes of a value what the type asks for: 1.7
becomes 1, 5000000000 becomes 705032704, without a word. So whole numbers are read as text and cast by Spark, which
refuses what does not fit; and numbers of the type Decimal128, of which each document has digits of its own, stay text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DateType,
    DecimalType,
    IntegralType,
    LongType,
    StringType,
    StructField,
    StructType,
)

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.config.types import Source
from headrace.errors import ConfigError, DataError
from headrace.ingest.fields import Fields, open_numbers
from headrace.ingest.marks import TIMES, Since

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import Column, DataFrame, SparkSession

_PIPELINE = "aggregation.pipeline"


def read(
    spark: SparkSession, source: Source, where: str, fields: Fields, since: Since | None
) -> tuple[DataFrame, StructType, tuple[str, ...]]:
    """The documents of a collection as rows.

    Args:
        spark: The session.
        source: The source; its options are the connector's.
        where: Its place in the YAML.
        fields: Which to read; what is not declared, a sample of documents shows.
        since: From where on; an index on that field answers.

    Returns:
        The rows, columns named as in the tables; the fields; and which are numbers of Decimal128, as text.

    Raises:
        ConfigError: If there is no document.
    """
    options = secrets.revealed(source.options)
    found = fields.declared or spark.read.format("mongodb").options(**options).load().schema
    if not found.fields:
        raise ConfigError(f"{where}: {source.path} has no document; mend database and collection under options")
    wanted = fields.declared or fields.settled(_changed(found, _settled), source.watermark)
    names = column_names(wanted.names)
    marked = (source.watermark or "").lower()
    place = names.index(marked) if marked in names else -1
    asked = StructType(
        [one if i == place else StructField(one.name, _changed(one.dataType, _as_text)) for i, one in enumerate(wanted)]
    )

    def loaded(more: dict[str, str]) -> DataFrame:
        frame = spark.read.format("mongodb").schema(asked).options(**{**options, **more}).load()
        return frame.select(*[_cast(a, w) for a, w in zip(asked, wanted, strict=True)]).toDF(*names)

    if since is None:
        return loaded({}), wanted, () if fields.declared else open_numbers(found)
    # a comparison finds values of its own type only: those of another, and none, are asked for by type
    field, kind = wanted[place], "date" if isinstance(wanted[place].dataType, (DateType, *TIMES)) else "number"
    other = f'{{"$match": {{{_quoted(field.name)}: {{"$not": {{"$type": "{kind}"}}}}}}}}'
    within = loaded({}).where(F.col(f"`{since.column}`") >= F.lit(since.value).cast(field.dataType))
    return within.unionByName(loaded({_PIPELINE: _appended(options, other)})), wanted, ()


def _quoted(name: str) -> str:
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _appended(options: dict[str, str], stage: str) -> str:
    """The pipeline of the options with one more stage."""
    own = next((v for k, v in options.items() if k.lower() == _PIPELINE), "").strip()
    own = own[1:-1] if own.startswith("[") else own
    return f"[{own}, {stage}]" if own.strip() else f"[{stage}]"


def _changed(kind: Any, change: Callable[[DataType], DataType]) -> Any:
    """A type with its innermost ones changed."""
    if isinstance(kind, StructType):
        return StructType([StructField(one.name, _changed(one.dataType, change)) for one in kind])
    if isinstance(kind, ArrayType):
        return ArrayType(_changed(kind.elementType, change))
    return change(kind)


def _settled(kind: DataType) -> DataType:
    """A type that is the same whichever documents are in the sample."""
    if isinstance(kind, DecimalType):
        return StringType()
    return LongType() if isinstance(kind, IntegralType) else kind


def _as_text(kind: DataType) -> DataType:
    return StringType() if isinstance(kind, IntegralType) else kind


def _cast(asked: StructField, wanted: StructField) -> Column:
    value = F.col(f"`{asked.name.replace('`', '``')}`")
    if asked.dataType == wanted.dataType:
        return value
    if not isinstance(wanted.dataType, IntegralType):
        return value.cast(wanted.dataType).alias(wanted.name)
    made = value.try_cast(wanted.dataType)
    said = (
        f"headrace.errors.DataError: the field {wanted.name} is {wanted.dataType.simpleString()}, and a document holds "
        "another value there; say its type under `schema` of the source: double, decimal(p,s), or string for any"
    )
    return F.when(value.isNotNull() & made.isNull(), F.raise_error(F.lit(said))).otherwise(made).alias(wanted.name)


def words(text: str) -> tuple[type[ConfigError] | type[DataError], str] | None:
    """What an error of the connector says, without values of documents and of the connection string."""
    declare = "; say types under `schema` of the source, string for any value"
    field = re.search(r"DataException: Invalid field: '([^']+)'\. The dataType '(\w+)' is invalid", text)
    if field:
        return DataError, f"the field {field[1]} is {field[2]}, and a document holds another value there{declare}"
    if "NaN can not be converted" in text or "Infinity can not be converted" in text:
        return DataError, f"a number of the type Decimal128 is NaN or infinite{declare}"
    if "CAST_INVALID_INPUT" in text:
        return DataError, f"a document holds no whole number within a field where others do{declare}"
    silent = re.search(r"MongoTimeoutException: .*", text)
    if silent:
        places = ", ".join(dict.fromkeys(re.findall(r"address=([^,}]+)", silent[0]))) or "the address given"
        why = re.findall(r"caused by \{[\w.]+: ([^}]+)\}", silent[0])[:1]
        return (
            ConfigError,
            f"does not answer at {places}{f' ({why[0]})' if why else ''}; mend connection.uri, or look whether it is up",
        )
    if "MongoSecurityException" in text:
        return ConfigError, "refuses user or password; mend connection.uri"
    if "Invalid connection string" in text:
        return (
            ConfigError,
            "has a connection string that is none; write connection.uri: mongodb://user:${secret:NAME}@host:27017/",
        )
    wrong = re.search(r"(?:MongoCommandException|MongoQueryException|ConfigException): ([^\n]+)", text)
    if wrong:
        said = re.sub(r" on server \S+ The full response is .*", "", wrong[1])
        return ConfigError, f"says: {secrets.redacted(said)}; mend the options"
    return None
