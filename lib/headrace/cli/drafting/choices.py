"""What follows from the facts: task, label, what is left out and how rows are split, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from headrace.cli.drafting.splits import split_of
from headrace.cli.drafting.suggestions import Suggestion, rules
from headrace.cli.profiling.facts import ColumnFacts, DataFacts, Request, quoted
from headrace.cli.profiling.leaking import is_number
from headrace.config.checks.references import RESERVED
from headrace.config.learning import UNLABELLED
from headrace.errors import ConfigError, DataError

INTEGERS = ("tinyint", "smallint", "int", "bigint")
NUMBERS = (*INTEGERS, "float", "double")
MOST_CLASSES = 100
MOST_INTEGER_CLASSES = 20
MANY_VALUES = 1_000
RARE = 0.05
LONG = 30
"""Characters of a text that is more than a name."""
MANY_TEXTS = "text with"
FEATURE_TYPES = (*NUMBERS, "boolean", "string")
MADE = ("predict_at", "label", "label_known_at", "split")


@dataclass(frozen=True)
class Choices:
    """What the YAML will say.

    Attributes:
        name: Pipeline and table.
        task: binary, multiclass or regression.
        label: SQL.
        label_reason: Why so.
        excluded: Column -> why it is no feature.
        split: Lines of YAML below `split:`, or None for a split by hash.
        split_reason: Why so.
        rules: What holds on the data.
        metric: What the search optimizes; None: the task's default.
        balance: How the label's values are spread; empty where there is nothing to say.
        asks: Key -> SQL or column, in place of a label: of a recommendation user, item and rating.
        texts: Of topics: columns that are read.
    """

    name: str
    task: str
    label: str
    label_reason: str
    excluded: dict[str, str]
    split: dict[str, str] | None
    split_reason: str
    rules: tuple[Suggestion, ...] = ()
    metric: str | None = None
    balance: str = ""
    asks: Mapping[str, str] = field(default_factory=dict)
    texts: tuple[str, ...] = ()


def choose(facts: DataFacts, request: Request) -> Choices:
    """Decide.

    Raises:
        ConfigError: If the label cannot serve the task that is asked for.
        DataError: If no column is left to learn from.
    """
    if facts.label is None:
        return _without_label(facts, request)
    task, why = _task(facts, request)
    label, reason = _label(facts, task)
    excluded = {c.name: why_not for c in facts.columns if (why_not := _excluded(c, facts, request))}
    never = {*excluded, facts.label, *facts.key, facts.event_time}
    if not [c for c in facts.columns if (c.type in FEATURE_TYPES or is_number(c.type)) and c.name not in never]:
        reasons = "; ".join(f"{name}: {text}" for name, text in excluded.items())
        raise DataError(f"no column is left to learn {request.label} from ({reasons or 'there is only the label'})")
    split, split_reason = split_of(facts)
    metric, balance = _balance(facts, task)
    return Choices(
        _name(request, facts),
        task,
        label,
        f"{reason}{why}",
        excluded,
        split,
        split_reason,
        tuple(rules(facts, set(excluded))),
        metric,
        balance,
    )


def _without_label(facts: DataFacts, request: Request) -> Choices:
    if request.task not in (*UNLABELLED, "recommendation"):
        raise ConfigError("name the column to predict: --label COL")
    recommends = request.task == "recommendation"
    excluded = {c.name: why_not for c in facts.columns if (why_not := _excluded(c, facts, request))}
    split, split_reason = split_of(facts)
    found = tuple(rules(facts, set(excluded)))
    asks = _rated(facts, request) if recommends else {}
    texts = _texts(facts, excluded) if request.task == "topics" else ()
    kept = {} if recommends else {name: why for name, why in excluded.items() if name not in texts}
    told = "learns from user, item and rating" if recommends else "learns without a label"
    return Choices(
        _name(request, facts), request.task, "", told, kept, split, split_reason, found, asks=asks, texts=texts
    )


def _texts(facts: DataFacts, excluded: Mapping[str, str]) -> tuple[str, ...]:
    """Columns of text, the long ones where there are any: also those that have too many values to be features."""
    found = [
        column
        for column in facts.columns
        if column.type == "string"
        and column.name not in (facts.event_time, *facts.key)
        and (column.name not in excluded or excluded[column.name].startswith(MANY_TEXTS))
    ]
    if not found:
        raise DataError("--task topics reads texts, and no column of text is left")
    long = [column for column in found if column.profile.longest >= LONG]
    return tuple(column.name for column in long or found)


def _rated(facts: DataFacts, request: Request) -> dict[str, str]:
    called = {given.lower(): column.name for column in facts.columns for given in (column.name, column.written)}
    asks = {flag: called[str(getattr(request, flag)).strip().lower()] for flag in ("user", "item")}
    if request.rating is None:
        return {**asks, "implicit": "1"}
    rating = facts.column(called[request.rating.strip().lower()])
    if rating.type not in NUMBERS:
        raise ConfigError(f"--rating {request.rating}: a rating is a number; this is {_kind_in_words(rating.type)}")
    return {**asks, "rating": quoted(rating.name)}


def _balance(facts: DataFacts, task: str) -> tuple[str | None, str]:
    """A metric that does not reward saying the frequent value always, where one value is rare."""
    if task == "regression":
        return None, ""
    rare, count = facts.values.counts[-1]
    share = count / facts.values.rows
    if share >= RARE:
        return None, ""
    told = f"class imbalance: {rare} is {share:.2%} of the labels ({count:,} rows)"
    if task != "binary":
        return None, f"{told}; f1 hardly sees it"
    return "areaUnderPR", f"{told}; areaUnderROC looks good even where few alarms are right"


def _name(request: Request, facts: DataFacts) -> str:
    stem = request.name or Path(request.data.rstrip("/*")).name.split(".")[0]
    if not request.name and facts.read.format in ("table", "jdbc"):
        stem = (request.data or request.options.get("dbtable", "")).split(".")[-1]
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem.lower()).strip("_")
    while "__" in name:
        name = name.replace("__", "_")
    name = name or "data"
    name = f"t_{name}" if name[0].isdigit() else name
    return f"data_of_{name}" if name in RESERVED or name.startswith("raw_") or name.endswith("_quarantine") else name


def _task(facts: DataFacts, request: Request) -> tuple[str, str]:
    number = len(facts.values.counts)
    kind = facts.labelled.type
    if request.task:
        _possible(facts, request.task, number, kind)
        return request.task, ""
    if number == 2:
        return "binary", ""
    many = MOST_INTEGER_CLASSES if kind in INTEGERS else MOST_CLASSES
    if kind in (*INTEGERS, "string", "boolean") and number <= many:
        measured = "; write `task: regression` if they measure something"
        hint = measured if kind in INTEGERS else ""
        return "multiclass", f"; {number} values{hint}"
    if kind in NUMBERS:
        return "regression", ""
    raise ConfigError(
        f"the label {request.label} is {_kind_in_words(kind)} with more than {MOST_CLASSES} values; "
        "choose another column, or make a coarser one"
    )


def _kind_in_words(kind: str) -> str:
    return "text" if kind == "string" else f"a {kind}"


def _possible(facts: DataFacts, task: str, number: int, kind: str) -> None:
    if task not in ("binary", "multiclass", "regression"):
        raise ConfigError(f"--task {task} goes with no label; allowed with one: binary, multiclass, regression")
    if task == "binary" and number != 2:
        shown = ", ".join(value for value, _ in facts.values.counts[:5])
        raise ConfigError(f"--task binary needs a label of two values; {facts.label} has {number}: {shown} ...")
    if task == "multiclass" and number > MOST_CLASSES:
        raise ConfigError(
            f"--task multiclass: {facts.label} has more than {MOST_CLASSES} values; choose a coarser label"
        )
    if task == "regression" and kind not in NUMBERS:
        raise ConfigError(f"--task regression needs a label of numbers; {facts.label} is {_kind_in_words(kind)}")


def _label(facts: DataFacts, task: str) -> tuple[str, str]:
    column = facts.labelled
    name = quoted(column.name)
    missing = facts.rows - facts.values.rows if len(facts.values.counts) <= MOST_CLASSES else 0
    unknown = f"; {missing:,} rows without a value are only scored" if missing else ""
    if task != "binary":
        return name, f"as it is{unknown}"
    (_, _), (rare, count) = facts.values.counts
    share = f"{count:,} of {facts.values.rows:,} rows"
    values = {value for value, _ in facts.values.counts}
    if column.type == "boolean":
        return name, f"positive: true{unknown}"
    if column.type in NUMBERS and values <= {"0", "1", "0.0", "1.0"}:
        return name, f"positive: 1{unknown}"
    literal = rare if column.type in NUMBERS else "'" + rare.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return (
        f"{name} = {literal}",
        f"positive: the rarer value ({share}); turn it round if the other one is meant{unknown}",
    )


def _excluded(column: ColumnFacts, facts: DataFacts, request: Request) -> str | None:
    """Why a column is no feature; None where it may be one, or is none anyway."""
    profile = column.profile
    if column.name in (facts.label, facts.event_time, *facts.key):
        return None
    if column.name in facts.leaks:
        return f"LEAK? {facts.leaks[column.name]}; delete this line if it is known when a prediction is made"
    if column.name in {name.strip().lower() for name in request.exclude} or column.written in request.exclude:
        return "left out on request"
    if column.name in MADE:
        return "a name that the training set uses itself"
    if column.type == "other":
        return "holds arrays, structs or bytes"
    if profile.filled - (profile.marked if column.type != "string" else 0) <= 0:
        return "has no value at all"
    if profile.distinct <= 1 and not profile.missing:
        return "has one value only"
    return _names_things(column, facts)


def _names_things(column: ColumnFacts, facts: DataFacts) -> str | None:
    profile = column.profile
    unique = profile.distinct > 0.9 * profile.filled and profile.filled > 20
    id_like = column.name.startswith("unnamed") or column.name.endswith(("id", "_key", "_no", "_nr", "index", "code"))
    if unique and id_like and column.type in (*INTEGERS, "string"):
        return "names rows: almost every row has a value of its own"
    if column.type == "string" and (profile.distinct > MANY_VALUES or (unique and profile.filled > 20)):
        return f"{MANY_TEXTS} about {profile.distinct:,} different values; make features of it under row_features"
    return None
