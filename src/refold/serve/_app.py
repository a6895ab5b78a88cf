"""The ASGI application, which checks the access and limits of each request, and answers it."""

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

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.process_collector import ProcessCollector
from starlette.requests import ClientDisconnect
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

import refold
from refold.errors import DataError, MissingExtraError, ParameterError, argument
from refold.serve._batches import Batcher
from refold.serve._bodies import ARROW_TYPE, parse_arrow, parse_json, to_arrow_stream, to_json
from refold.serve._docs import DOCS_SECURITY_POLICY, JSON_TYPE, describe_as_openapi, make_docs_page
from refold.serve._operations import OPERATIONS, ServedModel
from refold.serve._settings import (
    LOCAL_HOST_NAMES,
    ServeSettings,
    ServiceError,
    check_limit,
    make_limit_error,
    make_request_error,
    read_settings,
)

logger = logging.getLogger("refold.serve")
# Probes of systems such as Kubernetes send neither the token nor the host name of the service.
_PROBE_PATHS_WITHOUT_TOKEN = frozenset({"/v1/health", "/v1/ready"})
# Path of the page that describes the service for people.
_DOCS_PATH = "/docs"
# Maximum number of bytes of a body that is parsed in the event loop. Larger bodies are parsed in
# another thread, because they would block the loop. A smaller body is parsed in less time than the
# change of threads takes.
_MAX_BYTES_IN_EVENT_LOOP = 1 << 18
# A model cannot have these names, because /v1/NAME is another page.
_RESERVED_NAMES = frozenset({"health", "metrics", "models", "openapi.json", "ready"})
# Names of models that need no escapes in a URL.
_MODEL_NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Headers of every answer. The page /docs has another content-security-policy.
_SECURITY_HEADERS = {
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
# Upper bounds of the bins in the histogram of the number of requests in a batch.
_BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)

# Type of a function that answers the requests of one path, as an ASGI application does.
Handler = Callable[[Scope, Receive, Send], Awaitable[None]]


class Service:
    """The ASGI application: it checks and counts every request, and answers errors as JSON."""

    def __init__(self, models: dict[str, ServedModel], settings: ServeSettings) -> None:
        self.models = models
        self.settings = settings
        # Metrics of this server in the format of Prometheus. Requests of pages and of unknown paths
        # have an empty label "model", and the label "operation" is "other".
        labels = ["model", "operation"]
        self.metric_registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        counter = functools.partial(Counter, registry=registry)
        histogram = functools.partial(Histogram, registry=registry)
        self.request_counter = counter("refold_requests", "Requests", [*labels, "status"])
        self.duration_histogram = histogram("refold_request_seconds", "Time to the answer", labels)
        self.refusal_counter = counter(
            "refold_refused", "Requests beyond a limit", ["model", "limit"]
        )
        batch_size_histogram = histogram(
            "refold_batch_requests", "Requests computed together", buckets=_BATCH_SIZE_BUCKETS
        )
        self.batcher = Batcher(settings, batch_size_histogram.observe)
        queue_gauge = Gauge("refold_waiting_requests", "Requests that wait", registry=registry)
        queue_gauge.set_function(lambda: self.batcher.num_waiting)
        self.num_body_bytes = 0  # received bytes of all open requests
        names = (*LOCAL_HOST_NAMES, settings.host, *settings.allowed_hosts)
        self._host_names = frozenset(name.lower() for name in names)
        self._token = settings.secret()
        # The method and the handler of each path. The router and middleware of Starlette would take
        # 35 us of processor time, as much as Uvicorn for a small request. A shortcut around the
        # tasks of Uvicorn was tried. It raised the rate from 3,580 to 5,270 short requests per
        # second, but it needed as much code as all operations, so it was removed.
        self._methods_and_handlers = self._make_page_handlers()
        for name in models:
            for operation in OPERATIONS:
                handler = functools.partial(
                    self._run_operation, model_name=name, operation_name=operation
                )
                self._methods_and_handlers[f"/v1/{name}/{operation}"] = "POST", handler
        # ASGI calls the messages for the start and the end of the server "lifespan". With them,
        # this router starts and ends the task that computes batches.
        self._lifespan_router = Router(lifespan=self._run_batches)

    @contextlib.asynccontextmanager
    async def _run_batches(self, _: object) -> AsyncIterator[None]:
        """Compute batches in a task from the start to the end of the server."""
        task = asyncio.create_task(self.batcher.compute_batches())
        yield
        task.cancel()
        await asyncio.wait([task])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, and record its status and time."""
        if scope["type"] != "http":
            await self._lifespan_router(scope, receive, send)
            return
        loop, status = asyncio.get_running_loop(), 0  # the HTTP status; 0 until the answer begins
        start_time = loop.time()
        scope["refold.labels"] = "", "other"  # model and operation, for the metrics

        async def send_and_record(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            if scope["path"] not in _PROBE_PATHS_WITHOUT_TOKEN:
                self._check_host_and_token(scope)
            async with asyncio.timeout(self.settings.max_seconds):
                if scope["path"] not in self._methods_and_handlers:
                    message = "There is nothing at this path. /docs has all operations."
                    raise ServiceError(404, "not_found", message)
                method, handler = self._methods_and_handlers[scope["path"]]
                allowed_methods = ("GET", "HEAD") if method == "GET" else (method,)
                if scope["method"] not in allowed_methods:
                    headers = {"allow": ", ".join(allowed_methods)}
                    raise ServiceError(405, "refused", "This path has another method.", headers)
                await handler(scope, receive, send_and_record)
        except ClientDisconnect:
            status = 499  # nginx uses this status for a client that closed the connection
        except Exception as error:
            service_error = self._to_service_error(error)
            problem = service_error.problem
            if problem.limit:
                self.refusal_counter.labels(scope["refold.labels"][0], problem.limit).inc()
            if not status:  # nothing was sent yet
                body, headers = to_json({"error": problem}), service_error.headers
                await send_response(
                    send_and_record, body, status=service_error.status, headers=headers
                )
        finally:
            labels, seconds = scope["refold.labels"], loop.time() - start_time
            self.request_counter.labels(*labels, str(status)).inc()
            self.duration_histogram.labels(*labels).observe(seconds)

    def _check_host_and_token(self, scope: Scope) -> None:
        """Refuse a request with the name of another host, or without the token."""
        # A website could make its own host name point to the address of this service. Then its
        # pages, open in the browser of a user, could send requests here (DNS rebinding).
        if "*" not in self._host_names:
            hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            # the port is optional; the last colon of the address [::1] does not begin a port
            names = [re.sub(r":[0-9]+$", "", host.lower()) for host in hosts]
            if len(names) != 1 or names[0] not in self._host_names:
                message = "The Host header names no host of this service."
                raise ServiceError(400, "wrong_host", message)
        if self._token is not None:
            # a browser can ask its user for a password, but it cannot send a Bearer header
            expected_scheme = "Basic" if scope["path"] == _DOCS_PATH else "Bearer"
            authorization = dict(scope["headers"]).get(b"authorization", b"")
            scheme, _, token = authorization.partition(b" ")
            if expected_scheme == "Basic":
                try:  # USER:PASSWORD in base64
                    token = base64.b64decode(token, validate=True).partition(b":")[2]
                except ValueError:
                    token = b""
            # the time of this comparison does not depend on the token
            has_right_token = hmac.compare_digest(token.strip(), self._token)
            if scheme.lower() != expected_scheme.lower().encode() or not has_right_token:
                message = "This needs the header Authorization: Bearer TOKEN, with the right token."
                if expected_scheme == "Basic":
                    message = "This page needs the token of the service as the password."
                headers = {"www-authenticate": f'{expected_scheme} realm="Refold"'}
                raise ServiceError(401, "unauthorized", message, headers)

    def _to_service_error(self, error: Exception) -> ServiceError:
        """Return the answer to an error, and log an error that the client did not cause."""
        if isinstance(error, ServiceError):
            return error
        if isinstance(error, TimeoutError):
            return make_limit_error("time", self.settings.max_seconds)
        if isinstance(error, MissingExtraError):
            return ServiceError(501, "not_installed", "This server lacks a package for this.")
        if isinstance(error, DataError | ParameterError):
            return make_request_error(str(error))
        # the text of any other error is only logged: it may hold paths or data of the server
        logger.error("A request failed", exc_info=error)
        return ServiceError(500, "internal", "The server failed. Its log says why.")

    def _make_page_handlers(self) -> dict[str, tuple[str, Handler]]:
        """Return the method and the handler for each path that is not an operation (a page)."""

        def make_openapi() -> dict[str, Any]:
            return describe_as_openapi(self.settings, [*self.models], needs_token=bool(self._token))

        pages: dict[str, Callable[[], object]] = {
            "/v1/health": lambda: {"version": refold.__version__},
            "/v1/ready": lambda: {"ready": True},
            "/v1/models": lambda: {"models": [model.describe() for model in self.models.values()]},
            "/v1/openapi.json": make_openapi,
        }
        pages |= {f"/v1/{name}": model.describe for name, model in self.models.items()}

        async def send_json_page(scope: Scope, _: Receive, send: Send) -> None:
            await send_response(send, to_json(pages[scope["path"]]()))

        async def send_metrics(_: Scope, __: Receive, send: Send) -> None:
            text = generate_latest(self.metric_registry)
            await send_response(send, text, media_type=CONTENT_TYPE_LATEST)

        async def send_docs(scope: Scope, _: Receive, send: Send) -> None:
            host = dict(scope["headers"]).get(b"host", b"localhost").decode("latin-1")
            origin = f"{scope['scheme']}://{host}"
            content = make_docs_page(make_openapi(), self.models, origin)
            policy = {"content-security-policy": DOCS_SECURITY_POLICY}
            await send_response(send, content, media_type="text/html", headers=policy)

        handlers: dict[str, tuple[str, Handler]] = dict.fromkeys(pages, ("GET", send_json_page))
        return handlers | {"/v1/metrics": ("GET", send_metrics), _DOCS_PATH: ("GET", send_docs)}

    async def _run_operation(
        self, scope: Scope, receive: Receive, send: Send, *, model_name: str, operation_name: str
    ) -> None:
        """Parse the body of a request, compute its operation, and send the result."""
        # the last value counts if a header is repeated
        headers: dict[bytes, bytes] = dict(scope["headers"])
        served, operation = self.models[model_name], OPERATIONS[operation_name]
        scope["refold.labels"] = model_name, operation_name
        self.batcher.check_queue_limit()  # before the body, which may be large, is received
        content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
        is_table = content_type == ARROW_TYPE.encode()
        if not is_table and content_type != JSON_TYPE.encode():
            message = f"The Content-Type must be {JSON_TYPE} or {ARROW_TYPE}."
            raise ServiceError(415, "unsupported_media_type", message)
        async with self._receive_limited_body(receive, headers) as body:
            arguments = body, operation.request_type, served, self.settings
            parse = functools.partial(parse_json, *arguments)
            if is_table:
                parse = functools.partial(parse_arrow, *arguments, url_query=scope["query_string"])
            if len(body) <= _MAX_BYTES_IN_EVENT_LOOP:
                request = parse()
            else:
                request = await self.batcher.run_in_background(parse)
            # without this, the body would stay in memory until the request is computed
            del body, arguments, parse
            result = await operation.run(request, self.batcher)
        accepted_types = headers.get(b"accept", b"*/*")
        if ARROW_TYPE.encode() in accepted_types or (is_table and accepted_types == b"*/*"):
            stream = to_arrow_stream(result.make_answer_table(), result.warnings)
            await send_response(send, stream, media_type=ARROW_TYPE)
        else:
            warning_field = {"warnings": result.warnings} if result.warnings else {}
            await send_response(send, to_json(result.make_answer_fields() | warning_field))

    @contextlib.asynccontextmanager
    async def _receive_limited_body(
        self, receive: Receive, headers: dict[bytes, bytes]
    ) -> AsyncIterator[bytes]:
        """Yield the body of a request. Its bytes count in max_total_body until the block ends."""
        if headers.get(b"content-encoding", b"identity").strip().lower() != b"identity":
            raise ServiceError(415, "unsupported_encoding", "The body must not be compressed.")
        length_text = headers.get(b"content-length", b"0")
        if length_text.isdigit():  # refuse a large body before its first byte is received
            check_limit("body", int(length_text), self.settings)
        chunks, num_bytes, has_more = [], 0, True
        try:
            while has_more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect
                chunks.append(message.get("body", b""))
                num_bytes += len(chunks[-1])
                self.num_body_bytes += len(chunks[-1])
                check_limit("body", num_bytes, self.settings)
                check_limit("total_body", self.num_body_bytes, self.settings)
                has_more = message.get("more_body", False)
            chunks = [b"".join(chunks)]
            yield chunks.pop()  # keeps no reference here, so that the caller can free the body
        finally:
            self.num_body_bytes -= num_bytes


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
        Index file of each model that has an index; see `refold.search.Index`.

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
        if not _MODEL_NAME_PATTERN.fullmatch(name) or name in _RESERVED_NAMES:
            raise ParameterError(
                f"A model cannot have the name {name!r}. Use letters, digits, dots, dashes and "
                f"underscores, and none of {', '.join(sorted(_RESERVED_NAMES))}. Write NAME=MODEL."
            )
    for name in indexes.keys() - models.keys():
        raise ParameterError(
            f"There is an index for {name!r}, and no such model. The models are "
            f"{', '.join(map(repr, models))}."
        )
    settings = settings or read_settings()
    served_models = {
        name: ServedModel(name, Path(models[name]), indexes.get(name)) for name in models
    }
    for name, model in served_models.items():
        if model.fitted_model.max_training_length > settings.max_steps:
            raise ParameterError(
                f"{argument(max_steps=settings.max_steps)} is too low: the model {name!r} was "
                f"fitted on sequences of up to {model.fitted_model.max_training_length} steps. "
                "Raise it to at least this length."
            )
    return Service(served_models, settings)


async def send_response(
    send: Send,
    body: bytes,
    *,
    media_type: str = JSON_TYPE,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send a complete HTTP response, with the security headers."""
    all_headers = {
        "content-type": media_type,
        "content-length": str(len(body)),
        **_SECURITY_HEADERS,
        **(headers or {}),
    }
    encoded_headers = [(name.encode(), value.encode()) for name, value in all_headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded_headers})
    await send({"type": "http.response.body", "body": body})
