"""From a YAML file (and flags) to a typed pipeline, with all mistakes at once.

Order: YAML, on those that it extends -> `--set` -> `${VARIABLES}` -> paths -> types (pydantic) -> references between sections.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from headrace.config import hooks, secrets, sharing
from headrace.config.checks import references, schedules, spark_names
from headrace.config.file.complaints import meant, mistakes_of
from headrace.config.file.document import Document, Loc, dotted
from headrace.config.file.extending import is_file, read_whole
from headrace.config.file.overrides import override
from headrace.config.file.repair import Repaired, repaired, touches
from headrace.config.file.twice import twice
from headrace.config.file.variables import Outside, substitute
from headrace.config.file.yamlfile import read
from headrace.config.spark_types import Spark
from headrace.config.types import Environment, Pipeline
from headrace.errors import ConfigError, Mistake

FILE_FORMATS = ("csv", "json", "parquet", "orc", "avro", "text", "xml", "delta", "binaryfile")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Model = TypeVar("Model", bound=BaseModel)


def read_pipeline(
    path: str | Path, env: str | None = None, sets: Sequence[str] = (), outside: Outside | None = None
) -> tuple[Pipeline, Environment]:
    """Read a pipeline and the environment it is to run in.

    Args:
        path: The YAML file.
        env: Name of an overlay: `<folder of the file>/env/NAME.yaml`, else `conf/env/NAME.yaml`.
        sets: Values that replace those of the file, as `search.max_evals=5`.
        outside: Where variables and secrets come from; default: the environment.

    Returns:
        The pipeline, its sources' relative paths made absolute, and the environment (an empty one without `env`).

    Raises:
        ConfigError: With every mistake of both files and of the flags.
    """
    mistakes: list[Mistake] = []
    outside = outside or Outside()
    pipeline = environment = None
    folder = Path(os.path.realpath(path)).parent
    try:
        document = read_whole(path)
        mistakes += document.mistakes + override(document, sets)
        sharing.resolve(document)
        unfilled = substitute(document, mistakes, outside)
        _resolve(document, folder)
        pipeline = _typed(Pipeline, document, unfilled, mistakes)
        folders = (folder, *_folders(document))
        pipeline = pipeline and pipeline.beside(*folders)
        mistakes += _between(pipeline, document, folders)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        environment = _environment(folder, env, mistakes, outside)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes or pipeline is None or environment is None:
        raise ConfigError(_sorted(mistakes))
    return pipeline.overridden(tuple(secrets.masked(text) for text in sets)), environment


def _sorted(mistakes: Iterable[Mistake]) -> list[Mistake]:
    unique = list(dict.fromkeys(mistakes))
    return sorted(unique, key=lambda m: (m.file or "", m.line or 0, m.column or 0))


def _environment(folder: Path, name: str | None, mistakes: list[Mistake], outside: Outside) -> Environment | None:
    if name is None:
        return Environment()
    document = read(_overlay(folder, name), may_be_empty=True)
    mistakes += document.mistakes
    found = _typed(Environment, document, substitute(document, mistakes, outside), mistakes)
    spark = found.spark if found else _spark(document.data)  # what is wrong beside it hides nothing
    for where, message in spark_names.check(spark):
        mistakes.append(document.mistake(document.locate(where), message, key=True))
    return found


def _spark(data: Any) -> Spark:
    """The settings of Spark where they can be read, else none."""
    try:
        return Spark.model_validate(data.get("spark") or {})
    except ValidationError:
        return Spark()


def _overlay(folder: Path, name: str) -> Path:
    folders = (folder / "env", Path("conf") / "env")
    for place in folders if _ENVIRONMENT.fullmatch(name) else ():
        if (place / f"{name}.yaml").is_file():
            return place / f"{name}.yaml"
    there = sorted({file.stem for place in folders for file in place.glob("*.yaml")})
    close = meant(name, there)
    known = f"there are: {', '.join(there)}{close}" if there else "there is none yet"
    where = " and ".join(str(place) for place in folders)
    raise ConfigError([Mistake("--env", f"no environment is called {name!r} in {where}; {known}")])


def _typed(model: type[Model], document: Document, unfilled: set[str], mistakes: list[Mistake]) -> Model | None:
    """Validate, and tell what is wrong, but not of texts that lack a variable's value: that is told already."""
    mistakes += twice(document)
    found, wrong = _validated(model, document)
    mistakes += [mistake for mistake in wrong if mistake.where not in unfilled]
    return found


def _validated(model: type[Model], document: Document) -> tuple[Model | None, list[Mistake]]:
    """A number where text is wanted is taken as it was written (`model: 3`, `check: true`)."""
    try:
        return model.model_validate(document.data, by_alias=True, by_name=False), []
    except ValidationError as error:
        changed = False
        for problem in error.errors(include_url=False):
            loc = tuple(problem["loc"])
            if problem["type"] == "string_type" and loc in document.texts and problem["input"] is not None:
                _put(document.data, loc, document.texts[loc])
                changed = True
        if not changed:
            return None, mistakes_of(error, model, document)
    try:
        return model.model_validate(document.data, by_alias=True, by_name=False), []
    except ValidationError as error:
        return None, mistakes_of(error, model, document)


def _folders(document: Document) -> list[Path]:
    """Folders of the files in which a document was written, without flags."""
    files = dict.fromkeys(place.file for place in document.values.values())
    return list(dict.fromkeys(Path(os.path.realpath(file)).parent for file in files if os.path.isfile(file)))


def _between(pipeline: Pipeline | None, document: Document, folders: Sequence[Path]) -> list[Mistake]:
    """Mistakes between sections; of a file with wrong types, those that have nothing to do with these."""
    whole = Repaired(pipeline) if pipeline else repaired(document.data)
    pipeline, dropped = whole.pipeline, whole.dropped
    if pipeline is None:
        return []
    found = []
    of_python, of_spark = hooks.check(pipeline.beside(*folders)), spark_names.check(pipeline.spark)
    problems = (references.check(pipeline), of_python, of_spark, schedules.check(pipeline))
    for counted, message in itertools.chain(*problems):
        where = whole.written(counted)
        loc = document.locate(where)
        affected = any(loc[: len(drop)] == drop or drop[: len(loc)] == loc for drop in dropped)
        if not affected and not touches(message, dropped):
            listed = where if dotted(loc) != where.removesuffix("[0]") else dotted(loc)  # `key: id` for `key: [id]`
            found.append(replace(document.mistake(loc, message, key=where.startswith("spark")), where=listed))
    return found


def _at(document: Document, where: str, message: str) -> Mistake:
    loc = document.locate(where)
    listed = where if dotted(loc) != where.removesuffix("[0]") else dotted(loc)  # `key: id` for `key: [id]`
    return replace(document.mistake(loc, message), where=listed)


def placed(path: str | Path, sets: Sequence[str], found: Iterable[tuple[str, str]]) -> list[Mistake]:
    """Mistakes that were found later, with their places in a file that could be read.

    Args:
        path: The YAML file.
        sets: As in `read_pipeline`.
        found: Pairs (where, message), where as `tables.flights.rules[1].check`.
    """
    document = read_whole(path)
    override(document, sets)
    return _sorted(_at(document, where, message) for where, message in found)


def _put(data: Any, loc: Loc, value: Any) -> None:
    for part in loc[:-1]:
        data = data[part]
    data[loc[-1]] = value


def _resolve(document: Document, folder: Path) -> None:
    """Make the relative paths of file sources absolute: in the current folder, else beside the YAML that has them."""
    for loc, source in _sources(document.data):
        if not isinstance(source, dict) or str(source.get("format")).lower() not in FILE_FORMATS:
            continue
        if isinstance(source.get("path"), str):
            written = document.place((*loc, "path")).file  # also what the file extends, or a flag
            beside = Path(written).resolve().parent if is_file(written) else folder
            source["path"] = absolute(source["path"], beside)


def _sources(data: Any) -> Iterator[tuple[Loc, Any]]:
    """What a file says of sources, and where: of its tables, and of a stream."""
    tables, scoring = data.get("tables"), data.get("scoring")
    for name, table in tables.items() if isinstance(tables, dict) else ():
        yield ("tables", name, "source"), table.get("source") if isinstance(table, dict) else None
    stream = scoring.get("stream") if isinstance(scoring, dict) else None
    if isinstance(stream, dict):
        yield ("scoring", "stream", "source"), stream.get("source")


def absolute(path: str, folder: Path) -> str:
    """An absolute path; what has a scheme (`s3a://`, `hdfs:`, `example:`) is left alone."""
    path = path.strip()
    if not path or _SCHEME.match(path) or "\0" in path:
        return path
    if path.startswith("~"):
        return os.path.expanduser(path)
    if os.path.isabs(path):
        return path
    here, beside = Path.cwd() / path, folder / path
    chosen = beside if not _there(here) and _there(beside) else here
    return os.path.normpath(chosen)


def _there(path: Path) -> bool:
    """Whether the path is there, or, for a glob, the folder before its first pattern."""
    steady = []
    for part in path.parts:
        if re.search(r"[*?\[{]", part):
            break
        steady.append(part)
    try:
        return Path(*steady).exists()
    except (OSError, ValueError):  # a name too long for the file system
        return False
