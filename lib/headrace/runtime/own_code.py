"""A model's own Python as it was when the model was trained, beside the user's files as they are now.

A version keeps the modules of its classes (see `search`). Who edits `my_models.py` for the next model must not change
what the champion does: its classes are made of its own modules, and Python workers that run them import these.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from headrace.config import modules
from headrace.runtime import cache, hooks
from headrace.runtime.home import home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_lock = threading.RLock()
_imported: dict[str, dict[str, ModuleType]] = {}
"""Modules of versions, by the hash of their code: imported once, and out of the way while they are not used."""


def kept(folder: Path) -> dict[str, modules.Source]:
    """The modules that a version keeps in a folder; from then on in `HEADRACE_HOME`, where Python may compile them."""
    found = {file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*.py"))}
    content = cache.digest(*(part for place, code in found.items() for part in (place, code)))
    sources = {}
    for place, code in found.items():
        own = cache.folder(home(), str(Path("cache", f"code-{content}", place).parent)) / Path(place).name
        if not own.exists():
            cache.write(own, code, mode=0o644)
        module = place.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        sources[module] = modules.Source(module, str(own), place, code)
    return sources


@contextmanager
def as_trained(spark: SparkSession, sources: Mapping[str, modules.Source]) -> Iterator[None]:
    """Import these modules in place of the user's files of the same names, here and in Python workers.

    Columns that are made inside keep to these modules, also when they are computed afterwards.

    Args:
        spark: The session.
        sources: Of a version; nothing is done where the files are the same.
    """
    with _lock:
        known = next((finder for finder in sys.meta_path if isinstance(finder, hooks.Own)), None)
        if known and all(_same(known, one) for one in sources.values()):
            yield
            return
        own = hooks.Own(sources)
        context: Any = spark.sparkContext
        marked, shipped, path = context.environment.get(hooks.MARK), list(context._python_includes), list(sys.path)
        names = {*own.sources, *own.folders}
        before = _taken(names)
        sys.modules.update(_imported.get(own.hash, {}))
        sys.meta_path.insert(0, own)
        try:
            hooks.ship(spark, sources, own.hash)
            yield
        finally:
            sys.meta_path.remove(own)
            _imported[own.hash] = _taken(names)
            sys.modules.update(before)
            context._python_includes[:] = shipped
            sys.path[:] = path
            if marked is None:
                context.environment.pop(hooks.MARK, None)
            else:
                context.environment[hooks.MARK] = marked


def _same(known: hooks.Own, one: modules.Source) -> bool:
    """Whether the user's files have this module; an archive has an empty file for a folder that has none."""
    there = known.sources.get(one.module)
    return there.code == one.code if there else not one.code and one.module in known.folders


def _taken(names: set[str]) -> dict[str, ModuleType]:
    """Modules of these names, which nobody can import by them any more."""
    return {name: sys.modules.pop(name) for name in list(sys.modules) if name in names}
