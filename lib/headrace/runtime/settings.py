"""Settings of Spark: files of properties, and who wins over whom."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.config import secrets
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTENSIONS = "spark.sql.extensions"
DRIVER_CLASS_PATH = "spark.driver.extraClassPath"
DRIVER_JAVA_OPTIONS = "spark.driver.extraJavaOptions"
EXECUTOR_JAVA_OPTIONS = "spark.executor.extraJavaOptions"
JARS = "spark.jars"
PACKAGES = "spark.jars.packages"
PY_FILES = "spark.submit.pyFiles"
JOINED = {
    EXTENSIONS: ",",
    DRIVER_CLASS_PATH: os.pathsep,
    DRIVER_JAVA_OPTIONS: " ",
    EXECUTOR_JAVA_OPTIONS: " ",
    JARS: ",",
    PY_FILES: ",",
}
"Lists: what the user gives is added to Headrace's, it does not replace it."

DELTA = {
    EXTENSIONS: "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}

S3A_CREDENTIALS = "spark.hadoop.fs.s3a.aws.credentials.provider"
S3A_PROVIDERS = (
    "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider",
    "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
    "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider",
)
"""Keys in Spark's settings come first, then AWS's own chain: Hadoop's knows neither profiles nor web identities."""

_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def parse(text: str) -> dict[str, str]:
    """Read Java properties: `key value`, `key=value` or `key: value` a line, `#` and `!` begin comments."""
    found: dict[str, str] = {}
    lines = re.sub(r"(?m)(?<!\\)((?:\\\\)*)\\\r?\n[ \t\f]*", r"\1", text).splitlines()
    for line in lines:
        match = re.match(r"[ \t\f]*((?:\\.|[^\\\s=:])+)(?:[ \t\f]*[=:][ \t\f]*|[ \t\f]+|$)(.*)", line)
        if match and not match[1].startswith(("#", "!")):
            found[_unescape(match[1])] = _unescape(match[2]).strip()
    return found


def _unescape(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match[1]
        return chr(int(code[1:], 16)) if len(code) == 5 else _ESCAPES.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text)


def render(settings: Mapping[str, str]) -> str:
    """Write Java properties, sorted, so that equal settings make an equal file."""
    return "".join(f"{_escape(key, key=True)}={_escape(value)}\n" for key, value in sorted(settings.items()))


def _escape(text: str, key: bool = False) -> str:
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    return re.sub(r"([\s=:#!])", r"\\\1", text) if key else re.sub(r"^ ", r"\\ ", text)


def read_file(path: Path) -> dict[str, str]:
    """Read a file of properties.

    Raises:
        ConfigError: If it cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read the properties file {path}: {error}") from error


@contextmanager
def held(spark: SparkSession, wanted: Mapping[str, Any]) -> Iterator[None]:
    """Hold settings of a session while this lasts, and put back what was there."""
    texts = secrets.revealed(wanted)
    before = {key: spark.conf.get(key, None) for key in texts}
    try:
        for key, value in texts.items():
            spark.conf.set(key, value)
        yield
    finally:
        for key, earlier in before.items():
            if earlier is None:
                spark.conf.unset(key)
            else:
                spark.conf.set(key, earlier)


def as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    """Settings from YAML as Spark spells them: `true`, not `True`. What is null is left out."""
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value)
        for key, value in settings.items()
        if value is not None
    }


def layered(*layers: Mapping[str, str]) -> dict[str, str]:
    """Lay settings over each other; later ones win, lists are joined without repeats (first ones first)."""
    result: dict[str, str] = {}
    for layer in layers:
        for key, value in layer.items():
            result[key] = joined(result.get(key, ""), value, JOINED[key]) if key in JOINED else value
    return result


def joined(first: str, second: str, separator: str) -> str:
    """Two lists as one, each entry once. Java options are not lists of single words and are just put together."""
    if separator == " ":
        return f"{first} {second}".strip()
    return separator.join(dict.fromkeys(part for part in f"{first}{separator}{second}".split(separator) if part))


def is_local(master: str) -> bool:
    """Whether all of Spark runs on this machine, in one JVM."""
    return re.fullmatch(r"local(\[.*\])?", master) is not None


def driver_memory(limits: Path = Path("/sys/fs/cgroup")) -> str:
    """Memory for a local driver: 40 % of the machine's or the container's, from 1 GB to 8 GB."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        total = 8 << 30
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            total = min(total, int((limits / name).read_text()))
        except (OSError, ValueError):
            continue
    return f"{min(8192, max(1024, int(total * 0.4) >> 20))}m"
