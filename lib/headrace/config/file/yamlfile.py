"""One YAML file as plain values, with the place of every key and value.

YAML 1.2, so that `NO` and `on` are text and `1e5` is a number. Only plain data: no tags that make objects, no
duplicate keys, and anchors may not blow a small file up.
"""

from __future__ import annotations

import math
import os
import re
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from headrace.config.file.document import Document, Loc, Place, dotted, shown
from headrace.errors import ConfigError, Mistake

LARGEST_FILE = 500_000
LARGEST_TREE = 50_000
LARGEST_TEXT = 2_000_000
DEEPEST = 60

_CORE = "tag:yaml.org,2002:"
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def read(path: str | Path, *, may_be_empty: bool = False) -> Document:
    """Read a file.

    Args:
        path: The file.
        may_be_empty: Take one with nothing in it, or comments alone, for an empty mapping.

    Raises:
        ConfigError: If there is no such file, or it is no YAML with a mapping at its top.
    """
    file = str(path)
    try:
        raw = _content(path)
    except FileNotFoundError as error:
        message = "there is no such file; check the path, or make one with `headrace init`"
        raise ConfigError([Mistake("", message, file)]) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError([Mistake("", f"cannot be read: {reason}", file)]) from error
    document = parse(_decoded(raw, file), file)
    if document.data is None and may_be_empty:
        document.data = {}
    if not isinstance(document.data, dict):
        message = "the file is empty" if document.data is None else f"the top is {shown(document.data)}"
        raise ConfigError([Mistake("", f"{message}; it must be a mapping of sections (`key: value`)", file, 1, 1)])
    return document


def _content(path: str | Path) -> bytes:
    """At most one byte more than is allowed, of a plain file: a pipe or a device may never end."""
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("it is no plain file")
        return file.read(LARGEST_FILE + 1)


def _decoded(raw: bytes, file: str) -> str:
    if len(raw) > LARGEST_FILE:
        raise ConfigError([Mistake("", f"larger than {LARGEST_FILE} bytes; a configuration is smaller", file)])
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        column = error.start - raw.rfind(b"\n", 0, error.start)
        message = f"byte 0x{raw[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise ConfigError([Mistake("", message, file, line, column)]) from error


def parse(text: str, file: str) -> Document:
    """Parse YAML text.

    Raises:
        ConfigError: If the text is no YAML.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an anchor used again is allowed: the newer one counts
            node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        raise ConfigError([_syntax(error, text, file)]) from error
    except RecursionError as error:
        raise ConfigError([Mistake("", f"nested more than {DEEPEST} deep; make it flatter", file)]) from error
    except (YAMLError, ValueError, TypeError, AttributeError, IndexError, NotImplementedError) as error:
        # ruamel raises plain errors for some malformed directives, tags and characters
        before = text[: getattr(error, "position", 0)]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        told = str(error).splitlines()[0] if str(error) else repr(error)
        raise ConfigError([Mistake("", f"is no YAML: {told}", file, line, column)]) from error
    document = Document(file)
    if node is not None:
        _Reader(document).fill(node)
    return document


def _syntax(error: MarkedYAMLError, text: str, file: str) -> Mistake:
    mark = error.problem_mark or error.context_mark
    problem = " ".join(str(part) for part in (error.context, error.problem) if part)
    line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
    lines = text.splitlines()
    written = lines[mark.line] if mark and mark.line < len(lines) else ""
    hint = ""
    if "\t" in written:
        hint = "; YAML is indented with spaces, not tabs"
    elif "${" in written or ": " in written.partition(": ")[2] or "`" in written:
        hint = '; put the text into quotes ("...")'
    return Mistake("", f"is no YAML: {problem}{hint}", file, line, column)


class _Reader:
    """Turns nodes into plain values; counts them, since anchors can stand for many."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.count = self.size = 0

    def fill(self, node: Node) -> None:
        self.document.data = self.value(node, (), ())

    def value(self, node: Node, loc: Loc, above: tuple[int, ...]) -> Any:
        self.count += 1
        mark = node.start_mark
        place = Place(self.document.file, mark.line + 1, mark.column + 1)
        if self.count > LARGEST_TREE:
            self.stop(f"more than {LARGEST_TREE} values once its anchors are expanded", place)
        if len(loc) > DEEPEST or len(above) > DEEPEST:
            self.stop(f"nested more than {DEEPEST} deep", place)
        if id(node) in above:
            self.stop("an anchor that contains itself", place)
        self.document.values[loc] = place
        above = (*above, id(node))
        if isinstance(node, MappingNode) and self.plain(node, "map", loc):
            return self.mapping(node, loc, above)
        if isinstance(node, SequenceNode) and self.plain(node, "seq", loc):
            return [self.value(item, (*loc, i), above) for i, item in enumerate(node.value)]
        return self.scalar(node, loc) if isinstance(node, ScalarNode) else None

    def plain(self, node: Node, kind: str, loc: Loc) -> bool:
        if str(node.tag) in (_CORE + kind, "!"):
            return True
        self.wrong(node, loc, f"the tag {str(node.tag)!r} is not allowed; write plain values")
        return False

    def mapping(self, node: MappingNode, loc: Loc, above: tuple[int, ...]) -> dict[str, Any]:
        own = self.document.values[loc]
        found: dict[str, Any] = {}
        for merged in self.merges(node):
            inner = self.value(merged, loc, above)
            if not isinstance(inner, dict):
                self.wrong(merged, loc, f"`<<` merges mappings, this is {shown(inner)}")
                continue
            found = {**inner, **found}
        self.document.values[loc] = own
        lines: dict[str, int] = {}
        for key_node, value_node in self.pairs(node, loc):
            key = key_node.value
            if key in lines:
                message = f"{key!r} stands twice, first in line {lines[key]}; keep one of the two"
                self.wrong(key_node, (*loc, key), message)
                continue
            lines[key] = key_node.start_mark.line + 1
            self.document.keys[(*loc, key)] = _at(key_node, self.document.file)
            found[key] = self.value(value_node, (*loc, key), above)
        return found

    def pairs(self, node: MappingNode, loc: Loc) -> Iterator[tuple[ScalarNode, Node]]:
        for key, value in node.value:
            if key.tag == _CORE + "merge":
                continue
            if isinstance(key, ScalarNode):
                yield key, value
            else:
                self.wrong(key, loc, "a list or mapping stands as a key; keys are names")

    def merges(self, node: MappingNode) -> Iterator[Node]:
        for key, value in node.value:
            if key.tag == _CORE + "merge":
                yield from value.value if isinstance(value, SequenceNode) else (value,)

    def scalar(self, node: ScalarNode, loc: Loc) -> Any:
        kind = str(node.tag).removeprefix(_CORE)
        text = str(node.value)
        self.size += len(text)
        if self.size > LARGEST_TEXT:
            self.stop(
                f"more than {LARGEST_TEXT} characters once its anchors are expanded", _at(node, self.document.file)
            )
        if kind in ("str", "!", "value", "merge"):
            return text
        self.document.texts[loc] = text
        if kind == "null":
            return None
        if kind == "bool":
            return {"true": True, "false": False}.get(text.lower(), text)
        if kind == "int":
            return _integer(text)
        if kind == "float":
            return _float(text)
        if kind != "timestamp":
            self.wrong(node, loc, f"the tag {str(node.tag)!r} is not allowed; write plain values")
        return text

    def wrong(self, node: Node, loc: Loc, message: str) -> None:
        place = _at(node, self.document.file)
        self.document.mistakes.append(Mistake(dotted(loc), message, place.file, place.line, place.column))

    def stop(self, message: str, place: Place) -> None:
        raise ConfigError([Mistake("", f"{message}; write it out smaller", place.file, place.line, place.column)])


def _at(node: Node, file: str) -> Place:
    return Place(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _integer(text: str) -> Any:
    if not _INTEGER.fullmatch(text) or len(text) > 4000:
        return text
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    return int(text, base)


def _float(text: str) -> Any:
    lowered = text.lower()
    if lowered in (".nan", ".inf", "+.inf", "-.inf"):
        return math.nan if lowered == ".nan" else float(lowered.replace(".", ""))
    return float(text) if _FLOAT.fullmatch(text) else text
