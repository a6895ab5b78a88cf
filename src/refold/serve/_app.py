"""The ASGI application: routes and how a request is read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import refold
from refold.sequences import check_model, stored_model
from refold.serve import _arrow_bodies, _json_bodies, _metrics
from refold.serve._answers import JSON, answer, answer_error, headers_of
from refold.serve._batches import Batcher
from refold.serve._fields import CODES, SEQUENCES, query_values, read_fields
from refold.serve._guard import Gate, Guard
from refold.serve._models import ModelStore, ServedModel
from refold.serve._openapi import openapi
from refold.serve._operations import OPERATIONS, Answer, Apart, Asked, Operation, Run
from refold.serve._request_body import Bodies, Held, read_body
from refold.serve._service_errors import ServiceError, stopping
from refold.serve._settings import ServeSettings

# Types of bodies, and whether it is Arrow.
_KNOWN = {JSON.encode(): False, _arrow_bodies.MEDIA_TYPE.encode(): True}
# Bodies above this number of bytes are read in another thread.
LARGE = 1 << 18


class Request(NamedTuple):
    """A request for an operation, whose body has not been read."""

    operation: Operation
    model: ServedModel
    headers: dict[bytes, bytes]
    query: bytes
    as_table: bool  # whether the body is an Arrow table


class Service:
    """The models, the queue and the numbers of one server."""

    def __init__(self, models: ModelStore, settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        self.metrics = _metrics.Metrics(lambda: self.batches.waiting, lambda: self.batches.open)
        self.batches = Batcher(
            settings.batch_seconds, settings.batch_steps, settings.max_queue, self.metrics.batch
        )
        self.bodies = Bodies(settings.max_total_body)
        self.gate = Gate(settings, self.batches, self.metrics)
        self.ready = True  # until it is asked to stop; then it takes no new requests
        self.loop: asyncio.AbstractEventLoop | None = None  # once it runs
        self._fits = asyncio.Semaphore(1)  # of what is computed apart
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="refold-bodies")

    def close(self) -> None:
        """End the threads."""
        self.batches.close()
        self._reader.shutdown(wait=True, cancel_futures=True)

    async def reload(self) -> None:
        """Read all model files again, and use them if all can be read."""
        try:
            await asyncio.to_thread(self.models.read_again)
        except Exception:
            self.metrics.reload(failed=True)
            raise
        self.metrics.reload(failed=False)

    def begin(self, name: str, model: str, headers: dict[bytes, bytes], query: bytes) -> Request:
        """Check what comes before the body of a request for an operation."""
        served = self.models.get(model)
        self.batches.check_room()
        media_type = headers.get(b"content-type", b"")
        if media_type not in _KNOWN:
            media_type = media_type.split(b";")[0].strip().lower()
            if media_type not in _KNOWN:
                raise ServiceError(
                    415,
                    "unsupported_media_type",
                    f"The Content-Type must be {JSON} or {_arrow_bodies.MEDIA_TYPE}.",
                )
        return Request(OPERATIONS[name], served, headers, query, _KNOWN[media_type])

    def read(self, request: Request, body: bytes) -> Asked:
        """Read and check the body of a request."""
        return (self._read_table if request.as_table else self._read_json)(request, body)

    def write(self, request: Request, result: Answer) -> tuple[str, bytes]:
        """Return the type and the body of an answer."""
        accepted = request.headers.get(b"accept", b"").decode("latin-1")
        if _arrow_bodies.MEDIA_TYPE in accepted or (request.as_table and accepted in ("", "*/*")):
            table = result.table()
            if result.warnings:
                lines = _json_bodies.to_json(result.warnings)
                table = table.replace_schema_metadata(
                    {**(table.schema.metadata or {}), b"refold.warnings": lines}
                )
            return _arrow_bodies.MEDIA_TYPE, _arrow_bodies.to_stream(table)
        content = result.content()
        if result.warnings:
            content["warnings"] = result.warnings
        return JSON, _json_bodies.to_json(content)

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for an operation, in a task; see also `Exchange`."""
        name = scope["path"].rpartition("/")[2]
        scope["refold.operation"] = name
        headers, model = headers_of(scope), scope["path_params"]["model"]
        request = self.begin(name, model, headers, scope["query_string"])
        held = Held(self.bodies)
        try:
            body = await read_body(receive, headers, self.settings.max_body, held)
            if len(body) > LARGE:
                loop = asyncio.get_running_loop()
                asked = await loop.run_in_executor(self._reader, self.read, request, body)
            else:
                asked = self.read(request, body)
            del body
            result = await self._computed(request.operation.run(asked))
        finally:
            held.release()
        media_type, body = self.write(request, result)
        await answer(scope, send, body, media_type=media_type)

    async def _computed(self, run: Run) -> Answer:
        """Return the answer of an operation."""
        result = None
        while True:
            try:
                work = run.send(result)
            except StopIteration as done:
                return done.value
            if isinstance(work, Apart):
                async with self._fits:
                    result = await asyncio.to_thread(work.function)
            else:
                result = await self.batches.compute(work)

    def _read_json(self, request: Request, body: bytes) -> Asked:
        operation, model = request.operation, request.model
        options = read_fields(_json_bodies.parse_object(body), operation.fields)
        sequences = codes = None
        if (given := options.pop(SEQUENCES.name, None)) is not None:
            booleans = b"true" in body or b"false" in body
            sequences = _json_bodies.sequences_from_json(
                given, model, self.settings, booleans=booleans
            )
        if (given := options.pop(CODES.name, None)) is not None:
            codes = _json_bodies.codes_from_json(given, self.settings)
        return Asked(model, self.settings, sequences, codes, None, options)

    def _read_table(self, request: Request, body: bytes) -> Asked:
        operation, model = request.operation, request.model
        table = _arrow_bodies.parse_table(body, self.settings)
        names = {field.name for field in operation.fields}
        in_table = (SEQUENCES.name, CODES.name)
        beside = tuple(field for field in operation.fields if field.name not in in_table)
        options = read_fields(query_values(request.query), beside)
        sequences = codes = ids = doubt = None
        if CODES.name in names and (SEQUENCES.name not in names or "code" in table.column_names):
            doubt = check_model(stored_model(table), model, "The table")
            codes, ids, lengths = _arrow_bodies.codes_from_table(table)
            if lengths is not None and "lengths" in names:
                options["lengths"] = lengths
        elif SEQUENCES.name in names:
            sequences = _arrow_bodies.sequences_from_table(table, model)
            ids = sequences.ids
        return Asked(model, self.settings, sequences, codes, ids, options, doubt)

    async def show_models(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with all models."""
        del receive
        content = {"models": [model.describe() for model in self.models]}
        await answer(scope, send, _json_bodies.to_json(content))

    async def show_model(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with one model."""
        del receive
        model = self.models.get(scope["path_params"]["model"])
        await answer(scope, send, _json_bodies.to_json(model.describe()))

    async def show_health(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer that the process runs."""
        del receive
        await answer(scope, send, _json_bodies.to_json({"version": refold.__version__}))

    async def show_ready(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer whether the service takes requests."""
        del receive
        if not self.ready:
            raise stopping()
        await answer(scope, send, b'{"ready":true}')

    async def show_metrics(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the numbers for Prometheus."""
        del receive
        await answer(scope, send, self.metrics.text(), media_type=_metrics.MEDIA_TYPE)

    async def show_openapi(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the description of the interface."""
        del receive
        names = [model.name for model in self.models]
        document = openapi(self.settings, names, secured=self.settings.secret() is not None)
        await answer(scope, send, _json_bodies.to_json(document))


class _Endpoint:
    """A method as an ASGI application, which Starlette calls without a request object."""

    def __init__(self, method: ASGIApp) -> None:
        self._method = method

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._method(scope, receive, send)


def create_app(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the service as an ASGI application.

    Parameters
    ----------
    models : mapping of str to path
        Model file of each name.
    settings : ServeSettings, optional
        Limits and access; by default those of the environment.
    indexes : mapping of str to str, optional
        File of the index of some of the models; see `refold.search.Index`.
    routes : sequence of starlette.routing.BaseRoute
        More routes, which pass the same checks.

    Returns
    -------
    starlette.applications.Starlette
        ``state.service`` is the service.

    Raises
    ------
    ModelFileError
        If a file is no model, or no default model with LSTMs.
    MissingFileError
        If a file does not exist.
    ParameterError
        If there is no model, or a name that a path cannot hold.

    Examples
    --------
    >>> import tempfile
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... )
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> app = create_app({"sines": path})
    >>> [model.name for model in app.state.service.models]
    ['sines']
    """
    settings = settings or ServeSettings()
    service = Service(ModelStore(models, indexes), settings)
    get = {
        "/v1/health": service.show_health,
        "/v1/ready": service.show_ready,
        "/v1/metrics": service.show_metrics,
        "/v1/models": service.show_models,
        "/v1/openapi.json": service.show_openapi,
    }
    operations = [
        Route(f"/v1/{{model}}/{name}", _Endpoint(service.run), methods=["POST"])
        for name in OPERATIONS
    ]
    pages = [Route(path, _Endpoint(method), methods=["GET"]) for path, method in get.items()]
    one = Route("/v1/{model}", _Endpoint(service.show_model), methods=["GET"])

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        del app
        service.loop = asyncio.get_running_loop()
        yield
        service.close()

    app = Starlette(
        routes=[*operations, *pages, one, *routes],
        middleware=[
            Middleware(
                Guard,
                gate=service.gate,
                settings=settings,
                batches=service.batches,
                metrics=service.metrics,
            )
        ],
        exception_handlers={HTTPException: _http_error},  # type: ignore[dict-item]
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _http_error(request: object, error: HTTPException) -> Any:
    """Answer what the router refuses: unknown paths and methods."""
    reasons = {404: "There is nothing at this path.", 405: "This path has another method."}
    message = reasons.get(error.status_code, "The request was refused.")
    refused = ServiceError(
        error.status_code,
        "not_found" if error.status_code == 404 else "refused",
        message,
        headers={name.lower(): value for name, value in (error.headers or {}).items()},
    )

    async def respond(scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        await answer_error(scope, send, refused)

    del request
    return respond
