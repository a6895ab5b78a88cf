"""A request for an operation that is answered without a task, a router and middleware."""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refold.serve._answers import JSON, as_bytes, more_headers
from refold.serve._app import LARGE, Service
from refold.serve._batches import Job
from refold.serve._operations import OPERATIONS
from refold.serve._request_body import Held
from refold.serve._service_errors import ServiceError

# Headers of requests that need more than this module does.
_OTHER = frozenset({b"transfer-encoding", b"expect", b"content-encoding", b"upgrade"})


# A task, a router and middleware would take more time than everything else that a small request
# needs. `Service.run` is the same for requests with large or compressed bodies.
class Exchanges:
    """The exchanges of one server."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.open: dict[Exchange, None] = {}  # the oldest first
        self._paths = {
            f"/v1/{model.name}/{name}".encode(): (name, model.name)
            for model in service.models
            for name, operation in OPERATIONS.items()
            if not operation.apart
        }
        self._most = min(LARGE, service.settings.max_body)

    def begin(
        self, connection: HttpToolsProtocol, url: bytes, pairs: list[tuple[bytes, bytes]]
    ) -> Any:
        """Return an exchange for a request whose head has come; None if it needs a task."""
        path, _, query = url.partition(b"?")
        names = self._paths.get(path)
        if names is None:
            return None
        headers = dict(pairs)
        size = headers.get(b"content-length", b"")
        if (
            len(headers) < len(pairs)
            or not _OTHER.isdisjoint(headers)
            or not size.isdigit()
            or int(size) > self._most
        ):
            return None
        return Exchange(self, connection, names, headers, query)

    def expire(self, now: float) -> None:
        """Refuse the requests that take too long."""
        most = self.service.settings.max_seconds
        for exchange in list(self.open):
            if now - exchange.began <= most:
                return
            exchange.refuse(self.service.gate.too_late())


class Exchange:
    """A request and its answer; Uvicorn reads of it what it reads of its own class."""

    __slots__ = (
        "_body", "_connection", "_headers", "_held", "_job", "_names", "_of", "_query", "_request",
        "_run", "began", "disconnected", "keep_alive", "response_complete",
    )  # fmt: skip

    def __init__(
        self,
        of: Exchanges,
        connection: HttpToolsProtocol,
        names: tuple[str, str],
        headers: dict[bytes, bytes],
        query: bytes,
    ) -> None:
        self._of = of
        self._connection = connection
        self._names = names
        self._headers = headers
        self._query = query
        self._held = Held(of.service.bodies)
        self._body: Any = b""
        self._request: Any = None
        self._run: Any = None
        self._job: Job | None = None
        self.began = connection.loop.time()
        self.keep_alive = True
        self.disconnected = False
        self.response_complete = False

    @property
    def message_event(self) -> "Exchange":
        """Itself: `set` says that the connection is lost."""
        return self

    def set(self) -> None:
        """Forget the request if its client has gone."""
        if self.disconnected and not self.response_complete:
            self._end(499)

    def begin(self) -> None:
        """Check what comes before the body."""
        service = self._of.service
        self._of.open[self] = None
        service.batches.open += 1
        try:
            service.gate.check(self._headers)
            self._request = service.begin(*self._names, self._headers, self._query)
        except Exception as error:
            self.refuse(error)

    def add(self, body: bytes) -> None:
        """Take a part of the body."""
        if self.response_complete:
            return
        try:
            self._held.add(len(body))
        except ServiceError as error:
            self.refuse(error)
            return
        self._body = self._body + body if self._body else body

    def compute(self) -> None:
        """Read the body, which is complete, and queue the request."""
        if self.response_complete:
            return
        try:
            asked = self._of.service.read(self._request, self._body)
            self._body = b""
            self._run = self._request.operation.run(asked)
        except Exception as error:
            self.refuse(error)
        else:
            self._go_on(None)

    def refuse(self, error: BaseException) -> None:
        """Answer with an error."""
        refused = self._of.service.gate.refusal(error)
        self._answer(refused.body(), status=refused.status, more=more_headers(refused))

    def _go_on(self, result: Any) -> None:
        """Queue the next work, or answer."""
        if self.response_complete:
            return
        service = self._of.service
        try:
            if isinstance(result, BaseException):
                raise result
            try:
                work = self._run.send(result)
            except StopIteration as done:
                media_type, body = service.write(self._request, done.value)
            else:
                self._job = service.batches.submit(work, self._go_on)
                return
        except Exception as error:
            self.refuse(error)
        else:
            self._answer(body, media_type=media_type)

    def _answer(
        self,
        body: bytes,
        *,
        media_type: str = JSON,
        status: int = 200,
        more: list[tuple[bytes, bytes]] | None = None,
    ) -> None:
        connection = self._connection
        more = [*connection.server_state.default_headers, *(more or ())]
        if not self.keep_alive:
            more.append((b"connection", b"close"))
        connection.transport.write(
            as_bytes(self._headers, body, media_type=media_type, status=status, more=more)
        )
        self._end(status)
        if not self.keep_alive:
            connection.transport.close()
        connection.on_response_complete()

    def _end(self, status: int) -> None:
        service = self._of.service
        self.response_complete = True
        if self._job is not None:
            self._job.cancelled = True
        self._run = self._job = self._request = None
        self._body = b""
        self._held.release()
        service.batches.open -= 1
        del self._of.open[self]
        seconds = self._connection.loop.time() - self.began
        service.metrics.request(self._names[0], status, seconds)
