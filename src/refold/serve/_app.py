"""The ASGI application: routes, what every request passes, and how it is read and answered."""

import asyncio
import contextlib
import functools
import hmac
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Message, Receive, Scope, Send

import refold
from refold.serve import _metrics
from refold.serve._arrow_bodies import MEDIA_TYPE, read_table, to_stream
from refold.serve._batches import Batcher
from refold.serve._inputs import RequestInputs
from refold.serve._json_bodies import read_json, to_json
from refold.serve._messages import ModelsAnswer
from refold.serve._models import ModelStore, ServedModel
from refold.serve._openapi import openapi
from refold.serve._operations import OPERATIONS, Call, Operation, OperationResult
from refold.serve._request_body import Bodies, HeldBody, read_body
from refold.serve._service_errors import (
    ServiceError,
    as_service_error,
    exceeded,
    internal,
    not_found,
    stopping,
)
from refold.serve._settings import ServeSettings, read_settings

logger = logging.getLogger("refold.serve")
JSON, ARROW = b"application/json", MEDIA_TYPE.encode()
# Probes of the machinery around the service have neither its token nor its name.
PROBES = frozenset({"/v1/health", "/v1/ready"})
# Bodies above this number of bytes are read in another thread, one after the other.
_LARGE = 1 << 18
# Bodies of answers below this number of bytes are not compressed.
_MIN_COMPRESSED = 4096
# Of every answer. The policy allows a page nothing; pages bring their own.
_SECURITY = [
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]


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
        self.ready = True  # until it is asked to stop; then every answer closes its connection
        self.loop: asyncio.AbstractEventLoop | None = None  # once it runs
        self.count_connections: Callable[[], int] = lambda: 0  # of the server
        self._reading = asyncio.Semaphore(1)

    async def reload(self) -> None:
        """Read all model files again, and use them if all can be read."""
        try:
            await asyncio.to_thread(self.models.read_again)
        except Exception:
            self.metrics.reload(failed=True)
            raise
        self.metrics.reload(failed=False)

    async def operate(
        self, scope: Scope, receive: Receive, send: Send, *, name: str, model_name: str
    ) -> None:
        """Answer a request for an operation."""
        headers, operation = headers_of(scope), OPERATIONS[name]
        model = self.models.get(model_name)
        scope["refold.operation"] = name
        self.batches.check_room()
        is_table = _is_table(headers.get(b"content-type", b""))
        with HeldBody(self.bodies) as held:
            body = await read_body(receive, headers, self.settings.max_body, held)
            inputs = await self._read(body, scope, operation, model, is_table=is_table)
            del body
            result = await operation.run(Call(model, inputs, self.settings, self.batches))
        accepted = headers.get(b"accept", b"*/*")
        if ARROW in accepted or (is_table and accepted == b"*/*"):
            await answer(scope, send, _as_stream(result), media_type=ARROW)
        else:
            content = result.content()
            content.warnings = result.warnings
            await answer(scope, send, to_json(content))

    async def _read(
        self,
        body: bytes,
        scope: Scope,
        operation: Operation,
        model: ServedModel,
        *,
        is_table: bool,
    ) -> RequestInputs:
        """Read and check the body of a request."""
        arguments = body, operation.request, model, self.settings
        read = functools.partial(read_json, *arguments)
        if is_table:
            read = functools.partial(read_table, *arguments, query=scope["query_string"])
        if len(body) <= _LARGE:
            return read()
        async with self._reading:
            return await asyncio.to_thread(read)

    def ready_or_stopping(self) -> dict[str, bool]:
        """Return that the service takes requests, or raise that it does not."""
        if not self.ready:
            raise stopping()
        return {"ready": True}

    def describe_interface(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        names = [model.name for model in self.models]
        return openapi(self.settings, names, secured=self.settings.secret() is not None)


class Guard:
    """The application: it checks host, token, concurrency and time, and answers errors as JSON."""

    def __init__(self, pages: Router, service: Service) -> None:
        self._pages = pages
        # by path, because Starlette's router takes as much time as Uvicorn for a small request
        self._operations = {
            f"/v1/{model.name}/{name}": {"name": name, "model_name": model.name}
            for model in service.models
            for name in OPERATIONS
        }
        self.service = service
        self._names = service.settings.host_names()
        self._secret = service.settings.secret()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._pages(scope, receive, send)
            return
        service = self.service
        scope["app"] = self  # so that the router raises its errors
        loop, status = asyncio.get_running_loop(), 0
        began = loop.time()
        scope["refold.operation"] = "other"

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not service.ready:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        is_probe = scope["path"] in PROBES
        service.batches.open += not is_probe
        try:
            self._check_load(is_probe=is_probe)
            if not is_probe:
                self._check_access(scope)
            async with asyncio.timeout(service.settings.max_seconds):
                operation = self._operations.get(scope["path"])
                if operation is None or scope["method"] != "POST":
                    await self._pages(scope, receive, counted)
                else:
                    await service.operate(scope, receive, counted, **operation)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            refusal = self._refusal(error)
            if not status:
                await answer_error(scope, counted, refusal)
        finally:
            service.batches.open -= not is_probe
            service.metrics.request(scope["refold.operation"], status, loop.time() - began)

    def _check_load(self, *, is_probe: bool) -> None:
        """Refuse a request beyond the number of connections or of open requests."""
        limit = self.service.settings.max_connections
        if self.service.count_connections() > limit:
            message = f"{limit} connections are open already. Try again later."
            error = exceeded("connections", limit, message)
            error.headers["connection"] = "close"
            raise error
        limit = self.service.settings.max_concurrency
        if self.service.batches.open > limit and not is_probe:
            message = f"{limit} requests are open already. Try again later."
            raise exceeded("concurrency", limit, message)

    def _check_access(self, scope: Scope) -> None:
        """Refuse a request for another host, or without the token."""
        if "*" not in self._names:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or _without_port(hosts[0]) not in self._names:
                raise ServiceError(
                    400, "wrong_host", "The Host header names no host of this service."
                )
        if self._secret is not None:
            scheme, _, token = headers_of(scope).get(b"authorization", b"").partition(b" ")
            fits = hmac.compare_digest(token.strip(), self._secret)
            if scheme.lower() != b"bearer" or not fits:
                raise ServiceError(
                    401,
                    "unauthorized",
                    "This needs the header Authorization: Bearer TOKEN, with the right token.",
                    headers={"www-authenticate": "Bearer"},
                )

    def _refusal(self, error: Exception) -> ServiceError:
        """Return the answer to an error, and count or log it."""
        if isinstance(error, TimeoutError):
            limit = self.service.settings.max_seconds
            message = f"The request took longer than {limit:g} seconds, the limit."
            error = exceeded("time", limit, message)
        if isinstance(error, HTTPException):
            error = _unknown_path(error)
        refusal = as_service_error(error)
        if refusal.limit is not None:
            self.service.metrics.refused(refusal.limit)
        if refusal.status == internal().status:
            logger.error("A request failed", exc_info=error)
        return refusal


def create_app(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Guard:
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
    Guard
        The ASGI application, whose ``service`` has the models.

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
    >>> [model.name for model in app.service.models]
    ['sines']
    """
    service = Service(ModelStore(models, indexes), settings or read_settings())

    @contextlib.asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        del app
        service.loop = asyncio.get_running_loop()
        yield
        service.batches.close()

    def describe_models(_: Scope) -> ModelsAnswer:
        return ModelsAnswer([model.describe() for model in service.models])

    pages = {
        "/v1/health": lambda _: {"version": refold.__version__},
        "/v1/ready": lambda _: service.ready_or_stopping(),
        "/v1/metrics": lambda _: service.metrics.text(),
        "/v1/models": describe_models,
        "/v1/openapi.json": lambda _: service.describe_interface(),
        "/v1/{model}": lambda scope: service.models.get(scope["path_params"]["model"]).describe(),
    }

    def refuse(_: Scope) -> None:
        raise not_found("There is no such model or operation. /v1/models has all models.")

    router = Router(
        [
            Route("/v1/{model}/{operation}", _Page(refuse), methods=["POST"]),
            *(Route(path, _Page(content), methods=["GET"]) for path, content in pages.items()),
            *routes,
        ],
        redirect_slashes=False,
        lifespan=lifespan,
    )
    return Guard(router, service)


class _Page:
    """A page as an ASGI application: JSON, or numbers for Prometheus as bytes."""

    def __init__(self, content: Callable[[Scope], object]) -> None:
        self._content = content

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        content = self._content(scope)
        if isinstance(content, bytes):
            await answer(scope, send, content, media_type=_metrics.MEDIA_TYPE.encode())
        else:
            await answer(scope, send, to_json(content))


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request; of repeated ones, the last."""
    return dict(scope["headers"])


async def answer(
    scope: Scope,
    send: Send,
    body: bytes,
    *,
    media_type: bytes = JSON,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (),
) -> None:
    """Send an answer, compressed if the client takes that and it is large."""
    headers = [(b"content-type", media_type), *_SECURITY, *headers]
    if len(body) >= _MIN_COMPRESSED:
        headers.append((b"vary", b"accept-encoding"))
        if b"gzip" in headers_of(scope).get(b"accept-encoding", b""):
            headers.append((b"content-encoding", b"gzip"))
            body = zlib.compress(body, level=1, wbits=31)
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def answer_error(scope: Scope, send: Send, error: ServiceError) -> None:
    """Send an error as JSON."""
    headers = [(name.encode(), value.encode()) for name, value in error.headers.items()]
    await answer(scope, send, error.body(), status=error.status, headers=headers)


def _is_table(content_type: bytes) -> bool:
    """Return whether a body is Arrow; refuse other types than that and JSON."""
    media_type = content_type.partition(b";")[0].strip().lower()
    if media_type not in (JSON, ARROW):
        message = f"The Content-Type must be {JSON.decode()} or {ARROW.decode()}."
        raise ServiceError(415, "unsupported_media_type", message)
    return media_type == ARROW


def _as_stream(result: OperationResult) -> bytes:
    """Return a result as an Arrow stream, whose metadata hold its warnings."""
    table = result.table()
    if result.warnings:
        metadata = {**(table.schema.metadata or {}), b"refold.warnings": to_json(result.warnings)}
        table = table.replace_schema_metadata(metadata)
    return to_stream(table)


def _unknown_path(error: HTTPException) -> ServiceError:
    """Return the answer to an unknown path or method, which the router refuses."""
    if error.status_code == 404:
        return not_found("There is nothing at this path.")
    headers = {name.lower(): value for name, value in (error.headers or {}).items()}
    message = "This path has another method."
    return ServiceError(error.status_code, "refused", message, headers=headers)


def _without_port(host: bytes) -> str:
    """Return a host without its port, in lower case."""
    # the colons of [::1] are no ports
    text = host.decode("latin-1").lower()
    name, sign, port = text.rpartition(":")
    return name if sign and port.isdigit() and not text.endswith("]") else text
