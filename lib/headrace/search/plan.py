"""How the features of one trial are prepared: `search.preparation` with one value for each choice, per column."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.config.learning import Search
from headrace.config.preparation import Preparation, Vocabulary
from headrace.search.columns import MANY, Columns
from headrace.search.recipe import Kind, Parameter, Recipe

PLACE, BALANCE = "search.preparation.", "search.balance"
"""How choices are called among a trial's parameters: by their place in the YAML, which has a dot in it."""


@dataclass(frozen=True)
class Number:
    """How a number is prepared; see `config.preparation`. `impute` None: missing values are left."""

    impute: str | None = "median"
    fill: float = 0.0
    indicator: bool = True
    scale: str = "none"
    curve: str = "none"
    bins: str = "none"
    bin_count: int = 10
    edges: tuple[float, ...] = ()


@dataclass(frozen=True)
class Category:
    """How a category is encoded."""

    encode: str = "ordinal"
    keep: int = 100
    smoothing: float = 20.0
    size: int = 128


@dataclass(frozen=True)
class Text:
    """How text of many words is prepared."""

    tokens: str = "words"
    ngrams: int = 1
    weights: str = "tfidf"
    size: int = 256


@dataclass(frozen=True)
class Moment:
    """How a date or time is prepared."""

    parts: tuple[str, ...] = ("hour", "weekday")
    cyclic: bool = False
    elapsed: bool = True


@dataclass(frozen=True)
class Plan:
    """How features are prepared; two that are equal give the same rows.

    Attributes:
        kind: Of the estimator.
        numbers: Per column of `Columns.numeric`.
        categories: Per column of `Columns.categories`.
        texts: Per column of `Columns.texts`.
        moments: Per column of `Columns.moments`.
        pca: Principal components in place of all features; 0: none.
        variance: Features with no more variance are left out; None: none.
        correlation: Of two features that correlate more one is left out.
        test: What `top` goes by.
        top: Features that stay; 0: all.
        vocabulary: Of task `topics`: which words are counted.
    """

    kind: Kind
    numbers: tuple[tuple[str, Number], ...] = ()
    categories: tuple[tuple[str, Category], ...] = ()
    texts: tuple[tuple[str, Text], ...] = ()
    moments: tuple[tuple[str, Moment], ...] = ()
    pca: int = 0
    variance: float | None = None
    correlation: float = 1.0
    test: str = "f"
    top: int = 0
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    @property
    def selects(self) -> bool:
        """Whether features are left out."""
        return self.variance is not None or self.correlation < 1 or self.top > 0


@dataclass(frozen=True)
class _Choice:
    """The configuration's sections, each key with the value that a trial has for it."""

    conf: Preparation
    params: Mapping[str, Any] = field(default_factory=dict)

    def of(self, section: str, column: str | None, key: str) -> Any:
        """The value of a key: as said of the column, else of its role, else None."""
        own = self.conf.columns.get(column or "")
        for place, found in ((f"columns.{column}", own), (section, getattr(self.conf, section))):
            values = getattr(found, key, None)
            if values is not None:
                return self.params.get(f"{PLACE}{place}.{key}", values[0])
        return None


def plan(
    kind: Kind, columns: Columns, conf: Preparation | None = None, params: Mapping[str, Any] | None = None
) -> Plan:
    """Settle how features are prepared.

    Args:
        kind: Of the estimator.
        columns: What was learned of the training rows.
        conf: `search.preparation`.
        params: Of a trial; what they do not say is as it comes first in the configuration.
    """
    told = _Choice(conf or Preparation(), params or {})
    made = Plan(
        kind,
        pca=told.of("reduce", None, "pca"),
        variance=told.of("select", None, "variance"),
        correlation=told.of("select", None, "correlation"),
        test=told.of("select", None, "test"),
        top=told.of("select", None, "top"),
        vocabulary=told.conf.vocabulary,
    )
    return replace(
        made,
        numbers=tuple((name, _number(told, name, made, name in columns.moments)) for name in columns.numeric),
        categories=tuple((name, _category(told, name, kind, columns, made.pca > 0)) for name in columns.categories),
        texts=tuple((name, _text(told, name, kind)) for name in columns.texts),
        moments=tuple((name, _moment(told, name, kind, columns.types[name])) for name in columns.moments),
    )


def _number(told: _Choice, name: str, of: Plan, moment: bool) -> Number:
    section = {key: told.of("numbers", name, key) for key in ("impute", "fill", "indicator", "scale", "curve", "bins")}
    if moment:  # what is said of numbers is not meant for seconds since 1970
        section |= {"curve": "none", "bins": "none"}
    edges = told.conf.columns[name].edges if name in told.conf.columns else ()
    bins = "none" if edges else section["bins"]
    if section["impute"] == "auto":  # XGBoost has its own way with what is missing; vectors that are compared have none
        whole = of.kind != "native" or bool(of.pca or of.selects or edges) or bins != "none"
        section["impute"] = "median" if whole else None
    if section["scale"] == "auto":
        section["scale"] = "standard" if of.kind == "linear" or of.pca else "none"
    indicator = section["impute"] is not None if section["indicator"] == "auto" else section["indicator"]
    if edges or bins != "none":
        section |= {"scale": "none", "curve": "none"}
    return Number(
        impute=section["impute"],
        fill=section["fill"] if section["impute"] == "constant" else 0.0,
        indicator=indicator,
        scale=section["scale"],
        curve=section["curve"],
        bins=bins,
        bin_count=told.of("numbers", name, "bin_count") if bins != "none" else 0,
        edges=edges,
    )


def _category(told: _Choice, name: str, kind: Kind, columns: Columns, pca: bool) -> Category:
    encode = told.of("categories", name, "encode")
    if encode == "auto":  # ranks go up to `keep`: components would be of nothing else
        hot = kind == "linear" or pca
        encode = "one_hot" if hot else "target" if name in columns.many else "ordinal"
    size = told.of("categories", name, "size") or (1024 if kind == "linear" else 128)
    wide = encode in ("frequency", "target", "woe")
    kept = told.of("categories", name, "keep") or (max(MANY, columns.keep) if wide else columns.keep)
    return Category(
        encode=encode,
        keep=0 if encode == "hash" else kept,
        smoothing=told.of("categories", name, "smoothing") if encode in ("target", "woe") else 0.0,
        size=size if encode == "hash" else 0,
    )


def _text(told: _Choice, name: str, kind: Kind) -> Text:
    tokens = told.of("texts", name, "tokens")
    return Text(
        tokens=tokens,
        ngrams=told.of("texts", name, "ngrams") or (1 if tokens == "words" else 3),
        weights=told.of("texts", name, "weights"),
        size=told.of("texts", name, "size") or (16_384 if kind == "linear" else 256),
    )


def _moment(told: _Choice, name: str, kind: Kind, of: str) -> Moment:
    own = told.conf.columns.get(name)
    parts = own.parts if own and own.parts is not None else told.conf.moments.parts
    parts = ("hour", "weekday") if parts is None else parts
    cyclic = told.of("moments", name, "cyclic")
    return Moment(
        parts=tuple(part for part in parts if of != "date" or part not in ("hour", "minute")),
        cyclic=kind == "linear" if cyclic == "auto" else cyclic,
        elapsed=told.of("moments", name, "elapsed"),
    )


def choices(search: Search) -> dict[str, tuple[Any, ...]]:
    """What of preparation and balance is searched: name of the hyperparameter -> values."""
    found = {PLACE + path: values for path, values in search.preparation.choices().items()}
    return found | ({BALANCE: search.balance} if len(search.balance) > 1 else {})


def with_choices(recipes: Mapping[str, Recipe], search: Search) -> dict[str, Recipe]:
    """Estimators whose space has the choices of preparation and balance as well, their first values first."""
    found = choices(search)
    space = {name: Parameter(0, len(values) - 1, "choice", values) for name, values in found.items()}
    first = {name: values[0] for name, values in found.items()}
    return {
        name: recipe
        if recipe.kind == "ids"
        else replace(recipe, first={**recipe.first, **first}, space={**recipe.space, **space})
        for name, recipe in recipes.items()
    }


def of_estimator(params: Mapping[str, Any]) -> dict[str, Any]:
    """A trial's parameters without those of preparation and balance."""
    return {name: value for name, value in params.items() if "." not in name}
