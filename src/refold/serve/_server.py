"""The server: one process with one event loop, which runs an ASGI application."""

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

from refold.errors import FileAccessError
from refold.serve._app import create_app
from refold.serve._settings import ServeSettings, read_settings

logger = logging.getLogger("refold.serve")
# Longest time for which a thread keeps Python to itself; 5 ms by default.
_SWITCH_SECONDS = 0.0005


class Server(uvicorn.Server):
    """Uvicorn's server, which closes connections that are stuck, and returns after SIGTERM."""

    def __init__(self, config: uvicorn.Config, max_seconds: float) -> None:
        super().__init__(config)
        self._max_seconds = max_seconds
        self._idle: dict[tuple[Any, Any], float] = {}  # by connection and its last request

    async def on_tick(self, counter: int) -> bool:
        """Close connections that are stuck, every second."""
        if counter % 10 == 0:
            self._close_stuck()
        return await super().on_tick(counter)

    def _close_stuck(self) -> None:
        """Close connections on which no request begins, or a refused one never ends."""
        # Uvicorn has a timeout for a connection without any byte after an answer, and no other. In
        # particular, it does not limit the time for the head of a request.
        now = asyncio.get_running_loop().time()
        connections: set[Any] = {*self.server_state.connections}
        idle = [
            (connection, connection.cycle)
            for connection in connections
            if connection.cycle is None or connection.cycle.response_complete
        ]
        self._idle = {key: self._idle.get(key, now) for key in idle}
        for (connection, _), since in self._idle.items():
            if now - since > self._max_seconds:
                connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at SIGINT and SIGTERM."""
        with super().capture_signals():
            yield
            # Uvicorn would raise them again at the end; the exit code of a clean end is 0
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
    run_app(create_app(models, settings, indexes=indexes), settings, ", ".join(models))


def run_app(app: ASGIApp, settings: ServeSettings, name: str) -> None:
    """Serve an application until the process receives SIGTERM or Ctrl-C."""
    # the event loop waits for the thread that computes at most that long, each time
    sys.setswitchinterval(_SWITCH_SECONDS)
    # answers say what a warning would; the log has no line for each request
    warnings.simplefilter("ignore", UserWarning)
    server, bound, url = prepared(app, settings)
    logger.warning("Refold serves %s on %s", name, url)
    server.run(sockets=[bound])


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
    server, bound, url = prepared(app, settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join()


def prepared(app: ASGIApp, settings: ServeSettings) -> tuple[Server, socket.socket, str]:
    """Return a server, the socket that it will listen on, and its address."""
    config = uvicorn.Config(
        app,
        http="httptools",  # in C: with h11, a small request took 25 % more processor time
        ws="none",
        lifespan="on",
        log_config=None,  # its own would close the handlers that there are
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=settings.max_connections + 1,  # of which Uvicorn refuses the last
        timeout_graceful_shutdown=math.ceil(settings.max_seconds),
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
    return Server(config, settings.max_seconds), bound, f"http://{shown}:{bound.getsockname()[1]}"
