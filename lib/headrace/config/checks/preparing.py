"""Whether preparation, balance, calibration and threshold go with the task, and with themselves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from headrace.config.checks import deciding
from headrace.config.file.document import shown
from headrace.config.learning import UNLABELLED, Search
from headrace.config.metrics import task_named
from headrace.config.section import Section

Found = tuple[str, str]
CLASSES = ("binary", "multiclass")


def check(search: Search, task: str | None) -> Iterator[Found]:
    """What cannot be right: pairs (where, what came and what is allowed).

    Args:
        search: The configuration.
        task: What is learned; None where nobody knows yet.
    """
    conf = search.preparation
    if task == "recommendation" and "preparation" in search.model_fields_set:
        yield "search.preparation", "a recommendation learns from users and items alone; leave it out"
    yield from _words(search, task)
    balance = [how for how in search.balance if how != "none"]
    if balance and task and task not in CLASSES:
        yield "search.balance", f"{balance[0]} is for classes, and the task is {task_named(task)}; leave it out"
    yield from deciding.check(search, task)
    for where, encode in encodings(search):
        if encode in ("target", "woe") and task in UNLABELLED:
            yield where, f"{encode} needs a label, and the task {task} has none; write frequency"
        if encode == "woe" and task in ("regression", "survival"):
            other = "frequency" if task == "survival" else "target"
            yield where, f"woe (weight of evidence) is for classes, and the task is {task_named(task)}; write {other}"
        if encode == "target" and task == "survival":
            yield where, "target takes the label's mean, and a censored label is only a lower bound; write frequency"
    if any(conf.select.top) and task == "survival":
        told = "features are chosen by the label, and a censored label is only a lower bound; write variance or correlation"
        yield "search.preparation.select.top", told
    if any(conf.select.top) and task in UNLABELLED:
        yield (
            "search.preparation.select.top",
            f"the task {task} has no label to choose by; write variance or correlation",
        )
    for number, (one, other) in enumerate(conf.interactions):
        if one == other:
            yield (
                f"search.preparation.interactions[{number}]",
                f"{one!r} with itself says no more than it does; name another",
            )
    if "fill" in conf.numbers.model_fields_set and "constant" not in conf.numbers.impute:
        yield (
            "search.preparation.numbers.fill",
            "it is the value of `impute: constant`; write that too, or leave it out",
        )


def _words(search: Search, task: str | None) -> Iterator[Found]:
    """What of the preparation topics have: how texts are cut into words, and which words are counted."""
    conf = search.preparation
    if task is None:
        return
    if task != "topics":
        if "vocabulary" in conf.model_fields_set:
            yield (
                "search.preparation.vocabulary",
                f"it belongs to task: topics, and the task is {task_named(task)}; leave it out",
            )
        return
    sections: dict[str, Section] = {"texts": conf.texts}
    sections |= {f"columns.{name}": one for name, one in conf.columns.items()}
    for name in sorted(conf.model_fields_set - {"texts", "columns", "vocabulary"}):
        yield f"search.preparation.{name}", "topics are of words alone; allowed: texts.ngrams, columns, vocabulary"
    for place, section in sections.items():
        for key in sorted(section.model_fields_set):
            value = getattr(section, key)
            where = f"search.preparation.{place}.{key}"
            if key == "ngrams" and len(value) > 1:
                told = "perplexities over other words cannot be compared, so that it is no choice; write one number"
                yield where, told
            elif key != "ngrams" and (key, value) not in (("role", "text"), ("tokens", ("words",))):
                came = shown(value[0] if isinstance(value, tuple) and value else value)
                yield where, f"{came} came; words are counted as they are: of texts only `ngrams` can be said"


def encodings(search: Search) -> Iterator[tuple[str, Any]]:
    """How categories are encoded, and where it says so."""
    conf = search.preparation
    for encode in conf.categories.encode:
        yield "search.preparation.categories.encode", encode
    for name, one in conf.columns.items():
        for encode in one.encode or ():
            yield f"search.preparation.columns.{name}.encode", encode
