"""The ASGI application: routes and how a request is read."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Route

import refold
from refold.serve import _arrow_bodies, _json_bodies, _metrics
from refold.serve._answers import answer, answer_error, headers_of
from refold.serve._batches import Batcher
from refold.serve._fields import CODES, SEQUENCES, query_values, read_fields
from refold.serve._guard import Guard
from refold.serve._models import Models
from refold.serve._openapi import openapi
from refold.serve._operations import OPERATIONS, Asked, Operation
from refold.serve._request_body import read_body
from refold.serve._service_errors import ServiceError
from refold.serve._settings import ServeSettings

# Bodies above this number of bytes are read in another thread.
_LARGE = 1 << 18


class Service:
    """The models, the queue and the numbers of one server.

    Attributes
    ----------
    ready : bool
        Whether the service takes new requests; False once it is asked to stop.
    """

    def __init__(self, models: Models, settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        self.metrics = _metrics.Metrics(lambda: self.batches.waiting, lambda: self.batches.open)
        self.batches = Batcher(
            settings.batch_seconds, settings.batch_steps, settings.max_queue, self.metrics.batch
        )
        self.ready = True
        self.loop: asyncio.AbstractEventLoop | None = None  # once it runs

    async def reload(self) -> None:
        """Read all model files again, and use them if all can be read."""
        try:
            await asyncio.to_thread(self.models.read_again)
        except Exception:
            self.metrics.reload(failed=True)
            raise
        self.metrics.reload(failed=False)

    async def run(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request for an operation."""
        name = scope["path"].rpartition("/")[2]
        scope["refold.operation"] = name
        operation, headers = OPERATIONS[name], headers_of(scope)
        model = self.models.get(scope["path_params"]["model"])
        self.batches.check_room()
        media_type = (
            headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
        )
        as_table = media_type == _arrow_bodies.MEDIA_TYPE
        if not as_table and media_type != "application/json":
            raise ServiceError(
                415,
                "unsupported_media_type",
                f"The Content-Type must be application/json or {_arrow_bodies.MEDIA_TYPE}.",
            )
        body = await read_body(receive, headers, self.settings.max_body)
        read = self._read_table if as_table else self._read_json
        if len(body) > _LARGE:
            asked = await asyncio.to_thread(read, operation, model, body, scope)
        else:
            asked = read(operation, model, body, scope)
        result = await operation.run(asked)
        accepted = headers.get(b"accept", b"").decode("latin-1")
        if _arrow_bodies.MEDIA_TYPE in accepted or (as_table and accepted in ("", "*/*")):
            table = result.table()
            if result.warnings:
                lines = _json_bodies.to_json(result.warnings)
                table = table.replace_schema_metadata(
                    {**(table.schema.metadata or {}), b"refold.warnings": lines}
                )
            await answer(
                scope, send, _arrow_bodies.to_stream(table), media_type=_arrow_bodies.MEDIA_TYPE
            )
            return
        content = result.content()
        if result.warnings:
            content["warnings"] = result.warnings
        await answer(scope, send, _json_bodies.to_json(content))

    def _read_json(self, operation: Operation, model: Any, body: bytes, scope: Any) -> Asked:
        del scope
        options = read_fields(_json_bodies.parse_object(body), operation.fields)
        sequences = codes = None
        if (given := options.pop(SEQUENCES.name, None)) is not None:
            sequences = _json_bodies.sequences_from_json(given, model, self.settings)
        if (given := options.pop(CODES.name, None)) is not None:
            codes = _json_bodies.codes_from_json(given, self.settings)
        return Asked(model, self.settings, self.batches, sequences, codes, None, options)

    def _read_table(self, operation: Operation, model: Any, body: bytes, scope: Any) -> Asked:
        table = _arrow_bodies.parse_table(body, self.settings)
        names = {field.name for field in operation.fields}
        in_table = (SEQUENCES.name, CODES.name)
        beside = tuple(field for field in operation.fields if field.name not in in_table)
        options = read_fields(query_values(scope["query_string"]), beside)
        sequences = codes = ids = None
        if CODES.name in names and (SEQUENCES.name not in names or "code" in table.column_names):
            codes, ids, lengths = _arrow_bodies.codes_from_table(table)
            if lengths is not None and "lengths" in names:
                options["lengths"] = lengths
        elif SEQUENCES.name in names:
            sequences = _arrow_bodies.sequences_from_table(table, model)
            ids = sequences.ids
        return Asked(model, self.settings, self.batches, sequences, codes, ids, options)

    async def show_models(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with all models."""
        del receive
        content = {"models": [model.describe() for model in self.models]}
        await answer(scope, send, _json_bodies.to_json(content))

    async def show_model(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with one model."""
        del receive
        model = self.models.get(scope["path_params"]["model"])
        await answer(scope, send, _json_bodies.to_json(model.describe()))

    async def show_health(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer that the process runs."""
        del receive
        await answer(scope, send, _json_bodies.to_json({"version": refold.__version__}))

    async def show_ready(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer whether the service takes requests."""
        del receive
        if not self.ready:
            raise ServiceError(503, "stopping", "The service is stopping.")
        await answer(scope, send, b'{"ready":true}')

    async def show_metrics(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the numbers for Prometheus."""
        del receive
        await answer(scope, send, self.metrics.text(), media_type=_metrics.MEDIA_TYPE)

    async def show_openapi(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer with the description of the interface."""
        del receive
        names = [model.name for model in self.models]
        document = openapi(self.settings, names, secured=self.settings.secret() is not None)
        await answer(scope, send, _json_bodies.to_json(document))


class _Endpoint:
    """A method as an ASGI application, which Starlette calls without a request object."""

    def __init__(self, method: Any) -> None:
        self._method = method

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
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
        Folder or URL of the index of some of the models; see `refold.search.Index`.
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
    service = Service(Models(models, indexes), settings)
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
    async def lifespan(app: Any) -> AsyncIterator[None]:
        del app
        service.loop = asyncio.get_running_loop()
        yield
        service.batches.close()

    app = Starlette(
        routes=[*operations, *pages, one, *routes],
        middleware=[
            Middleware(Guard, settings=settings, batches=service.batches, metrics=service.metrics)
        ],
        exception_handlers={HTTPException: _http_error},  # type: ignore[dict-item]
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.service = service
    return app


async def _http_error(request: Any, error: Any) -> Any:
    """Answer what the router refuses: unknown paths and methods."""
    reasons = {404: "There is nothing at this path.", 405: "This path has another method."}
    message = reasons.get(error.status_code, "The request was refused.")
    refused = ServiceError(
        error.status_code,
        "not_found" if error.status_code == 404 else "refused",
        message,
        headers={name.lower(): value for name, value in (error.headers or {}).items()},
    )

    async def respond(scope: Any, receive: Any, send: Any) -> None:
        del receive
        await answer_error(scope, send, refused)

    del request
    return respond
