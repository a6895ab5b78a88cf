"""Functions that describe the service: as OpenAPI, and as the HTML page /docs, without scripts."""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

import msgspec

import refold
from refold.serve._bodies import ARROW_TYPE, to_json
from refold.serve._operations import OPERATIONS, ServedModel
from refold.serve._settings import Problem, ServeSettings

# Media type of JSON.
JSON_TYPE = "application/json"

_PAGE_TEMPLATE = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")
_HTML_BEFORE_OPERATIONS, _HTML_AFTER_OPERATIONS = _PAGE_TEMPLATE.split("<!-- operations -->")
_STYLE = _PAGE_TEMPLATE.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# With this Content-Security-Policy, a browser applies only the style with this hash, and loads
# nothing else.
DOCS_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
# Types of JSON schemas that have another name on the page.
_TYPE_WORDS = {"array": "list", "boolean": "true or false"}
# Bounds of JSON schemas, in words.
_BOUND_WORDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}
# Larger bounds are not shown. They only say that a number fits in its integer type.
_MAX_BOUND_IN_DOCS = 2**31 - 1


def describe_as_openapi(
    settings: ServeSettings, model_names: list[str], *, needs_token: bool
) -> dict[str, Any]:
    """Return the OpenAPI description of the operations."""
    request_types = [Problem, *(operation.request_type for operation in OPERATIONS.values())]
    schema_path = "#/components/schemas/"
    _, schemas = msgspec.json.schema_components(request_types, ref_template=schema_path + "{name}")
    stream = {"type": "string", "format": "binary", "description": "An Arrow IPC stream."}
    table_content = {ARROW_TYPE: {"schema": stream}}
    answer_content = {JSON_TYPE: {"schema": {"type": "object"}}} | table_content
    problem = {"error": {"$ref": schema_path + Problem.__name__}}
    error_content = {JSON_TYPE: {"schema": {"type": "object", "properties": problem}}}
    names = {"type": "string", "enum": model_names}
    paths = {}
    for name, operation in OPERATIONS.items():
        request_schema = {"$ref": schema_path + operation.request_type.__name__}
        request_content = {JSON_TYPE: {"schema": request_schema}} | table_content
        answer = {"description": operation.answer_description, "content": answer_content}
        error = {"description": "An error says why.", "content": error_content}
        paths[f"/v1/{{model}}/{name}"] = {
            "parameters": [{"name": "model", "in": "path", "required": True, "schema": names}],
            "post": {
                "operationId": name,
                "summary": operation.request_type.__doc__,
                "requestBody": {"required": True, "content": request_content},
                "responses": {"200": answer, "default": error},
            },
        }
    limits = (
        f"A request has at most {settings.max_sequences} sequences or codes, "
        f"{settings.max_steps} steps and {settings.max_body} bytes. A table as "
        f"`{ARROW_TYPE}` has the sequences or codes in columns, and the other fields are in "
        "the query of the URL."
    )
    security_schemes = {"token": {"type": "http", "scheme": "bearer"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Refold", "version": refold.__version__, "description": limits},
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": security_schemes},
        "security": [{"token": []}] if needs_token else [],
    }


def make_docs_page(openapi: dict[str, Any], models: dict[str, ServedModel], origin: str) -> bytes:
    """Return the HTML page of an OpenAPI description, with curl commands for the first model."""
    # The origin is the beginning of the URLs, such as http://localhost:8000.
    model_name, model = next(iter(models.items()))
    examples = model.make_example_fields()
    token_header = " \\\n    -H 'Authorization: Bearer TOKEN'" if openapi["security"] else ""
    summary = f"Version {openapi['info']['version']}. Models: {', '.join(models)}."
    links, sections = [], []
    for path, methods in openapi["paths"].items():
        post = methods["post"]
        schema_reference = post["requestBody"]["content"][JSON_TYPE]["schema"]["$ref"]
        schema = openapi["components"]["schemas"][schema_reference.rpartition("/")[2]]
        properties, required = schema["properties"], schema.get("required", [])
        # the example has the required fields, or the first field if none is required
        example_fields = required or [*properties][:1]
        body = to_json({field: examples[field] for field in example_fields}).decode()
        body = body.replace("'", r"'\''")  # quotes inside of the quotes of the shell
        command = (
            f"curl {origin}{path.replace('{model}', model_name)}{token_header} \\\n"
            f"    -H 'Content-Type: {JSON_TYPE}' \\\n    -d '{body}'"
        )
        operation = post["operationId"]
        links.append(f'<a href="#{operation}">{operation}</a>')
        fields = [
            _describe_field_in_html(name, field_schema, is_required=name in required)
            for name, field_schema in properties.items()
        ]
        sections.append(
            f'<section id="{operation}"><h2>POST {path}</h2><p>{_to_html(post["summary"])}</p>'
            f"<dl>{''.join(fields)}</dl>"
            f"<p>Answer: {_to_html(post['responses']['200']['description'])}</p>"
            f"<pre>{escape(command)}</pre></section>"
        )
    introduction = f"<p>{_to_html(summary)} {_to_html(openapi['info']['description'])}</p>"
    content = f"{introduction}<nav>{' '.join(links)}</nav>{''.join(sections)}"
    return f"{_HTML_BEFORE_OPERATIONS}{content}{_HTML_AFTER_OPERATIONS}".encode()


def _to_html(text: str) -> str:
    """Return text as HTML, in which words in backticks are code elements."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _describe_field_in_html(name: str, schema: dict[str, Any], *, is_required: bool) -> str:
    """Return the name, description, type, bounds and default of a request field as HTML."""
    # The JSON schema of an optional field has the key anyOf, a list of its type and null. The
    # bounds are in the type, and the default is beside anyOf.
    types = [item for item in schema.get("anyOf", [schema]) if item.get("type") != "null"]
    merged_schema = schema | types[0]
    rules = [_describe_json_type(schema)]
    for key, word in _BOUND_WORDS.items():
        if merged_schema.get(key, _MAX_BOUND_IN_DOCS) < _MAX_BOUND_IN_DOCS:
            rules.append(f"{word} {merged_schema[key]}")
    if is_required:
        rules.append("required")
    elif schema["default"] is not None:
        rules.append(f"default {to_json(schema['default']).decode()}")
    text = merged_schema.get("description", "")
    return f"<dt>{name}</dt><dd>{_to_html(text)} <small>{escape(', '.join(rules))}</small></dd>"


def _describe_json_type(schema: dict[str, Any], *, is_plural: bool = False) -> str:
    """Return the type in a JSON schema in words, such as "list of strings or lists"."""
    if "anyOf" in schema:
        types = [item for item in schema["anyOf"] if item.get("type") != "null"]
        # the keys of a dictionary are distinct, and keep the order of the types
        words = dict.fromkeys(_describe_json_type(item, is_plural=is_plural) for item in types)
        return " or ".join(words)
    if "enum" in schema:
        return " or ".join(to_json(value).decode() for value in schema["enum"])
    if schema["type"] == "array" and not is_plural:
        return f"list of {_describe_json_type(schema['items'], is_plural=True)}"
    word = _TYPE_WORDS.get(schema["type"], schema["type"])
    return f"{word}s" if is_plural else word
