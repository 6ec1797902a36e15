"""From a YAML file (and flags) to a typed pipeline, with all mistakes at once.

Order: YAML -> `--set` -> `${VARIABLES}` -> paths -> types (pydantic) -> references between sections.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from headrace.config import references
from headrace.config.complaints import meant, mistakes_of
from headrace.config.document import Document, Loc
from headrace.config.overrides import override
from headrace.config.repair import repaired
from headrace.config.types import Environment, Pipeline
from headrace.config.yamlfile import read
from headrace.errors import ConfigError, Mistake

FILE_FORMATS = ("csv", "json", "parquet", "orc", "avro", "text", "xml", "delta", "binaryfile")

_VARIABLE = re.compile(r"\$(\$)?\{([^{}]*)\}")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

Model = TypeVar("Model", bound=BaseModel)


def read_pipeline(path: str | Path, env: str | None = None, sets: Sequence[str] = ()) -> tuple[Pipeline, Environment]:
    """Read a pipeline and the environment it is to run in.

    Args:
        path: The YAML file.
        env: Name of an overlay: `<folder of the file>/env/NAME.yaml`, else `conf/env/NAME.yaml`.
        sets: Values that replace those of the file, as `search.max_evals=5`.

    Returns:
        The pipeline, its sources' relative paths made absolute, and the environment (an empty one without `env`).

    Raises:
        ConfigError: With every mistake of both files and of the flags.
    """
    mistakes: list[Mistake] = []
    pipeline = environment = None
    try:
        document = read(path)
        mistakes += document.mistakes + override(document, sets)
        _substitute(document, mistakes)
        _resolve(document, Path(path).resolve().parent)
        pipeline = _typed(Pipeline, document, mistakes)
        mistakes += _between(pipeline, document)
    except ConfigError as error:
        mistakes += error.mistakes
    try:
        environment = _environment(Path(path).resolve().parent, env, mistakes)
    except ConfigError as error:
        mistakes += error.mistakes
    if mistakes or pipeline is None or environment is None:
        raise ConfigError(_sorted(mistakes))
    return pipeline, environment


def _sorted(mistakes: Iterable[Mistake]) -> list[Mistake]:
    unique = list(dict.fromkeys(mistakes))
    return sorted(unique, key=lambda m: (m.file or "", m.line or 0, m.column or 0))


def _environment(folder: Path, name: str | None, mistakes: list[Mistake]) -> Environment | None:
    if name is None:
        return Environment()
    document = read(_overlay(folder, name))
    mistakes += document.mistakes
    _substitute(document, mistakes)
    return _typed(Environment, document, mistakes)


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


def _typed(model: type[Model], document: Document, mistakes: list[Mistake]) -> Model | None:
    """Validate; a number where text is wanted is taken as it was written (`model: 3`, `check: true`)."""
    mistakes += list(_twice(document))
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        changed = False
        for problem in error.errors(include_url=False):
            loc = tuple(problem["loc"])
            if problem["type"] == "string_type" and loc in document.texts and problem["input"] is not None:
                _put(document.data, loc, document.texts[loc])
                changed = True
        if not changed:
            mistakes += mistakes_of(error, model, document)
            return None
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        mistakes += mistakes_of(error, model, document)
        return None


def _between(pipeline: Pipeline | None, document: Document) -> list[Mistake]:
    """Mistakes between sections; of a file with wrong types, those that have nothing to do with these."""
    dropped: list[Loc] = []
    if pipeline is None:
        pipeline, dropped = repaired(document.data)
    if pipeline is None:
        return []
    gone = {repr(str(part).lower()) for loc in dropped for part in loc[-1:]}
    found = []
    for where, message in references.check(pipeline):
        loc = document.locate(where)
        affected = any(loc[: len(drop)] == drop or drop[: len(loc)] == loc for drop in dropped)
        if not affected and not any(f"is called {name}" in message for name in gone):
            found.append(replace(document.mistake(loc, message), where=where))
    return found


def _put(data: Any, loc: Loc, value: Any) -> None:
    for part in loc[:-1]:
        data = data[part]
    data[loc[-1]] = value


def _twice(document: Document) -> Iterator[Mistake]:
    """Tables whose names differ in case only: SQL cannot tell them apart."""
    for section in ("tables", "feature_tables"):
        names = document.data.get(section)
        seen: dict[str, str] = {}
        for name in names if isinstance(names, dict) else ():
            if name.lower() in seen:
                message = f"differs from {seen[name.lower()]!r} in case only, which SQL does not see; rename one"
                yield document.mistake((section, name), message, key=True)
            seen.setdefault(name.lower(), name)


def _substitute(document: Document, mistakes: list[Mistake]) -> None:
    """Replace `${VARIABLE}` and `${VARIABLE:-default}` in all text; `$${` stands for `${`."""

    def change(text: str, loc: Loc) -> str:
        def one(match: re.Match[str]) -> str:
            if match.group(1):
                return match.group(0)[1:]
            name, given, default = match.group(2).partition(":-")
            value = os.environ.get(name) or (default if given else None)
            if not _VARIABLE_NAME.fullmatch(name):
                mistakes.append(document.mistake(loc, f"{match.group(0)} names no variable; write ${{NAME}}"))
            elif value is None and name in os.environ:
                return ""
            elif value is None:
                advice = f"set it, or give a default: ${{{name}:-...}}"
                mistakes.append(document.mistake(loc, f"the environment variable {name} is not set; {advice}"))
            return value or ""

        return _VARIABLE.sub(one, text)

    document.data = _map_text(document.data, (), change)


def _map_text(value: Any, loc: Loc, change: Callable[[str, Loc], str]) -> Any:
    if isinstance(value, dict):
        return {key: _map_text(item, (*loc, key), change) for key, item in value.items()}
    if isinstance(value, list):
        return [_map_text(item, (*loc, i), change) for i, item in enumerate(value)]
    return change(value, loc) if isinstance(value, str) else value


def _resolve(document: Document, folder: Path) -> None:
    """Make the relative paths of file sources absolute: in the current folder, else beside the YAML."""
    tables = document.data.get("tables")
    for table in tables.values() if isinstance(tables, dict) else ():
        source = table.get("source") if isinstance(table, dict) else None
        if not isinstance(source, dict) or str(source.get("format")).lower() not in FILE_FORMATS:
            continue
        if isinstance(source.get("path"), str):
            source["path"] = absolute(source["path"], folder)


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
