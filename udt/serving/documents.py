"""What is told of the model (/schema) and of the interface (/openapi.json)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from udt.featurizers.schema import ColumnSchema
from udt.model import Model
from udt.serving.answers import Answerer
from udt.serving.rows import DATE_EXAMPLES
from udt.serving.store import ModelStore

_MANY_VALUES = 50
_MANY_CLASSES = 1_000
_TEXT_EXAMPLE = "a text to classify"
_CELL = [{"type": name} for name in ("string", "number", "boolean", "null")]
_LIST = {"type": "array", "items": {"anyOf": _CELL}}


def describe(store: ModelStore, limits: Mapping[str, int], basis: Mapping[str, Any]) -> Any:
    """Return what a client has to know of the model, and what the page is built from.

    Parameters
    ----------
    store : ModelStore
        What is served.
    limits : mapping
        ``max_rows``, ``max_bytes``, ….
    basis : mapping
        What energy and CO2e rest on.
    """
    answerer = store.served.answerer
    model = answerer.model
    return {
        "model": store.path.name,
        "sha256": store.served.sha256,
        "target": model.target,
        "multi_label": model.label_form.is_multi_label,
        "n_classes": len(model.classes),
        "classes": model.classes[:_MANY_CLASSES].tolist(),
        "columns": _columns(model),
        "limits": {
            **limits,
            "default_top_k": answerer.default_top_k,
            "max_top_k": answerer.max_top_k,
        },
        "cost_basis": dict(basis),
    }


def _columns(model: Model) -> list[dict[str, Any]]:
    encoders = {column.name: encoder for column, encoder in model.predictor.encoder.columns}
    return [_column(column, encoders.get(column.name)) for column in model.schema.used()]


def _column(column: ColumnSchema, encoder: Any) -> dict[str, Any]:
    """Return a column with what helps to fill it in: its values, how it is written."""
    told: dict[str, Any] = {"column": column.name, "kind": column.kind, "reason": column.reason}
    values = [*getattr(encoder, "values", ()), *getattr(encoder, "items", ())]
    if column.kind in ("categorical", "boolean", "multi") and values:
        told |= {"values": values[:_MANY_VALUES], "n_values": len(values)}
    if column.kind == "multi":
        told["separator"] = column.params.get("separator")
    return told | {"example": _example(column, encoder, values)}


def _example(column: ColumnSchema, encoder: Any, values: list[str]) -> Any:
    """Return a cell that the column may hold."""
    if column.kind == "text":
        return _TEXT_EXAMPLE
    if column.kind == "date":
        return DATE_EXAMPLES[column.params.get("layout", "ymd").split("|")[0]]
    knots = getattr(encoder, "knots", ())
    if column.kind == "numeric":
        return float(knots[len(knots) // 2]) if len(knots) else 0.0
    return values[0] if values else "x"


# -- OpenAPI -----------------------------------------------------------------------------------


def request_body(name: str) -> dict[str, Any]:
    """Return the part of a route's description that says what it takes."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def request_schemas(answerer: Answerer, max_rows: int, max_explained: int) -> dict[str, Any]:
    """Return the schemas of what the routes take, with the model's columns."""
    columns = _columns(answerer.model)
    row = {
        "type": "object",
        "description": "Columns that are left out or null count as missing; others are ignored.",
        "properties": {c["column"]: _cell_schema(c) for c in columns},
        "anyOf": [{"required": [c["column"]]} for c in columns],
    }
    top_k = {
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": answerer.max_top_k},
            {"type": "null"},
        ],
        "description": f"Classes to tell the probability of; {answerer.default_top_k} by default.",
    }
    label = {
        "anyOf": _CELL,
        "description": "The label to explain; the predicted one by default.",
    }
    example = {c["column"]: c["example"] for c in columns}
    return {
        "Row": row,
        "PredictRequest": _request(max_rows, example, {"top_k": top_k}),
        "ExplainRequest": _request(max_explained, example, {"label": label}),
    }


def _request(max_rows: int, example: Any, more: dict[str, Any]) -> dict[str, Any]:
    rows = {"type": "array", "maxItems": max_rows, "items": {"$ref": "#/components/schemas/Row"}}
    return {
        "type": "object",
        "required": ["rows"],
        "additionalProperties": False,
        "properties": {"rows": rows, **more},
        "example": {"rows": [example]},
    }


def _cell_schema(column: Mapping[str, Any]) -> dict[str, Any]:
    kinds = [*_CELL, _LIST] if column["kind"] == "multi" else _CELL
    if column["kind"] == "date":
        kinds = [{"type": "string"}, {"type": "null"}]
    return {"anyOf": kinds, "description": f"{column['kind']}: {column['reason']}"}
