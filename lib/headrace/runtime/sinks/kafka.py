"""A topic of Kafka as a sink: each row is a message, once for those who read what was committed (`read_committed`)."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pyspark.sql import functions as F

from headrace.config import secrets
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime.sinks.delivery import Sent
from headrace.runtime.sinks.transactions import LAST, REPORT, ROWS, PartsChangedError, Segments, Sending, recorded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

PARTS = 8
"""In so many parts rows are sent at the same time; a record that is there has as many as it has partitions."""
WAIT = 10.0
_LIBRARY = "confluent_kafka"
_RECORD = {"cleanup.policy": "compact", "segment.ms": "86400000"}


class KafkaSink:
    """A topic, and the record of what was sent there.

    Args:
        where: Of the sink in the YAML, as `sinks.scores`.
        options: `topic`, and `kafka.*` for the client, secrets in place.
        sink: Unique name of the sink, as `flights.scores`.

    Raises:
        ConfigError: If the client is not installed.
    """

    def __init__(self, where: str, options: Mapping[str, str], sink: str) -> None:
        if importlib.util.find_spec(_LIBRARY) is None:
            raise ConfigError(
                f"{where}: a sink of format kafka needs the client confluent-kafka: .venv/bin/pip install "
                "'confluent-kafka>=2.6,<3' (the extra `kafka`), on a cluster also in the Python of the executors"
            )
        self._where, self._topic, self._record = where, options["topic"], record_of(options["topic"], sink)
        given = {name.removeprefix("kafka."): value for name, value in options.items() if name.startswith("kafka.")}
        self._settings = {"log_level": "0", **given}
        self._heard: list[str] = []

    @property
    def record(self) -> str:
        """The topic that tells what was sent."""
        return self._record

    def sent(self) -> dict[int, Segments]:
        """By part what the topic holds, by its own record. Topics that are not there are made.

        Raises:
            ConfigError: If the brokers do not answer, the record may lose what it tells, or it tells of another topic.
        """
        self._refuse_gone()
        there = self._topics()
        self._refuse_forgetful()
        return self._recorded(len(there[self._record].partitions))

    def _recorded(self, parts: int) -> dict[int, Segments]:
        try:
            return self._call(lambda: recorded(self._settings, self._record, range(parts), parts))
        except PartsChangedError as error:
            raise self._untold(f"{self._record} tells what was sent, and {error}") from None

    def _refuse_gone(self) -> None:
        """A topic that was deleted holds nothing of what the record tells."""
        there = self._call(lambda: self._admin.list_topics(timeout=WAIT).topics)
        told = self._record in there and there[self._record].partitions and self._topic not in there
        if told and any(self._recorded(len(there[self._record].partitions)).values()):
            raise self._untold(f"{self._record} tells that rows were sent to {self._topic}, and that topic is gone")

    def _untold(self, why: str) -> ConfigError:
        return ConfigError(
            f"{self._where}: what is new, nobody can tell: {why}. Name another topic; or delete the topic {self._record}: "
            "then all rows are sent, also those that the topic has"
        )

    def _topics(self) -> Any:
        """The topics, those of the sink among them; what was made just now is known a little later."""
        deadline = time.monotonic() + WAIT
        made = False
        while True:
            there = self._call(lambda: self._admin.list_topics(timeout=WAIT).topics)
            missing = [name for name in (self._topic, self._record) if name not in there or not there[name].partitions]
            if not missing:
                return there
            if not made:
                self._make(missing)
                made = True
            if time.monotonic() > deadline:
                raise self._refused(TimeoutError(f"the topic {missing[0]} was made, and is not there"))
            time.sleep(0.1)

    def deliver(self, rows: DataFrame, count: int, state: Sent, expected: Mapping[int, Segments]) -> None:
        """Bring rows to the topic, once.

        Args:
            rows: `part`, `hash` of the key, `key` and `value`; null: the key is gone.
            count: How many there are.
            state: Of the table that they bring the topic to.
            expected: What they were chosen against.

        Raises:
            HeadraceError: If another run was first, or the brokers refused; what was sent stays sent, and a run goes on.
        """
        parts = len(expected)
        spark = rows.sparkSession
        bare = spark.range(parts).select(
            F.col("id").cast("int").alias("part"), F.lit(None).cast("bigint").alias("hash"), F.lit("").alias("key"),
            F.lit(None).cast("string").alias("value"),
        )  # fmt: skip
        whole = rows.select("part", "hash", "key", "value").unionByName(bare).repartitionById(parts, F.col("part"))
        ordered = whole.sortWithinPartitions("part", F.asc_nulls_first("hash"), "key", "value")
        sending = Sending(self._settings, self._topic, self._record, state, dict(expected), ROWS)
        told = ordered.mapInArrow(sending, REPORT).collect()
        problems = list(dict.fromkeys(row["problem"] for row in told if row["problem"]))
        sent = sum(row["sent"] + row["before"] for row in told)
        if problems:
            raise HeadraceError(
                f"{self._where}: {secrets.redacted('; '.join(problems[:3]))}. {sent:,} of {count:,} rows are in "
                f"{self._topic}, and {self._record} tells which; run again, and the others follow"
            )
        if sent != count:
            raise HeadraceError(
                f"{self._where}: {count:,} rows were to be sent and {sent:,} were; please report this with the pipeline's YAML"
            )

    @cached_property
    def _admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        heard: Any = {"error_cb": lambda error: self._heard.append(error.str())}
        return self._call(lambda: AdminClient({**self._settings, **heard}))

    def _make(self, names: list[str]) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]  # its public place, not listed there

        wanted = [
            NewTopic(name, PARTS, -1, config=_RECORD) if name == self._record else NewTopic(name, -1, -1)
            for name in names
        ]
        for future in self._admin.create_topics(wanted).values():
            try:
                future.result(WAIT)
            except KafkaException as error:
                if error.args[0].name() != "TOPIC_ALREADY_EXISTS":  # another run was first
                    raise self._refused(error) from None

    def _refuse_forgetful(self) -> None:
        """A record whose messages are deleted after a time would let all rows be sent again."""
        from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]  # its public place, not listed there

        asked = ConfigResource(ConfigResource.Type.TOPIC, self._record)
        found = self._call(lambda: self._admin.describe_configs([asked])[asked].result(WAIT))
        if found["cleanup.policy"].value != "compact":
            raise ConfigError(
                f"{self._where}: the topic {self._record} tells what was sent, and its cleanup.policy is "
                f"{found['cleanup.policy'].value}; set it to compact, or all rows will be sent again one day"
            )

    def _call(self, ask: Any) -> Any:
        from confluent_kafka import KafkaException

        try:
            return ask()
        except (KafkaException, TimeoutError) as error:
            if "_admin" in self.__dict__:
                self._admin.poll(0)  # why brokers hang up, only its background thread hears
            raise self._refused(error) from None

    def _refused(self, error: Exception) -> ConfigError:
        cause: Any = error.args[0] if error.args else error
        words = cause.str() if hasattr(cause, "str") else str(error)
        said = "; ".join(dict.fromkeys([words, *self._heard[:2]]))
        return ConfigError(
            f"{self._where}: the brokers at {self._settings.get('bootstrap.servers')} do not answer, or refuse: "
            f"{secrets.redacted(said)}; look at options (kafka.bootstrap.servers, kafka.security.protocol, kafka.sasl.*), "
            f"and whether the user may write {self._topic} and {self._record}"
        )


def record_of(topic: str, sink: str) -> str:
    """The topic beside a sink's own that tells what was sent.

    >>> record_of("scores", "flights.crm")
    'scores.headrace.flights.crm'
    """
    return f"{topic}.headrace.{sink}"


def complete(found: Mapping[int, Segments], state: Sent) -> bool:
    """Whether every part is at a state."""
    return all(one and one[0][0] == LAST and one[0][1].identity == state.identity for one in found.values())
