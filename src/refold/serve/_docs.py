"""The page /docs: the OpenAPI description of the service as HTML, without scripts."""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

from refold.serve._bodies import to_json
from refold.serve._operations import ServedModel

_TEMPLATE = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")
_HTML_BEFORE_OPERATIONS, _, _HTML_AFTER_OPERATIONS = _TEMPLATE.partition("<!-- operations -->")
_STYLE = _TEMPLATE.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# With this policy, a browser applies the style with the hash, and loads nothing else.
DOCS_POLICY = (
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
_MAX_SHOWN_BOUND = 2**31 - 1


def make_docs_page(openapi: dict[str, Any], models: dict[str, ServedModel], origin: str) -> bytes:
    """Return the HTML page of an OpenAPI description, with curl commands for the first model."""
    name, model = next(iter(models.items()))
    examples = model.example_values()
    token = " \\\n    -H 'Authorization: Bearer TOKEN'" if openapi["security"] else ""
    summary = f"Version {openapi['info']['version']}. Models: {', '.join(models)}."
    links, sections = [], []
    for path, methods in openapi["paths"].items():
        post = methods["post"]
        reference = post["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = openapi["components"]["schemas"][reference.rpartition("/")[2]]
        properties, required = schema["properties"], schema.get("required", [])
        # an operation without required fields is shown with its first field
        example_fields = required or [*properties][:1]
        body = to_json({field: examples[field] for field in example_fields}).decode()
        body = body.replace("'", r"'\''")  # quotes inside of the quotes of the shell
        request = (
            f"curl {origin}{path.replace('{model}', name)}{token} \\\n"
            f"    -H 'Content-Type: application/json' \\\n    -d '{body}'"
        )
        operation = post["operationId"]
        links.append(f'<a href="#{operation}">{operation}</a>')
        fields = [
            _describe_field(key, value, is_required=key in required)
            for key, value in properties.items()
        ]
        sections.append(
            f'<section id="{operation}"><h2>POST {path}</h2><p>{_to_html(post["summary"])}</p>'
            f"<dl>{''.join(fields)}</dl>"
            f"<p>Answer: {_to_html(post['responses']['200']['description'])}</p>"
            f"<pre>{escape(request)}</pre></section>"
        )
    introduction = f"<p>{_to_html(summary)} {_to_html(openapi['info']['description'])}</p>"
    content = f"{introduction}<nav>{' '.join(links)}</nav>{''.join(sections)}"
    return f"{_HTML_BEFORE_OPERATIONS}{content}{_HTML_AFTER_OPERATIONS}".encode()


def _to_html(text: str) -> str:
    """Return text as HTML, with words in backticks as code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _describe_field(name: str, schema: dict[str, Any], *, is_required: bool) -> str:
    """Return the HTML for a field of a request: name, description, type, bounds and default."""
    types = [item for item in schema.get("anyOf", [schema]) if item.get("type") != "null"]
    merged_schema = schema | types[0]  # the schema of an optional field is anyOf a type and null
    rules = [_describe_type(schema)]
    for key, word in _BOUND_WORDS.items():
        if merged_schema.get(key, _MAX_SHOWN_BOUND) < _MAX_SHOWN_BOUND:
            rules.append(f"{word} {merged_schema[key]}")
    if is_required:
        rules.append("required")
    elif schema["default"] is not None:
        rules.append(f"default {to_json(schema['default']).decode()}")
    text = merged_schema.get("description", "")
    return f"<dt>{name}</dt><dd>{_to_html(text)} <small>{escape(', '.join(rules))}</small></dd>"


def _describe_type(schema: dict[str, Any], *, is_plural: bool = False) -> str:
    """Return the type of a field in words, such as "list of strings or lists"."""
    if "anyOf" in schema:
        types = [item for item in schema["anyOf"] if item.get("type") != "null"]
        words = dict.fromkeys(_describe_type(item, is_plural=is_plural) for item in types)
        return " or ".join(words)
    if "enum" in schema:
        return " or ".join(to_json(value).decode() for value in schema["enum"])
    if schema["type"] == "array" and not is_plural:
        return f"list of {_describe_type(schema['items'], is_plural=True)}"
    word = _TYPE_WORDS.get(schema["type"], schema["type"])
    return f"{word}s" if is_plural else word
