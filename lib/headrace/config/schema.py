"""The JSON schema of a pipeline's YAML, for editors."""

from __future__ import annotations

import json
from typing import Any

from headrace.config.types import Pipeline


def json_schema() -> dict[str, Any]:
    """The schema, draft 2020-12; keys as they are written in YAML.

    Lists of names may also be written as one name, which types alone do not tell.
    """
    schema = Pipeline.model_json_schema(by_alias=True)
    _loosen(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "A Headrace pipeline"}


def schema_text() -> str:
    """The schema as text."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False)


def _loosen(node: Any) -> None:
    """Where a list of text is allowed, one text is, too."""
    if isinstance(node, list):
        for item in node:
            _loosen(item)
    if not isinstance(node, dict):
        return
    for item in node.values():
        _loosen(item)
    if node.get("type") == "array" and node.get("items", {}).get("type") == "string":
        array = {key: node.pop(key) for key in ("type", "items") if key in node}
        node["anyOf"] = [array, {"type": "string"}]
