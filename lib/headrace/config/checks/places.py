"""What is said of a source that is no file: a database, a table, any reader of Spark."""

from __future__ import annotations

import re
from collections.abc import Iterator

from headrace.config.checks import topics
from headrace.config.source_types import KEYS, Place, keys_of, place_of
from headrace.config.sql.types import wrong_nested
from headrace.config.types import Source

Found = tuple[str, str]

_OPTIONS = {"dbtable": "table", "query": "query", "url": "url", "user": "user", "password": "password",
            "partitioncolumn": "partition_column", "lowerbound": "bounds", "upperbound": "bounds",
            "numpartitions": "partitions"}  # fmt: skip
"""Options of Spark's JDBC reader that have a key of their own."""

_OF_FILES = {
    "mode": (
        "upsert",
        "upsert belongs to files and kafka; of other sources leave out mode, and deduplicate by the table's key",
    ),
    "on_drift": ("evolve", "rescue", "policies of drift belong to files; leave out on_drift"),
    "on_corrupt": ("skip", "only files can be left out; leave out on_corrupt"),
}
"""Values that only files know, and what to do instead."""


def check(where: str, source: Source) -> Iterator[Found]:
    """What cannot be right: pairs (where, what came and what is allowed)."""
    name = source.format.lower()
    allowed = (*keys_of(name, source.kind), "packages")
    for key in Place.model_fields:
        if getattr(source, key) is not None and key not in allowed:
            written = key.rstrip("_")
            has = f"; beside path and options it has: {', '.join(one.rstrip('_') for one in allowed)}"
            formats = " and ".join(known for known, keys in KEYS.items() if key in keys)
            said = f"{written!r} belongs to the format {formats}, and this one is {source.format}{has}"
            yield f"{where}.{written}", said
    yield from _followed(where, source)
    if source.kind != "files":
        yield from _of_files(where, source)
    if name == "jdbc":
        yield from _jdbc(where, source)
    elif name == "kafka":
        yield from topics.check(where, source)
    elif name in ("table", "dynamodb") and not source.table and source.path in ("", name):
        yield f"{where}.format", f"no table is named; write table: {'name' if name == 'dynamodb' else 'schema.name'}"
    elif name == "delta" and not source.path:
        yield f"{where}.format", "neither path nor table is named; write path: FOLDER, or table: schema.name"
    elif name in ("delta", "table") and source.table and source.path != source.table:
        yield f"{where}.path", "path and table exclude each other; leave out one"


def _of_files(where: str, source: Source) -> Iterator[Found]:
    for key, (*known, instead) in _OF_FILES.items():
        if getattr(source, key) in known and not (source.kind == "kafka" and key == "mode"):
            yield f"{where}.{key}", f"{getattr(source, key)!r}: {instead}"


def _followed(where: str, source: Source) -> Iterator[Found]:
    """What is said of a watermark, and of the columns of a reader."""
    if source.overlap and not source.watermark:
        yield f"{where}.overlap", "overlap has no effect without watermark; add it or leave this out"
    if source.watermark and source.mode == "snapshot":
        yield f"{where}.mode", "with a watermark rows are appended; leave out mode, or the watermark"
    whole = source.kind != "delta" and not source.watermark and "watermark" in keys_of(source.format, source.kind)
    if whole and source.mode == "append":
        yield (
            f"{where}.mode",
            "without a watermark all is read each time, a snapshot; name a watermark, or leave out mode",
        )
    if source.python and source.watermark and "since" in source.options:
        yield f"{where}.options.since", "with a watermark `since` is handed over in each run; leave it out here"
    for name, kind in (source.schema_ or {}).items():
        wrong = wrong_nested(kind)
        if not name.strip():
            yield f"{where}.schema", "a column without a name; write it as it stands in the source"
        elif wrong:
            yield f'{where}.schema["{name}"]', wrong


def _jdbc(where: str, source: Source) -> Iterator[Found]:
    if source.path != place_of(source.model_dump()):
        yield f"{where}.path", "a database has no path; write url, and table or query"
    if source.url is None:
        yield f"{where}.format", "the format jdbc needs a url, as jdbc:postgresql://host:5432/shop"
    else:
        yield from ((f"{where}.url", wrong) for wrong in wrong_url(source.url))
    if (source.table is None) == (source.query is None):
        yield f"{where}.{'query' if source.query else 'format'}", "exactly one of table and query is wanted"
    if source.query and source.query.rstrip().endswith(";"):
        yield f"{where}.query", "a query ends without `;`, for it becomes part of others"
    for key in ("bounds", "partitions"):
        if getattr(source, key) is not None and not source.partition_column:
            yield f"{where}.{key}", f"{key} has no effect without partition_column; add it or leave this out"
    for option in source.options:
        own = _OPTIONS.get(str(option).lower())
        if own:
            yield f"{where}.options.{option}", f"write it as {own}, beside url"


def wrong_url(url: str) -> Iterator[str]:
    """What is wrong with a database's URL, without repeating it: it may hold a password."""
    if "${secret:" in url and not url.startswith("jdbc:"):
        return
    if not re.match(r"jdbc:\w+:", url):
        yield "a URL begins with jdbc: and the kind of database, as jdbc:postgresql://host:5432/shop"
    elif url.lower().startswith("jdbc:mariadb:") and not re.search(r"sql_mode=[^&;]*ANSI_QUOTES", url, re.I):
        yield (
            'jdbc:mariadb: gives wrong data without an error: Spark writes names as "name", which MariaDB takes for a text, '
            "the same in every row. Write jdbc:mysql://host:3306/database"
        )
