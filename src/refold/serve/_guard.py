"""What every request passes: host, token, concurrency, time, and errors as JSON."""

import asyncio
import hmac
import logging
from typing import Any

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


class Guard:
    """ASGI middleware around the routes.

    Parameters
    ----------
    app : ASGI application
    settings : ServeSettings
    batches : Batcher
    metrics : Metrics
    """

    def __init__(
        self, app: Any, *, settings: ServeSettings, batches: Batcher, metrics: Metrics
    ) -> None:
        self._app = app
        self._settings = settings
        self._batches = batches
        self._metrics = metrics
        self._names = settings.host_names()
        self._secret = settings.secret()
        self._any_host = "*" in self._names

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        loop = asyncio.get_running_loop()
        began, status = loop.time(), 0

        async def counted(message: Any) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        probe = scope["path"] in PROBES
        scope["refold.operation"] = "other"
        self._batches.open += not probe
        try:
            if not probe:
                self._check(scope)
            async with asyncio.timeout(self._settings.max_seconds):
                await self._app(scope, receive, counted)
        except Disconnected:
            status = 499
        except TimeoutError:
            most = self._settings.max_seconds
            message = f"The request took longer than {most:g} seconds, the limit."
            await self._refuse(scope, counted, exceeded("time", most, message), status)
        except ServiceError as error:
            await self._refuse(scope, counted, error, status)
        except RefoldError as error:
            answer = as_service_error(error)
            if answer.status == 500:
                logger.exception("A request failed")
            await self._refuse(scope, counted, answer, status)
        except Exception:
            logger.exception("A request failed")
            await self._refuse(scope, counted, internal(), status)
        finally:
            self._batches.open -= not probe
            self._metrics.request(scope["refold.operation"], status, loop.time() - began)

    async def _refuse(self, scope: Any, send: Any, error: ServiceError, sent: int) -> None:
        if error.limit is not None:
            self._metrics.refused(error.limit)
        if not sent:
            await answer_error(scope, send, error)

    def _check(self, scope: Any) -> None:
        most = self._settings.max_concurrency
        if self._batches.open > most:
            message = f"{most} requests are open already. Try again later."
            raise exceeded("concurrency", most, message)
        headers = headers_of(scope)
        if not self._any_host:
            host = headers.get(b"host", b"").decode("latin-1").lower()
            several = sum(name == b"host" for name, _ in scope["headers"]) > 1
            if several or _without_port(host) not in self._names:
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


def _without_port(host: str) -> str:
    """Return a host without its port.

    Examples
    --------
    >>> [_without_port(host) for host in ("a:80", "[::1]:80", "[::1]", "a")]
    ['a', '[::1]', '[::1]', 'a']
    """
    name, sign, port = host.rpartition(":")
    return name if sign and port.isdigit() and not host.endswith("]") else host
