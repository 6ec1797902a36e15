"""The first bytes of files, here and elsewhere: they tell the columns without a Spark job for each file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from headrace.ingest.files import SourceFile
from headrace.ingest.looks import PACKED
from headrace.runtime.commits import is_local
from headrace.runtime.hadoop import Hadoop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LONGEST_LINE = 1_000_000
LONGEST_LINE_ELSEWHERE = 16_384
LONGEST_DESCRIPTION = 65_536
_AVRO = b"Obj\x01"


def heads(spark: SparkSession, files: Sequence[SourceFile], most: int) -> Iterator[tuple[SourceFile, bytes]]:
    """The beginnings of files, of so many bytes at most; without those that cannot be read."""
    for file in files:
        if is_local(file.path):
            with open(file.plain.removeprefix("file://"), "rb") as opened:
                yield file, opened.read(most)
    elsewhere = [file for file in files if not is_local(file.path)]
    if elsewhere:
        told = Hadoop(spark, elsewhere[0].literal).heads([(f.path, min(f.size, most)) for f in elsewhere])
        yield from ((file, head) for file, head in zip(elsewhere, told, strict=True) if head is not None)


def first_lines(spark: SparkSession, files: Sequence[SourceFile]) -> dict[str, bytes]:
    """The first line of text files, by path; left out where it is blank, or cannot be had at once."""
    plain = [file for file in files if not file.path.endswith(PACKED)]
    here, elsewhere = ([f for f in plain if is_local(f.path) == local] for local in (True, False))
    lines = {file.path: _line(file) for file in here}
    for file, head in heads(spark, elsewhere, LONGEST_LINE_ELSEWHERE):
        line, end, _ = head.partition(b"\n")
        lines[file.path] = line + end if end or file.size == len(head) else b""
    return {path: line for path, line in lines.items() if line.strip() and line.count(b'"') % 2 == 0}


def _line(file: SourceFile) -> bytes:
    with open(file.plain.removeprefix("file://"), "rb") as opened:
        line = opened.readline(LONGEST_LINE)
    return line if len(line) < LONGEST_LINE else b""


def avro_schemas(spark: SparkSession, files: Sequence[SourceFile]) -> tuple[dict[str, bytes], dict[str, str]]:
    """The schema that each Avro file begins with, and what is wrong with those that begin otherwise, by path."""
    schemas: dict[str, bytes] = {}
    wrong: dict[str, str] = {}
    for file, head in heads(spark, files, LONGEST_DESCRIPTION):
        if not head.startswith(_AVRO):
            wrong[file.path] = "it is no Avro file: these begin with Obj and a byte of 1"
            continue
        try:
            described = _described(head)
        except IndexError:  # a longer description: Spark is asked; or a file that ends within it
            if file.size == len(head):
                wrong[file.path] = "it ends within its own description"
            continue
        schemas[file.path] = described.get(b"avro.schema", b"")
    return schemas, wrong


def _described(head: bytes) -> dict[bytes, bytes]:
    """The description at the start of an Avro file (https://avro.apache.org/docs/1.12.0/specification/#object-container-files).

    Raises:
        IndexError: If it goes beyond these bytes.
    """
    at, found = len(_AVRO), {}

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = head[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)
            shift += 7

    def text() -> bytes:
        nonlocal at
        length = number()
        if length < 0 or at + length > len(head):
            raise IndexError
        at += length
        return head[at - length : at]

    while pairs := number():
        if pairs < 0:  # then its bytes are counted, too
            number()
        for _ in range(abs(pairs)):
            key = text()
            found[key] = text()
    return found
