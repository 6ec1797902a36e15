"""`scoring.stream`: what is wrong with it is told with the file, before Spark is started; the door of its job."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from headrace.config.reading import read_pipeline
from headrace.errors import ConfigError
from headrace.runtime.packages import CONNECTORS, coordinates

ROOT = Path(__file__).resolve().parents[2]
SHOP = """
pipeline: shop
tables: {orders: {source: {format: delta, path: /data/orders}, key: id, event_time: at}}
training_set: {from: orders, label: late}
scoring: {stream: {%s}}
"""
KAFKA = "source: {format: kafka, options: {kafka.bootstrap.servers: 'b:9092', subscribe: t%s}%s}"
DELTA = "source: {format: delta, path: /data/new}"


def written(folder: Path, stream: str, text: str = SHOP) -> Path:
    file = folder / "shop.yaml"
    file.write_text(text % stream)
    return file


def test_a_stream_is_a_section_with_defaults(tmp_path: Path) -> None:
    pipeline, _ = read_pipeline(written(tmp_path, DELTA))
    stream = pipeline.scoring.stream
    assert stream is not None
    assert (stream.source.path, stream.trigger, stream.max_rows) == ("/data/new", "available-now", 100_000)
    assert (stream.start, stream.on_change, stream.checkpoint) == ("earliest", "fail", None)
    assert coordinates(pipeline) == ()
    pipeline, _ = read_pipeline(written(tmp_path, KAFKA % ("", ", value: json") + ", trigger: 30 seconds"))
    assert coordinates(pipeline) == CONNECTORS["kafka"]


@pytest.mark.parametrize(
    ("stream", "where", "told"),
    [
        ("source: {format: csv, path: /data/a.csv}", "source.format", "write delta or kafka"),
        ("source: {format: delta}", "source", "neither path nor table"),
        (DELTA + ", trigger: often", "trigger", "write available-now, continuous, or a duration"),
        (DELTA + ", max_rows: 0", "max_rows", "0"),
        (DELTA + ", checkpoint: here", "checkpoint", "write an absolute one, or a URI"),
        (KAFKA % ("", "") + ", on_change: ignore", "on_change", "messages are never updated"),
        (KAFKA % ("", ", value: text"), "source.value", "write json"),
        (KAFKA % ("", ", mode: upsert"), "source.mode", "leave it out"),
        (KAFKA % (", maxOffsetsPerTrigger: 5", ""), "maxOffsetsPerTrigger", "write scoring.stream.max_rows"),
        (KAFKA % (", startingOffsets: latest", ""), "startingOffsets", "leave it out"),
        (
            KAFKA.replace("subscribe: t%s", "subscribePattern: 't.*'%s") % ("", ""),
            "subscribePattern",
            "write subscribe",
        ),
    ],
)
def test_what_cannot_be_is_told_with_the_file(tmp_path: Path, stream: str, where: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_pipeline(written(tmp_path, stream))
    assert f"scoring.stream.{where}" in error.value.message or where in error.value.message
    assert told in error.value.message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("key: id, ", ""), "tables.orders has no key"),
        (("from: orders,", "from: {entities: orders, every: 30 days},"), "made by a grid of times"),
        (("training_set: {from: orders, label: late}\n", ""), "there is no training_set"),
    ],
)
def test_rows_must_come_by_themselves(tmp_path: Path, change: tuple[str, str], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read_pipeline(written(tmp_path, DELTA, SHOP.replace(*change)))


def test_the_job_says_what_it_takes(tmp_path: Path) -> None:
    def asked(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, str(ROOT / "jobs" / "stream.py"), *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT / "lib")}
        return subprocess.run(line, capture_output=True, text=True, check=False, env=env, cwd=tmp_path)

    told = asked("--help")
    assert told.returncode == 0
    assert "example: ./spark-submit.sh jobs/stream.py --config conf/flights.yaml --trigger continuous" in " ".join(
        told.stdout.split()
    )
    file = str(written(tmp_path, DELTA))
    told = asked("--config", file, "--trigger", "now")
    assert told.returncode == 2
    assert "--trigger: 'now' is no trigger; write available-now, continuous, or a duration" in told.stderr
    bare = str(written(tmp_path, "", SHOP.replace("scoring: {stream: {%s}}", "scoring: {output: p}%s")))
    told = asked("--config", bare)
    assert told.returncode == 2
    assert "the YAML has no scoring.stream" in told.stderr
