"""The server, which runs an ASGI application in one process with one event loop."""

import asyncio
import contextlib
import logging
import math
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from refold.errors import FileAccessError
from refold.serve._app import create_app
from refold.serve._settings import ServeSettings, read_settings

logger = logging.getLogger("refold.serve")
# Maximum time for which a thread keeps the interpreter lock while another thread waits for it. With
# Python's default of 5 ms, every answer would wait that long.
_THREAD_SWITCH_SECONDS = 0.0005
# Maximum size of the head of a request: its first line and its headers. Browsers and proxies send a
# few kilobytes.
_MAX_HEAD_BYTES = 1 << 16
_HEAD_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-length: 0\r\nconnection: close\r\n\r\n"
)


class LimitedHeadProtocol(HttpToolsProtocol):
    """A connection of Uvicorn that refuses a request with a large head."""

    # Uvicorn does not limit the head. Without a limit, the head of a single request could fill the
    # memory before the application checks the token.
    _num_head_bytes = 0  # received since the last byte that did not belong to a head

    def data_received(self, data: bytes) -> None:
        """Read bytes from the client."""
        self._num_head_bytes += len(data)
        super().data_received(data)
        if self._num_head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self.transport.write(_HEAD_TOO_LARGE)
            self.transport.close()

    def on_headers_complete(self) -> None:
        """Note the end of a head."""
        self._num_head_bytes = 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Note bytes of a body. The headers that may follow a body count as a head."""
        self._num_head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Note the end of a request."""
        self._num_head_bytes = 0
        super().on_message_complete()


class Server(uvicorn.Server):
    """A server of Uvicorn that closes idle connections, and returns normally after SIGTERM."""

    def __init__(self, config: uvicorn.Config, max_idle_seconds: float) -> None:
        super().__init__(config)
        self._max_idle_seconds = max_idle_seconds
        # Time at which a connection was first seen idle. The keys are pairs of a connection and its
        # last request, which Uvicorn calls a cycle, so a new request starts anew.
        self._idle_start_times: dict[tuple[Any, Any], float] = {}

    async def on_tick(self, counter: int) -> bool:
        """Close connections that wait too long for a next request or the end of a refused one."""
        # Uvicorn limits only the time without any byte after an answer. It does not limit the time
        # that a client takes for the head of a request.
        if counter % 10 == 0:  # once per second, because Uvicorn ticks ten times per second
            now = asyncio.get_running_loop().time()
            connections: set[Any] = {*self.server_state.connections}
            idle_keys = [
                (connection, connection.cycle)
                for connection in connections
                if connection.cycle is None or connection.cycle.response_complete
            ]
            start_times = {key: self._idle_start_times.get(key, now) for key in idle_keys}
            self._idle_start_times = start_times
            for (connection, _), start_time in start_times.items():
                if now - start_time > self._max_idle_seconds:
                    connection.transport.abort()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM."""
        with super().capture_signals():
            yield
            # Uvicorn would raise these signals again, but the exit code of a clean stop is 0
            self._captured_signals.clear()


def serve(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
) -> None:
    """Serve models until the process receives SIGTERM or Ctrl-C.

    Parameters
    ----------
    models, settings, indexes
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
    run_app(create_app(models, settings, indexes=indexes), settings, name=", ".join(models))


def run_app(app: ASGIApp, settings: ServeSettings, name: str) -> None:
    """Serve an application until the process receives SIGTERM or Ctrl-C."""
    # each time the event loop has work, it may wait this long for the computing thread
    sys.setswitchinterval(_THREAD_SWITCH_SECONDS)
    # answers hold the warnings about their data, so the log needs no lines about requests
    warnings.simplefilter("ignore", UserWarning)
    server, listener, url = prepare_server(app, settings)
    logger.warning("Refold serves %s on %s", name, url)
    server.run(sockets=[listener])


@contextlib.contextmanager
def running(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """Serve models from a thread inside a ``with`` block.

    Parameters
    ----------
    models, settings, indexes
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
    with running_app(create_app(models, settings, indexes=indexes), settings) as url:
        yield url


@contextlib.contextmanager
def running_app(app: ASGIApp, settings: ServeSettings) -> Iterator[str]:
    """Serve an application from a thread inside a ``with`` block; yield the address."""
    server, listener, url = prepare_server(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def prepare_server(app: ASGIApp, settings: ServeSettings) -> tuple[Server, socket.socket, str]:
    """Return a server, its listening socket, and its URL."""
    config = uvicorn.Config(
        app,
        http=LimitedHeadProtocol,  # with h11, a request took 25 % more processor time
        ws="none",
        lifespan="on",
        log_config=None,  # the configuration of Uvicorn would replace existing log handlers
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        # one more, because Uvicorn answers with status 503 already when the number of connections
        # is at its limit
        limit_concurrency=settings.max_connections + 1,
        timeout_graceful_shutdown=math.ceil(settings.max_seconds),
    )
    host = settings.host.strip("[]")
    is_ipv6 = ":" in host
    family = socket.AF_INET6 if is_ipv6 else socket.AF_INET
    # a dual stack also accepts connections over IPv4
    is_dual_stack = is_ipv6 and socket.has_dualstack_ipv6()
    try:
        # listens at once, because clients may connect before the event loop runs
        listener = socket.create_server(
            (host, settings.port), family=family, backlog=1024, dualstack_ipv6=is_dual_stack
        )
    except OSError as error:
        # Python repeats the address after the reason: " (while attempting to bind on ..."
        reason = str(error.strerror or error).partition(" (")[0]
        raise FileAccessError(
            f"The service cannot use the address {host} with port {settings.port}: {reason}. "
            "Choose another host or port."
        ) from error
    url_host = f"[{host}]" if is_ipv6 else host
    url = f"http://{url_host}:{listener.getsockname()[1]}"
    return Server(config, settings.max_seconds), listener, url
