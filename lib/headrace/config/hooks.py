"""The Python that a pipeline names (`module:name`): where it is used, and whether it can be right.

A hook's file is found and parsed, never executed: a mistake is told before Spark starts. What only execution shows
(a class that is no Estimator) is told by the job.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from headrace.config import modules
from headrace.config.checks.modelling import ESTIMATORS
from headrace.config.file.complaints import meant
from headrace.config.metrics import ALL_METRICS
from headrace.config.types import Pipeline

Found = tuple[str, str]
Kind = Literal["source", "transform", "metric", "estimator", "transformer"]
Node = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | None

WANTED: dict[Kind, str] = {
    "source": "a function (spark, **options) -> DataFrame, or a class, a DataSource of Spark",
    "transform": "a function DataFrame -> DataFrame",
    "metric": "a function DataFrame -> float",
    "estimator": "a class: an Estimator of Spark ML, or a learner with the interface of scikit-learn",
    "transformer": "a class, a Transformer or Estimator of Spark ML",
}
CLASSES: tuple[Kind, ...] = ("estimator", "transformer")


@dataclass(frozen=True)
class Use:
    """A hook and where the YAML names it.

    Attributes:
        where: As `training_set.transform`.
        hook: As `my_features:risk`.
        kind: What it is for.
        options: Names of the arguments that the YAML gives it.
        handed: Names of arguments that it gets besides, if it takes them.
    """

    where: str
    hook: str
    kind: Kind
    options: tuple[str, ...] = ()
    handed: tuple[str, ...] = ()

    @property
    def module(self) -> str:
        """Its module."""
        return self.hook.partition(":")[0]

    @property
    def name(self) -> str:
        """Its name in the module."""
        return self.hook.partition(":")[2]


OFFERED = "headrace.sources"
"""The one module of Headrace that a hook may name."""


def uses(pipeline: Pipeline) -> list[Use]:
    """All hooks of a pipeline, in the order of the YAML."""
    found: list[Use] = []
    for name, table in pipeline.tables.items():
        if table.source.python:
            options = tuple(table.source.options)
            handed = ("since",) if table.source.watermark else ()
            found.append(Use(f"tables.{name}.source.python", table.source.python, "source", options, handed))
        if table.transform:
            found.append(Use(f"tables.{name}.transform", table.transform, "transform"))
    if pipeline.training_set and pipeline.training_set.transform:
        found.append(Use("training_set.transform", pipeline.training_set.transform, "transform"))
    for name, metric in pipeline.metrics.items():
        found.append(Use(f"metrics.{name}.python", metric.python, "metric"))
    for number, one in enumerate(pipeline.search.transformers):
        found.append(Use(f"search.transformers[{number}].class", one.class_, "transformer"))
    for number, estimator in enumerate(pipeline.search.estimators):
        if estimator.class_:
            found.append(Use(f"search.estimators[{number}].class", estimator.class_, "estimator"))
    return found


def use(pipeline: Pipeline, where: str) -> Use:
    """The hook at a place of the YAML.

    Raises:
        KeyError: If there is none.
    """
    return {one.where: one for one in uses(pipeline)}[where]


def code(pipeline: Pipeline, *places: str) -> str:
    """A hash of the code of the hooks at these places, and below them; empty where there is none.

    Args:
        pipeline: The configuration.
        places: As `training_set`, `search` or `tables.orders.source`.
    """
    chosen = _at(pipeline, places)
    return modules.code_of(chosen, modules.folders_beside(pipeline.folders)) if chosen else ""


def meanings(pipeline: Pipeline, *places: str) -> dict[str, str]:
    """Per module that the hooks at these places run: a hash of what it does, whatever its comments and layout."""
    chosen = _at(pipeline, places)
    return modules.meanings(chosen, modules.folders_beside(pipeline.folders)) if chosen else {}


def _at(pipeline: Pipeline, places: Sequence[str]) -> list[str]:
    """The hooks at places of the YAML, and below them."""
    below = tuple(f"{place}{sign}" for place in places for sign in ".[")
    return [one.hook for one in uses(pipeline) if one.where in places or one.where.startswith(below)]


def own_modules(pipeline: Pipeline) -> dict[str, modules.Source]:
    """The user's own modules that a pipeline runs: those of its hooks, and all that these import of the user's."""
    named = [one.module for one in uses(pipeline)]
    return modules.with_imports(named, modules.folders_beside(pipeline.folders)) if named else {}


def check(pipeline: Pipeline) -> Iterator[Found]:
    """What is wrong with a pipeline's hooks, as far as their source tells.

    Returns:
        Pairs (where, what came and what is allowed).
    """
    folders = modules.folders_beside(pipeline.folders)
    for one in uses(pipeline):
        yield from ((one.where, message) for message in _wrong(one, folders))
    yield from _names(pipeline)


def _names(pipeline: Pipeline) -> Iterator[Found]:
    seen: set[str] = set()
    for number, one in enumerate(pipeline.search.estimators):
        if one.class_ and one.name in ESTIMATORS:
            yield f"search.estimators[{number}].name", f"{one.name!r} is one of Headrace's estimators; rename yours"
        elif one.name in seen:
            yield f"search.estimators[{number}]", f"two estimators are called {one.name!r}; rename or leave out one"
        seen.add(one.name)
    for name in pipeline.metrics:
        if name in [known.lower() for known in ALL_METRICS]:
            yield f"metrics.{name}", f"{name!r} is a metric of Spark ML; rename yours"
    for number, gate in enumerate(pipeline.gates):
        if gate.slice and gate.metric in pipeline.metrics:
            message = (
                f"{gate.metric!r} is a metric in Python, which judges all rows at once; for slices take Spark ML's"
            )
            yield f"gates[{number}].metric", message


def _wrong(one: Use, folders: Sequence[Path]) -> Iterator[str]:
    if one.module.partition(".")[0] in modules.NOT_OWN - {"pyspark"} and one.module != OFFERED:
        top = one.module.partition(".")[0]
        yield f"{top!r} is a module of {'Headrace' if top == 'headrace' else 'Python'} itself; call yours otherwise"
        return
    source = modules.own(one.module, folders) or modules.installed(one.module)
    if source is None:
        file = f"{one.module.replace('.', '/')}.py"
        there = sorted({path.stem for folder in folders for path in _python_files(folder)})
        looked = ", ".join(str(folder) for folder in folders)
        yield f"there is no {file} in {looked}, and no such module is installed{meant(one.module, there)}"
        return
    try:
        tree = ast.parse(source.code)
    except SyntaxError as error:
        yield f"{source.file}:{error.lineno or 1}: Python cannot read it: {error.msg}"
        return
    except (ValueError, RecursionError, MemoryError) as error:
        yield f"{source.file}: Python cannot read it: {error}"
        return
    names = _defined(tree.body)
    if names is None:
        return
    if one.name not in names:
        known = [name for name in names if not name.startswith("_")]
        told = [name for name in known if names[name]] or known  # what it imports is seldom meant
        has = f"it defines {', '.join(told[:20])}" if told else "it defines nothing"
        yield f"{source.file} defines no {one.name!r}; {has}{meant(one.name, known)}"
        return
    yield from (f"{source.file}:{line}: {text}" for line, text in _misfit(one, names[one.name]))


def _python_files(folder: Path) -> Iterator[Path]:
    try:
        yield from folder.glob("*.py")
    except OSError:  # a folder that may not be read
        return


def _defined(body: Sequence[ast.stmt]) -> dict[str, Node] | None:
    """Names that a module defines -> its function or class where it is one; None where only execution can tell."""
    found: dict[str, Node] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if node.name == "__getattr__":
                return None
            found[node.name] = node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.asname or alias.name.partition(".")[0] for alias in node.names]
            if "*" in names:
                return None
            found |= dict.fromkeys(names)
        else:
            stored = [n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
            found |= dict.fromkeys(stored)
            for part in ("body", "orelse", "finalbody"):
                inner = _defined(getattr(node, part, []))
                if inner is None:
                    return None
                found |= inner
            for handler in getattr(node, "handlers", []):
                found |= _defined(handler.body) or {}
    return found


def _misfit(one: Use, node: Node) -> Iterator[tuple[int, str]]:
    """What a definition shows: a function in place of a class, arguments that it does not take."""
    if node is None or node.decorator_list:
        return
    wanted = WANTED[one.kind]
    if isinstance(node, ast.ClassDef):
        if one.kind in ("transform", "metric"):
            yield node.lineno, f"{one.name} is a class; wanted is {wanted}"
        return
    if one.kind in CLASSES or isinstance(node, ast.AsyncFunctionDef):
        kind = "an async function" if isinstance(node, ast.AsyncFunctionDef) else "a function"
        yield node.lineno, f"{one.name} is {kind}; wanted is {wanted}"
        return
    arguments = node.args
    plain = [*arguments.posonlyargs, *arguments.args]
    required = len(plain) - len(arguments.defaults)
    if (not plain and not arguments.vararg) or (one.kind != "source" and required > 1):
        took = ", ".join(argument.arg for argument in plain)
        yield node.lineno, f"{one.name}({took}) cannot be called; wanted is {wanted}"
    elif one.kind == "source":
        yield from ((node.lineno, text) for text in _options(one, arguments))


def _options(one: Use, arguments: ast.arguments) -> Iterator[str]:
    """Options that a function of a source does not take, and those that it needs."""
    named = [a.arg for a in [*arguments.args[0 if arguments.posonlyargs else 1 :], *arguments.kwonlyargs]]
    for option in one.options:
        if option not in named and not arguments.kwarg:
            allowed = ", ".join(named) or "none"
            yield f"{one.name} takes no option {option!r}; options: {allowed}{meant(option, named)}"
    plain = arguments.args[0 if arguments.posonlyargs else 1 :]
    optional = {a.arg for a in plain[len(plain) - len(arguments.defaults) :]} if arguments.defaults else set()
    optional |= {a.arg for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None}
    missing = [name for name in named if name not in optional and name not in (*one.options, *one.handed)]
    if missing:
        yield f"{one.name} needs the option {', '.join(missing)}; write it under `options`"
