"""Connections: Uvicorn's, which a client cannot hold open, and which lose no request at the end."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refold.serve._answers import as_bytes, more_headers
from refold.serve._exchange import Exchange, Exchanges
from refold.serve._service_errors import ServiceError, exceeded

# Most bytes of a request before its body.
_MOST_HEAD = 1 << 16
# Time for a request that is on its way when the service is asked to stop.
_LAST_CALL = 0.5


class Connection(HttpToolsProtocol):
    """A connection with a client."""

    # Uvicorn closes a connection that is idle after an answer. It waits without end for a request
    # whose head or rejected body never ends, and at the end it closes a connection even if a
    # request is on its way.
    most_seconds = 30.0  # to wait for the head of a request, or the rest of a rejected body
    most_connections = 1024  # of the server
    exchanges: Exchanges  # requests that need no task

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._since = self.loop.time()
        self._head = 0  # bytes of the head of the next request
        self._in_body = False
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept a connection, or refuse it if there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            message = f"{self.most_connections} connections are open already. Try again later."
            self._end_with(exceeded("connections", self.most_connections, message))

    def data_received(self, data: bytes) -> None:
        """Read bytes of requests; the part before a body has a limit."""
        if self.transport.is_closing():
            return
        self._head += len(data)
        super().data_received(data)
        if self._in_body:
            self._head = 0
        elif self._head > _MOST_HEAD and self.idle and not self.transport.is_closing():
            self._end_with(ServiceError(431, "large_head", "The head of the request is too large."))

    def on_headers_complete(self) -> None:
        """Begin a request; it is the last one if the service is to stop."""
        self._in_body = True
        exchange = self._exchange()
        if exchange is None:
            super().on_headers_complete()
        else:
            self.cycle = exchange
        if self._stopping:
            self.cycle.keep_alive = False
        if exchange is not None:
            exchange.begin()

    def _exchange(self) -> Any:
        parser: Any = self.parser
        if (
            not self.idle
            or self.pipeline
            or self.flow.write_paused
            or parser.get_method() != b"POST"
            or parser.get_http_version() != "1.1"
        ):
            return None
        found = self.exchanges.begin(self, self.url, self.headers)
        if found is not None:
            found.keep_alive = parser.should_keep_alive()
        return found

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        if type(self.cycle) is Exchange:
            self.cycle.add(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """Compute the request."""
        self._in_body, self._head = False, 0
        if type(self.cycle) is Exchange:
            self.cycle.compute()
        else:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        self._since = self.loop.time()
        if self.pipeline or type(self.cycle) is not Exchange:
            super().on_response_complete()
        else:  # without a timer: `close_if_stuck` sees to it
            self.server_state.total_requests += 1

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP."""
        del msg
        self._end_with(ServiceError(400, "not_http", "This is not a request of HTTP."))

    def shutdown(self) -> None:
        """Take the request that may be on its way, then close."""
        self._stopping = True
        if self.idle:
            self.loop.call_later(_LAST_CALL, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    @property
    def idle(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def close_if_stuck(self) -> None:
        """Close the connection if the client sends no request, or not the rest of one."""
        between = not self._head and not self._in_body and type(self.cycle) is Exchange
        most = self.timeout_keep_alive if between else self.most_seconds
        if self.loop.time() - self._since > most:
            self._close_if_idle()

    def _close_if_idle(self) -> None:
        if self.idle and not self.transport.is_closing():
            self.transport.close()

    def _end_with(self, error: ServiceError) -> None:
        more = [(b"connection", b"close"), *more_headers(error)]
        self.transport.write(as_bytes({}, error.body(), status=error.status, more=more))
        self.transport.close()
