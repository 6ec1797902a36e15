"""Rows of a Delta table or a topic as they come, in the columns of the cleaned table that they belong to."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructType

from headrace.config import secrets
from headrace.config.checks.topics import MOST, topic_names
from headrace.config.names import column_names
from headrace.config.streaming import Stream
from headrace.config.types import Pipeline, Source
from headrace.engine.time import EXACT_JSON
from headrace.errors import ConfigError
from headrace.ingest.brokers import cluster, look, options_of
from headrace.ingest.delta import location
from headrace.ingest.delta_log import DeltaLog
from headrace.ingest.drift import NESTED, RESCUED, fits
from headrace.ingest.messages import OWN, rows
from headrace.ingest.privacy import WHOLE_LINES, WITHHELD, key_of, protected
from headrace.ingest.schemas import CORRUPT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructField

WHERE = "scoring.stream.source"
PLACE, TEXT, SENT, WRONG = "_came_from", "_came", "_came_at", "_wrong"
"""Beside a row's own columns: where it was, what it was, when it was sent, and why it cannot be read."""


@dataclass(frozen=True)
class Arriving:
    """Rows as they come.

    Attributes:
        frame: A streaming frame: the columns of the cleaned table, and `PLACE`, `TEXT`, `SENT`, `WRONG`.
        origin: What they are read from; another one has another checkpoint.
    """

    frame: DataFrame
    origin: dict[str, Any]


def arriving(spark: SparkSession, pipeline: Pipeline, want: StructType, needed: Collection[str]) -> Arriving:
    """Rows of the stream's source.

    Args:
        spark: The session.
        pipeline: The configuration.
        want: The columns of the cleaned table of the spine.
        needed: Those that the source must have; others are null where it has not.

    Raises:
        ConfigError: If there is no such table or topic, or it has other columns; shows which.
    """
    stream, training = pipeline.scoring.stream, pipeline.training_set
    assert stream is not None, "checked when the file was read"
    assert training is not None, "checked when the file was read"
    read = _messages if stream.source.kind == "kafka" else _table
    frame, origin = read(spark, stream, want, needed)
    table = pipeline.tables[training.spine]
    sensitive = {c: kind for c, kind in table.sensitive.items() if c in frame.columns}
    safe = protected(frame, sensitive, key_of(pipeline, table), f"tables.{training.spine}")
    if table.sensitive:  # a whole line may hold what is no column here
        lines = [name for name in WHOLE_LINES if name in safe.columns]
        safe = safe.withColumns({name: F.when(F.col(name).isNotNull(), F.lit(WITHHELD)) for name in lines})
    return Arriving(_aligned(safe, want, needed, str(origin["name"])), origin)


def _table(
    spark: SparkSession, stream: Stream, _want: StructType, _needed: Collection[str]
) -> tuple[DataFrame, dict[str, Any]]:
    source, path = stream.source, location(spark, stream.source)
    if path is None or DeltaLog(spark, path).newest() is None:
        raise ConfigError(
            f"{WHERE}: {source.path} is no Delta table (or an empty one); mend path, or write to it first"
        )
    reader = spark.readStream.format("delta").options(**secrets.revealed(source.options))
    reader = reader.option("maxBytesPerTrigger", _bytes(spark, path, stream.max_rows))
    if stream.on_change == "ignore":
        reader = reader.option("ignoreChanges", "true")
    if stream.start == "latest":
        reader = reader.option("startingVersion", "latest")
    frame = reader.load(path)
    frame = frame.toDF(*column_names(frame.columns))
    told = frame.withColumns({PLACE: F.lit(source.path), SENT: F.lit(None).cast("timestamp")})
    return told, {"format": "delta", "name": source.path}


def _bytes(spark: SparkSession, path: str, most: int) -> str:
    """About how many bytes so many rows of a table take; Delta counts a micro-batch in bytes."""
    detail: Any = spark.sql(f"DESCRIBE DETAIL delta.`{path.replace('`', '``')}`").first()
    count = spark.read.format("delta").load(path).count()  # from the table's statistics
    return f"{max(1, int(detail['sizeInBytes']) * most // count)}b" if count else "1g"


def _messages(
    spark: SparkSession, stream: Stream, want: StructType, needed: Collection[str]
) -> tuple[DataFrame, dict[str, Any]]:
    source = _with_schema(stream.source, want, needed)
    look(spark, source, WHERE)  # whether the topics are there
    topics = ",".join(topic_names(source.options))
    options = {name: value for name, value in options_of(source).items() if name.lower() != "subscribe"}
    reader = spark.readStream.format("kafka").options(**options)
    frame = rows(
        reader.options(subscribe=topics, startingOffsets=stream.start, **{MOST: stream.max_rows}).load(), source
    )
    place = F.concat_ws("/", "_source", "_source_version")
    wrong = F.when(F.col("tombstone"), F.lit("the message has no value")).when(
        F.col(CORRUPT).isNotNull(), F.lit("the value is no JSON object, or one of other types")
    )
    frame = frame.withColumns({PLACE: place, SENT: F.col("timestamp"), WRONG: wrong})
    fields = column_names(list(source.schema_ or {}))
    own = [name for name in OWN if name in fields and f"value_{name}" not in want.names]  # the row's, not Kafka's
    frame = frame.drop(*own).withColumnsRenamed({f"value_{name}": name for name in own})
    return frame, {"format": "kafka", "name": topics, "cluster": cluster(spark, source, WHERE)}


def _with_schema(source: Source, want: StructType, needed: Collection[str]) -> Source:
    """The fields of messages: those declared, else the columns that are needed."""
    fields = source.schema_ or {f.name: f.dataType.simpleString() for f in want.fields if f.name in needed}
    return source.model_copy(update={"schema_": fields, "value": "json"})


def _aligned(frame: DataFrame, want: StructType, needed: Collection[str], name: str) -> DataFrame:
    """The rows in the columns that are wanted.

    Raises:
        ConfigError: With the difference.
    """
    have = {field.name: field for field in frame.schema}
    told = list(_differences(have, want, needed))
    if told:
        raise ConfigError(
            f"{WHERE}: {name} has not the columns that a row to be scored has (- wanted, + there):\n"
            + "\n".join(told)
            + "\nMend them there, or the source's schema"
        )
    wrongs = [F.col(WRONG)] if WRONG in have else []
    wrongs += [
        F.when(
            value.isNotNull() & value.try_cast(f.dataType).isNull(),
            F.lit(f"{f.name} is no {f.dataType.simpleString()}"),
        )
        for f in want.fields
        if f.name in have and _parsed(have[f.name], f)
        for value in [F.col(f"`{f.name}`")]
    ]
    data = [f"`{c}`" for c in frame.columns if c in want.names]
    lines = [F.col(c) for c in (CORRUPT, RESCUED) if c in have and c not in want.names]
    text = F.coalesce(*lines, F.to_json(F.struct(*data), EXACT_JSON))
    columns = [_column(have, field) for field in want.fields]
    wrong = F.coalesce(*wrongs) if wrongs else F.lit(None).cast("string")
    return frame.select(*columns, PLACE, text.alias(TEXT), SENT, wrong.alias(WRONG))


def _differences(have: Mapping[str, StructField], want: StructType, needed: Collection[str]) -> list[str]:
    found = []
    for field in want.fields:
        there = have.get(field.name)
        if there is None and field.name in needed:
            found.append(f"  - {field.name} {field.dataType.simpleString()}")
        elif there is not None and not fits(there.dataType, field.dataType) and not _parsed(there, field):
            found += [
                f"  - {field.name} {field.dataType.simpleString()}",
                f"  + {field.name} {there.dataType.simpleString()}",
            ]
    return found


def _parsed(there: StructField, wanted: StructField) -> bool:
    """Whether a text has to be read as another type: a row that has none is wrong."""
    return isinstance(there.dataType, StringType) and not isinstance(wanted.dataType, (StringType, *NESTED))


def _column(have: Mapping[str, StructField], field: StructField) -> Column:
    if field.name not in have:
        return F.lit(None).cast(field.dataType).alias(field.name)
    value = F.col(f"`{field.name}`")
    same = have[field.name].dataType == field.dataType
    return (value if same else value.try_cast(field.dataType)).alias(field.name)
