"""Hadoop's file systems (HDFS, S3 and others), as the session is set up for them.

Between Python and the JVM each question about a file takes 0.1 ms or more: 7 s for 10,000 files. So a listing comes
over as a few texts, which the JVM makes with the statuses' own methods.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError

from headrace.config.checks.headers import hidden

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FLAT = ("s3a", "gs")
"""Object stores, which list all below a prefix at once, a thousand objects a request; elsewhere folders are walked."""
_ROOT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/]+")
_GONE = "java.io.FileNotFoundException"
_AT_A_TIME = 16
"""Files that are opened at the same time."""


@dataclass(frozen=True)
class Entry:
    """A file or folder.

    Attributes:
        uri: As Spark tells a row's file by.
        size: Bytes.
        modified: Milliseconds since 1970.
        folder: Whether it is a folder.
    """

    uri: str
    size: int
    modified: int
    folder: bool


class Hadoop:
    """The file system of a path.

    Args:
        spark: The session.
        path: A path with its scheme.
    """

    def __init__(self, spark: SparkSession, path: str) -> None:
        jvm: Any = spark.sparkContext._jvm
        self._jvm = jvm
        self._path = jvm.org.apache.hadoop.fs.Path(f"{path}/" if _ROOT.fullmatch(path) else path)
        self._system = self._path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
        many, several = self._class("java.util.List"), self._class("[Ljava.lang.Object;")
        as_list = self._static(self._class("java.util.Arrays"), "asList", many, several).asFixedArity()
        self._as_list = self._function(as_list)  # which py4j finds no way to call

    def matching(self) -> list[Entry]:
        """The files and folders that the path, which may be a glob, names; none where it names nothing."""
        found = self._system.globStatus(self._path)
        return [] if found is None else list(self._entries(self._listed(found)))

    def names(self) -> list[str]:
        """Names of what is in the folder; empty where there is none."""
        if not self._system.exists(self._path):
            return []
        name = self._method("org.apache.hadoop.fs.Path", "getName", "java.lang.String")
        found = self._listed(self._system.listStatus(self._path))
        return self._told(found, [self._then(self._path_of(), name)])[0]

    def text(self) -> str:
        """The file's text."""
        stream = self._system.open(self._path)
        try:
            return str(self._jvm.org.apache.commons.io.IOUtils.toString(stream, "UTF-8"))
        finally:
            stream.close()

    def below(self, folder: Entry) -> list[Entry]:
        """The files below a folder, but for those that writers hide or have not finished."""
        if self._system.getUri().getScheme() in FLAT:
            listed = self._system.listFiles(self._at(folder.uri), True)
            every = self._entries(self._jvm.org.apache.hadoop.util.functional.RemoteIterators.toList(listed))
            start = len(folder.uri.rstrip("/")) + 1
            return [entry for entry in every if not any(map(hidden, entry.uri[start:].split("/")))]
        files: list[Entry] = []
        waiting = [folder]
        while waiting:
            found = [e for e in self._inside(waiting) if not hidden(e.uri.rstrip("/").rpartition("/")[2])]
            waiting = [entry for entry in found if entry.folder]
            files += [entry for entry in found if not entry.folder]
        return files

    def heads(self, files: Sequence[tuple[str, int]]) -> Iterator[bytes | None]:
        """The first bytes of files, each by its URI and how many; None where a file cannot be read."""
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            yield from pool.map(self._head, files)

    def _head(self, file: tuple[str, int]) -> bytes | None:
        uri, size = file
        try:
            stream = self._system.open(self._at(uri))
            try:
                return bytes(self._jvm.org.apache.commons.io.IOUtils.toByteArray(stream, size))
            finally:
                stream.close()
        except Py4JJavaError:  # who reads the whole file tells what is wrong with it
            return None

    def _at(self, uri: str) -> Any:
        return self._jvm.org.apache.hadoop.fs.Path(self._jvm.java.net.URI(uri))

    def _inside(self, folders: Sequence[Entry]) -> Iterator[Entry]:
        """What is in some folders."""
        every = self._jvm.java.util.ArrayList()
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for found in pool.map(self._statuses, folders):
                if found is not None:
                    every.addAll(found)
        return self._entries(every)

    def _statuses(self, folder: Entry) -> Any:
        """The statuses in a folder as a list of Java; None where it is gone meanwhile."""
        try:
            return self._listed(self._system.listStatus(self._at(folder.uri)))
        except Py4JJavaError as error:
            if error.java_exception.getClass().getName() == _GONE:
                return None
            raise

    def _entries(self, statuses: Any) -> Iterator[Entry]:
        status = "org.apache.hadoop.fs.FileStatus"
        uri = self._then(self._path_of(), self._method("org.apache.hadoop.fs.Path", "toUri", "java.net.URI"))
        size, modified = (self._method(status, name, "long") for name in ("getLen", "getModificationTime"))
        folder = self._method(status, "isDirectory", "boolean")
        for told in zip(*self._told(statuses, [uri, size, modified, folder]), strict=True):
            yield Entry(told[0], int(told[1]), int(told[2]), told[3] == "true")

    def _told(self, statuses: Any, methods: Sequence[Any]) -> list[list[str]]:
        """What methods say of each in a list of statuses, as text: one call each, however many there are."""
        text, thing = self._class("java.lang.String"), self._class("java.lang.Object")
        as_text = self._function(self._static(text, "valueOf", text, thing))
        found = []
        for method in methods:
            told = statuses.stream().map(self._function(method)).map(as_text)
            joined = told.collect(self._jvm.java.util.stream.Collectors.joining("\0"))  # in no path there can be one
            found.append(joined.split("\0") if joined else [])
        return found

    def _listed(self, array: Any) -> Any:
        return self._as_list.apply(array)

    def _path_of(self) -> Any:
        return self._method("org.apache.hadoop.fs.FileStatus", "getPath", "org.apache.hadoop.fs.Path")

    def _method(self, owner: str, name: str, gives: str) -> Any:
        """A method without arguments, as Java may call it."""
        kinds = self._jvm.java.lang.invoke.MethodType.methodType(self._class(gives))
        return self._jvm.java.lang.invoke.MethodHandles.publicLookup().findVirtual(self._class(owner), name, kinds)

    def _static(self, owner: Any, name: str, gives: Any, takes: Any) -> Any:
        kinds = self._jvm.java.lang.invoke.MethodType.methodType(gives, takes)
        return self._jvm.java.lang.invoke.MethodHandles.publicLookup().findStatic(owner, name, kinds)

    def _then(self, first: Any, second: Any) -> Any:
        return self._jvm.java.lang.invoke.MethodHandles.filterReturnValue(first, second)

    def _function(self, method: Any) -> Any:
        function = self._class("java.util.function.Function")
        return self._jvm.java.lang.invoke.MethodHandleProxies.asInterfaceInstance(function, method)

    def _class(self, name: str) -> Any:
        primitive = {"long": "Long", "boolean": "Boolean"}.get(name)
        return getattr(self._jvm.java.lang, primitive).TYPE if primitive else self._jvm.java.lang.Class.forName(name)


class HadoopFiles:
    """Files anywhere that Spark can read, as `runtime.commits` wants them."""

    def __init__(self, spark: SparkSession) -> None:
        self._spark = spark

    def names(self, folder: str) -> list[str]:
        """Names in a folder; empty where there is none."""
        return Hadoop(self._spark, folder).names()

    def text(self, path: str) -> str:
        """A file's text."""
        return Hadoop(self._spark, path).text()
