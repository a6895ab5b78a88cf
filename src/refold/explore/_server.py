"""The server of the explorer: the service, with routes for the page and for what it asks."""

import asyncio
import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
import pyarrow.parquet as pq
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refold.errors import DataError, FileFormatError, ParameterError, RefoldError, SchemaError
from refold.explore._atlas import Atlas
from refold.explore._fields import label_table
from refold.sequences import (
    FORMATS,
    Schema,
    Sequences,
    format_named,
    has_default_names,
    read,
)
from refold.serve import ServeSettings, running, serve, to_json

PAGE = Path(__file__).parent / "page"
# A selection of a million sequences is a long list of rows.
_MAX_BODY = 64 << 20
# Cap on the sequences that are placed at once.
MAX_SEQUENCES = 500
# Longest wait of a request for values that are being computed, in seconds.
_WAIT = 0.15
_BYTES = "application/octet-stream"
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


def explore(model: str | Path, atlas: Atlas, *, port: int = 8000) -> None:
    """Serve the page of an atlas to this machine until the process receives SIGTERM or Ctrl-C.

    Parameters
    ----------
    model : path
        Model file of the atlas.
    atlas : Atlas
        The sequences and their map.
    port : int, default=8000
        Port; 0 takes a free one.

    Raises
    ------
    FileAccessError
        If the port is in use, or the model file does not exist.

    Examples
    --------
    >>> explore("sines.refold", Atlas(model, sines))  # doctest: +SKIP
    """
    path = Path(model)
    settings = ServeSettings(port=port, max_body=_MAX_BODY)
    try:
        serve({path.stem: path}, settings, routes=routes(atlas, path.stem))
    finally:
        atlas.umap.stop()


@contextlib.contextmanager
def exploring(model: str | Path, atlas: Atlas, *, port: int = 0) -> Iterator[str]:
    """Serve the page of an atlas from a thread inside a ``with`` block.

    Parameters
    ----------
    model, atlas, port
        As in `explore`; by default, the port is a free one.

    Yields
    ------
    url : str
        Address of the page.

    Examples
    --------
    >>> import tempfile, urllib.request
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> with exploring(path, Atlas(ae, sines)) as url:
    ...     urllib.request.urlopen(url).status
    200
    """
    path = Path(model)
    settings = ServeSettings(port=port, max_body=_MAX_BODY)
    with running({path.stem: path}, settings, routes=routes(atlas, path.stem)) as url:
        try:
            yield url
        finally:
            atlas.umap.stop()


def routes(atlas: Atlas, model: str) -> list[Route]:
    """Return the routes of the page and of what it asks for."""
    files = {path.name: path.read_bytes() for path in PAGE.iterdir() if path.suffix in _TYPES}

    def file(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return _response(b"There is no such file.", "text/plain", status=404)
        return _response(files[name], _TYPES[Path(name).suffix])

    def points(request: Request) -> Response:
        flat = atlas.map(request.query_params.get("map", "pca"), _WAIT)
        if flat is None:
            return _json({}, status=202)  # it is being computed
        return _response(flat.vectors.tobytes(), _BYTES)

    def field(request: Request) -> Response:
        field = atlas.field(unquote(request.path_params["name"]))
        values = field.values(_WAIT)
        if values is None:
            return _json({"done": field.done}, status=202)
        return _response(values.tobytes(), _BYTES)

    def labels(request: Request) -> Response:
        field = atlas.field(unquote(request.path_params["name"]))
        if not field.is_label:
            raise ParameterError(f"{field.name!r} is no column of labels that you gave.")
        table = label_table(field, atlas.sequences)
        if request.url.path.endswith(".csv"):
            columns = [column.to_pylist() for column in table.columns]
            return _response(_csv(table.column_names, zip(*columns, strict=True)), _BYTES)
        stream = io.BytesIO()
        pq.write_table(table, stream)
        return _response(stream.getvalue(), _BYTES)

    def rows(fields: dict[str, Any]) -> list[int]:
        """Return the rows of a selection."""
        selected, count = fields.get("rows"), len(atlas.codes)
        if not isinstance(selected, list):
            selected = []
        if not selected or any(type(row) is not int or not 0 <= row < count for row in selected):
            raise ParameterError("The selection is empty or has unknown sequences. Select some.")
        return selected

    def label(fields: dict[str, Any]) -> object:
        return atlas.label(fields.get("name"), fields.get("value"), rows(fields)).describe()

    def unfold(fields: dict[str, Any]) -> object:
        names = fields.keys() & {"at", "code", "row", "on"}
        return atlas.unfold(**{name: fields[name] for name in names})

    async def place(request: Request) -> Response:
        content = await _body(request)
        name, on = (request.query_params.get(key, "") for key in ("name", "map"))
        return _json(await asyncio.to_thread(_placed, atlas, content, name, on or "pca"))

    async def table(request: Request) -> Response:
        selected = rows(await _fields(request))
        content = _TABLES[Path(request.url.path).name]
        body = await asyncio.to_thread(content, atlas, selected)
        return _response(body, "text/plain; charset=utf-8")

    def get(path: str, answer: Callable[[Request], Response]) -> Route:
        return Route(path, answer, methods=["GET"])

    def get_json(path: str, content: Callable[[Request], object]) -> Route:
        return get(path, lambda request: _json(content(request)))

    def post(path: str, answer: Callable[[Request], Any]) -> Route:
        return Route(path, answer, methods=["POST"])

    def post_json(path: str, content: Callable[[dict[str, Any]], object]) -> Route:
        async def answer(request: Request) -> Response:
            return _json(await asyncio.to_thread(content, await _fields(request)))

        return post(path, answer)

    return [
        get("/", file),
        get("/page/{name}", file),
        get_json("/explore/atlas", lambda _: atlas.describe() | {"model": model}),
        get("/explore/points", points),
        get_json("/explore/fields", lambda _: [field.describe() for field in atlas.fields]),
        get("/explore/fields/{name:path}", field),
        post_json("/explore/labels", label),
        get("/explore/labels/{name:path}.csv", labels),
        get("/explore/labels/{name:path}.parquet", labels),
        post_json("/explore/normal", lambda fields: atlas.normal(rows(fields)).describe()),
        post_json(
            "/explore/clusters", lambda fields: atlas.cluster(fields.get("number")).describe()
        ),
        get_json("/explore/sequences/{row:int}", lambda r: atlas.show(r.path_params["row"])),
        post_json("/explore/unfold", unfold),
        post("/explore/place", place),
        *(post(f"/explore/tables/{what}", table) for what in _TABLES),
    ]


def _placed(atlas: Atlas, content: bytes, name: str, on: str) -> dict[str, Any]:
    sequences = _read_pasted(content, name, atlas.model.schema)
    codes = atlas.model.encode(sequences)
    return {"sequences": atlas.compare(sequences, codes, on)}


def _field_table(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and fields, those of which the values are known, as CSV."""
    ids, fields = atlas.sequences.ids, [field for field in atlas.fields if field.done == 1.0]
    head = ["id", *(field.name for field in fields)]
    return _csv(head, ([ids[row], *(field.text(row) for field in fields)] for row in rows))


def _code_table(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and codes as CSV, in the form that `refold decode` reads."""
    ids, codes = atlas.sequences.ids, atlas.codes
    head = ["id", *(f"code{i}" for i in range(codes.shape[1]))]
    return _csv(head, ([ids[row], *map(repr, codes[row].tolist())] for row in rows))


def _sequence_lines(atlas: Atlas, rows: list[int]) -> bytes:
    """Return sequences as a JSON list, in the form that the page and the service read."""
    return to_json([atlas.sequences[row] for row in rows])


# What the page offers to download of a selection.
_TABLES = {"table": _field_table, "codes": _code_table, "sequences": _sequence_lines}


def _csv(head: list[str], rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue().encode()


async def _body(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            limit = f"{_MAX_BODY >> 20} MiB"
            raise ParameterError(f"This is larger than {limit}, the limit. Send less.")
    return bytes(body)


async def _fields(request: Request) -> dict[str, Any]:
    fields = None
    # pages of other servers cannot send this type without being asked for permission first
    if request.headers.get("content-type", "").partition(";")[0] == "application/json":
        body = await _body(request)
        with contextlib.suppress(ValueError, RecursionError):
            fields = msgspec.json.decode(body)
    if not isinstance(fields, dict):
        raise ParameterError(
            "The request must be a JSON object, with the content type application/json."
        )
    return fields


def _json(content: object, status: int = 200) -> Response:
    return _response(to_json(content), "application/json", status)


def _response(body: bytes, media_type: str, status: int = 200) -> Response:
    return Response(body, status, headers={**_HEADERS, "content-type": media_type})


# Sequences that a user pastes or drops on the page


def _read_pasted(content: bytes, name: str, schema: Schema) -> Sequences:
    """Read sequences for a schema from a file's content, or from text if ``name`` is empty."""
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    is_json = content.lstrip()[:1] in (b"[", b"{", b'"')
    kind = format_named(name or ("pasted.json" if is_json else "pasted.csv"))
    if kind is None:
        raise DataError(f"{name} cannot be read. Use one of {', '.join(FORMATS)}.")
    keys: dict[str, Any] = {"id": schema.id_name, "time": schema.time_name}
    columns: dict[str, Any] = {} if has_default_names(schema) else {"columns": [*schema.names]}
    failure: RefoldError | None = None
    # the file may have the ids, times and columns of the training data
    for options in (keys | columns, columns, {}):
        stream: Any = io.BytesIO(content)
        stream.name = name or "This"
        try:
            sequences = read(stream, format=kind.name, **options)
        except (SchemaError, ParameterError) as error:
            failure = error
        except FileFormatError as error:
            # the service shows no errors of files, which may name a place on this machine
            raise DataError(str(error)) from error
        else:
            if len(sequences) > MAX_SEQUENCES:
                raise ParameterError(
                    f"There are {len(sequences)} sequences, and the page places {MAX_SEQUENCES} "
                    "at once. Paste fewer."
                )
            return sequences.align(schema)
    raise failure or DataError(f"{name} cannot be read.")
