"""The ASGI application: what every request passes, the pages, and their description."""

import asyncio
import contextlib
import functools
import hmac
import logging
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import BaseRoute, Router
from starlette.types import Message, Receive, Scope, Send

import refold
from refold.errors import DataError, MissingExtraError, ParameterError, RefoldError
from refold.serve._batches import Batcher
from refold.serve._bodies import ARROW, Bodies, read_json, read_table, to_json, to_stream
from refold.serve._models import ModelAnswer, ModelsAnswer, read_models
from refold.serve._operations import OPERATIONS, OperationResult
from refold.serve._settings import (
    Problem,
    ServeSettings,
    ServiceError,
    check_limit,
    exceeded,
    invalid,
    read_settings,
    stopping,
)

logger = logging.getLogger("refold.serve")
_JSON = "application/json"
# Probes of the machinery around the service have neither its token nor its name.
_PROBES = frozenset({"/v1/health", "/v1/ready"})
# Names of this machine, by which browsers and programs on it reach the service.
_OWN_NAMES = ("localhost", "127.0.0.1", "[::1]")
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
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# An ASGI application of one path.
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class ErrorAnswer(Struct):
    """An error."""

    error: Problem


class Metrics:
    """Counters and histograms of one server, in the format of Prometheus."""

    def __init__(self, batches: Callable[[], Batcher]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter = functools.partial(Counter, registry=registry)
        histogram = functools.partial(Histogram, registry=registry)
        self.requests = counter("refold_requests", "Requests", ["operation", "status"])
        self.seconds = histogram(
            "refold_request_seconds", "Time to the answer", ["operation"], buckets=_SECONDS
        )
        self.refused = counter("refold_refused", "Requests beyond a limit", ["limit"])
        self.batches = histogram(
            "refold_batch_requests", "Requests computed together", buckets=_REQUESTS
        )
        waiting = Gauge("refold_waiting_requests", "Requests that wait", registry=registry)
        waiting.set_function(lambda: batches().waiting)
        is_open = Gauge("refold_open_requests", "Requests that are open", registry=registry)
        is_open.set_function(lambda: batches().open)


class Service:
    """The ASGI application: it checks and counts every request, and answers errors as JSON."""

    def __init__(
        self,
        paths: Mapping[str, str | Path],
        indexes: Mapping[str, str],
        settings: ServeSettings,
        routes: Sequence[BaseRoute],
    ) -> None:
        self._read_models = functools.partial(read_models, dict(paths), dict(indexes))
        self.models = self._read_models()
        self.settings = settings
        self.metrics = Metrics(lambda: self.batches)
        self.batches = Batcher(settings, self.metrics.batches.observe)
        self.bodies = Bodies(settings)
        self.ready = True  # until it is asked to stop; then every answer closes its connection
        self.count_connections: Callable[[], int] = lambda: 0  # of the server
        names = (*_OWN_NAMES, settings.host, *settings.allowed_hosts)
        self._names = frozenset(name.lower() for name in names)
        self._secret = settings.secret()
        # by path, because Starlette's router takes as much time as Uvicorn for a small request
        self._handlers = self._pages()
        for name in self.models:
            for operation in OPERATIONS:
                operate = functools.partial(self._operate, model_name=name, name=operation)
                self._handlers[f"/v1/{name}/{operation}"] = "POST", operate
        self._more = Router(routes, redirect_slashes=False, lifespan=self._lifespan)

    async def reload(self) -> None:
        """Read all model files again, and use them if all can be read."""
        try:
            # requests that have begun keep the models that they have
            self.models = await asyncio.to_thread(self._read_models)
        except RefoldError as error:
            logger.error("The models stay as they were: %s", error)
        else:
            logger.warning("The models are read again")

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        computing = asyncio.create_task(self.batches.run())
        yield
        computing.cancel()
        await asyncio.wait([computing])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._more(scope, receive, send)
            return
        scope["app"] = self  # so that the router raises its errors
        loop, status = asyncio.get_running_loop(), 0
        began = loop.time()
        scope["refold.operation"] = "other"

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                if not self.ready:
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        is_probe = scope["path"] in _PROBES
        self.batches.open += not is_probe
        try:
            check_limit("connections", self.count_connections(), self.settings)
            if not is_probe:
                check_limit("concurrency", self.batches.open, self.settings)
                self._check_access(scope)
            async with asyncio.timeout(self.settings.max_seconds):
                await self._handler(scope)(scope, receive, counted)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            refusal = self._refusal(error)
            if not status:
                body = to_json(ErrorAnswer(refusal.problem))
                await answer(scope, counted, body, status=refusal.status, headers=refusal.headers)
        finally:
            self.batches.open -= not is_probe
            operation, seconds = scope["refold.operation"], loop.time() - began
            self.metrics.requests.labels(operation, str(status)).inc()
            self.metrics.seconds.labels(operation).observe(seconds)

    def _handler(self, scope: Scope) -> Handler:
        """Return what answers a request."""
        method, handler = self._handlers.get(scope["path"], (scope["method"], self._more))
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if scope["method"] not in allowed:
            raise HTTPException(405, headers={"allow": ", ".join(allowed)})
        return handler

    def _check_access(self, scope: Scope) -> None:
        """Refuse a request for another host, or without the token."""
        if "*" not in self._names:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or _without_port(hosts[0]) not in self._names:
                message = "The Host header names no host of this service."
                raise ServiceError(400, "wrong_host", message)
        if self._secret is not None:
            scheme, _, token = headers_of(scope).get(b"authorization", b"").partition(b" ")
            fits = hmac.compare_digest(token.strip(), self._secret)
            if scheme.lower() != b"bearer" or not fits:
                message = "This needs the header Authorization: Bearer TOKEN, with the right token."
                headers = {"www-authenticate": "Bearer"}
                raise ServiceError(401, "unauthorized", message, headers)

    def _refusal(self, error: Exception) -> ServiceError:
        """Return the answer to an error, and count or log it."""
        # only an error about what the client sent shows its text
        if isinstance(error, ServiceError):
            refusal = error
        elif isinstance(error, TimeoutError):
            refusal = exceeded("time", self.settings.max_seconds)
        elif isinstance(error, HTTPException) and error.status_code == 404:
            message = "There is nothing at this path. /v1/models has all models."
            refusal = ServiceError(404, "not_found", message)
        elif isinstance(error, HTTPException):
            headers = {name.lower(): value for name, value in (error.headers or {}).items()}
            message = "This path has another method."
            refusal = ServiceError(error.status_code, "refused", message, headers)
        elif isinstance(error, MissingExtraError):
            refusal = ServiceError(501, "not_installed", "This server lacks a package for this.")
        elif isinstance(error, DataError | ParameterError):
            refusal = invalid(str(error))
        else:
            refusal = ServiceError(500, "internal", "The server failed. Its log says why.")
            logger.error("A request failed", exc_info=error)
        if refusal.problem.limit:
            self.metrics.refused.labels(refusal.problem.limit).inc()
        return refusal

    def _pages(self) -> dict[str, tuple[str, Handler]]:
        """Return the method and the handler of each path without an operation."""

        def ready() -> dict[str, bool]:
            if not self.ready:
                raise stopping()
            return {"ready": True}

        pages: dict[str, Callable[[], object]] = {
            "/v1/health": lambda: {"version": refold.__version__},
            "/v1/ready": ready,
            "/v1/models": lambda: ModelsAnswer([m.describe() for m in self.models.values()]),
            "/v1/openapi.json": self._openapi,
        }
        for name in self.models:
            pages[f"/v1/{name}"] = lambda name=name: self.models[name].describe()

        async def page(scope: Scope, _: Receive, send: Send) -> None:
            await answer(scope, send, to_json(pages[scope["path"]]()))

        async def metrics(scope: Scope, _: Receive, send: Send) -> None:
            numbers = generate_latest(self.metrics.registry)
            await answer(scope, send, numbers, media_type=CONTENT_TYPE_LATEST)

        handlers: dict[str, tuple[str, Handler]] = dict.fromkeys(pages, ("GET", page))
        return handlers | {"/v1/metrics": ("GET", metrics)}

    async def _operate(
        self, scope: Scope, receive: Receive, send: Send, *, model_name: str, name: str
    ) -> None:
        """Answer a request for an operation."""
        headers, operation, model = headers_of(scope), OPERATIONS[name], self.models[model_name]
        scope["refold.operation"] = name
        self.batches.check_room()
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        is_table = content_type == ARROW.encode()
        if not is_table and content_type != _JSON.encode():
            message = f"The Content-Type must be {_JSON} or {ARROW}."
            raise ServiceError(415, "unsupported_media_type", message)
        async with self.bodies.reading(receive, headers) as body:
            arguments = body, operation.request, model, self.settings
            read = functools.partial(read_json, *arguments)
            if is_table:
                read = functools.partial(read_table, *arguments, query=scope["query_string"])
            if len(body) <= _LARGE:
                inputs = read()
            else:
                inputs = await self.batches.compute_apart(read)
            del body, arguments, read  # the memory is free while it is computed
            result = await operation.run(inputs, self.batches)
        accepted = headers.get(b"accept", b"*/*")
        if ARROW.encode() in accepted or (is_table and accepted == b"*/*"):
            await answer(scope, send, _as_stream(result), media_type=ARROW)
        else:
            content = result.content()
            content.warnings = result.warnings
            await answer(scope, send, to_json(content))

    def _openapi(self) -> dict[str, Any]:
        """Return the description of the interface, with the limits that the settings give."""
        types = [ErrorAnswer, ModelAnswer, ModelsAnswer]
        for operation in OPERATIONS.values():
            types += [operation.request, operation.answer]
        template = "#/components/schemas/{name}"
        _, components = msgspec.json.schema_components(types, ref_template=template)
        paths: dict[str, Any] = {
            "/v1/health": _page("health", "The process runs.", _OBJECT),
            "/v1/ready": _page("ready", "The service takes requests.", _OBJECT),
            "/v1/metrics": _page("metrics", "Numbers for Prometheus.", _TEXT),
            "/v1/openapi.json": _page("openapi", "This description.", _OBJECT),
            "/v1/models": _page("models", "All models.", _json_of(ModelsAnswer)),
            "/v1/{model}": _page("model", "One model.", _json_of(ModelAnswer)),
        }
        for name, operation in OPERATIONS.items():
            body = {"required": True, "content": _json_of(operation.request) | _TABLE}
            content = _json_of(operation.answer) | _TABLE
            post = _method(name, str(operation.request.__doc__), content) | {"requestBody": body}
            paths[f"/v1/{{model}}/{name}"] = {"post": post}
        names = {"type": "string", "enum": [*self.models]}
        parameter = {"name": "model", "in": "path", "required": True, "schema": names}
        for path, item in paths.items():
            if "{model}" in path:
                item["parameters"] = [parameter]
        document: dict[str, Any] = {
            "openapi": "3.1.0",
            "info": {
                "title": "Refold",
                "version": refold.__version__,
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
                "description": "Turns sequences into codes (latent vectors, embeddings) and back. "
                f"A request has at most {self.settings.max_sequences} sequences or codes, and "
                f"{self.settings.max_steps} steps.",
            },
            "paths": paths,
            "components": {"schemas": components},
        }
        if self._secret is not None:
            scheme = {"type": "http", "scheme": "bearer"}
            document["components"]["securitySchemes"] = {"token": scheme}
            document["security"] = [{"token": []}]
        return document


def create_app(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Service:
    """Return the service as an ASGI application.

    Parameters
    ----------
    models : mapping of str to path
        Model file of each name.
    settings : ServeSettings, optional
        Address, access and limits; by default those of the environment.
    indexes : mapping of str to str, optional
        File of the index of some of the models; see `refold.search.Index`.
    routes : sequence of starlette.routing.BaseRoute
        More routes, which pass the same checks.

    Returns
    -------
    Service
        The ASGI application, which has the ``models``.

    Raises
    ------
    ModelFileError
        If a file is no default model with LSTMs.

    Examples
    --------
    >>> import tempfile
    >>> import refold
    >>> sizes = {"units": 8, "latent_steps": 0, "max_epochs": 2, "random_state": 0}
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> refold.SequenceAutoencoder(4, **sizes).fit(sines).save(path)
    >>> list(create_app({"sines": path}).models)
    ['sines']
    """
    return Service(models, indexes or {}, settings or read_settings(), routes)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request; of repeated ones, the last."""
    return dict(scope["headers"])


async def answer(
    scope: Scope,
    send: Send,
    body: bytes,
    *,
    media_type: str = _JSON,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send an answer, compressed if the client takes that and it is large."""
    more = [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
    sent = [(b"content-type", media_type.encode()), *_SECURITY, *more]
    if len(body) >= _MIN_COMPRESSED:
        sent.append((b"vary", b"accept-encoding"))
        if b"gzip" in headers_of(scope).get(b"accept-encoding", b""):
            sent.append((b"content-encoding", b"gzip"))
            body = zlib.compress(body, level=1, wbits=31)
    sent.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def _as_stream(result: OperationResult) -> bytes:
    """Return a result as an Arrow stream, whose metadata hold its warnings."""
    table = result.table()
    if result.warnings:
        metadata = {**(table.schema.metadata or {}), b"refold.warnings": to_json(result.warnings)}
        table = table.replace_schema_metadata(metadata)
    return to_stream(table)


def _without_port(host: bytes) -> str:
    """Return a host without its port, in lower case."""
    # the colons of [::1] are no ports
    text = host.decode("latin-1").lower()
    name, sign, port = text.rpartition(":")
    return name if sign and port.isdigit() and not text.endswith("]") else text


# The description of the interface

_OBJECT = {_JSON: {"schema": {"type": "object"}}}
_TEXT = {"text/plain": {"schema": {"type": "string"}}}
_TABLE = {
    ARROW: {
        "schema": {
            "type": "string",
            "format": "binary",
            "description": "An Arrow IPC stream; other fields of a request are in the query.",
        }
    }
}


def _page(name: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    """Describe a page."""
    return {"get": _method(name, summary, content)}


def _method(name: str, summary: str, content: dict[str, Any]) -> dict[str, Any]:
    """Describe what a path answers."""
    responses = {
        "200": {"description": "The answer.", "content": content},
        "default": {"description": "An error says why.", "content": _json_of(ErrorAnswer)},
    }
    return {"operationId": name, "summary": summary, "responses": responses}


def _json_of(kind: type[Struct]) -> dict[str, Any]:
    """Describe JSON by its type."""
    return {_JSON: {"schema": {"$ref": f"#/components/schemas/{kind.__name__}"}}}
