"""What is said of a source: its format, its options, and whether its files are there."""

from __future__ import annotations

import codecs
import difflib
import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

from headrace.config.checks import places
from headrace.config.file.complaints import meant
from headrace.config.file.document import shown
from headrace.config.source_types import FILES
from headrace.config.types import Pipeline, Source, Table
from headrace.examples import PREFIX, wrong_example

Found = tuple[str, str]

NO_FILES = ("delta", "jdbc", "kafka", "mongodb", "dynamodb", "table", "iceberg", "hudi")
"""What Spark reads, but not file by file."""

_SWITCHES = frozenset(
    "header inferschema multiline enforceschema ignoreleadingwhitespace ignoretrailingwhitespace recursivefilelookup "
    "ignorecorruptfiles ignoremissingfiles mergeschema primitivesasstring prefersdecimal allowcomments wholetext "
    "allowunquotedfieldnames allowsinglequotes allownumericleadingzeros dropfieldifallnull".split()
)
"""Options of Spark's readers of files that are true or false, in lower case."""

_CSV = _SWITCHES | frozenset(
    "sep delimiter encoding charset quote escape comment nullvalue nanvalue positiveinf negativeinf emptyvalue dateformat "
    "timestampformat timestampntzformat timeformat enabledatetimeparsingfallback preferdate maxcolumns maxcharspercolumn "
    "unescapedquotehandling mode columnnameofcorruptrecord chartoescapequoteescaping samplingratio locale linesep "
    "pathglobfilter modifiedbefore modifiedafter compression codec timezone basepath singlevariantcolumn "
    "parsemode inputbuffersize columnpruning extension escapequotes quoteall maxrowsinpartition "
    "ignorecorruptfiles ignoremissingfiles datetimerebasemode".split()
)
"""Options of Spark's reader of CSV, in lower case: of others it says nothing, and does nothing."""

_FORMS = {
    "dateformat": "Write columns: {day: \"to_date(day_text, 'dd.MM.yyyy')\"}",
    "timestampformat": "Write columns: {at: \"to_timestamp(at_text, 'dd.MM.yyyy HH:mm')\"}",
    "timestampntzformat": "Write columns: {at: \"to_timestamp_ntz(at_text, 'dd.MM.yyyy HH:mm')\"}",
}
"""Options by which Spark would read days and times, and what to write instead."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


def check(where: str, source: Source) -> Iterator[Found]:
    """Formats and options of which it is sure that they are wrong: pairs (where, what came and what is allowed)."""
    if re.search(r"[\x00-\x1f\x7f]", source.path):
        yield f"{where}.path", f"{source.path!r} has control characters; leave them out"
    yield from places.check(where, source)
    if source.python:
        return
    wrong = _wrong_format(source.format)
    if wrong:
        yield f"{where}.format", wrong
    for name, value in source.options.items():
        here = f"{where}.options.{name}" if name.isidentifier() else f'{where}.options["{name}"]'
        if isinstance(value, list | dict):
            kind = "a list" if isinstance(value, list) else "a mapping"
            yield here, f"{kind} came; an option of Spark's reader is text, a number, true or false"
        elif source.format.lower() == "csv" and name.lower() not in _CSV and _slip(name):
            yield here, f"Spark's reader of CSV has no option {name!r}; did you mean {_slip(name)!r}?"
        elif name.lower() in _SWITCHES and source.format.lower() in ("csv", "json", "parquet", "orc", "xml", "text"):
            text = str(value).strip().lower()
            if value is not None and text not in ("true", "false", "") and "${" not in text:
                yield here, f"{shown(value)} came; write true or false"
        elif name.lower() in ("encoding", "charset") and not _encoding(str(value)):
            yield (
                here,
                f"{shown(value)} is no encoding; write UTF-8, windows-1252, ISO-8859-1, UTF-16 or another that Java has",
            )
        elif name.lower() in _FORMS and source.format.lower() == "csv":
            yield here, "it does nothing: columns of CSV are text until they are cast. " + _FORMS[name.lower()]


def _encoding(name: str) -> bool:
    """Whether there is such an encoding; of names that only Java has it is not said."""
    if "${" in name or name.lower().startswith("x-"):
        return True
    try:
        return bool(codecs.lookup(name.strip()))
    except (LookupError, ValueError):
        return False


def _slip(option: str) -> str | None:
    """The option that was surely meant: plugins may have others of their own."""
    close = difflib.get_close_matches(option.lower(), _CSV, n=1, cutoff=0.85)
    return close[0] if close else None


def check_upsert(where: str, table: Table) -> Iterator[Found]:
    """What an upsert needs, and what only an upsert has."""
    upsert = table.source.mode == "upsert"
    if upsert and not table.key and table.source.kind in ("files", "kafka"):
        yield f"{where}.source.mode", f"'upsert' goes by key: give {where}.key, or write append"
    if table.source.delete_when and not upsert:
        yield f"{where}.source.delete_when", "only rows of `mode: upsert` delete; set the mode, or leave this out"


def _wrong_format(name: str) -> str | None:
    lowered = name.lower()
    if not lowered:
        return f"the text is empty; write one of {', '.join((*FILES, *NO_FILES))}"
    if lowered in NO_FILES:
        return None
    if lowered in ("tsv", "tab"):
        return f'{name!r} is no format of Spark; write `format: csv` with `options: {{sep: "\\t"}}`'
    close = meant(name, (*FILES, *NO_FILES))
    if lowered.endswith(tuple(known.lower() for known in FILES)) or lowered.startswith("xls") or not close:
        return None  # one of them, or a plugin's (geojson)
    return f"{name!r} is no format; there are: {', '.join((*FILES, *NO_FILES))}{close}"


def missing_files(pipeline: Pipeline, slips: bool) -> Iterator[Found]:
    """Local files and folders that the pipeline's own tables would be read from, and that are not there.

    Args:
        pipeline: The configuration.
        slips: Those that are surely misspelt (an empty path, or a file of a similar name lies beside); else the others:
            their data may be on the machine where the job will run.
    """
    for name, table in pipeline.tables.items():
        source = table.source
        known = source.format.lower() in {known.lower() for known in FILES}
        told = missing(source.path) if known and source.kind == "files" and not table.shared else None
        slip = not source.path.strip() or source.path.startswith(PREFIX) or bool(_beside(_plain(source.path)))
        if told and slip == slips:
            yield f"tables.{name}.source.path", told


def missing(path: str) -> str | None:
    """What is wrong with a path, where there is surely no such file, folder or glob on this machine."""
    if not path.strip():
        return "the path is empty; write a file, a folder or a glob"
    plain = path.removeprefix("file://")
    if path.startswith(PREFIX):
        return wrong_example(path)
    if _SCHEME.match(plain) or "://" in plain or "\0" in plain or glob.glob(plain):
        return None
    told = (
        f"there is no file, folder or glob {path!r}; a relative path starts in the current folder, else beside the YAML"
    )
    return told + _beside(Path(plain))


def _plain(path: str) -> Path:
    return Path(path.removeprefix("file://"))


def _beside(path: Path) -> str:
    """What else is in the folder, if it is like the name that is wanted."""
    try:
        close = meant(path.name, os.listdir(path.parent))
    except OSError:
        return ""
    return close
