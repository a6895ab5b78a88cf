"""What every request passes: host, token, concurrency, time, and errors as JSON."""

import asyncio
import hmac
import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refold.errors import RefoldError
from refold.serve._answers import answer_error, headers_of
from refold.serve._batches import Batcher
from refold.serve._metrics import Metrics
from refold.serve._request_body import Disconnected
from refold.serve._service_errors import ServiceError, as_service_error, exceeded, internal
from refold.serve._settings import ServeSettings

logger = logging.getLogger("refold.serve")
# Probes of the machinery around the service have neither its token nor its name.
PROBES = frozenset({"/v1/health", "/v1/ready"})


class Gate:
    """Who may enter, and what those hear who may not."""

    def __init__(self, settings: ServeSettings, batches: Batcher, metrics: Metrics) -> None:
        self._settings = settings
        self._batches = batches
        self._metrics = metrics
        self._names = settings.host_names()
        self._secret = settings.secret()
        self._any_host = "*" in self._names

    def check(self, headers: dict[bytes, bytes], *, several_hosts: bool = False) -> None:
        """Refuse a request beyond the concurrency, for another host, or without the token."""
        most = self._settings.max_concurrency
        if self._batches.open > most:
            message = f"{most} requests are open already. Try again later."
            raise exceeded("concurrency", most, message)
        if not self._any_host:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            if several_hosts or _without_port(host) not in self._names:
                raise ServiceError(
                    400, "wrong_host", "The Host header names no host of this service."
                )
        if self._secret is not None:
            scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
            fits = hmac.compare_digest(token.strip(), self._secret)
            if scheme.lower() != b"bearer" or not fits:
                raise ServiceError(
                    401,
                    "unauthorized",
                    "This needs the header Authorization: Bearer TOKEN, with the right token.",
                    headers={"www-authenticate": "Bearer"},
                )

    def refusal(self, error: BaseException) -> ServiceError:
        """Return the answer to an error, and count or log it."""
        if isinstance(error, TimeoutError):
            error = self.too_late()
        if isinstance(error, ServiceError):
            if error.limit is not None:
                self._metrics.refused(error.limit)
            return error
        found = as_service_error(error) if isinstance(error, RefoldError) else internal()
        if found.status == internal().status:
            logger.error("A request failed", exc_info=error)
        return found

    def too_late(self) -> ServiceError:
        """Return the answer to a request that takes too long."""
        most = self._settings.max_seconds
        return exceeded("time", most, f"The request took longer than {most:g} seconds, the limit.")


class Guard:
    """ASGI middleware around the routes."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        gate: Gate,
        settings: ServeSettings,
        batches: Batcher,
        metrics: Metrics,
    ) -> None:
        self._app = app
        self._gate = gate
        self._settings = settings
        self._batches = batches
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        began, status = loop.time(), 0

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        probe = scope["path"] in PROBES
        scope["refold.operation"] = "other"
        self._batches.open += not probe
        try:
            if not probe:
                hosts = sum(name == b"host" for name, _ in scope["headers"])
                self._gate.check(headers_of(scope), several_hosts=hosts > 1)
            async with asyncio.timeout(self._settings.max_seconds):
                await self._app(scope, receive, counted)
        except Disconnected:
            status = 499
        except Exception as error:
            refused = self._gate.refusal(error)
            if not status:
                await answer_error(scope, counted, refused)
        finally:
            self._batches.open -= not probe
            self._metrics.request(scope["refold.operation"], status, loop.time() - began)


def _without_port(host: str) -> str:
    """Return a host without its port."""
    # the colons of [::1] are no ports
    name, sign, port = host.rpartition(":")
    return name if sign and port.isdigit() and not host.endswith("]") else host
