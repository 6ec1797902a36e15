"""What Kafka's brokers say of topics, asked once a run through the client that Spark's connector brings along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from headrace.config import secrets
from headrace.config.checks.topics import topic_names
from headrace.config.file.complaints import meant
from headrace.config.sinks import SERVERS
from headrace.config.types import Source
from headrace.errors import ConfigError
from headrace.ingest.offsets import Topic

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

WAIT = 10_000
"""Milliseconds after which brokers that do not answer are not there."""
ISOLATION = "kafka.isolation.level"


def options_of(source: Source) -> dict[str, str]:
    """Options of Spark's reader, with their secrets; of transactions only messages that were committed are read."""
    given = secrets.revealed(source.options)
    names = {name.lower(): name for name in given}
    return given if ISOLATION in names else {**given, ISOLATION: "read_committed"}


def look(spark: SparkSession, source: Source, where: str) -> dict[str, Topic]:
    """The topics of a source, each with its first and its next offsets.

    Raises:
        ConfigError: If the brokers do not answer, or there is no such topic.
    """
    options = {name.lower(): value for name, value in options_of(source).items()}
    jvm: Any = spark.sparkContext._jvm
    with _told(source, where):
        admin = _client(jvm, where, options)
        try:
            names = _names(jvm, admin, source, where, options)
            told = admin.describeTopics(_list(jvm, names)).allTopicNames().get() if names else {}
            return _topics(jvm, admin, {name: told[name] for name in names}, options[ISOLATION])
        finally:
            admin.close(jvm.java.time.Duration.ofSeconds(1))


def cluster(spark: SparkSession, source: Source, where: str) -> str:
    """What tells the cluster of a source from others.

    Raises:
        ConfigError: If the brokers do not answer.
    """
    options = {name.lower(): value for name, value in options_of(source).items()}
    jvm: Any = spark.sparkContext._jvm
    with _told(source, where):
        admin = _client(jvm, where, options)
        try:
            return str(admin.describeCluster().clusterId().get())
        finally:
            admin.close(jvm.java.time.Duration.ofSeconds(1))


def _client(jvm: Any, where: str, options: Mapping[str, str]) -> Any:
    made = jvm.org.apache.kafka.clients.admin.Admin
    if type(made).__name__ == "JavaPackage":
        raise ConfigError(
            f"{where}: Spark has no connector for Kafka; jars are loaded as a job starts, not into a session that is there. "
            "Start anew, or give it org.apache.spark:spark-sql-kafka-0-10 of Spark's own version by --packages"
        )
    properties = jvm.java.util.Properties()
    given = {"kafka.default.api.timeout.ms": str(WAIT), "kafka.request.timeout.ms": str(WAIT * 4 // 5)}
    for name, value in (given | dict(options)).items():
        if name.startswith("kafka."):
            properties.setProperty(name.removeprefix("kafka."), value)
    return made.create(properties)


def _names(jvm: Any, admin: Any, source: Source, where: str, options: Mapping[str, str]) -> list[str]:
    there = sorted(str(name) for name in admin.listTopics().names().get())
    pattern = options.get("subscribepattern")
    if pattern is not None:
        compiled = jvm.java.util.regex.Pattern.compile(pattern)
        return [name for name in there if compiled.matcher(name).matches()]
    wanted = topic_names(source.options)
    missing = [name for name in wanted if name not in there]
    if missing:
        close = meant(missing[0], there)
        raise ConfigError(
            f"{where}.options.subscribe: there is no topic {', '.join(missing)} at {source.options.get(SERVERS, 'the brokers')}"
            f"{close}; mend it, or make the topic"
        )
    return list(wanted)


def _topics(jvm: Any, admin: Any, told: Mapping[str, Any], isolation: str) -> dict[str, Topic]:
    spec = jvm.org.apache.kafka.clients.admin.OffsetSpec
    level = jvm.org.apache.kafka.common.IsolationLevel.valueOf(isolation.upper())
    partitions = {
        name: sorted(int(one.partition()) for one in one_topic.partitions()) for name, one_topic in told.items()
    }
    begin = _offsets(jvm, admin, partitions, spec.earliest(), level)
    end = _offsets(jvm, admin, partitions, spec.latest(), level)
    return {name: Topic(str(one.topicId().toString()), begin[name], end[name]) for name, one in told.items()}


def _offsets(
    jvm: Any, admin: Any, partitions: Mapping[str, Sequence[int]], spec: Any, level: Any
) -> dict[str, dict[int, int]]:
    asked, made = jvm.java.util.HashMap(), jvm.org.apache.kafka.common.TopicPartition
    keys = {name: {one: made(name, one) for one in those} for name, those in partitions.items()}
    for key in (key for those in keys.values() for key in those.values()):
        asked.put(key, spec)
    how = jvm.org.apache.kafka.clients.admin.ListOffsetsOptions(level)
    found = admin.listOffsets(asked, how).all().get()
    return {name: {one: int(found.get(key).offset()) for one, key in those.items()} for name, those in keys.items()}


def _list(jvm: Any, names: Sequence[str]) -> Any:
    made = jvm.java.util.ArrayList()
    for name in names:
        made.add(name)
    return made


@contextmanager
def _told(source: Source, where: str) -> Iterator[None]:
    """What Kafka's client says against it, in words.

    Raises:
        ConfigError: In place of its errors.
    """
    try:
        yield
    except Py4JJavaError as error:
        cause = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        name, said = str(cause.getClass().getSimpleName()), str(cause.getMessage()).splitlines()[0]
        servers = source.options.get(SERVERS, "the brokers")
        if name == "TimeoutException":
            told = f"no broker answers at {servers} within {WAIT // 1000} s; look whether it is up, and whether it wants TLS or a login"
        else:
            told = f"{servers}: {said} [{name}]"
        raise ConfigError(
            f"{where}: {secrets.redacted(told)}; mend options ({SERVERS}, kafka.security.protocol, kafka.sasl.*)"
        ) from None
