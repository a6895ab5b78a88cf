"""The ASGI application: what every request passes, the pages, and the description of all."""

import asyncio
import base64
import contextlib
import functools
import hmac
import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import ClientDisconnect
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

import refold
from refold.errors import DataError, MissingExtraError, ParameterError, argument
from refold.serve._batches import Batcher
from refold.serve._bodies import ARROW, read_json, read_table, to_json, to_stream
from refold.serve._docs import DOCS_POLICY, docs_page
from refold.serve._operations import OPERATIONS, ServedModel
from refold.serve._settings import (
    OWN_NAMES,
    Problem,
    ServeSettings,
    ServiceError,
    check_limit,
    exceeded,
    invalid,
    read_settings,
)

logger = logging.getLogger("refold.serve")
_JSON = "application/json"
# Probes of the machinery around the service have neither its token nor its name.
_PROBES = frozenset({"/v1/health", "/v1/ready"})
# The page for readers.
_DOCS = "/docs"
# Bodies above this number of bytes are read in another thread, one after the other.
_LARGE = 1 << 18
# Paths of the interface that a model's name would hide.
_RESERVED = frozenset({"health", "metrics", "models", "openapi.json", "ready"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Of every answer, but for the policy of the page for readers.
_SECURITY = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# An ASGI application of one path.
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Metrics:
    """Counters and histograms of one server, in the format of Prometheus."""

    def __init__(self, batches: Callable[[], Batcher]) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter = functools.partial(Counter, registry=registry)
        histogram = functools.partial(Histogram, registry=registry)
        # without a model, and with the operation "other": pages, and what has no path
        names = ["model", "operation"]
        self.requests = counter("refold_requests", "Requests", [*names, "status"])
        self.seconds = histogram("refold_request_seconds", "Time to the answer", names)
        self.refused = counter("refold_refused", "Requests beyond a limit", ["model", "limit"])
        self.batches = histogram(
            "refold_batch_requests", "Requests computed together", buckets=_REQUESTS
        )
        waiting = Gauge("refold_waiting_requests", "Requests that wait", registry=registry)
        waiting.set_function(lambda: batches().waiting)


class Service:
    """The ASGI application: it checks and counts every request, and answers errors as JSON."""

    def __init__(self, models: dict[str, ServedModel], settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        self.metrics = Metrics(lambda: self.batches)
        self.batches = Batcher(settings, self.metrics.batches.observe)
        self.body_bytes = 0  # of all open requests
        names = (*OWN_NAMES, settings.host, *settings.allowed_hosts)
        self._names = frozenset(name.lower() for name in names)
        self._secret = settings.secret()
        # By path, because Starlette's router takes as much time as Uvicorn for a small request. It
        # took 35 us of processor time with its middleware. A path of our own around Uvicorn's tasks
        # answered 5,270 requests with one short sequence in a second instead of 3,580. It needed as
        # much code as all operations, so it was removed.
        self._handlers = self._pages()
        for name in models:
            for operation in OPERATIONS:
                operate = functools.partial(self._operate, model_name=name, name=operation)
                self._handlers[f"/v1/{name}/{operation}"] = "POST", operate
        self._lifespan = Router(lifespan=self._computing)

    @contextlib.asynccontextmanager
    async def _computing(self, _: object) -> AsyncIterator[None]:
        computing = asyncio.create_task(self.batches.run())
        yield
        computing.cancel()
        await asyncio.wait([computing])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._lifespan(scope, receive, send)
            return
        loop, status = asyncio.get_running_loop(), 0
        began = loop.time()
        scope["refold.labels"] = "", "other"

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["path"] not in _PROBES:
                self._check_access(scope)
            async with asyncio.timeout(self.settings.max_seconds):
                await self._handler(scope)(scope, receive, counted)
        except ClientDisconnect:
            status = 499
        except Exception as error:
            refusal = self._refusal(error)
            if limit := refusal.problem.limit:
                self.metrics.refused.labels(scope["refold.labels"][0], limit).inc()
            if not status:
                body = to_json({"error": refusal.problem})
                await answer(counted, body, status=refusal.status, headers=refusal.headers)
        finally:
            labels, seconds = scope["refold.labels"], loop.time() - began
            self.metrics.requests.labels(*labels, str(status)).inc()
            self.metrics.seconds.labels(*labels).observe(seconds)

    def _handler(self, scope: Scope) -> Handler:
        """Return what answers a request."""
        if scope["path"] not in self._handlers:
            message = "There is nothing at this path. /docs has all operations."
            raise ServiceError(404, "not_found", message)
        method, handler = self._handlers[scope["path"]]
        allowed = ("GET", "HEAD") if method == "GET" else (method,)
        if scope["method"] not in allowed:
            headers = {"allow": ", ".join(allowed)}
            raise ServiceError(405, "refused", "This path has another method.", headers)
        return handler

    def _check_access(self, scope: Scope) -> None:
        """Refuse a request for another host, or without the token."""
        if "*" not in self._names:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) != 1 or _without_port(hosts[0]) not in self._names:
                message = "The Host header names no host of this service."
                raise ServiceError(400, "wrong_host", message)
        if self._secret is not None:
            # a browser asks its user for the token as a password, and sends no other header
            own = "Basic" if scope["path"] == _DOCS else "Bearer"
            scheme, _, token = headers_of(scope).get(b"authorization", b"").partition(b" ")
            if own == "Basic":
                token = _password(token)
            fits = hmac.compare_digest(token.strip(), self._secret)
            if scheme.lower() != own.lower().encode() or not fits:
                message = "This needs the header Authorization: Bearer TOKEN, with the right token."
                if own == "Basic":
                    message = "This page needs the token of the service as the password."
                headers = {"www-authenticate": f'{own} realm="Refold"'}
                raise ServiceError(401, "unauthorized", message, headers)

    def _refusal(self, error: Exception) -> ServiceError:
        """Return the answer to an error, and log what is no fault of the client."""
        # only an error about what the client sent shows its text
        if isinstance(error, ServiceError):
            refusal = error
        elif isinstance(error, TimeoutError):
            refusal = exceeded("time", self.settings.max_seconds)
        elif isinstance(error, MissingExtraError):
            refusal = ServiceError(501, "not_installed", "This server lacks a package for this.")
        elif isinstance(error, DataError | ParameterError):
            refusal = invalid(str(error))
        else:
            refusal = ServiceError(500, "internal", "The server failed. Its log says why.")
            logger.error("A request failed", exc_info=error)
        return refusal

    def _pages(self) -> dict[str, tuple[str, Handler]]:
        """Return the method and the handler of each path without an operation."""
        pages: dict[str, Callable[[], object]] = {
            "/v1/health": lambda: {"version": refold.__version__},
            "/v1/ready": lambda: {"ready": True},
            "/v1/models": lambda: {"models": [m.describe() for m in self.models.values()]},
            "/v1/openapi.json": self._interface,
        }
        pages |= {f"/v1/{name}": model.describe for name, model in self.models.items()}

        async def page(scope: Scope, _: Receive, send: Send) -> None:
            await answer(send, to_json(pages[scope["path"]]()))

        async def metrics(_: Scope, __: Receive, send: Send) -> None:
            numbers = generate_latest(self.metrics.registry)
            await answer(send, numbers, media_type=CONTENT_TYPE_LATEST)

        async def docs(scope: Scope, _: Receive, send: Send) -> None:
            host = headers_of(scope).get(b"host", b"localhost").decode("latin-1")
            origin = f"{scope['scheme']}://{host}"
            content = docs_page(self._interface(), self.models, origin)
            policy = {"content-security-policy": DOCS_POLICY}
            await answer(send, content, media_type="text/html", headers=policy)

        handlers: dict[str, tuple[str, Handler]] = dict.fromkeys(pages, ("GET", page))
        return handlers | {"/v1/metrics": ("GET", metrics), _DOCS: ("GET", docs)}

    def _interface(self) -> dict[str, Any]:
        """Describe the operations in the format of OpenAPI."""
        kinds = [Problem, *(operation.request for operation in OPERATIONS.values())]
        place = "#/components/schemas/"
        _, schemas = msgspec.json.schema_components(kinds, ref_template=place + "{name}")
        stream = {"type": "string", "format": "binary", "description": "An Arrow IPC stream."}
        table = {ARROW: {"schema": stream}}
        names = {"type": "string", "enum": [*self.models]}
        problem = {"error": {"$ref": place + Problem.__name__}}
        error = {_JSON: {"schema": {"type": "object", "properties": problem}}}
        answered = {_JSON: {"schema": {"type": "object"}}} | table
        paths = {}
        for name, operation in OPERATIONS.items():
            request = {_JSON: {"schema": {"$ref": place + operation.request.__name__}}} | table
            paths[f"/v1/{{model}}/{name}"] = {
                "parameters": [{"name": "model", "in": "path", "required": True, "schema": names}],
                "post": {
                    "operationId": name,
                    "summary": operation.request.__doc__,
                    "requestBody": {"required": True, "content": request},
                    "responses": {
                        "200": {"description": operation.answer, "content": answered},
                        "default": {"description": "An error says why.", "content": error},
                    },
                },
            }
        limits = (
            f"A request has at most {self.settings.max_sequences} sequences or codes, "
            f"{self.settings.max_steps} steps and {self.settings.max_body} bytes. A table as "
            f"`{ARROW}` has the sequences or codes in columns, and the other fields are in the "
            "query of the URL."
        )
        return {
            "openapi": "3.1.0",
            "info": {"title": "Refold", "version": refold.__version__, "description": limits},
            "paths": paths,
            "components": {
                "schemas": schemas,
                "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            },
            "security": [{"token": []}] if self._secret else [],
        }

    async def _operate(
        self, scope: Scope, receive: Receive, send: Send, *, model_name: str, name: str
    ) -> None:
        """Answer a request for an operation."""
        headers, operation, model = headers_of(scope), OPERATIONS[name], self.models[model_name]
        scope["refold.labels"] = model_name, name
        self.batches.check_room()
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        is_table = content_type == ARROW.encode()
        if not is_table and content_type != _JSON.encode():
            message = f"The Content-Type must be {_JSON} or {ARROW}."
            raise ServiceError(415, "unsupported_media_type", message)
        async with self._body(receive, headers) as body:
            arguments = body, operation.request, model, self.settings
            read = functools.partial(read_json, *arguments)
            if is_table:
                read = functools.partial(read_table, *arguments, query=scope["query_string"])
            if len(body) <= _LARGE:
                inputs = read()
            else:
                inputs = await self.batches.compute_apart(read)
            del body, arguments, read
            result = await operation.run(inputs, self.batches)
        accepted = headers.get(b"accept", b"*/*")
        if ARROW.encode() in accepted or (is_table and accepted == b"*/*"):
            await answer(send, to_stream(result.table(), result.warnings), media_type=ARROW)
        else:
            remarks = {"warnings": result.warnings} if result.warnings else {}
            await answer(send, to_json(result.content() | remarks))

    @contextlib.asynccontextmanager
    async def _body(self, receive: Receive, headers: dict[bytes, bytes]) -> AsyncIterator[bytes]:
        """Yield the body of a request, whose bytes count until the end of the block."""
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise ServiceError(415, "unsupported_encoding", "The body must not be compressed.")
        length = headers.get(b"content-length", b"0")
        if length.isdigit():
            check_limit("body", int(length), self.settings)
        parts, size, is_open = [], 0, True
        try:
            while is_open:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self.body_bytes += len(parts[-1])
                check_limit("body", size, self.settings)
                check_limit("total_body", self.body_bytes, self.settings)
                is_open = message.get("more_body", False)
            parts = [b"".join(parts)]
            yield parts.pop()  # and keep no reference, so that it is free while it is computed
        finally:
            self.body_bytes -= size


def create_app(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
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
    indexes = indexes or {}
    if not models:
        raise ParameterError("There is no model to serve. Name at least one file.")
    for name in models:
        if not _NAME.fullmatch(name) or name in _RESERVED:
            raise ParameterError(
                f"A model cannot have the name {name!r}. Use letters, digits, dots, dashes and "
                f"underscores, and none of {', '.join(sorted(_RESERVED))}. Write NAME=MODEL."
            )
    for name in indexes.keys() - models.keys():
        raise ParameterError(
            f"There is an index for {name!r}, and no such model. The models are "
            f"{', '.join(map(repr, models))}."
        )
    settings = settings or read_settings()
    loaded = {name: ServedModel(name, Path(models[name]), indexes.get(name)) for name in models}
    for name, model in loaded.items():
        if model.fitted.max_steps > settings.max_steps:
            raise ParameterError(
                f"{argument(max_steps=settings.max_steps)} refuses sequences such as those that "
                f"the model {name!r} was fitted on, which have up to {model.fitted.max_steps} "
                "steps. Raise it."
            )
    return Service(loaded, settings)


def headers_of(scope: Scope) -> dict[bytes, bytes]:
    """Return the headers of a request; of repeated ones, the last."""
    return dict(scope["headers"])


async def answer(
    send: Send,
    body: bytes,
    *,
    media_type: str = _JSON,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send an answer."""
    about = {"content-type": media_type, "content-length": str(len(body)), **_SECURITY}
    about.update(headers or {})
    sent = [(name.encode(), value.encode()) for name, value in about.items()]
    await send({"type": "http.response.start", "status": status, "headers": sent})
    await send({"type": "http.response.body", "body": body})


def _password(credentials: bytes) -> bytes:
    """Return the password of credentials of the scheme Basic; empty if they are none."""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except ValueError:
        return b""


def _without_port(host: bytes) -> str:
    """Return a host without its port, in lower case."""
    # the colons of [::1] are no ports
    text = host.decode("latin-1").lower()
    name, sign, port = text.rpartition(":")
    return name if sign and port.isdigit() and not text.endswith("]") else text
