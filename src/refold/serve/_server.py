"""The server: one process, one event loop, one thread that computes."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import uvicorn
from starlette.routing import BaseRoute

from refold._support.optional_imports import is_installed
from refold.errors import FileAccessError, RefoldError
from refold.serve._app import Service, create_app
from refold.serve._connections import Connection
from refold.serve._exchange import Exchanges
from refold.serve._settings import ServeSettings

logger = logging.getLogger("refold.serve")
# Longest time for which a thread keeps Python to itself; 5 ms by default.
_SWITCH_SECONDS = 0.0005


class Server(uvicorn.Server):
    """Uvicorn's server, which reads models again on SIGHUP and returns after SIGTERM."""

    def __init__(self, config: uvicorn.Config, service: Service, exchanges: Exchanges) -> None:
        super().__init__(config)
        self._service = service
        self._exchanges = exchanges
        self._tasks: set[asyncio.Task[None]] = set()

    async def on_tick(self, counter: int) -> bool:
        """Refuse requests that take too long; close connections that are stuck, every second."""
        self._exchanges.expire(asyncio.get_running_loop().time())
        if counter % 10 == 0:
            for connection in list(self.server_state.connections):
                connection.close_if_stuck()  # type: ignore[union-attr]
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer the requests that have begun, then end."""
        self._service.ready = False
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals; Uvicorn would end the process by them at last."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        loop = asyncio.get_running_loop()
        handlers = {signal.SIGINT: self._stop, signal.SIGTERM: self._stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._reload
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number in handlers:
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        # a second signal does not wait for open requests
        self.force_exit = self.should_exit
        self.should_exit = True

    def _reload(self) -> None:
        task = asyncio.get_running_loop().create_task(self._read_again())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _read_again(self) -> None:
        try:
            await self._service.reload()
        except RefoldError as error:
            logger.error("The models stay as they were: %s", error)
        else:
            logger.warning("The models are read again")


def serve(
    models: Mapping[str, str | Path],
    settings: ServeSettings | None = None,
    *,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> None:
    """Serve models until the process receives SIGTERM or Ctrl-C.

    SIGHUP reads the model files again. Requests that have begun keep the models that they have.

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

    Raises
    ------
    ModelFileError
        If a file is no model, or no default model with LSTMs.
    MissingFileError
        If a file does not exist.
    FileAccessError
        If the address is in use or does not exist.

    See Also
    --------
    running : Serves from a thread.

    Examples
    --------
    >>> serve({})
    Traceback (most recent call last):
    refold.errors.ParameterError: There is no model to serve. Name at least one file.
    """
    settings = settings or ServeSettings()
    # the event loop waits for the thread that computes at most that long, each time
    sys.setswitchinterval(_SWITCH_SECONDS)
    # answers say what a warning would; the log has no line for each request
    warnings.simplefilter("ignore", UserWarning)
    server, bound = _prepared(models, settings, indexes, routes)
    logger.warning("Refold serves %s on %s", ", ".join(models), _url(bound, settings))
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
    models : mapping of str to path
        Model file of each name.
    settings : ServeSettings, optional
        Address, access and limits. By default those of the environment, on a free port.
    indexes : mapping of str to str, optional
        File of the index of some of the models; see `refold.search.Index`.
    routes : sequence of starlette.routing.BaseRoute
        More routes, which pass the same checks.

    Yields
    ------
    url : str
        Address of the service.

    Examples
    --------
    >>> import json, tempfile, urllib.request
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... )
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.fit(sines).save(path)
    >>> with running({"sines": path}) as url:
    ...     with urllib.request.urlopen(f"{url}/v1/sines") as answer:
    ...         json.load(answer)["code_size"]
    4
    """
    settings = settings or ServeSettings(port=0)
    server, bound = _prepared(models, settings, indexes, routes)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
    thread.start()
    try:
        yield _url(bound, settings)
    finally:
        server.should_exit = True
        thread.join()


def _prepared(
    models: Mapping[str, str | Path],
    settings: ServeSettings,
    indexes: Mapping[str, str] | None = None,
    routes: Sequence[BaseRoute] = (),
) -> tuple[Server, socket.socket]:
    app = create_app(models, settings, indexes=indexes, routes=routes)

    found = Exchanges(app.state.service)

    class _Limited(Connection):
        exchanges = found
        most_seconds = settings.max_seconds
        most_connections = settings.max_connections

    config = uvicorn.Config(
        app,
        http=_Limited,  # type: ignore[arg-type]
        loop="uvloop" if is_installed("uvloop") else "asyncio",
        ws="none",
        lifespan="on",
        log_config=None,  # its own would close the handlers that there are
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(settings.shutdown_seconds),
    )
    return Server(config, app.state.service, found), _bound(settings)


def _bound(settings: ServeSettings) -> socket.socket:
    host = settings.host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, settings.port))
    except OSError as error:
        bound.close()
        reason = error.strerror or str(error)
        raise FileAccessError(
            f"The service cannot use the address {host} with port {settings.port}: {reason}. "
            "Choose another with host and port."
        ) from error
    bound.listen(1024)  # clients may come before the event loop runs
    return bound


def _url(bound: socket.socket, settings: ServeSettings) -> str:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    return f"http://{host}:{bound.getsockname()[1]}"
