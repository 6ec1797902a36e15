"""A hash of the code that a stage runs: its package and all it imports of Headrace below it."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import pkgutil
from functools import cache
from importlib.resources import files

NOT_RESULTS = frozenset({"headrace.errors", "headrace.runtime.progress", "headrace.runtime.runner"})
"""Modules that shape messages and order, never results."""


@cache
def _source(module: str) -> str | None:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.loader is None:
        return None
    get_source = getattr(spec.loader, "get_source", None)  # also where the library is shipped as a zip
    return get_source(module) if get_source else None


@cache
def _imports(module: str) -> frozenset[str]:
    found = set()
    for node in ast.walk(ast.parse(_source(module) or "")):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names if a.name.startswith("headrace.")}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("headrace"):
            found.add(node.module or "")
            found |= {f"{node.module}.{a.name}" for a in node.names if _is_module(f"{node.module}.{a.name}")}
    return frozenset(found - {"headrace"})


@cache
def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:
        return False


def modules(package: str) -> list[str]:
    """A package's modules and all modules of Headrace that they import, sorted."""
    spec = importlib.util.find_spec(package)
    start = [package]
    if spec and spec.submodule_search_locations:
        start += [f"{package}.{m.name}" for m in pkgutil.iter_modules(spec.submodule_search_locations)]
    seen: set[str] = set()
    while start:
        module = start.pop()
        if module not in seen and module not in NOT_RESULTS:
            seen.add(module)
            start += _imports(module)
    return sorted(seen)


@cache
def code_hash(*packages: str) -> str:
    """Hash over the sources of packages and what they import below them."""
    digest, every = hashlib.sha256(), sorted({m for p in packages for m in modules(p)})
    for module in every:
        digest.update(module.encode() + b"\0" + (_source(module) or "").encode() + b"\0")
    for package in sorted({module.rpartition(".")[0] or module for module in every}):
        digest.update(_java(package))
    return digest.hexdigest()[:16]


@cache
def _java(package: str) -> bytes:
    """What of a package is written in Java."""
    there = sorted((one for one in files(package).iterdir() if one.name.endswith(".java")), key=lambda one: one.name)
    return b"".join(one.name.encode() + b"\0" + one.read_bytes() + b"\0" for one in there)
