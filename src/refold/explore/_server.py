"""The server of the explorer serves the page, and answers its requests about an `Atlas`."""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
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
    find_format_or_none,
    has_default_names,
    read,
)
from refold.serve import ServeSettings, run_app, running_app, to_json

PAGE_FOLDER = Path(__file__).parent / "page"
# Largest number of sequences that a user can add at once, so that the page stays quick.
MAX_ADDED_SEQUENCES = 500
# A request waits at most this long for values that are being computed. If they are not ready, the
# page asks again.
_MAX_WAIT_SECONDS = 0.15
_BINARY_CONTENT_TYPE = "application/octet-stream"
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


def explore(model_path: str | Path, atlas: Atlas, *, port: int = 8000) -> None:
    """Serve the page of an atlas to this machine until the process receives SIGTERM or Ctrl-C.

    Parameters
    ----------
    model_path : path
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
    name = Path(model_path).stem
    run_app(create_app(atlas, name), ServeSettings(port=port), name)


@contextlib.contextmanager
def exploring(model_path: str | Path, atlas: Atlas, *, port: int = 0) -> Iterator[str]:
    """Serve the page of an atlas from a thread inside a ``with`` block.

    Parameters
    ----------
    model_path, atlas, port
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
    with running_app(create_app(atlas, Path(model_path).stem), ServeSettings(port=port)) as url:
        yield url


# A handler gets a request and its body. It returns a response, or content for JSON, or None if the
# content is not computed yet.
_Handler = Callable[[Request, bytes], object]


# Starlette's router is fast enough for the explorer. `refold serve` has a router of its own
# (`serve/_app.py`), because it gets many small requests.
def create_app(atlas: Atlas, model_name: str) -> Starlette:
    """Return an ASGI application that serves the page and answers its requests."""
    files = {
        path.name: path.read_bytes()
        for path in PAGE_FOLDER.iterdir()
        if path.suffix in _CONTENT_TYPES
    }

    def get_file(request: Request, _: bytes) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in files:
            return _make_response(b"There is no such file.", "text/plain", status=404)
        return _make_response(files[name], _CONTENT_TYPES[Path(name).suffix])

    def get_points(request: Request, _: bytes) -> Response | None:
        code_map = atlas.map(request.query_params.get("map", "pca"), max_seconds=_MAX_WAIT_SECONDS)
        if code_map is None:
            return None
        return _make_response(code_map.vectors.tobytes(), _BINARY_CONTENT_TYPE)

    def get_field(request: Request, _: bytes) -> Response | None:
        values = atlas.get_field(unquote(request.path_params["name"])).result(_MAX_WAIT_SECONDS)
        return None if values is None else _make_response(values.tobytes(), _BINARY_CONTENT_TYPE)

    def unfold(request: Request, body: bytes) -> object:
        fields = _parse_json_object(request, body)
        place, code, base_row = map(fields.get, ("at", "code", "row"))
        return atlas.decode_place_or_code(place, code, base_row, fields.get("on", "pca"))

    def replace_clusters(request: Request, body: bytes) -> object:
        return atlas.cluster(_parse_json_object(request, body).get("number")).describe()

    def encode_added(request: Request, body: bytes) -> object:
        parameters = request.query_params
        sequences = _read_added_sequences(body, parameters.get("name", ""), atlas.model.schema)
        sequences = atlas.model.windows(sequences).sequences
        codes = atlas.model.encode(sequences)
        map_name = parameters.get("map") or "pca"
        return {"sequences": atlas.describe_sequences(sequences, codes, map_name)}

    def make_route(path: str, handler: _Handler, method: str = "GET") -> Route:
        async def respond(request: Request) -> Response:
            # in a thread, because handlers may compute for long
            content = await run_in_threadpool(handler, request, await request.body())
            if content is None:
                return _make_response(b"", "text/plain", status=202)  # the page asks again
            if isinstance(content, Response):
                return content
            return _make_response(to_json(content), "application/json")

        return Route(path, respond, methods=[method])

    def make_download_route(file_name: str, to_bytes: Callable[[Atlas, list[int]], bytes]) -> Route:
        """Return a route for a file about the selected sequences, whose rows are in the request."""

        def download(request: Request, body: bytes) -> Response:
            rows = _parse_json_object(request, body).get("rows")
            if not isinstance(rows, list) or not rows:
                raise ParameterError("The selection is empty. Select some sequences.")
            for row in rows:
                atlas.check_row(row)
            return _make_response(to_bytes(atlas, rows), _BINARY_CONTENT_TYPE)

        return make_route(f"/explore/tables/{file_name}", download, "POST")

    routes = [
        make_route("/", get_file),
        make_route("/page/{name}", get_file),
        make_route("/explore/atlas", lambda *_: atlas.describe() | {"model": model_name}),
        make_route("/explore/points", get_points),
        make_route("/explore/fields", lambda *_: [field.describe() for field in atlas.fields]),
        make_route("/explore/fields/{name:path}", get_field),
        make_route(
            "/explore/ids", lambda request, _: atlas.find(request.query_params.get("text", ""))
        ),
        make_route(
            "/explore/sequences/{row:int}",
            lambda request, _: atlas.describe_sequence(request.path_params["row"]),
        ),
        make_route("/explore/added", encode_added, "POST"),
        make_route("/explore/clusters", replace_clusters, "POST"),
        make_route("/explore/unfold", unfold, "POST"),
        make_download_route("table", _fields_to_csv),
        make_download_route("codes", _codes_to_csv),
        # a JSON list, in the form that the page and the service read
        make_download_route(
            "sequences", lambda _, rows: to_json([atlas.sequences[row] for row in rows])
        ),
    ]

    def respond_to_error(_: Request, error: Exception) -> Response:
        content = to_json({"error": {"message": str(error)}})
        return _make_response(content, "application/json", status=422)

    # A website could make its own host name point to 127.0.0.1. Then its page, open in the user's
    # browser, could read the answers (DNS rebinding). So requests for other host names are refused.
    trusted_hosts = Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])
    return Starlette(
        routes=routes,
        middleware=[trusted_hosts],
        exception_handlers={RefoldError: respond_to_error},
    )


def _fields_to_csv(atlas: Atlas, selected_rows: list[int]) -> bytes:
    """Return ids, and the fields that are computed already, as CSV."""
    ids, fields = atlas.sequences.ids, [field for field in atlas.fields if field.is_ready]
    header = ["id", *(field.name for field in fields)]
    cells = ([ids[row], *(field.get_value(row) for field in fields)] for row in selected_rows)
    return _to_csv(header, cells)


def _codes_to_csv(atlas: Atlas, selected_rows: list[int]) -> bytes:
    """Return ids and codes as CSV, in the form that `refold decode` reads."""
    ids, codes = atlas.sequences.ids, atlas.codes
    # `repr` writes all digits of a number
    header = ["id", *(f"code{i}" for i in range(codes.shape[1]))]
    return _to_csv(header, ([ids[row], *map(repr, codes[row].tolist())] for row in selected_rows))


def _to_csv(header: list[str], cells_by_row: Iterable[Sequence[Any]]) -> bytes:
    """Return a table as CSV in UTF-8."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(cells_by_row)
    return stream.getvalue().encode()


def _parse_json_object(request: Request, body: bytes) -> dict[str, Any]:
    """Return the JSON object in the body of a request."""
    fields = None
    # Browsers let pages of other servers send the type application/json only if this server permits
    # it, which it does not.
    if request.headers.get("content-type", "").partition(";")[0] == "application/json":
        with contextlib.suppress(ValueError, RecursionError):
            fields = msgspec.json.decode(body)
    if not isinstance(fields, dict):
        raise ParameterError(
            "The request must be a JSON object, with the content type application/json."
        )
    return fields


def _make_response(body: bytes, media_type: str, status: int = 200) -> Response:
    """Return a response with the headers that all responses have."""
    return Response(body, status, _RESPONSE_HEADERS, media_type)


def _read_added_sequences(content: bytes, file_name: str, schema: Schema) -> Sequences:
    """Read sequences from the content of a file, or from pasted text without a file name."""
    if not content.strip():
        raise DataError("There is nothing to read. Paste sequences as JSON or CSV.")
    is_json = content.lstrip()[:1] in (b"[", b"{", b'"')
    file_format = find_format_or_none(file_name or ("pasted.json" if is_json else "pasted.csv"))
    if file_format is None:
        raise DataError(f"{file_name} cannot be read. Use one of {', '.join(FORMATS)}.")

    def read_content(**read_options: Any) -> Sequences:
        stream: Any = io.BytesIO(content)
        stream.name = file_name or "The pasted text"  # error messages begin with it
        return read(stream, format=file_format.name, **read_options)

    columns = {} if has_default_names(schema) else {"columns": [*schema.names]}
    try:
        # first, as a file with the id, time and other columns of the training data
        sequences = read_content(id=schema.id_name, time=schema.time_name, **columns)
    except (SchemaError, ParameterError):
        sequences = read_content()  # then, as a file with only the columns of the model
    if len(sequences) > MAX_ADDED_SEQUENCES:
        raise ParameterError(
            f"There are {len(sequences)} sequences, but at most {MAX_ADDED_SEQUENCES} can be added "
            "at once. Add fewer."
        )
    return sequences.convert_to_schema(schema)
