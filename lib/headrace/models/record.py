"""What a version carries beside the model: where it comes from, whole, as `version.json`; and as a page for people.

Tags of MLflow are short (5,000 characters in its databases), so they hold digests and what commands list; all else is
in files of the version's MLflow run.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from headrace.config.secrets import redacted
from headrace.models.card import ModelCard
from headrace.models.store import ModelStore
from headrace.models.version import Version

RECORD_FILE = "version.json"
PAGE_FILE = "model_card.md"
EXAMPLE_FILE = "input_example.json"
DEFINITIONS = "definitions"
"""Tag of a version: the digest of what its features are made of."""
PACKAGES = ("headrace", "pyspark", "delta-spark", "mlflow", "xgboost-cpu", "numpy", "pandas", "pyarrow", "hyperopt")


def record_of(store: ModelStore, found: Version) -> dict[str, Any] | None:
    """The record of a version; None of one that was registered before there were records."""
    return store.read_json(found.run_id, RECORD_FILE) if DEFINITIONS in found.tags else None


def environment(spark_version: str) -> dict[str, str]:
    """What a training ran with: Python, Spark, packages."""
    found = {"python": platform.python_version(), "spark": spark_version}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra that is not installed
            continue
    return found


def page(record: Mapping[str, Any], card: ModelCard) -> str:
    """The model card: Markdown for people.

    Args:
        record: What the version carries.
        card: What is needed to score with it.
    """
    parts = [f"# {record['model']} version {record['version']}", record["description"], _origin(record)]
    parts.append(f"## What it does\n{_purpose(record, card)}")
    parts.append("## How it was tested\n" + _tested(record))
    gates = [f"- {'passed' if one['passed'] else '**refused**'}: {one['text']}" for one in record["gates"]]
    if "segments" in (card.learned or {}):
        parts.append("## Segments\n" + _segments((card.learned or {})["segments"]))
    if "topics" in (card.learned or {}):
        parts.append("## Topics\n" + _topics(card.learned or {}))
    parts.append("## Gates\n" + ("\n".join(gates) or "None."))
    params = [f"- {name}: {value}" for name, value in {"estimator": card.estimator, **(card.params or {})}.items()]
    parts.append("## Leaks\n" + _leaks(record))
    parts.append("## How it was trained\n" + "\n".join(params))
    inputs = _table(("table", "version"), sorted(record["inputs"].items()))
    parts.append(f"## Data\nDelta versions of the tables that it was made of:\n\n{inputs}")
    made = record["definitions"]
    parts.append(f"## Features\n{len(card.features)} columns.\n\n" + _table(("column", "type"), card.features.items()))
    parts.append("## Definitions\n" + _table(("", "made of"), made.items()))
    parts.append("## Environment\n" + _table(("", "version"), record["environment"].items()))
    return redacted("\n\n".join(part for part in parts if part) + "\n")


def _origin(record: Mapping[str, Any]) -> str:
    lines = [("Owner", record["owner"]), ("Tags", ", ".join(record["tags"])), ("Registered", record["registered_at"])]
    lines += [("Run", record["run_id"]), ("Code", record["code"].get("stages"))]
    return "\n".join(f"- {name}: {value}" for name, value in lines if value)


def _purpose(record: Mapping[str, Any], card: ModelCard) -> str:
    learned = card.learned or {}
    if card.task == "clustering":
        return "Puts rows into clusters (clustering); it learned without a label."
    if card.task == "anomaly":
        return f"Finds odd rows (anomaly), about {learned['contamination']:g} of them; it learned without a label."
    if card.task == "topics":
        texts = ", ".join(f"`{name}`" for name in card.features)
        return f"Finds {len(learned['topics'])} topics in {texts} (topics); it learned without a label."
    if card.task == "recommendation":
        what = f"the {learned['top_k']} best `{learned['item']}` for each `{learned['user']}`"
        return f"Recommends {what} (recommendation), from `{_label(record)}`."
    return f"Predicts `{_label(record)}` ({card.task}), with {_classes(card)}.{_decides(card)}"


def _decides(card: ModelCard) -> str:
    """Of two classes: calibration and threshold, where there are any."""
    known = card.learned or {}
    if "calibration" not in known:
        return ""
    rows = f"learned from {known['held_out_rows']:,} rows that the estimator had not seen"
    text = f" `prediction` is {card.positive} from probability {known['threshold']:.6g} on"
    text += "" if "at" in known["threshold_by"] else f", {rows}"
    how = known["calibration"]
    return f"{text}." if how == "none" else f"{text}. Probabilities are calibrated ({how}), {rows}."


def _label(record: Mapping[str, Any]) -> str:
    training = record["configuration"].get("training_set") or {}
    label = next((training[key] for key in ("label", "rating", "implicit") if key in training), "label")
    told = label if isinstance(label, str) else ", ".join(f"{key}: {value}" for key, value in label.items())
    told += f" (censored where {training['censored']})" if training.get("censored") else ""
    return told.replace("`", "'")


def _classes(card: ModelCard) -> str:
    if card.task == "regression":
        return "a number"
    return f"the classes {', '.join(str(label) for label in card.labels[:20])}"


def _tested(record: Mapping[str, Any]) -> str:
    rows = [
        (name, *("" if one[k] is None else f"{one[k]:.4f}" for k in ("value", "lower", "upper")))
        for name, one in record["metrics"].items()
    ]
    return "On the test part, with 95 % intervals:\n\n" + _table(("metric", "value", "lower", "upper"), rows)


def _segments(told: Mapping[str, Any]) -> str:
    rows = [
        (one["value"], f"{one['rows']:,}", *("" if one[k] is None else f"{one[k]:.4f}" for k in ("own", "general")),
         "its own" if one["kept"] else "general")
        for one in told["each"]
    ]  # fmt: skip
    head = (told["by"], "rows", f"{told['metric']} of its own", "of the general model", "answered by")
    where = (
        "there were rows enough" if told["keep"] == "all" else "that was better on rows that neither had learned from"
    )
    text = f"Each `{told['by']}` has a model of its own where {where}; all others, null and what is new have the general one."
    return f"{text}\n\n{_table(head, rows)}"


def _topics(told: Mapping[str, Any]) -> str:
    """Each with a bar as long as its share of the rows, and its likeliest words; the greatest first."""
    found = sorted(enumerate(told["topics"]), key=lambda one: -one[1]["rows"])
    every = max(1, sum(one["rows"] for _, one in found) + told["wordless"])
    rows = [
        (number, f"{one['rows']:,}", f"{one['rows'] / every:.1%} {_bar(one['rows'] / every)}",
         ", ".join(f"{word} {share:.1%}" for word, share in one["words"].items()))
        for number, one in found
    ]  # fmt: skip
    text = (
        f"Of the {every:,} rows that it learned from, {told['wordless']:,} have no word that it knows, and so no topic."
    )
    return f"{text}\n\n{_table(('topic', 'rows', 'share of rows', 'likeliest words'), rows)}"


def _bar(share: float) -> str:
    return "\u2588" * round(20 * share)


def _leaks(record: Mapping[str, Any]) -> str:
    found = record.get("leaks")
    if found is None:
        return "The training set was not looked at for leaks."
    lines = [f"- {level}: {', '.join(names)}" for level, names in found["levels"].items() if names]
    return (
        f"Of {found['features']} features:\n" + "\n".join(lines)
        if lines
        else f"None found in {found['features']} features."
    )


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(_cell(str(cell)) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
