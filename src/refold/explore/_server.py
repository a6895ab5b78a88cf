"""The server of the explorer: it serves the page, and answers its requests about an `Atlas`."""

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
    format_of_file_name,
    has_default_names,
    read,
)
from refold.serve import ServeSettings, run_app, running_app, to_json

PAGE_FOLDER = Path(__file__).parent / "page"
# Largest number of sequences that a user can add at once, so that the page stays quick.
MAX_ADDED_SEQUENCES = 500
# A request waits this long for values that are being computed. Then the page asks again.
_MAX_WAIT_SECONDS = 0.15
_BINARY_TYPE = "application/octet-stream"
# Content types of the files of the page, by suffix.
_CONTENT_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
# Headers of all responses: the page runs only its own scripts, and connects only to this server.
_RESPONSE_HEADERS = {
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


# The router of Starlette is fast enough here. The service has its own, because it gets many small
# requests (`serve/_app.py`).
def create_app(atlas: Atlas, model_name: str) -> Starlette:
    """Return an ASGI application that serves the page and answers its requests."""

    def respond_to_error(_: Request, error: Exception) -> Response:
        return _json_response({"error": {"message": str(error)}}, status=422)

    # other hosts are refused, so that no page of another server can reach this server under its own
    # host name
    trusted_hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=_make_routes(atlas, model_name),
        middleware=[trusted_hosts],
        exception_handlers={RefoldError: respond_to_error},
    )


def _make_routes(atlas: Atlas, model_name: str) -> list[Route]:
    """Return the routes of the files of the page, and of its requests."""
    files = {
        path.name: path.read_bytes()
        for path in PAGE_FOLDER.iterdir()
        if path.suffix in _CONTENT_TYPES
    }

    def get_file(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return _make_response(b"There is no such file.", "text/plain", status=404)
        return _make_response(files[name], _CONTENT_TYPES[Path(name).suffix])

    def get_points(request: Request) -> Response:
        code_map = atlas.map(request.query_params.get("map", "pca"), _MAX_WAIT_SECONDS)
        if code_map is None:
            return _json_response({}, status=202)  # not computed yet: the page asks again
        return _make_response(code_map.vectors.tobytes(), _BINARY_TYPE)

    def get_field(request: Request) -> Response:
        values = atlas.field(unquote(request.path_params["name"])).result(_MAX_WAIT_SECONDS)
        if values is None:
            return _json_response({}, status=202)
        return _make_response(values.tobytes(), _BINARY_TYPE)

    def parse_selection(fields: dict[str, Any]) -> list[int]:
        """Return the rows of a selection, or raise an error if they are not rows of the data."""
        rows = fields.get("rows")
        if not isinstance(rows, list) or not rows:
            raise ParameterError("The selection is empty. Select some sequences.")
        for row in rows:
            atlas.check_row(row)
        return rows

    def decode(fields: dict[str, Any]) -> object:
        names = fields.keys() & {"at", "code", "row", "on"}
        return atlas.unfold(**{name: fields[name] for name in names})

    async def add_sequences(request: Request) -> Response:
        content = await request.body()
        file_name, map_name = (request.query_params.get(key, "") for key in ("name", "map"))
        added = await asyncio.to_thread(
            _add_sequences, atlas, content, file_name, map_name or "pca"
        )
        return _json_response(added)

    def route_get(path: str, handler: Callable[[Request], object]) -> Route:
        """Return a route whose handler gets the request, and returns a response or JSON content."""

        def respond(request: Request) -> Response:
            content = handler(request)
            return content if isinstance(content, Response) else _json_response(content)

        return Route(path, respond)

    def route_post(path: str, handler: Callable[[dict[str, Any]], object]) -> Route:
        """Return a route whose handler gets the fields of the JSON body."""

        async def respond(request: Request) -> Response:
            content = await asyncio.to_thread(handler, await _read_json_object(request))
            return content if isinstance(content, Response) else _json_response(content)

        return Route(path, respond, methods=["POST"])

    def route_download(name: str, to_bytes: Callable[[Atlas, list[int]], bytes]) -> Route:
        """Return a route for a file about the selected sequences."""

        def handler(fields: dict[str, Any]) -> Response:
            return _make_response(to_bytes(atlas, parse_selection(fields)), _BINARY_TYPE)

        return route_post(f"/explore/tables/{name}", handler)

    return [
        route_get("/", get_file),
        route_get("/page/{name}", get_file),
        route_get("/explore/atlas", lambda _: atlas.describe() | {"model": model_name}),
        route_get("/explore/points", get_points),
        route_get("/explore/fields", lambda _: [field.describe() for field in atlas.fields]),
        route_get("/explore/fields/{name:path}", get_field),
        route_get("/explore/ids", lambda request: atlas.find(request.query_params.get("text", ""))),
        route_get(
            "/explore/sequences/{row:int}", lambda request: atlas.show(request.path_params["row"])
        ),
        Route("/explore/place", add_sequences, methods=["POST"]),
        route_post(
            "/explore/clusters", lambda fields: atlas.cluster(fields.get("number")).describe()
        ),
        route_post("/explore/unfold", decode),
        route_download("table", _fields_to_csv),
        route_download("codes", _codes_to_csv),
        route_download("sequences", _sequences_to_json),
    ]


def _add_sequences(atlas: Atlas, content: bytes, file_name: str, map_name: str) -> dict[str, Any]:
    """Encode sequences that a user adds, and return them with their places on a map."""
    sequences = _read_added(content, file_name, atlas.model.schema)
    sequences = atlas.model.windows(sequences).sequences
    codes = atlas.model.encode(sequences)
    return {"sequences": atlas.compare(sequences, codes, map_name)}


def _fields_to_csv(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids, and the fields that are computed already, as CSV."""
    ids, fields = atlas.sequences.ids, [field for field in atlas.fields if field.is_ready]
    header = ["id", *(field.name for field in fields)]
    return _to_csv(header, ([ids[row], *(field.text(row) for field in fields)] for row in rows))


def _codes_to_csv(atlas: Atlas, rows: list[int]) -> bytes:
    """Return ids and codes as CSV, in the form that `refold decode` reads."""
    ids, codes = atlas.sequences.ids, atlas.codes
    header = ["id", *(f"code{i}" for i in range(codes.shape[1]))]
    return _to_csv(header, ([ids[row], *map(repr, codes[row].tolist())] for row in rows))


def _sequences_to_json(atlas: Atlas, rows: list[int]) -> bytes:
    """Return sequences as a JSON list, in the form that the page and the service read."""
    return to_json([atlas.sequences[row] for row in rows])


def _to_csv(header: list[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a table as CSV in UTF-8."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


async def _read_json_object(request: Request) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    fields = None
    # Browsers let pages of other servers send this type only if this server permits it, which it
    # does not.
    if request.headers.get("content-type", "").partition(";")[0] == "application/json":
        with contextlib.suppress(ValueError, RecursionError):
            fields = msgspec.json.decode(await request.body())
    if not isinstance(fields, dict):
        raise ParameterError(
            "The request must be a JSON object, with the content type application/json."
        )
    return fields


def _json_response(content: object, status: int = 200) -> Response:
    """Return a response with JSON content."""
    return _make_response(to_json(content), "application/json", status)


def _make_response(body: bytes, media_type: str, status: int = 200) -> Response:
    """Return a response with the headers that all responses have."""
    return Response(body, status, _RESPONSE_HEADERS, media_type)


# Sequences that a user adds: pastes, chooses or drops on the page


def _read_added(content: bytes, file_name: str, schema: Schema) -> Sequences:
    """Read sequences from the content of a file, or from pasted text without a file name."""
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    is_json = content.lstrip()[:1] in (b"[", b"{", b'"')
    file_format = format_of_file_name(file_name or ("pasted.json" if is_json else "pasted.csv"))
    if file_format is None:
        raise DataError(f"{file_name} cannot be read. Use one of {', '.join(FORMATS)}.")

    def read_content(**options: Any) -> Sequences:
        stream: Any = io.BytesIO(content)
        stream.name = file_name or "This"  # for error messages
        return read(stream, format=file_format.name, **options)

    columns = {} if has_default_names(schema) else {"columns": [*schema.names]}
    try:
        # first, as a file with the id, time and other columns of the training data
        sequences = read_content(id=schema.id_name, time=schema.time_name, **columns)
    except (SchemaError, ParameterError):
        sequences = read_content()  # then, as a file with only the columns of the model
    if len(sequences) > MAX_ADDED_SEQUENCES:
        raise ParameterError(
            f"There are {len(sequences)} sequences, and the page places {MAX_ADDED_SEQUENCES} at "
            "once. Paste fewer."
        )
    return sequences.align(schema)
