"""The server of the explorer: the page, and what it asks."""

import asyncio
import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from refold.errors import DataError, ParameterError, RefoldError, SchemaError
from refold.explore._atlas import Atlas
from refold.sequences import (
    FORMATS,
    Schema,
    Sequences,
    format_named,
    has_default_names,
    read,
)
from refold.serve import ServeSettings, run_app, running_app, to_json

PAGE = Path(__file__).parent / "page"
# Cap on the sequences that are placed at once.
MAX_SEQUENCES = 500
# Longest wait of a request for values that are being computed, in seconds.
_WAIT = 0.15
_BYTES = "application/octet-stream"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
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
        Model file of the atlas, whose name the page shows.
    atlas : Atlas
        The sequences and their map.
    port : int, default=8000
        Port; 0 takes a free one.

    Raises
    ------
    FileAccessError
        If the port is in use.

    Examples
    --------
    >>> explore("sines.refold", Atlas(model, sines))  # doctest: +SKIP
    """
    name = Path(model).stem
    run_app(create_app(atlas, name), ServeSettings(port=port), name)


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
    with running_app(create_app(atlas, Path(model).stem), ServeSettings(port=port)) as url:
        yield url


# Starlette routes the requests of the page. The service does without its router, because it gets
# many small requests (`serve/_app.py`).
def create_app(atlas: Atlas, model: str) -> Starlette:
    """Return the page and what it asks for as an ASGI application."""

    def refused(_: Request, error: Exception) -> Response:
        return _json({"error": {"message": str(error)}}, status=422)

    # no page of another server can reach this one under a name of its own
    own_names = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=_routes(atlas, model),
        middleware=[own_names],
        exception_handlers={RefoldError: refused},
    )


def _routes(atlas: Atlas, model: str) -> list[Route]:
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
        values = atlas.field(unquote(request.path_params["name"])).result(_WAIT)
        if values is None:
            return _json({}, status=202)
        return _response(values.tobytes(), _BYTES)

    def rows(fields: dict[str, Any]) -> list[int]:
        """Return the rows of a selection."""
        selected = fields.get("rows")
        if not isinstance(selected, list) or not selected:
            raise ParameterError("The selection is empty. Select some sequences.")
        for row in selected:
            atlas.check_row(row)
        return selected

    def unfold(fields: dict[str, Any]) -> object:
        names = fields.keys() & {"at", "code", "row", "on"}
        return atlas.unfold(**{name: fields[name] for name in names})

    async def place(request: Request) -> Response:
        content = await request.body()
        name, on = (request.query_params.get(key, "") for key in ("name", "map"))
        return _json(await asyncio.to_thread(_placed, atlas, content, name, on or "pca"))

    def get(path: str, answer: Callable[[Request], object]) -> Route:
        def respond(request: Request) -> Response:
            content = answer(request)
            return content if isinstance(content, Response) else _json(content)

        return Route(path, respond)

    def post(path: str, answer: Callable[[dict[str, Any]], object]) -> Route:
        async def respond(request: Request) -> Response:
            content = await asyncio.to_thread(answer, await _fields(request))
            return content if isinstance(content, Response) else _json(content)

        return Route(path, respond, methods=["POST"])

    def download(name: str, table: Callable[[Atlas, list[int]], bytes]) -> Route:
        def answer(fields: dict[str, Any]) -> Response:
            return _response(table(atlas, rows(fields)), _BYTES)

        return post(f"/explore/tables/{name}", answer)

    return [
        get("/", file),
        get("/page/{name}", file),
        get("/explore/atlas", lambda _: atlas.describe() | {"model": model}),
        get("/explore/points", points),
        get("/explore/fields", lambda _: [field.describe() for field in atlas.fields]),
        get("/explore/fields/{name:path}", field),
        get("/explore/ids", lambda r: atlas.find(r.query_params.get("text", ""))),
        get("/explore/sequences/{row:int}", lambda r: atlas.show(r.path_params["row"])),
        Route("/explore/place", place, methods=["POST"]),
        post("/explore/clusters", lambda fields: atlas.cluster(fields.get("number")).describe()),
        post("/explore/unfold", unfold),
        download("table", _field_table),
        download("codes", _code_table),
        download("sequences", _sequence_lines),
    ]


def _placed(atlas: Atlas, content: bytes, name: str, on: str) -> dict[str, Any]:
    sequences = _read_pasted(content, name, atlas.model.schema)
    sequences = atlas.model.windows(sequences).sequences
    codes = atlas.model.encode(sequences)
    return {"sequences": atlas.compare(sequences, codes, on)}


def _field_table(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and fields, those of which the values are known, as CSV."""
    ids, fields = atlas.sequences.ids, [field for field in atlas.fields if field.is_ready]
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


def _csv(head: list[str], rows: Iterable[Sequence[Any]]) -> bytes:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(rows)
    return stream.getvalue().encode()


async def _fields(request: Request) -> dict[str, Any]:
    fields = None
    # pages of other servers cannot send this type without being asked for permission first
    if request.headers.get("content-type", "").partition(";")[0] == "application/json":
        with contextlib.suppress(ValueError, RecursionError):
            fields = msgspec.json.decode(await request.body())
    if not isinstance(fields, dict):
        raise ParameterError(
            "The request must be a JSON object, with the content type application/json."
        )
    return fields


def _json(content: object, status: int = 200) -> Response:
    return _response(to_json(content), "application/json", status)


def _response(body: bytes, media_type: str, status: int = 200) -> Response:
    return Response(body, status, _HEADERS, media_type)


# Sequences that a user pastes or drops on the page


def _read_pasted(content: bytes, name: str, schema: Schema) -> Sequences:
    """Read sequences for a schema from a file's content, or from text if ``name`` is empty."""
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    is_json = content.lstrip()[:1] in (b"[", b"{", b'"')
    kind = format_named(name or ("pasted.json" if is_json else "pasted.csv"))
    if kind is None:
        raise DataError(f"{name} cannot be read. Use one of {', '.join(FORMATS)}.")

    def parsed(**options: Any) -> Sequences:
        stream: Any = io.BytesIO(content)
        stream.name = name or "This"
        return read(stream, format=kind.name, **options)

    columns = {} if has_default_names(schema) else {"columns": [*schema.names]}
    try:
        # the file may have the ids, times and columns of the training data
        sequences = parsed(id=schema.id_name, time=schema.time_name, **columns)
    except (SchemaError, ParameterError):
        sequences = parsed()
    if len(sequences) > MAX_SEQUENCES:
        raise ParameterError(
            f"There are {len(sequences)} sequences, and the page places {MAX_SEQUENCES} at once. "
            "Paste fewer."
        )
    return sequences.align(schema)
