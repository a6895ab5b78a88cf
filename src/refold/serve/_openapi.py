"""The description of the interface, as an OpenAPI document with examples."""

from collections.abc import Sequence
from typing import Any

import msgspec

import refold
from refold.serve import _messages as messages
from refold.serve._arrow_bodies import MEDIA_TYPE
from refold.serve._operations import OPERATIONS
from refold.serve._settings import ServeSettings

_REASONS = {
    "400": "The Host header is not one of this service, or the request is not HTTP.",
    "401": "The bearer token is missing or wrong.",
    "404": "There is no such model, or it has no index.",
    "413": "The body is larger than the limit `body`.",
    "415": "The Content-Type or Content-Encoding is not supported.",
    "422": "The request is invalid, or beyond the limit `sequences` or `steps`.",
    "429": "The queue is full: the limit `queue`.",
    "501": "The server lacks a package that this needs.",
    "503": "Beyond the limit `concurrency`, `connections`, `time` or `total_body`, or the service "
    "is stopping.",
}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_TABLE = {
    MEDIA_TYPE: {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "An Arrow IPC stream; other fields of a request are in the query.",
        }
    }
}


def openapi(settings: ServeSettings, names: Sequence[str], *, secured: bool) -> dict[str, Any]:
    """Return the description of the interface, with the limits that the settings give."""
    types = [messages.ErrorAnswer, messages.ModelAnswer, messages.ModelsAnswer]
    for operation in OPERATIONS.values():
        types += [operation.request, operation.answer]
    _, components = msgspec.json.schema_components(
        types, ref_template="#/components/schemas/{name}"
    )
    model = {
        "name": "model",
        "in": "path",
        "required": True,
        "description": "Name of a model.",
        "schema": {"type": "string", "enum": list(names)},
    }
    anything = {"schema": {"type": "object"}}
    paths: dict[str, Any] = {
        "/v1/health": _get("health", "The process runs.", anything),
        "/v1/ready": _get("ready", "The service takes requests.", anything, "503"),
        "/v1/metrics": _get("metrics", "Numbers for Prometheus.", None, "400", "401", "503"),
        "/v1/openapi.json": _get("openapi", "This description.", anything, "400", "401", "503"),
        "/v1/models": _get("models", "All models.", _ref("ModelsAnswer"), "400", "401", "503"),
        "/v1/{model}": {
            **_get("model", "One model.", _ref("ModelAnswer"), "400", "401", "404", "503"),
            "parameters": [model],
        },
    }
    for name in OPERATIONS:
        paths[f"/v1/{{model}}/{name}"] = {"post": _post(name), "parameters": [model]}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Refold",
            "version": refold.__version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Turns sequences into codes (latent vectors, embeddings) and back. A "
            f"request has at most {settings.max_sequences} sequences or codes, and "
            f"{settings.max_steps} steps.",
        },
        "paths": paths,
        "components": {"schemas": components},
    }
    if secured:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _get(name: str, summary: str, schema: dict[str, Any] | None, *errors: str) -> dict[str, Any]:
    """Describe a page."""
    content = _TEXT if schema is None else {"application/json": schema}
    success = {"200": {"description": "The answer.", "content": content}}
    return {
        "get": {"operationId": name, "summary": summary, "responses": success | _errors(*errors)}
    }


def _post(name: str) -> dict[str, Any]:
    """Describe an operation."""
    operation = OPERATIONS[name]
    request = _ref(operation.request.__name__) | {"example": operation.example}
    answer = {"application/json": _ref(operation.answer.__name__), **_TABLE}
    return {
        "operationId": name,
        "summary": operation.request.__doc__,
        "requestBody": {"required": True, "content": {"application/json": request, **_TABLE}},
        "responses": {
            "200": {"description": "The result.", "content": answer},
            **_errors(*_REASONS),
        },
    }


def _errors(*statuses: str) -> dict[str, Any]:
    """Describe answers other than success."""
    return {
        status: {
            "description": _REASONS[status],
            "content": {"application/json": _ref("ErrorAnswer")},
        }
        for status in statuses
    }


def _ref(name: str) -> dict[str, Any]:
    """Refer to a component."""
    return {"schema": {"$ref": f"#/components/schemas/{name}"}}
