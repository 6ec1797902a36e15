"""What a server says of itself: its health, and the page that explains its requests."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from headrace.serving.form import Form
from headrace.serving.models import Served
from headrace.serving.service import Service

_ABOUT = """Predictions of the model `{name}`, version {version}.

A row gives the features that no feature table has, and the keys by which the others are looked up. A feature that is given is
not looked up. Row features are computed where their SQL needs no Spark (each says so), and given where it does. `null` is a
missing value; a field that is left out is a mistake. MLflow's forms `dataframe_records`, `dataframe_split`, `inputs` and `instances` are
taken in place of `rows`."""


def health(service: Service) -> dict[str, Any]:
    """How a server stands: `ok`, or `degraded` where it answers with something else than the registry says."""
    state, publish = service.models.state, service.known.publish
    problems = [one for one in (state.problem, service.problem) if one]
    return {
        "status": "degraded" if problems else "ok",
        "model": service.name,
        "version": state.champion.version.number,
        "versions": {role: served.version.number for role, served in state.roles.items()},
        "strategy": service.strategy.kind,
        "problems": problems,
        "registry_checked_at": datetime.fromtimestamp(state.checked, UTC).isoformat(timespec="seconds"),
        "online": publish
        and {
            "publish": publish.number,
            "as_of": publish.as_of.isoformat(),
            "age_seconds": round((datetime.now(UTC) - publish.as_of).total_seconds()),
            "feature_tables": sorted(publish.tables),
        },
        "log_dropped": service.log.dropped if service.log else None,
    }


def openapi(app: FastAPI, service: Service, guarded: bool) -> dict[str, Any]:
    """The description of the server, with the fields of the version that answers now."""
    served, form = service.models.state.champion, service.known.form
    about = _ABOUT.format(name=service.name, version=served.version.number)
    found = get_openapi(title=app.title, version=str(served.version.number), description=about, routes=app.routes)
    row = form.schema()
    schemas = found.setdefault("components", {}).setdefault("schemas", {})
    schemas["Row"] = row
    schemas["Request"] = {
        "type": "object",
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "minItems": 1, "items": {"$ref": "#/components/schemas/Row"}}},
        "example": {"rows": [example(form)]},
    }
    schemas["Answer"] = _answer(served)
    schemas["Mistakes"] = {
        "type": "object",
        "properties": {"detail": {"description": "per mistake: loc, field, msg, came, allowed"}, "request_id": _TEXT},
    }
    post = found["paths"][f"/v1/models/{service.name}/predict"]["post"]
    post["requestBody"] = {"required": True, "content": _content("Request")}
    codes = {
        "200": ("Answer", "one prediction per row, in their order"),
        "413": ("Mistakes", "too many bytes"),
        "422": ("Mistakes", "a field is missing, unknown, or has another type"),
        "503": ("Mistakes", "features could not be looked up"),
    } | ({"401": ("Mistakes", "no API key, or another")} if guarded else {})
    post["responses"] = {
        code: {"description": told, "content": _content(schema)} for code, (schema, told) in sorted(codes.items())
    }
    if guarded:
        found["components"]["securitySchemes"] = {
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            "bearer": {"type": "http", "scheme": "bearer"},
        }
        post["security"] = [{"key": []}, {"bearer": []}]
    return found


_TEXT = {"type": "string"}


def _content(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _answer(served: Served) -> dict[str, Any]:
    labels = {"enum": list(served.card.labels)} if served.card.labels else {}
    many: dict[str, Any] = {"type": "object", "additionalProperties": {"type": "number"}}
    one = {
        "prediction": {"description": f"the label's own value, {served.card.label_type}", **labels},
        "probability": many if served.card.task == "multiclass" else {"type": ["number", "null"]},
        "model_version": {"type": "integer"},
        "role": {"type": "string", "description": "alias or version that the strategy chose"},
        "stale": {"type": "array", "items": _TEXT, "description": "feature tables whose windows have moved on"},
    }
    predictions = {"type": "array", "items": {"type": "object", "properties": one}}
    return {"type": "object", "properties": {"request_id": _TEXT, "model_name": _TEXT, "predictions": predictions}}


def example(form: Form) -> dict[str, Any]:
    """A row that could be sent: the right fields, with values of the right types."""
    schema = form.schema()
    row = {}
    for name in schema["required"]:
        kind = schema["properties"][name]
        types, form_ = kind.get("type", ["string"]), kind.get("format")
        texts = {"date": "2026-01-31", "date-time": "2026-01-31T12:00:00Z"}
        row[name] = {"integer": 1, "number": 1.5, "boolean": True}.get(types[0], texts.get(form_ or "", "text"))
    return row
