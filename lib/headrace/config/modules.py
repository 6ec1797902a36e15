"""Python modules as files: where a hook's module is, which of the user's own modules it imports, and their hash.

Nothing is executed: sources are only read and parsed. A hook's modules are looked for beside the YAML, in `hooks/`
beside it, in the current folder and its `hooks/`, and last where Python finds what is installed.
"""

from __future__ import annotations

import ast
import hashlib
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

NOT_OWN = sys.stdlib_module_names | {"headrace", "pyspark"}
"""Names that a file beside the YAML cannot take over."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Source:
    """A module's file, whole.

    Attributes:
        module: Its name, as `features.risk`.
        file: Where it is, for people.
        place: Its path below the folder in which Python looks for modules, as `features/risk.py`.
        code: What is in it.
    """

    module: str
    file: str
    place: str
    code: bytes

    @property
    def is_package(self) -> bool:
        """Whether it is the file of a folder of modules."""
        return self.place.endswith("__init__.py")


def folders_beside(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Where a pipeline's own modules are looked for.

    Args:
        folders: Of the YAML, and of the files that it builds on.
    """
    return tuple(dict.fromkeys(place for root in (*folders, Path.cwd()) for place in (root, root / "hooks")))


def own(module: str, folders: Sequence[Path]) -> Source | None:
    """A module of the user's own, in the first folder that has it."""
    if module.partition(".")[0] in NOT_OWN:
        return None
    return next((found for folder in folders if (found := _in(folder, module))), None)


def installed(module: str) -> Source | None:
    """A module where Python finds what is installed, or came with the job (an archive)."""
    for entry in sys.path:
        path = Path(entry or ".")
        try:
            found = _in(zipfile.Path(path), module) if path.suffix == ".zip" and path.is_file() else _in(path, module)
        except (OSError, zipfile.BadZipFile):
            continue
        if found:
            return found
    return None


def _in(folder: Path | zipfile.Path, module: str) -> Source | None:
    inner = module.replace(".", "/")
    for place in (f"{inner}/__init__.py", f"{inner}.py"):
        file = folder / place
        try:
            if file.is_file():
                return Source(module, str(file), place, file.read_bytes())
        except (OSError, ValueError):  # a folder that may not be read, a name too long for the file system
            continue
    return None


def with_imports(modules: Iterable[str], folders: Sequence[Path]) -> dict[str, Source]:
    """The user's own modules among these, and all of the user's own that they import, by name, sorted."""
    found: dict[str, Source] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        source = own(name, folders) if name and name not in found else None
        if source:
            found[name] = source
            waiting += _imports(source)
        parent = name.rpartition(".")[0]
        if parent and parent not in found:
            waiting.append(parent)
    return dict(sorted(found.items()))


def _imports(source: Source) -> Iterator[str]:
    """Names that may be modules; those that are none are not found later."""
    try:
        tree = ast.parse(source.code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return  # told where the hook is checked
    package = source.module if source.is_package else source.module.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names if base)


def code_of(hooks: Iterable[str], folders: Sequence[Path]) -> str:
    """A hash of the code of hooks (`module:name`): their modules and all of the user's own that these import."""
    names = sorted({hook.partition(":")[0] for hook in hooks})
    sources = with_imports(names, folders)
    for name in names:
        if name not in sources and (found := installed(name)):
            sources[name] = found
    return content_hash(sources)


def content_hash(sources: Mapping[str, Source]) -> str:
    """A short hash of modules, by name and content."""
    whole = hashlib.sha256()
    for name, source in sorted(sources.items()):
        whole.update(name.encode() + b"\0" + hashlib.sha256(source.code).digest())
    return whole.hexdigest()[:16]


def meanings(hooks: Iterable[str], folders: Sequence[Path]) -> dict[str, str]:
    """A hash of what each module does, of those that hooks (`module:name`) run of the user's own; installed ones too.

    Comments, docstrings and layout do not count: they change no value.
    """
    names = sorted({hook.partition(":")[0] for hook in hooks})
    sources = with_imports(names, folders)
    for name in names:
        if name not in sources and (found := installed(name)):
            sources[name] = found
    return {name: hashlib.sha256(_bare(source.code)).hexdigest()[:16] for name, source in sorted(sources.items())}


def _bare(code: bytes) -> bytes:
    """A module's code as Python itself would write it, without what is only for people."""
    try:
        tree = ast.parse(code)
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if (
                isinstance(body, list)
                and body
                and isinstance(node, _DOCUMENTED)
                and ast.get_docstring(node) is not None
            ):
                node.body = body[1:] or [ast.Pass()]
        return ast.unparse(tree).encode()
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code  # told where the hook is checked


def archive_of(sources: Mapping[str, Source]) -> dict[str, bytes]:
    """Files for an archive from which the modules can be imported: path -> content."""
    files = {source.place: source.code for source in sources.values()}
    for place in list(files):
        for folder in list(Path(place).parents)[:-1]:
            files.setdefault(f"{folder.as_posix()}/__init__.py", b"")  # an archive has no packages without it
    return dict(sorted(files.items()))
