"""Routes of the explorer: the page, the points as bytes, and everything else as JSON."""

import asyncio
import csv
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refold.errors import DataError, FileFormatError, ParameterError
from refold.explore._atlas import Atlas
from refold.explore._pasted import read_pasted

PAGE = Path(__file__).parent / "page"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Longest wait of a request for values that are being computed, in seconds.
_WAIT = 0.15


def routes(atlas: Atlas, model: str, max_body: int) -> list[Route]:
    """Return the routes of the page and of what it asks for."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in _TYPES}

    def index(request: Request) -> Response:
        del request
        return _response(files["index.html"], _TYPES[".html"])

    def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in files:
            return _response(b"There is no such file.", "text/plain", status=404)
        return _response(files[name], _TYPES[Path(name).suffix])

    def start(request: Request) -> Response:
        del request
        return _json(atlas.describe() | {"model": model})

    def points(request: Request) -> Response:
        del request
        return _response(atlas.places.tobytes(), "application/octet-stream")

    def field(request: Request) -> Response:
        found = atlas.field(unquote(request.path_params["name"]))
        values = found.values(_WAIT)
        if found.failed:
            raise ParameterError(
                f"The values of {found.name!r} could not be computed. The log of the server says "
                "why; choose another color."
            )
        if values is None:
            return _json({"done": found.done}, status=202)
        return _response(values.tobytes(), "application/octet-stream")

    def sequence(request: Request) -> Response:
        return _json(atlas.show(request.path_params["row"]))

    async def unfold(request: Request) -> Response:
        asked = await _object(request, max_body)
        known = {name: asked[name] for name in ("at", "code", "row") if name in asked}
        return _json(atlas.unfold(**known))

    async def place(request: Request) -> Response:
        content = await _body(request, max_body)
        name = request.query_params.get("name", "")
        return _json(await asyncio.to_thread(_placed, atlas, content, name))

    async def table(request: Request) -> Response:
        rows = _rows((await _object(request, max_body)).get("rows"), len(atlas.codes))
        what = request.path_params["what"]
        if what not in _TABLES:
            raise ParameterError(f"There is no table {what!r}. There is {', '.join(_TABLES)}.")
        body = await asyncio.to_thread(_TABLES[what], atlas, rows)
        return _response(body, "text/plain; charset=utf-8")

    def get(path: str, answer: Callable[..., Any]) -> Route:
        return Route(path, answer, methods=["GET"])

    def post(path: str, answer: Callable[..., Any]) -> Route:
        return Route(path, answer, methods=["POST"])

    return [
        get("/", index),
        get("/page/{name}", file),
        get("/explore/atlas", start),
        get("/explore/points", points),
        get("/explore/fields/{name:path}", field),
        get("/explore/sequences/{row:int}", sequence),
        post("/explore/unfold", unfold),
        post("/explore/place", place),
        post("/explore/tables/{what}", table),
    ]


def _placed(atlas: Atlas, content: bytes, name: str) -> dict[str, Any]:
    try:
        sequences = read_pasted(content, name, atlas.ae.schema_)
    except FileFormatError as error:  # of a file of the server, it would be none of the client's
        raise DataError(str(error)) from error
    codes = atlas.ae.transform(sequences)
    return {"sequences": atlas.compare(sequences, codes)}


def _selection_table(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and fields, those of which that are known, as CSV."""
    fields = [field for field in atlas.fields if field.done == 1.0]
    head = ["id", *(field.name for field in fields)]
    ids = atlas.sequences.ids
    return _csv(head, ([ids[row], *(field.text(row) for field in fields)] for row in rows))


def _code_table(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and codes as CSV, in the form that `refold decode` reads."""
    head = ["id", *(f"code{i}" for i in range(atlas.codes.shape[1]))]
    ids, codes = atlas.sequences.ids, atlas.codes
    return _csv(head, ([ids[row], *map(repr, codes[row].tolist())] for row in rows))


def _sequence_lines(atlas: Atlas, rows: list[int]) -> bytes:
    """Return sequences as a JSON list, in the form that the page and the service read."""
    content = [atlas.sequences[row] for row in rows]
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)


_TABLES = {"table": _selection_table, "codes": _code_table, "sequences": _sequence_lines}


def _csv(head: list[str], rows: Iterator[list[Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue().encode()


async def _body(request: Request, most: int) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise ParameterError(f"This is larger than {most >> 20} MiB, the limit. Send less.")
    return bytes(body)


async def _object(request: Request, most: int) -> dict[str, Any]:
    try:
        found = orjson.loads(await _body(request, most))
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise ParameterError("The request must be a JSON object.")
    return found


def _rows(given: Any, count: int) -> list[int]:
    if (
        not isinstance(given, list)
        or not given
        or any(type(row) is not int or not 0 <= row < count for row in given)
    ):
        raise ParameterError("The selection is empty or has unknown sequences. Select some.")
    return given


def _json(content: Any, status: int = 200) -> Response:
    body = orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY, default=_plain)
    return _response(body, "application/json", status)


def _response(body: bytes, media_type: str, status: int = 200) -> Response:
    return Response(body, status, headers={**_HEADERS, "content-type": media_type})


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError
