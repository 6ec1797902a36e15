"""Columns declared `sensitive` are hashed, masked or dropped before anything is written.

The hash is HMAC-SHA256 (RFC 2104) in Spark SQL: H((K ^ opad) || H((K ^ ipad) || value)), hexadecimal. The key comes
to the executors as a row of two constants, joined by broadcast: as a literal it would stand in plans and event logs.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from pyspark.sql import functions as F
from pyspark.sql.types import ArrayType, MapType, StructType

from headrace.config import secrets
from headrace.config.names import column_names
from headrace.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

    from headrace.config.types import Pipeline, Table
    from headrace.runtime.step import Run

BLOCK = 64
SHORTEST_KEY = 16
WITHHELD = "(withheld: the table has sensitive columns)"
WHOLE_LINES = ("_corrupt", "_rescued")
"""Columns in which a reader keeps text that it could not split into columns."""
_INNER, _OUTER = "_privacy_inner", "_privacy_outer"


def key_of(pipeline: Pipeline, table: Table) -> bytes | None:
    """The key of the hashes; None where the table needs none.

    Raises:
        ConfigError: If it is not set, or too short to keep anything.
    """
    if "hash" not in table.sensitive.values():
        return None
    key = secrets.reveal(pipeline.privacy.key).encode()
    if len(key) < SHORTEST_KEY:
        raise ConfigError(
            f"privacy.key: the secret behind {pipeline.privacy.key} has {len(key)} bytes; a key needs at least "
            f"{SHORTEST_KEY}, drawn at random (openssl rand -hex 32): short ones can be guessed, and all values with them"
        )
    return key


def reading(table: Table, key: bytes | None) -> dict[str, Any]:
    """What of it decides how rows land: when it changes, all is read anew. The key is told apart by a hash with it."""
    if not table.sensitive:
        return {}
    check = hmac.new(key, b"headrace: which key", hashlib.sha256).hexdigest()[:8] if key else None
    return {"sensitive": dict(table.sensitive), "key": check}


def protected(frame: DataFrame, sensitive: Mapping[str, str], key: bytes | None, where: str) -> DataFrame:
    """Rows without the values of sensitive columns. Nulls stay null; the order of columns stays.

    Args:
        frame: Rows as they are read, the names of columns as in the tables.
        sensitive: Column -> `hash` (string: 64 hexadecimal digits), `mask` (string: letters become x and X, digits
            n, all other signs *) or `drop`.
        key: For `hash`.
        where: The table in the YAML, as `tables.customers`.

    Returns:
        The rows; of a line that could not be read as columns nothing stays but that it was there, for nobody can
        tell which of its values is which.

    Raises:
        ConfigError: If there is no such column.
    """
    if not sensitive:
        return frame
    missing = [name for name in sensitive if name not in frame.columns]
    if missing:
        told = ", ".join(c for c in frame.columns if not c.startswith("_"))
        raise ConfigError(f"{where}.sensitive: the source has no column {', '.join(missing)}; it has {told}")
    if "hash" in sensitive.values():
        assert key is not None, "key_of gives one where a column is hashed"
        frame = frame.crossJoin(F.broadcast(_pads(frame, key)))
    broken = [F.col("_corrupt").isNotNull()] if "_corrupt" in frame.columns else []
    columns = [_protected(frame, c, sensitive.get(c), broken) for c in frame.columns if c not in (_INNER, _OUTER)]
    return frame.select(*[column for column in columns if column is not None])


def _pads(frame: DataFrame, key: bytes) -> DataFrame:
    block = (hashlib.sha256(key).digest() if len(key) > BLOCK else key).ljust(BLOCK, b"\0")
    pads = bytearray(b ^ 0x36 for b in block), bytearray(b ^ 0x5C for b in block)
    return frame.sparkSession.createDataFrame([pads], f"{_INNER} binary, {_OUTER} binary")


def _protected(frame: DataFrame, name: str, kind: str | None, broken: list[Column]) -> Column | None:
    if kind == "drop":
        return None
    value = F.col(f"`{name}`")
    if name in WHOLE_LINES:
        return F.when(value.isNotNull(), F.lit(WITHHELD)).alias(name)
    if kind is not None:
        value = hashed(_text(frame, name)) if kind == "hash" else masked(_text(frame, name))
    for line in broken if not name.startswith("_") else ():
        value = F.when(~line, value)
    return value.alias(name)


def _text(frame: DataFrame, name: str) -> Column:
    """A value as text; nested ones as JSON."""
    column = F.col(f"`{name}`")
    nested = isinstance(frame.schema[name].dataType, ArrayType | MapType | StructType)
    return F.to_json(column) if nested else column.cast("string")


def hashed(text: Column) -> Column:
    """HMAC-SHA256 of a text in UTF-8 with the key beside it, hexadecimal; null of null."""
    inner = F.sha2(F.concat(F.col(_INNER), text.cast("binary")), 256)
    return F.sha2(F.concat(F.col(_OUTER), F.unhex(inner)), 256)


def masked(text: Column) -> Column:
    """The shape of a text: how long it is, and where letters and digits stand."""
    return F.mask(text, F.lit("X"), F.lit("x"), F.lit("n"), F.lit("*"))


def refuse_in_paths(name: str, table: Table, paths: Iterable[str]) -> None:
    """Stop where a folder is named after a sensitive value (`email=...`): `_source` keeps the paths of files.

    Raises:
        ConfigError: Says which.
    """
    for path in paths:
        folders = [folder.partition("=")[0] for folder in unquote(path).split("/")[:-1] if "=" in folder]
        named = {column_names([folder])[0] for folder in folders if folder}
        told = [column for column in table.sensitive if column in named]
        if told:
            raise ConfigError(
                f"tables.{name}.sensitive: files of the source lie in folders named after values of {', '.join(told)}, and "
                "paths are kept in the column _source; bring the files under other names"
            )


def refuse_plain(run: Run, name: str, table: Table) -> None:
    """Stop where the raw table already holds, as it came, what is declared sensitive now.

    Raises:
        ConfigError: A setting cannot take back what has landed; says what to delete.
    """
    raw = f"raw_{name}"
    if not table.sensitive or not run.exists(raw):
        return
    before = run.facts(raw).get("facts", {}).get("sensitive", {})
    plain = [c for c in table.sensitive if c in run.read(raw).columns and c not in before]
    if plain:
        raise ConfigError(
            f"tables.{name}.sensitive: {raw} holds {', '.join(plain)} as it came, from before it was declared sensitive, "
            f"and so do the earlier versions of {name}, {name}_quarantine and what was made of them. No setting can take "
            f"that back: delete the folders of these tables in the warehouse, and run again; the source is then read anew"
        )
