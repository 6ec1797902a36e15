"""The body of a request: rows, in our own form or one of MLflow's, and how mistakes in it are told."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from headrace.errors import HeadraceError


class BadRequestError(HeadraceError):
    """A request that cannot be answered.

    Attributes:
        details: Per mistake where (`loc`, `field`), what came, what is allowed.
    """

    def __init__(self, details: list[dict[str, Any]]) -> None:
        super().__init__("; ".join(str(one["msg"]) for one in details))
        self.details = details


def mistake(loc: Sequence[str | int], msg: str, **more: Any) -> dict[str, Any]:
    """A mistake as it is told."""
    return {"loc": ["body", *loc], "field": str(loc[-1]) if loc else "", "msg": msg, **more}


def shown(value: Any) -> str:
    """A value as messages have it, not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def listed(body: Any) -> list[Any]:
    """The rows of a request, in our own form or one of MLflow's.

    Raises:
        BadRequestError: If there are none.
    """
    forms = "rows, dataframe_records, dataframe_split, inputs or instances"
    if not isinstance(body, dict):
        raise BadRequestError([mistake([], f'{shown(body)} came; write {{"rows": [{{field: value, ...}}, ...]}}')])
    given = [name for name in ("rows", "dataframe_records", "dataframe_split", "inputs", "instances") if name in body]
    if len(given) != 1:
        said = f"{' and '.join(given)} came" if given else f"none of {forms} came"
        raise BadRequestError([mistake(given[:1], f"{said}; write exactly one of {forms}")])
    name, value = given[0], body[given[0]]
    rows = _split(value) if name == "dataframe_split" else _columns(value) if isinstance(value, dict) else value
    if not isinstance(rows, list) or not rows:
        raise BadRequestError([mistake([name], f"{name}: {shown(value)} came; allowed: a list of at least one row")])
    return rows


def _split(value: Any) -> list[Any] | None:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list):
        return None
    columns, data = value["columns"], value.get("data")
    if not isinstance(data, list) or any(not isinstance(row, list) or len(row) != len(columns) for row in data):
        return None
    return [dict(zip(columns, row, strict=True)) for row in data]


def _columns(value: dict[str, Any]) -> list[Any] | None:
    """MLflow's `inputs` as columns."""
    lists: Iterable[Any] = value.values()
    if not value or any(not isinstance(one, list) for one in lists) or len({len(one) for one in value.values()}) != 1:
        return None
    return [dict(zip(value, row, strict=True)) for row in zip(*value.values(), strict=True)]
