"""Running the user's Python: importing it, shipping it to executors, calling it, and telling where it failed.

Of the user's files only the modules that hooks need can be imported: those that are hashed and shipped too, so that
what runs on a laptop runs on a cluster, and what is edited runs again. Nothing is put on `sys.path`.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headrace.config import modules
from headrace.config.hooks import WANTED, Use, own_modules
from headrace.errors import ConfigError, HeadraceError
from headrace.runtime import cache
from headrace.runtime.home import home
from headrace.runtime.spark_errors import in_words, user_frames

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from headrace.config.types import Pipeline

PREFIX = "hooks-"
MARK = "HEADRACE_HOOKS"
"""In the environment of Python workers: those of other code are not used again."""


class Own(MetaPathFinder):
    """Finds the user's modules, and no other file beside them."""

    def __init__(self, sources: Mapping[str, modules.Source]) -> None:
        self.sources, self.hash = dict(sources), modules.content_hash(sources)
        self.folders = {parent for name in sources for parent in _parents(name)} - set(sources)

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Where a module is, if it is the user's."""
        if fullname in self.folders:  # a folder of modules without an __init__.py
            folder = ModuleSpec(fullname, None, is_package=True)
            folder.submodule_search_locations = []
            return folder
        source = self.sources.get(fullname)
        if source is None:
            return None
        inside = [str(Path(source.file).parent)] if source.is_package else None
        return spec_from_file_location(fullname, source.file, submodule_search_locations=inside)


def _parents(module: str) -> list[str]:
    parts = module.split(".")[:-1]
    return [".".join(parts[: length + 1]) for length in range(len(parts))]


def ready(spark: SparkSession, pipeline: Pipeline) -> None:
    """Let a pipeline's hooks be imported, here and by Spark's Python workers. May be called again and again."""
    sources = own_modules(pipeline)
    if not sources:
        return
    known = next((finder for finder in sys.meta_path if isinstance(finder, Own)), None)
    wanted = Own(sources)
    if known is None or known.hash != wanted.hash or _files(known) != _files(wanted):
        for name in [
            n for n in sys.modules if n in {*wanted.sources, *wanted.folders} or (known and n in known.sources)
        ]:
            del sys.modules[name]  # its file is another, or was edited
        sys.meta_path[:] = [wanted, *(finder for finder in sys.meta_path if not isinstance(finder, Own))]
    ship(spark, sources, wanted.hash)


def _files(finder: Own) -> dict[str, str]:
    return {name: source.file for name, source in finder.sources.items()}


def archive(folder: Path, sources: Mapping[str, modules.Source]) -> Path:
    """The user's modules as one file for executors, named after its content."""
    return cache.archive(folder, f"{PREFIX}{modules.content_hash(sources)}.zip", modules.archive_of(sources))


def ship(spark: SparkSession, sources: Mapping[str, modules.Source], content: str) -> None:
    """Let the Python workers of what is built from now on import these modules, and none from before an edit."""
    context: Any = spark.sparkContext
    context.environment[MARK] = content
    file, there = archive(home(), sources), context._python_includes
    if file.name not in there:  # what came with the job is there already
        context.addPyFile(str(file))
        sys.path[:] = [entry for entry in sys.path if Path(entry).name != file.name]  # the driver has its own way
    there[:] = [name for name in there if name == file.name or not name.startswith(PREFIX)]  # code before an edit


def load(spark: SparkSession, pipeline: Pipeline, one: Use) -> Any:
    """A hook's function or class.

    Raises:
        ConfigError: If it is not there, or cannot be what it is for.
        HeadraceError: If its module raises.
    """
    ready(spark, pipeline)
    with naming(one):
        try:
            module = importlib.import_module(one.module)
        except ModuleNotFoundError as error:
            if error.name and (one.module == error.name or one.module.startswith(f"{error.name}.")):
                raise ConfigError(
                    f"{one.where}: there is no module {one.module!r}; put {one.module}.py beside the YAML"
                ) from error
            raise
    found = getattr(module, one.name, None)
    if found is None:
        raise ConfigError(f"{one.where}: {getattr(module, '__file__', one.module)} defines no {one.name!r}")
    if not callable(found):
        raise ConfigError(f"{one.where}: {one.hook} is a {type(found).__name__}; wanted is {WANTED[one.kind]}")
    if one.kind in ("estimator", "transformer") and not isinstance(found, type):
        raise ConfigError(f"{one.where}: {one.hook} is no class; wanted is {WANTED[one.kind]}")
    return found


@contextmanager
def naming(one: Use) -> Iterator[None]:
    """Whatever the user's code raises names the hook, its place in the YAML, and the user's own lines.

    Raises:
        HeadraceError: In place of any other error; those of Headrace pass as they are.
    """
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:  # whatever the user's code may raise
        raise HeadraceError(told(one, error)) from error


@contextmanager
def computing(one: Use) -> Iterator[None]:
    """What the user's code raises only when its DataFrame is computed, in a Python worker, names the hook too.

    Raises:
        HeadraceError: In place of such an error; others pass as they are.
    """
    try:
        yield
    except HeadraceError:
        raise
    except Exception as error:  # whatever a Spark job may raise
        if user_frames(str(error)):
            raise HeadraceError(told(one, error)) from error
        raise


def told(one: Use, error: Exception) -> str:
    """An error of the user's code, in words."""
    lines = [f"{one.where}: the hook {one.hook} raised {type(error).__name__}: {in_words(error)}"]
    own = {source.file for finder in sys.meta_path if isinstance(finder, Own) for source in finder.sources.values()}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in own or _is_module(f.filename, one)]
    for frame in frames:
        lines.append(f"  {frame.filename}:{frame.lineno} in {frame.name}")
        if frame.line:
            lines.append(f"    {frame.line}")
    if not frames and isinstance(error, TypeError):
        lines.append(f"  wanted is {WANTED[one.kind]}")
    return "\n".join(lines)


def _is_module(file: str, one: Use) -> bool:
    """Whether a file is the hook's own module where that is an installed one."""
    return file == getattr(sys.modules.get(one.module), "__file__", None)
