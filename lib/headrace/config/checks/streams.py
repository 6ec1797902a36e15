"""`scoring.stream`: sources that can be followed row by row, and spines whose rows can come by themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.config.checks import sources
from headrace.config.checks.topics import MOST
from headrace.config.streaming import Stream
from headrace.config.types import Pipeline

Found = tuple[str, str]
WHERE = "scoring.stream"


def check(pipeline: Pipeline) -> Iterator[Found]:
    """What cannot be right of a stream: pairs (where, what came and what is allowed)."""
    stream = pipeline.scoring.stream
    if stream is None:
        return
    if stream.source.format.lower() in ("delta", "kafka"):
        yield from _source(stream)
    else:
        yield f"{WHERE}.source.format", f"{stream.source.format!r} is not followed as it grows; write delta or kafka"
    yield from _spine(pipeline)
    if stream.checkpoint and not re.match(r"/|[A-Za-z][A-Za-z0-9+.-]+:", stream.checkpoint):
        told = "a relative path would be another folder wherever the job is started, and the stream begin anew"
        yield f"{WHERE}.checkpoint", f"{stream.checkpoint!r}: {told}; write an absolute one, or a URI"
    if stream.on_change != "fail" and stream.source.kind != "delta":
        yield f"{WHERE}.on_change", "messages are never updated; leave it out"


def _source(stream: Stream) -> Iterator[Found]:
    source, where = stream.source, f"{WHERE}.source"
    json = source.model_copy(update={"value": None}) if source.value == "json" and not source.schema_ else source
    yield from sources.check(where, json)  # without a schema the fields are the cleaned table's columns
    if source.value in ("text", "binary"):
        yield f"{where}.value", f"a message holds the columns of a row, so {source.value!r} cannot be; write json"
    for key in ("mode", "delete_when"):
        if getattr(source, key) is not None:
            yield f"{where}.{key}", "rows of a stream are scored as they come; leave it out"
    for option in source.options:
        if option.lower() == MOST.lower():
            yield f'{where}.options["{option}"]', f"write {WHERE}.max_rows in place of it"
        elif option.lower() == "subscribepattern":
            yield f'{where}.options["{option}"]', "a stream follows topics that are named; write subscribe"


def _spine(pipeline: Pipeline) -> Iterator[Found]:
    training = pipeline.training_set
    if training is None:
        yield WHERE, "there is no training_set, so nothing says what a row to be scored is; add it"
        return
    spine = pipeline.tables.get(training.spine)
    if training.grid:
        yield (
            WHERE,
            "the rows to be scored are made by a grid of times (every), and do not come by themselves; leave it out",
        )
    elif spine and not spine.key:
        yield WHERE, f"tables.{training.spine} has no key, by which a row that comes twice is known; add it"
