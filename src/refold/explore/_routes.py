"""Routes of the explorer: the page, the points as bytes, and everything else as JSON."""

import asyncio
import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refold.errors import DataError, FileFormatError, ParameterError
from refold.explore._atlas import Atlas
from refold.explore._groups import label_table
from refold.explore._pasted import read_pasted
from refold.serve import to_json

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
        flat = atlas.map(request.query_params.get("map", "pca"), _WAIT)
        if flat is None:
            return _json({"done": atlas.umap.done, "said": atlas.umap.said}, status=202)
        return _response(flat.places.tobytes(), "application/octet-stream")

    def field(request: Request) -> Response:
        found = atlas.field(unquote(request.path_params["name"]))
        values = found.values(_WAIT)
        if found.failure:
            raise ParameterError(found.failure)
        if values is None:
            return _json({"done": found.done}, status=202)
        return _response(values.tobytes(), "application/octet-stream")

    def fields(request: Request) -> Response:
        del request
        return _json([one.describe() for one in atlas.fields])

    async def label(request: Request) -> Response:
        asked = await _object(request, max_body)
        rows = _rows(asked.get("rows"), len(atlas.codes))
        name, value = asked.get("name", ""), asked.get("value", "")
        return _json((await asyncio.to_thread(atlas.label, name, value, rows)).describe())

    def labels(request: Request) -> Response:
        name, _, kind = unquote(request.path_params["file"]).rpartition(".")
        found = atlas.field(name)
        if not found.given or kind not in _LABELS:
            raise ParameterError(f"There is no file {name!r} of labels as {kind!r}.")
        body = _LABELS[kind](label_table(found, atlas.sequences))
        return _response(body, "application/octet-stream")

    async def normal(request: Request) -> Response:
        rows = _rows((await _object(request, max_body)).get("rows"), len(atlas.codes))
        return _json((await asyncio.to_thread(atlas.normal, rows)).describe())

    async def clusters(request: Request) -> Response:
        number = (await _object(request, max_body)).get("number")
        return _json(atlas.cluster(number).describe())

    def sequence(request: Request) -> Response:
        return _json(atlas.show(request.path_params["row"]))

    async def unfold(request: Request) -> Response:
        asked = await _object(request, max_body)
        known = {name: asked[name] for name in ("at", "code", "row", "on") if name in asked}
        return _json(atlas.unfold(**known))

    async def place(request: Request) -> Response:
        content = await _body(request, max_body)
        name, on = (request.query_params.get(one, "") for one in ("name", "map"))
        return _json(await asyncio.to_thread(_placed, atlas, content, name, on or "pca"))

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
        get("/explore/fields", fields),
        get("/explore/fields/{name:path}", field),
        post("/explore/labels", label),
        get("/explore/labels/{file:path}", labels),
        post("/explore/normal", normal),
        post("/explore/clusters", clusters),
        get("/explore/sequences/{row:int}", sequence),
        post("/explore/unfold", unfold),
        post("/explore/place", place),
        post("/explore/tables/{what}", table),
    ]


def _placed(atlas: Atlas, content: bytes, name: str, on: str) -> dict[str, Any]:
    try:
        sequences = read_pasted(content, name, atlas.model.schema)
    except FileFormatError as error:  # of a file of the server, it would be none of the client's
        raise DataError(str(error)) from error
    codes = atlas.model.encode(sequences)
    return {"sequences": atlas.compare(sequences, codes, on)}


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
    return to_json([atlas.sequences[row] for row in rows])


def _parquet(table: pa.Table) -> bytes:
    stream = io.BytesIO()
    pq.write_table(table, stream)
    return stream.getvalue()


def _text(table: pa.Table) -> bytes:
    columns = [column.to_pylist() for column in table.columns]
    return _csv(table.column_names, zip(*columns, strict=True))


_LABELS = {"parquet": _parquet, "csv": _text}
_TABLES = {"table": _selection_table, "codes": _code_table, "sequences": _sequence_lines}


def _csv(head: list[str], rows: Iterable[Sequence[Any]]) -> bytes:
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
    # pages of other servers cannot send this type without being asked for permission first
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise ParameterError("The request must have the content type application/json.")
    body = await _body(request, most)
    try:
        found = msgspec.json.decode(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ParameterError("The request must be a JSON object.")
    return found


def _rows(given: object, count: int) -> list[int]:
    if (
        not isinstance(given, list)
        or not given
        or any(type(row) is not int or not 0 <= row < count for row in given)
    ):
        raise ParameterError("The selection is empty or has unknown sequences. Select some.")
    return given


def _json(content: object, status: int = 200) -> Response:
    return _response(to_json(content), "application/json", status)


def _response(body: bytes, media_type: str, status: int = 200) -> Response:
    return Response(body, status, headers={**_HEADERS, "content-type": media_type})
