"""A server of documents for tests, which speaks MongoDB's protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyspark
from py4j.java_gateway import GatewayParameters, JavaGateway, launch_gateway

from headrace.runtime.packages import CONNECTORS, jars
from tests.support.servers import alone, cached, free_port

MONGO_SERVER = "de.bwaldvogel:mongo-java-server:1.47.0"


@dataclass(frozen=True)
class Mongo:
    """A server, and MongoDB's own client in the same process."""

    port: int
    java: Any

    def uri(self, more: str = "") -> str:
        return f"mongodb://127.0.0.1:{self.port}/{more}"

    def collection(self, name: str) -> Any:
        return self.java.client.getDatabase("shop").getCollection(name)

    def put(self, name: str, *documents: dict[str, Any]) -> None:
        """Insert documents, or replace those of the same `_id`; values are MongoDB's extended JSON."""
        parse = self.java.gateway.jvm.org.bson.Document.parse
        collection = self.collection(name)
        for document in documents:
            collection.deleteOne(parse(json.dumps({"_id": document["_id"]})))
            collection.insertOne(parse(json.dumps(document)))


@dataclass(frozen=True)
class _Java:
    gateway: JavaGateway
    client: Any


@contextmanager
def mongo() -> Iterator[Mongo]:
    """mongo-java-server, which keeps all in memory, in a JVM of its own that is told what to do through Py4J."""
    spark = Path(pyspark.__file__).parent
    with alone():
        env = {**os.environ, "SPARK_HOME": str(spark)}
        path = jars(cached(), spark, [MONGO_SERVER, *CONNECTORS["mongodb"]], env)
    [py4j] = spark.glob("jars/py4j-*.jar")
    java = Path(os.environ["JAVA_HOME"], "bin/java") if os.environ.get("JAVA_HOME") else "java"
    slf4j = [str(jar) for jar in spark.glob("jars/slf4j-api-*.jar")]
    told, token, process = launch_gateway(
        jarpath=str(py4j), classpath=":".join([*map(str, path), *slf4j]), javaopts=["-Xmx256m"], java_path=str(java),
        die_on_exit=True, enable_auth=True, return_proc=True,
    )  # fmt: skip
    gateway = JavaGateway(gateway_parameters=GatewayParameters(port=told, auth_token=token, auto_convert=True))
    try:
        jvm, port = gateway.jvm, free_port()
        jvm.de.bwaldvogel.mongo.MongoServer(jvm.de.bwaldvogel.mongo.backend.memory.MemoryBackend()).bind(
            "127.0.0.1", port
        )
        yield Mongo(port, _Java(gateway, jvm.com.mongodb.client.MongoClients.create(f"mongodb://127.0.0.1:{port}/")))
    finally:
        process.kill()
        process.wait()
