"""The description of the interface, as an OpenAPI document with examples."""

from collections.abc import Sequence
from typing import Any

import refold
from refold.serve._arrow_bodies import MEDIA_TYPE
from refold.serve._operations import OPERATIONS
from refold.serve._settings import ServeSettings

_NUMBER = {"type": ["number", "null"]}
_LIST_OF_SEQUENCES = {"$ref": "#/components/schemas/Sequences"}
_WARNINGS = {"type": "array", "items": {"type": "string"}}
_BOUNDS = {"type": ["array", "null"]}
_WAVE = [[0.1, 0.9, 0.2, -0.7], [0.5, 0.4]]

# What an operation answers, as properties of an object, and an example of request and answer.
_ANSWERS: dict[str, dict[str, Any]] = {
    "encode": {"codes": {"$ref": "#/components/schemas/Codes"}},
    "decode": {"sequences": _LIST_OF_SEQUENCES},
    "reconstruct": {"sequences": _LIST_OF_SEQUENCES},
    "detect": {
        "detections": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["score", "p_value", "anomalous"],
                "properties": {
                    "score": _NUMBER,
                    "error": _NUMBER,
                    "distance": _NUMBER,
                    "p_value": _NUMBER,
                    "adjusted_p_value": _NUMBER,
                    "anomalous": {"type": "boolean"},
                    "step": {"type": ["integer", "null"]},
                    "column": {"type": ["string", "null"]},
                    "step_scores": {"type": "array", "items": _NUMBER},
                    "step_p_values": {"type": "array", "items": _NUMBER},
                },
            },
        },
        "alpha": {"type": "number"},
        "drift_p_value": _NUMBER,
    },
    "forecast": {
        "sequences": _LIST_OF_SEQUENCES,
        "alpha": _NUMBER,
        "lower": _BOUNDS,
        "upper": _BOUNDS,
    },
    "generate": {"sequences": _LIST_OF_SEQUENCES},
    "search": {
        "hits": {
            "description": "The nearest rows for each query, with their metadata.",
            "type": "array",
            "items": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["id", "distance"],
                    "properties": {"id": {"type": ["string", "integer"]}, "distance": _NUMBER},
                },
            },
        }
    },
}
_EXAMPLES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "encode": ({"sequences": _WAVE}, {"codes": [[0.12, -1.3], [0.8, 0.05]]}),
    "decode": ({"codes": [[0.12, -1.3]], "lengths": [4]}, {"sequences": [[0.1, 0.8, 0.3, -0.6]]}),
    "reconstruct": (
        {"sequences": [[0.1, 0.9, 0.2, -0.7]]},
        {"sequences": [[0.1, 0.8, 0.3, -0.6]]},
    ),
    "detect": (
        {"sequences": [[0.1, 9.0, 0.2]], "alpha": 0.05},
        {
            "detections": [
                {
                    "score": 7.5,
                    "error": 6.0,
                    "distance": 1.5,
                    "p_value": 0.02,
                    "adjusted_p_value": 0.02,
                    "anomalous": True,
                    "step": 1,
                    "column": "x0",
                }
            ],
            "alpha": 0.05,
            "drift_p_value": 0.4,
        },
    ),
    "forecast": (
        {"sequences": [[0.1, 0.9, 0.2]], "steps": 2},
        {"sequences": [[-0.4, -0.8]], "alpha": None, "lower": None, "upper": None},
    ),
    "generate": ({"n": 1, "seed": 0}, {"sequences": [[0.3, 0.8, 0.1]]}),
    "search": (
        {"sequences": [[0.1, 0.9, 0.2]], "k": 1, "where": "site = 'north'"},
        {"hits": [[{"id": 7, "distance": 0.5, "site": "north"}]]},
    ),
}
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


def openapi(settings: ServeSettings, names: Sequence[str], *, secured: bool) -> dict[str, Any]:
    """Return the description of the interface, with the limits that the settings give."""
    model = _MODEL | {"schema": {"type": "string", "enum": list(names)}}
    operations = {f"/v1/{{model}}/{name}": _operation(name, model) for name in OPERATIONS}
    document: dict[str, Any] = {
        "openapi": "3.1.0",
        "info": {
            "title": "Refold",
            "version": refold.__version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "Turns sequences into codes (latent vectors, embeddings) and back.",
        },
        "paths": _pages(model) | operations,
        "components": {"schemas": _schemas(settings)},
    }
    if secured:
        document["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        document["security"] = [{"token": []}]
    return document


def _operation(name: str, model: dict[str, Any]) -> dict[str, Any]:
    operation, (asked, answered) = OPERATIONS[name], _EXAMPLES[name]
    required = [field.name for field in operation.fields if field.required]
    properties = {field.name: field.schema for field in operation.fields}
    request = {"type": "object", "additionalProperties": False, "properties": properties}
    if required:
        request["required"] = required
    answer = {
        "type": "object",
        "required": [*_ANSWERS[name]],
        "properties": _ANSWERS[name] | {"warnings": _WARNINGS},
    }
    return {
        "post": {
            "operationId": name,
            "summary": operation.summary,
            "parameters": [model],
            "requestBody": {
                "required": True,
                "content": {
                    "application/json": {"schema": request, "example": asked},
                    MEDIA_TYPE: {
                        "schema": {
                            "type": "string",
                            "format": "binary",
                            "description": "An Arrow IPC stream; other fields are in the query.",
                        }
                    },
                },
            },
            "responses": {
                "200": {
                    "description": "The result.",
                    "content": {
                        "application/json": {"schema": answer, "example": answered},
                        MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}},
                    },
                }
            }
            | _errors(*_REASONS),
        }
    }


def _pages(parameter: dict[str, Any]) -> dict[str, Any]:
    ready = {"type": "object", "properties": {"ready": {"type": "boolean"}}}
    health = {"type": "object", "properties": {"version": {"type": "string"}}}
    model = {"$ref": "#/components/schemas/Model"}
    models = {"type": "object", "properties": {"models": {"type": "array", "items": model}}}
    return {
        "/v1/health": _page("health", "The process runs.", health),
        "/v1/ready": _page("ready", "The service takes requests.", ready, "503"),
        "/v1/metrics": _page("metrics", "Numbers for Prometheus.", None, "400", "401", "503"),
        "/v1/openapi.json": _page("openapi", "This description.", {"type": "object"}, "400", "401"),
        "/v1/models": _page("models", "All models.", models, "400", "401", "503"),
        "/v1/{model}": _page("model", "One model.", model, "400", "401", "404", "503")
        | {"parameters": [parameter]},
    }


def _page(name: str, summary: str, schema: dict[str, Any] | None, *errors: str) -> dict[str, Any]:
    media_type, content = "application/json", {"schema": schema}
    if schema is None:
        media_type, content = "text/plain", {"schema": {"type": "string"}}
    found = {"description": "The answer.", "content": {media_type: content}}
    responses = {"200": found} | _errors(*errors)
    return {"get": {"operationId": name, "summary": summary, "responses": responses}}


def _errors(*statuses: str) -> dict[str, Any]:
    error = {"schema": {"$ref": "#/components/schemas/Error"}}
    return {
        status: {"description": _REASONS[status], "content": {"application/json": error}}
        for status in statuses
    }


_MODEL = {
    "name": "model",
    "in": "path",
    "required": True,
    "description": "Name of a model.",
}


def _schemas(settings: ServeSettings) -> dict[str, Any]:
    cell = {"type": ["number", "string", "boolean", "null"]}
    return {
        "Sequences": {
            "description": "One entry per sequence: a list of rows, a flat list or a string, in "
            "the layout of the training data; null is a missing entry. At most "
            f"{settings.max_steps} steps in all.",
            "type": "array",
            "maxItems": settings.max_sequences,
            "items": {
                "oneOf": [
                    {"type": "string"},
                    {
                        "type": "array",
                        "items": {"anyOf": [cell, {"type": "array", "items": cell}]},
                    },
                ]
            },
        },
        "Codes": {
            "description": "One code per sequence, each with `code_size` numbers of the model.",
            "type": "array",
            "maxItems": settings.max_sequences,
            "items": {"type": "array", "items": {"type": "number"}},
        },
        "Error": {
            "type": "object",
            "required": ["error"],
            "properties": {
                "error": {
                    "type": "object",
                    "required": ["code", "message"],
                    "properties": {
                        "code": {"type": "string"},
                        "message": {"type": "string"},
                        "limit": {"type": "string", "description": "Name of the limit."},
                        "maximum": {"type": "number", "description": "Its value."},
                    },
                }
            },
        },
        "Model": {
            "type": "object",
            "required": ["name", "columns", "code_size"],
            "properties": {
                "name": {"type": "string"},
                "sha256": {"type": "string"},
                "model_hash": {"type": "string"},
                "layout": {"type": "string"},
                "columns": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": {"type": "string"},
                            "type": {"type": "string"},
                            "categories": {"type": "integer"},
                        },
                    },
                },
                "index_rows": {"type": ["integer", "null"]},
                **{
                    name: {"type": "integer"}
                    for name in (
                        "code_size",
                        "latent_dim",
                        "latent_steps",
                        "longest_training_sequence",
                        "forecast_steps",
                        "calibration_sequences",
                    )
                },
            },
        },
    }
