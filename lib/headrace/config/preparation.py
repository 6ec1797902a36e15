"""How features are prepared for estimators: `search.preparation`. Where one value stands, a list is a choice to be searched."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, GetJsonSchemaHandler, model_validator
from pydantic_core import PydanticKnownError

from headrace.config.file.document import shown
from headrace.config.section import Section
from headrace.config.values import Column, Columns

T = TypeVar("T")


class _Choice:
    """For editors: a value, or a list of them."""

    def __get_pydantic_json_schema__(self, core: Any, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        array = handler(core)
        one = dict(array["items"])
        if "enum" in one:
            one.pop("type", None)
        return {"anyOf": [one, {"type": "array", "items": one, "minItems": 1}]}


WORDS, FEW_WORDS = 4, 2
"""Text of so many words on average, and of more values than are kept, is not taken for a category; of few words where
there are more values than half the rows: titles, names."""
NO_CHOICE = ("parts", "edges", "interactions", "stop_words", "leave_out")
"""Keys whose list is one value."""


def _several(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if not values:
        raise ValueError("an empty list came; write a value, or the values to be tried")
    if len({repr(value) for value in values}) < len(values):
        raise ValueError(f"a value stands twice in {', '.join(shown(value) for value in values)}; leave one out")
    return values


OneOf = Annotated[tuple[T, ...], BeforeValidator(_several), AfterValidator(_distinct), _Choice()]
"""A value, or several that the search tries."""


def _no_flag(value: object) -> object:
    """`true` is no number, though pydantic takes it for 1."""
    if isinstance(value, bool):
        raise PydanticKnownError("float_type")
    return value


_Real = Annotated[float, BeforeValidator(_no_flag)]
_Share = Annotated[float, Field(gt=0, le=1), BeforeValidator(_no_flag)]
_Weight = Annotated[float, Field(ge=0), BeforeValidator(_no_flag)]
_Size = Annotated[int, Field(ge=2, le=2**20), BeforeValidator(_no_flag)]
_Keep = Annotated[int, Field(ge=2, le=10_000), BeforeValidator(_no_flag)]
_Bins = Annotated[int, Field(ge=2, le=100), BeforeValidator(_no_flag)]
_Grams = Annotated[int, Field(ge=1, le=5), BeforeValidator(_no_flag)]
_Top = Annotated[int, Field(ge=0), BeforeValidator(_no_flag)]
_Switch = Literal["auto", True, False]

Impute = Literal["auto", "median", "mean", "mode", "constant"]
Scale = Literal["auto", "standard", "min_max", "robust", "none"]
Curve = Literal["none", "log", "sqrt", "yeo_johnson"]
Bins = Literal["none", "quantile", "uniform"]
Encode = Literal["auto", "one_hot", "ordinal", "frequency", "hash", "target", "woe"]
Tokens = Literal["words", "characters"]
Weights = Literal["tfidf", "counts", "binary"]
Part = Literal["year", "quarter", "month", "day", "weekday", "hour", "minute"]
Language = Literal[
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian", "norwegian", "portuguese",
    "russian", "spanish", "swedish", "turkish",
]  # fmt: skip
Balance = Literal["none", "weights", "undersample", "oversample"]


class Numbers(Section):
    """Numbers, and flags (true, false)."""

    impute: OneOf[Impute] = Field(
        ("auto",), description="missing values: auto (median; xgboost takes them as they are), mean, mode, constant"
    )
    fill: OneOf[_Real] = Field((0.0,), description="the value of `impute: constant`")
    indicator: OneOf[_Switch] = Field(
        ("auto",), description="a feature more for what was missing; auto: where it is imputed"
    )
    scale: OneOf[Scale] = Field(
        ("auto",), description="auto: standard for linear models, clusters and mixtures, none for trees"
    )
    curve: OneOf[Curve] = Field(
        ("none",),
        description="log: sign(x) log(1 + |x|); sqrt: sign(x) sqrt(|x|); yeo_johnson: its exponent is learned",
    )
    bins: OneOf[Bins] = Field(
        ("none",), description="intervals instead of the number: quantile (as many rows), uniform"
    )
    bin_count: OneOf[_Bins] = Field((10,), description="intervals of `bins`")


class Categories(Section):
    """Text of few words that comes again and again."""

    encode: OneOf[Encode] = Field(
        ("auto",),
        description="auto: one_hot for linear models; ordinal (rank by frequency) for trees, target where there are more "
        "values than max_categories (numbers, and labels of two classes)",
    )
    keep: OneOf[_Keep] | None = Field(
        None,
        description="values kept per column, the rest become one; default: search.max_categories (frequency, target, woe: 1000)",
    )
    smoothing: OneOf[_Weight] = Field(
        (20.0,), description="target, woe: so many rows of the mean of all are added to each value's"
    )
    size: OneOf[_Size] | None = Field(None, description="hash: places; default: 1024 for linear models, 128 for trees")


class Texts(Section):
    """Text of many words."""

    tokens: OneOf[Tokens] = Field(("words",), description="words, or runs of characters")
    ngrams: OneOf[_Grams] | None = Field(
        None, description="longest run of tokens; default: 1 of words, 3 of characters"
    )
    weights: OneOf[Weights] = Field(("tfidf",), description="tfidf (of length 1), counts, or binary")
    size: OneOf[_Size] | None = Field(
        None, description="places that tokens are hashed to; default: 16384 for linear models, 256 for trees"
    )


class Vocabulary(Section):
    """The words that topics are made of: of the training rows, the same for all trials."""

    size: _Size = Field(10_000, description="words kept at most: those that the most rows have")
    min_rows: Annotated[int, Field(ge=1), BeforeValidator(_no_flag)] = Field(
        2, description="words that fewer training rows have are left out"
    )
    max_share: _Share = Field(1.0, description="words that a greater share of the training rows has are left out")
    stop_words: Annotated[tuple[Language, ...], BeforeValidator(_several)] = Field(
        ("english",), description="languages whose most common words are left out; []: none. No choice: all of them"
    )
    leave_out: Annotated[tuple[str, ...], BeforeValidator(_several)] = Field(
        (), description="further words that are left out"
    )


class Moments(Section):
    """Dates and times."""

    parts: Annotated[tuple[Part, ...], BeforeValidator(_several)] | None = Field(
        None, description="features of them (UTC); default: hour and weekday. No choice: all of them"
    )
    cyclic: OneOf[_Switch] = Field(
        ("auto",), description="parts as sine and cosine, so that 23 is next to 0; auto: for linear models"
    )
    elapsed: OneOf[bool] = Field((True,), description="the time itself as a number: seconds, or days, since 1970")


class Reduce(Section):
    """Fewer features out of many."""

    pca: OneOf[_Top] = Field((0,), description="principal components in place of all features; 0: none")


class Select(Section):
    """Which features are left out, in this order; learned on training rows."""

    variance: OneOf[_Weight] | None = Field(None, description="those with no more variance")
    correlation: OneOf[_Share] = Field(
        (1.0,), description="the later of two that correlate more (absolute value); 1: none"
    )
    test: OneOf[Literal["f", "importance"]] = Field(
        ("f",), description="what `top` goes by: F test with the label, or importance in a small random forest"
    )
    top: OneOf[_Top] = Field((0,), description="only so many, the best by `test`; 0: all")


class OneColumn(Section):
    """A column that is prepared otherwise than its role; keys as there."""

    role: Literal["number", "category", "text", "moment"] | None = Field(
        None, description="what it is prepared as; default: by type, text by its words"
    )
    impute: OneOf[Impute] | None = Field(None, description="number")
    fill: OneOf[_Real] | None = Field(None, description="number")
    indicator: OneOf[_Switch] | None = Field(None, description="number")
    scale: OneOf[Scale] | None = Field(None, description="number")
    curve: OneOf[Curve] | None = Field(None, description="number")
    bins: OneOf[Bins] | None = Field(None, description="number")
    bin_count: OneOf[_Bins] | None = Field(None, description="number")
    edges: tuple[_Real, ...] = Field((), description="number: ends of its intervals, rising; no choice")
    encode: OneOf[Encode] | None = Field(None, description="category")
    keep: OneOf[_Keep] | None = Field(None, description="category")
    smoothing: OneOf[_Weight] | None = Field(None, description="category")
    size: OneOf[_Size] | None = Field(None, description="category, text")
    tokens: OneOf[Tokens] | None = Field(None, description="text")
    ngrams: OneOf[_Grams] | None = Field(None, description="text")
    weights: OneOf[Weights] | None = Field(None, description="text")
    parts: Annotated[tuple[Part, ...], BeforeValidator(_several)] | None = Field(None, description="moment")
    cyclic: OneOf[_Switch] | None = Field(None, description="moment")
    elapsed: OneOf[bool] | None = Field(None, description="moment")

    @model_validator(mode="after")
    def _rising(self) -> OneColumn:
        if list(self.edges) != sorted(set(self.edges)):
            raise ValueError(f"edges must rise; these are {list(self.edges)}")
        if self.edges and (self.bins or self.bin_count):
            raise ValueError("edges are the intervals: leave out bins and bin_count")
        return self


class Preparation(Section):
    """How features are prepared, by the role of their columns; part of the model, learned on training rows."""

    numbers: Numbers = Field(Numbers(), description="numbers, true and false")
    categories: Categories = Field(Categories(), description="text of few words")
    texts: Texts = Field(Texts(), description="text of many words")
    vocabulary: Vocabulary = Field(Vocabulary(), description="task topics: the words that are counted")
    moments: Moments = Field(Moments(), description="dates and times")
    columns: dict[Column, OneColumn] = Field({}, description="columns that are prepared otherwise than their role")
    interactions: tuple[Annotated[Columns, Field(min_length=2, max_length=2)], ...] = Field(
        (), description="pairs of columns: the product of two numbers, a category of two texts"
    )
    reduce: Reduce = Field(Reduce(), description="fewer features out of many")
    select: Select = Field(Select(), description="which features are left out")

    def choices(self) -> dict[str, tuple[Any, ...]]:
        """What is searched: the path of a key -> its values; only where there are several."""
        return {path: values for path, values in _walk(self, "") if len(values) > 1}


def _walk(section: Section, prefix: str) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, tuple) and name not in NO_CHOICE:
            yield prefix + name, value
        elif isinstance(value, Section):
            yield from _walk(value, f"{prefix}{name}.")
        elif isinstance(value, dict):
            for key, one in value.items():
                yield from _walk(one, f"{prefix}{name}.{key}.")
