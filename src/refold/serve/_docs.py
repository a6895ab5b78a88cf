"""The page for readers: the OpenAPI description as HTML, without scripts."""

import base64
import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

from refold.serve._bodies import to_json
from refold.serve._operations import ServedModel

_FRAME = (Path(__file__).parent / "docs.html").read_text(encoding="utf-8")
_BEFORE, _, _AFTER = _FRAME.partition("<!-- operations -->")
_STYLE = _FRAME.partition("<style>")[2].partition("</style>")[0]
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
# By the hash, a browser takes this style, and nothing else.
DOCS_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; img-src data:; form-action 'none'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_WORDS = {"array": "list", "boolean": "true or false"}
_BOUNDS = {
    "exclusiveMinimum": "above",
    "minimum": "at least",
    "exclusiveMaximum": "below",
    "maximum": "at most",
}
# Bounds above this one say nothing to a reader.
_LARGE = 2**31 - 1


def docs_page(interface: dict[str, Any], models: dict[str, ServedModel], origin: str) -> bytes:
    """Return the page of an OpenAPI description, with requests to copy for the first model."""
    name, model = next(iter(models.items()))
    examples = model.examples()
    token = " \\\n    -H 'Authorization: Bearer TOKEN'" if interface["security"] else ""
    about = f"Version {interface['info']['version']}. Models: {', '.join(models)}."
    links, sections = [], []
    for path, methods in interface["paths"].items():
        post = methods["post"]
        reference = post["requestBody"]["content"]["application/json"]["schema"]["$ref"]
        schema = interface["components"]["schemas"][reference.rpartition("/")[2]]
        properties, required = schema["properties"], schema.get("required", [])
        needed = required or [*properties][:1]
        body = to_json({field: examples[field] for field in needed}).decode()
        body = body.replace("'", r"'\''")  # for a shell
        request = (
            f"curl {origin}{path.replace('{model}', name)}{token} \\\n"
            f"    -H 'Content-Type: application/json' \\\n    -d '{body}'"
        )
        operation = post["operationId"]
        links.append(f'<a href="#{operation}">{operation}</a>')
        fields = [
            _field(key, value, is_required=key in required) for key, value in properties.items()
        ]
        sections.append(
            f'<section id="{operation}"><h2>POST {path}</h2><p>{_marked(post["summary"])}</p>'
            f"<dl>{''.join(fields)}</dl>"
            f"<p>Answer: {_marked(post['responses']['200']['description'])}</p>"
            f"<pre>{escape(request)}</pre></section>"
        )
    head = f"<p>{_marked(about)} {_marked(interface['info']['description'])}</p>"
    content = f"{head}<nav>{' '.join(links)}</nav>{''.join(sections)}"
    return f"{_BEFORE}{content}{_AFTER}".encode()


def _marked(text: str) -> str:
    """Return text as HTML, in which `names` are code."""
    return re.sub("`([^`]+)`", r"<code>\1</code>", escape(text))


def _field(name: str, schema: dict[str, Any], *, is_required: bool) -> str:
    """Describe a field of a request."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind.get("type") != "null"]
    described = schema | kinds[0]  # an optional field has its type in a list of two
    rules = [_kind(schema)]
    bounds = {word: described[key] for key, word in _BOUNDS.items() if key in described}
    rules += [f"{word} {bound}" for word, bound in bounds.items() if bound < _LARGE]
    if is_required:
        rules.append("required")
    elif schema["default"] is not None:
        rules.append(f"default {to_json(schema['default']).decode()}")
    text = described.get("description", "")
    return f"<dt>{name}</dt><dd>{_marked(text)} <small>{escape(', '.join(rules))}</small></dd>"


def _kind(schema: dict[str, Any], *, inner: bool = False) -> str:
    """Return the type of a field in words, such as "list of strings or lists"."""
    if "anyOf" in schema:
        others = [kind for kind in schema["anyOf"] if kind.get("type") != "null"]
        return " or ".join(dict.fromkeys(_kind(kind, inner=inner) for kind in others))
    if "enum" in schema:
        return " or ".join(to_json(value).decode() for value in schema["enum"])
    if schema["type"] == "array" and not inner:
        return f"list of {_kind(schema['items'], inner=True)}"
    word = _WORDS.get(schema["type"], schema["type"])
    return f"{word}s" if inner else word
