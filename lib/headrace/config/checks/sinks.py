"""Sinks: what they are fed by, and options that the delivery itself decides."""

from __future__ import annotations

from collections.abc import Iterator

from headrace.config.checks.topics import of_topic
from headrace.config.file.complaints import meant
from headrace.config.sinks import Sink
from headrace.config.types import Pipeline

DECIDED = ("query", "truncate", "batch", "savemode")
"""Options of Spark's JDBC writer that would change what a delivery is."""


def check(pipeline: Pipeline) -> Iterator[tuple[str, str]]:
    """Sinks of tables that this pipeline does not make, or with options that cannot be."""
    tables = [name for name, table in pipeline.feature_tables.items() if not table.shared]
    tables += [pipeline.scoring.output] if pipeline.training_set else []
    for name, sink in pipeline.sinks.items():
        if sink.from_ not in tables:
            told = ", ".join(tables) or "none"
            message = (
                f"{sink.from_!r} is neither the predictions nor a feature table of this pipeline; there are: {told}"
            )
            yield f"sinks.{name}.from", message + meant(sink.from_, tables)
        yield from (
            (f"sinks.{name}.options.{option}", wrong) for option, wrong in _wrong(pipeline.pipeline, name, sink)
        )


def _wrong(schema: str, name: str, sink: Sink) -> Iterator[tuple[str, str]]:
    """Options that cannot be, with what is wrong."""
    if sink.format == "kafka":
        yield from of_topic(sink.options, f".headrace.{schema}.{name}")
        return
    for option in sink.options:
        if option.lower() in DECIDED:
            yield option, f"{option!r} is decided by the delivery; leave it out"
