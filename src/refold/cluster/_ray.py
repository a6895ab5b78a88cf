"""Ray: a connection to a cluster, or a cluster on this machine, and calls of functions on it."""

import contextlib
import itertools
import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import refold
from refold._support.optional_imports import optional
from refold._support.rules import Rule, check
from refold.cluster._files import one_line
from refold.errors import ClusterError, RefoldError

LOCAL, AUTO, CLIENT = "local", "auto", "ray://"
_ADDRESS = Rule(
    "an address such as ray://host:10001, or 'auto' or 'local'",
    lambda on: isinstance(on, str) and (on in (LOCAL, AUTO) or ":" in on),
)
# Seconds that an address may take to answer.
_SECONDS = 10.0
# How often Ray computes a part again whose worker dies; machines that are taken away do not count.
_MAX_RETRIES = 10


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
    check("on", on, _ADDRESS)
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
        check_answers(os.environ.get("RAY_ADDRESS") or on if on == AUTO else on)
    # Ray replaces the handler of SIGTERM.
    is_main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        ray.init(**options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise _no_answer(on, error) from error
    finally:
        if handler is not None:
            signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def check_answers(address: str) -> None:
    """Raise ``ClusterError`` if nothing listens at an address; Ray tries for minutes."""
    host, colon, port = address.removeprefix(CLIENT).rpartition(":")
    if not colon or not port.isdecimal():
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


def on_cluster(
    function: Callable[..., Any],
    arguments: Iterable[tuple[Any, ...]],  # of each call
    limit: int | None = None,  # calls at a time, by default as many as there are CPUs
) -> Iterator[Any]:
    """Call a function on the cluster, and yield the results in any order, or raise an error."""
    ray = load_ray()
    # Tasks and not actors: Ray gives the task of a lost worker to any other machine. No data goes
    # through Ray: a task reads its rows and writes its part.
    remote = ray.remote(num_cpus=1, max_retries=_MAX_RETRIES)(function)
    calls, running = iter(arguments), []
    try:
        while True:
            # twice the CPUs, so that none waits for this process, and a cluster that can grow does
            cpus = max(1, int(ray.cluster_resources().get("CPU", 0)))
            room = max(0, (limit or 2 * cpus) - len(running))
            running += [remote.remote(*call) for call in itertools.islice(calls, room)]
            if not running:
                return
            [done], running = ray.wait(running)
            result = ray.get(done)
            if isinstance(result, RefoldError):
                raise result
            yield result
    except ray.exceptions.RayTaskError:
        raise  # an error of the program
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(
            f"The cluster lost the run ({one_line(error)}). Run it again: it completes what is "
            f"missing. Its machines need the same versions as here, Refold {refold.__version__} "
            f"and Ray {ray.__version__}."
        ) from error
    finally:
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError):
            for call in running:
                ray.cancel(call)
