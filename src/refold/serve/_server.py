"""The server: one process, one event loop, one thread that computes."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from starlette.routing import BaseRoute
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refold.errors import FileAccessError
from refold.serve._app import Service, create_app
from refold.serve._settings import ServeSettings, read_settings

logger = logging.getLogger("refold.serve")
# Longest time for which a thread keeps Python to itself; 5 ms by default.
_SWITCH_SECONDS = 0.0005
# Most bytes of a request before its body.
_MAX_HEAD = 1 << 16
_LARGE_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"connection: close\r\ncontent-length: 0\r\n\r\n"
)
# Time for requests that are on their way when the service is asked to stop.
_LAST_CALL = 0.5


class Connection(HttpToolsProtocol):
    """A connection of Uvicorn with a limit for the head of a request, which Uvicorn's has not."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head = 0.0  # bytes of the head that is being received

    def data_received(self, data: bytes) -> None:
        """Read bytes; close the connection if a head is too large."""
        self._head += len(data)
        super().data_received(data)
        if self._head > _MAX_HEAD and not self.transport.is_closing():
            self.transport.write(_LARGE_HEAD)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Begin a request."""
        self._head = -math.inf  # until the end of the body
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """End a request."""
        self._head = 0.0
        super().on_message_complete()


class Server(uvicorn.Server):
    """Uvicorn's server, which reads models again on SIGHUP and returns after SIGTERM."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._idle: dict[tuple[Any, Any], float] = {}  # by connection and its last request
        self._reloading: asyncio.Task[None] | None = None
        service.count_connections = lambda: len(self.server_state.connections)

    async def on_tick(self, counter: int) -> bool:
        """Close connections that are stuck, every second."""
        if counter % 10 == 0:
            self._close_stuck()
        return await super().on_tick(counter)

    def _close_stuck(self) -> None:
        """Close connections on which no request begins, or a refused one never ends."""
        # Uvicorn has a timeout for a connection without any byte after an answer, and no other.
        now = asyncio.get_running_loop().time()
        connections: set[Any] = {*self.server_state.connections}
        idle = [
            (connection, connection.cycle)
            for connection in connections
            if connection.cycle is None or connection.cycle.response_complete
        ]
        self._idle = {key: self._idle.get(key, now) for key in idle}
        for (connection, _), since in self._idle.items():
            if now - since > self._service.settings.max_seconds:
                connection.transport.abort()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that have begun or are on their way, then end."""
        self._service.ready = False  # so that each answer closes its connection
        for server in self.servers:
            server.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + _LAST_CALL
        while self.server_state.connections and loop.time() < end and not self.force_exit:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals; Uvicorn would end the process by them at last."""
        if threading.current_thread() is threading.main_thread():
            loop = asyncio.get_running_loop()  # which removes the handlers when it is closed
            loop.add_signal_handler(signal.SIGINT, self._stop)
            loop.add_signal_handler(signal.SIGTERM, self._stop)
            loop.add_signal_handler(signal.SIGHUP, self._reload)
        yield

    def _stop(self) -> None:
        # a second signal does not wait for open requests
        self.force_exit = self.should_exit
        self.should_exit = True

    def _reload(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self._service.reload())


def serve(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> None:
    """Serve models until the process receives SIGTERM or Ctrl-C.

    Parameters
    ----------
    models, settings, indexes, routes
        As for `create_app`.

    Raises
    ------
    ModelFileError
        If a file is no default model with LSTMs.
    FileAccessError
        If the address is in use or does not exist.

    Examples
    --------
    >>> serve({})
    Traceback (most recent call last):
    refold.errors.ParameterError: There is no model to serve. Name at least one file.
    """
    settings = settings or read_settings()
    # the event loop waits for the thread that computes at most that long, each time
    sys.setswitchinterval(_SWITCH_SECONDS)
    # answers say what a warning would; the log has no line for each request
    warnings.simplefilter("ignore", UserWarning)
    server, bound, url = prepared(models, settings, indexes, routes)
    logger.warning("Refold serves %s on %s", ", ".join(models), url)
    server.run(sockets=[bound])


@contextlib.contextmanager
def running(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> Iterator[str]:
    """Serve models from a thread inside a ``with`` block.

    Parameters
    ----------
    models, settings, indexes, routes
        As for `create_app`; by default, the port is a free one.

    Yields
    ------
    url : str
        Address of the service.

    Examples
    --------
    >>> import tempfile, urllib.request
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> with running({"sines": path}) as url:
    ...     urllib.request.urlopen(f"{url}/v1/sines").status
    200
    """
    settings = settings or read_settings(port=0)
    server, bound, url = prepared(models, settings, indexes, routes)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def prepared(
    models: Mapping[str, str | Path],
    settings: ServeSettings,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> tuple[Server, socket.socket, str]:
    """Return a server, the socket that it will listen on, and its address."""
    app = create_app(models, settings, indexes=indexes, routes=routes)
    config = uvicorn.Config(
        app,
        http=Connection,  # the parser in C: with h11, a small request took 25 % more processor time
        ws="none",
        lifespan="on",
        log_config=None,  # its own would close the handlers that there are
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_seconds),
    )
    host = settings.host.strip("[]")
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    dual = is_ipv6 and socket.has_dualstack_ipv6()
    try:
        # it listens at once, because clients may come before the event loop runs
        bound = socket.create_server(
            (host, settings.port), family=family, backlog=1024, dualstack_ipv6=dual
        )
    except OSError as error:
        reason = str(error.strerror or error).partition(" (")[0]  # Python repeats the address
        raise FileAccessError(
            f"The service cannot use the address {host} with port {settings.port}: {reason}. "
            "Choose another with host and port."
        ) from error
    shown = f"[{host}]" if is_ipv6 else host
    return Server(config, app), bound, f"http://{shown}:{bound.getsockname()[1]}"
