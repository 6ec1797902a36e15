"""The JSON schema of a pipeline's YAML, for editors."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from headrace.config.descriptions import DESCRIPTIONS
from headrace.config.types import Pipeline

TITLE = "A Headrace pipeline"
PARTS = ("Table", "FeatureTable", "TrainingSet", "EntityGrid", "FutureLabel")
SCHEMA = "headrace.schema.json"
"""The file that the first line of a YAML refers to, beside it."""


def write_beside(yaml: Path) -> Path:
    """Write the schema beside a YAML, or bring it up to date; a file that is something else is left alone."""
    target, text = yaml.with_name(SCHEMA), schema_text() + "\n"
    there = target.read_text(encoding="utf-8") if target.is_file() else None
    if there is None or (there != text and TITLE in there):
        part = target.with_name(f".{target.name}.{os.getpid()}")
        part.write_text(text, encoding="utf-8")
        part.replace(target)
    return target


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12; keys as they are written in YAML.

    Lists of names may also be written as one name, which types alone do not tell.
    """
    schema = Pipeline.model_json_schema(by_alias=True)
    _loosen(schema)
    for name in PARTS:  # with `extends` a file may hold a part of each; what is missing then `validate` tells
        schema["$defs"].get(name, {}).pop("required", None)
    _or_null(schema, schema["$defs"], set())
    for name, section in (("Pipeline", schema), *schema.get("$defs", {}).items()):
        for key, node in section.get("properties", {}).items():
            if "description" not in node and f"{name}.{key}" in DESCRIPTIONS:
                node["description"] = DESCRIPTIONS[f"{name}.{key}"]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": TITLE}


def schema_text() -> str:
    """The schema as text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False)


def _or_null(section: dict[str, Any], defs: dict[str, Any], seen: set[str]) -> None:
    """With `extends` any key of a mapping may be null, which takes it out; lists are replaced as a whole."""
    for form in section.get("anyOf", ()):
        _or_null(form, defs, seen)
    nodes = list(section.get("properties", {}).values())
    if isinstance(section.get("additionalProperties"), dict):
        nodes.append(section["additionalProperties"])
    for node in nodes:
        options = node.get("anyOf", [node])
        for option in options:
            name = option.get("$ref", "").removeprefix("#/$defs/")
            if not name:
                _or_null(option, defs, seen)
            elif name not in seen:
                seen.add(name)
                _or_null(defs[name], defs, seen)
        kinds = [kind for option in options for kind in _kinds(option)]
        if "null" in kinds or not (kinds or "$ref" in node or "anyOf" in node):
            continue
        if "anyOf" in node:
            node["anyOf"].append({"type": "null"})
        elif "$ref" in node:
            node["anyOf"] = [{"$ref": node.pop("$ref")}, {"type": "null"}]
        else:
            node["type"] = [*kinds, "null"]
            if "enum" in node:
                node["enum"] = [*node["enum"], None]


def _kinds(node: dict[str, Any]) -> list[str]:
    kind = node.get("type", [])
    return [kind] if isinstance(kind, str) else list(kind)


def _loosen(node: Any) -> None:
    """Where a list of text is allowed, one text is, too; a date is a moment, too."""
    if isinstance(node, list):
        for item in node:
            _loosen(item)
    if not isinstance(node, dict):
        return
    if "oneOf" in node:  # a text or a mapping: of which it is, the form alone tells
        node["anyOf"] = node.pop("oneOf")
    for item in node.values():
        _loosen(item)
    if "anyOf" in node:  # one of several, or null, is one of several
        node["anyOf"] = [
            form for option in node["anyOf"] for form in (option["anyOf"] if [*option] == ["anyOf"] else [option])
        ]
    if node.get("format") == "date-time":
        del node["format"]
    if node.get("type") == "array" and node.get("items", {}).get("type") == "string":
        array = {key: node.pop(key) for key in ("type", "items") if key in node}
        node["anyOf"] = [array, {"type": "string"}]
