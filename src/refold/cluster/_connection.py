"""Connection to a Ray cluster, or a cluster on this machine for as long as it is needed."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from refold._support.optional_imports import optional
from refold.cluster._storage import one_line
from refold.errors import ClusterError, ParameterError, argument

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
# Seconds that an address may take to answer.
_SECONDS = 10.0


def load_ray() -> Any:
    """Import Ray, which takes a second, so that it is imported only where a cluster is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read at import
    return optional("ray", extra="ray", purpose="A cluster")


@contextmanager
def connected(
    on: str,
    *,
    num_cpus: int | None = None,  # tasks at a time of a local cluster, by default all cores
    object_store_memory: int | None = None,  # its shared memory, by default 30 % of the memory
) -> Iterator[None]:
    """Connect to a cluster inside the block, as ``on=`` of `encode` says."""
    ray = load_ray()
    if not isinstance(on, str) or not (on in (LOCAL, AUTO) or ":" in on):
        raise ParameterError(
            f"{argument('on')} must be an address such as ray://host:10001, or 'auto' or 'local'. "
            f"Got {on!r}."
        )
    # An open connection of this process is used, and it stays open.
    if ray.is_initialized():
        yield
        return
    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if on == LOCAL:
        # RAY_ADDRESS would have precedence over an address that is None
        options |= {"address": "local", "include_dashboard": False, "num_cpus": num_cpus}
        options["object_store_memory"] = object_store_memory
    else:
        options |= {"address": on}
        _check_answers(os.environ.get("RAY_ADDRESS") or on if on == AUTO else on)
    try:
        with _same_signals():
            ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise _no_answer(on, error) from error
    try:
        yield
    finally:
        ray.shutdown()


@contextmanager
def _same_signals() -> Iterator[None]:
    """Keep the handler of SIGTERM, which Ray replaces."""
    main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if main else None
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGTERM, before)


def _check_answers(address: str) -> None:
    """Raise ``ClusterError`` if nothing listens at an address; Ray tries for minutes."""
    host, found, port = address.removeprefix(CLIENT).rpartition(":")
    if not found or not port.isdecimal():
        return  # Ray finds the address, or says what is wrong with it
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_SECONDS):
            pass
    except OSError as error:
        raise _no_answer(address, error) from error


def _no_answer(address: str, error: Exception) -> ClusterError:
    return ClusterError(
        f"No Ray cluster answers at {address!r} ({one_line(error)}). Check that it runs, with "
        "`ray status` on one of its machines, and that its Ray and Python have the same versions "
        f"as here (Ray {load_ray().__version__})."
    )
