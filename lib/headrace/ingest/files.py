"""Files of a source: which there are, and how each is told from its replacement."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from headrace.config.checks.headers import hidden
from headrace.errors import ConfigError
from headrace.runtime.commits import is_local
from headrace.runtime.hadoop import Hadoop

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SIGNS = re.compile(r"[*?\[\]{}\\]")
_GLOB = re.compile(r"[*?\[{]")
_QUOTED = re.compile(r"[\x00-\x20\x7f-\xa0\"#%<>?\[\\\]^`{|}\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
"""What Java quotes in the path of a URI: neither `=` nor letters of other alphabets, as Python does."""
_SERVER = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:(//[^/]*)?")


@dataclass(frozen=True, order=True)
class SourceFile:
    """A file: its URI, and what changes when its content does.

    Attributes:
        path: URI as Spark names it.
        size: Bytes.
        modified: Milliseconds since 1970.
        keys: Names of the folders `name=value` that it lies in, below the source's path.
    """

    path: str
    size: int
    modified: int
    keys: tuple[str, ...] = field(default=(), compare=False)

    @property
    def version(self) -> str:
        """Changes when the file is replaced."""
        return f"{self.size}-{self.modified}"

    @property
    def plain(self) -> str:
        """The path as people write it: a URI is quoted."""
        return unquote(self.path)

    @property
    def literal(self) -> str:
        """The path for Spark's reader, to which a file called `[1].csv` would be a pattern."""
        return _SIGNS.sub(r"\\\g<0>", self.plain)


def listed(spark: SparkSession, path: str) -> list[SourceFile]:
    """The files below a file, folder or glob, sorted; those left out that writers hide or have not finished.

    Links to folders are followed, each folder once.

    Raises:
        ConfigError: If there is no such file or folder; an empty folder is no mistake.
    """
    found = _local(path) if is_local(path) else _remote(spark, path)
    if found is None:
        raise ConfigError(
            f"there is no file, folder or glob {path!r}; mend source.path (a relative path starts in the current folder, "
            "else beside the YAML)"
        )
    above = len(_normal(_static(path)).rstrip("/"))
    return sorted(
        SourceFile(uri, size, modified, _keys(_SERVER.sub("", plain)[above:])) for uri, plain, size, modified in found
    )


def _static(path: str) -> str:
    """The part of a path before its first folder that is a pattern."""
    local = is_local(path)
    plain = os.path.abspath(path.removeprefix("file://")) if local else path
    found = _GLOB.search(plain)
    return plain[: found.start()].rpartition("/")[0] if found else plain


def _normal(path: str) -> str:
    """A path as Hadoop writes it, without scheme and server."""
    return re.sub("/+", "/", _SERVER.sub("", path))


def _keys(below: str) -> tuple[str, ...]:
    """Names of the folders `name=value` in the part of a file's path that is below the source's."""
    folders = below.split("/")[:-1] if "=" in below else ()
    return tuple(dict.fromkeys(name for name, sign, _ in (f.partition("=") for f in folders) if sign and name))


def _local(path: str) -> list[tuple[str, str, int, int]] | None:
    matches = sorted(glob.glob(path.removeprefix("file://")))
    seen: set[str] = set()
    found = []
    for file in (file for match in matches for file in _walked(match, seen)):
        try:
            stat = file.stat()
        except FileNotFoundError:  # gone while we looked
            continue
        found.append((f"file://{quoted(str(file))}", str(file), stat.st_size, stat.st_mtime_ns // 1_000_000))
    return found if matches else None


def _walked(match: str, seen: set[str]) -> Iterator[Path]:
    """Files of a folder, or the file itself; a folder that was seen, through whatever links, is not entered again."""
    if os.path.isfile(match):
        yield Path(match).absolute()
        return
    for folder, folders, names in os.walk(os.path.abspath(match), followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not hidden(name))
        for name in names:
            file = os.path.join(folder, name)
            if not hidden(name) and os.path.isfile(file):
                yield Path(file)


def _remote(spark: SparkSession, path: str) -> list[tuple[str, str, int, int]] | None:
    system = Hadoop(spark, path)
    matches = system.matching()
    files = {f.uri: f for match in matches for f in (system.below(match) if match.folder else [match])}
    return [(f.uri, unquote(f.uri), f.size, f.modified) for f in files.values()] if matches else None


def quoted(path: str) -> str:
    """A path as in the URI that Spark tells a row's file by."""
    return _QUOTED.sub(lambda sign: quote(sign[0]), path)


def is_single_file(path: str, files: list[SourceFile]) -> bool:
    """Whether a path names one file itself, no folder or glob."""
    if is_local(path):
        return os.path.isfile(path.removeprefix("file://"))
    return len(files) == 1 and _SERVER.sub("", files[0].plain) == _normal(path)
