"""A look at the bytes of text files on this machine, before Spark would read them as something else.

Spark replaces bytes that are no text in the encoding without a word, and takes a line that opens a quote for a row.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from headrace.ingest.files import SourceFile
from headrace.runtime.commits import is_local

PACKED = (".gz", ".bz2", ".deflate", ".snappy", ".lz4", ".zst", ".zstd", ".xz")
HEAD = 4_000_000
"""Bytes of a file that are looked at."""
_TEXT = ("csv", "json", "text")


def wrong_texts(format_: str, options: Mapping[str, str], files: Iterable[SourceFile]) -> dict[str, str]:
    """What is wrong with text files, by path: their encoding, or quotes that a line leaves open."""
    if format_ not in _TEXT:
        return {}
    given = {name.lower(): value for name, value in options.items()}
    found = {}
    for file in files:
        if is_local(file.path) and not file.path.endswith(PACKED):
            with Path(file.plain.removeprefix("file://")).open("rb") as opened:
                told = _wrong(format_, given, opened.read(HEAD))
            if told:
                found[file.path] = told
    return found


def _wrong(format_: str, options: Mapping[str, str], head: bytes) -> str | None:
    encoding = options.get("encoding", options.get("charset", ""))
    if encoding.lower() in ("", "utf-8", "utf8"):
        detected = format_ == "json" and options.get("multiline", "").lower() == "true"  # by Spark
        told = None if detected else _no_utf8(head)
        if told:
            return told
    return (
        _open_quote(options, head)
        if format_ == "csv" and not encoding.lower().startswith(("utf-16", "utf-32"))
        else None
    )


def _no_utf8(head: bytes) -> str | None:
    set_it = "set source.options.encoding"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or head[:200].count(0) > len(head[:200]) // 4 > 0:
        return f"it looks like UTF-16; {set_it}: UTF-16"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head, final=len(head) < HEAD)
    except UnicodeDecodeError as error:
        line = head.count(b"\n", 0, error.start) + 1
        return f"line {line} is no UTF-8 (byte 0x{head[error.start]:02x}); {set_it} (windows-1252, ISO-8859-1 ...)"
    return None


def _open_quote(options: Mapping[str, str], head: bytes) -> str | None:
    """A line with a quote that it does not close: the value goes on in the next, or is never closed."""
    quote, separator = options.get("quote", '"'), options.get("sep", options.get("delimiter", ",")).replace("\\t", "\t")
    if "multiline" in options or len(quote) != 1 or len(separator) != 1:
        return None
    escape = options.get("escape", '"')
    mark = quote.encode()
    if mark not in head:
        return None
    lines = head.split(b"\n")[: None if len(head) < HEAD else -1]
    for number, line in enumerate(lines, 1):
        if line.count(mark) % 2 and _is_open(line.decode("latin-1"), separator, quote, escape):
            return (
                f"line {number} opens a quote and does not close it; where values go over several lines set "
                "source.options.multiLine: true, else mend it, or set multiLine: false to take each line for itself"
            )
    return None


def _is_open(line: str, separator: str, quote: str, escape: str) -> bool:
    if escape and escape != quote:
        line = re.sub(re.escape(escape) + ".", "", line)
    try:
        list(csv.reader([line.rstrip("\r")], delimiter=separator, quotechar=quote, strict=True))
    except (csv.Error, TypeError, ValueError) as error:
        return "unexpected end" in str(error)
    return False
