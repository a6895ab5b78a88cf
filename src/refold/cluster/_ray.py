"""Connect to a Ray cluster, or start one on this machine, and call functions on it."""

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
from refold._support.optional_imports import import_optional
from refold._support.rules import Rule, check
from refold.cluster._files import first_line
from refold.errors import ClusterError, RefoldError

# Address that starts a cluster on this machine.
LOCAL_ADDRESS = "local"
_ADDRESS_RULE = Rule(
    "an address such as ray://host:10001, or 'auto' or 'local'",
    lambda on: isinstance(on, str) and (on in (LOCAL_ADDRESS, "auto") or ":" in on),
)
# Maximum time for an address to accept a connection.
_ADDRESS_TIMEOUT_SECONDS = 10.0
# Maximum number of times that Ray starts a task again after its worker died. Ray does not count it
# if a worker died because its machine left the cluster.
_MAX_TASK_RETRIES = 10


def import_ray(module_name: str = "ray") -> Any:
    """Import a module of Ray. This takes a second, so it is done only where a cluster is used."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reads this when it is imported
    return import_optional(module_name, extra="ray", purpose="A cluster")


@contextmanager
def connect(
    address: str,
    *,
    num_cpus: int | None = None,  # for a local cluster; None for all cores
    object_store_memory: int | None = None,  # bytes of shared memory; None for 30 % of the memory
) -> Iterator[None]:
    """Connect to a cluster inside a ``with`` block; `encode` takes the address as ``on``."""
    ray = import_ray()
    check("on", address, _ADDRESS_RULE)
    # if the process is connected already, this connection is used, and stays open
    if ray.is_initialized():
        yield
        return
    ray_options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    # without this, Ray would use the address in RAY_ADDRESS, also for a local cluster
    ray_options["address"] = address
    if address == LOCAL_ADDRESS:
        ray_options |= {"include_dashboard": False, "num_cpus": num_cpus}
        ray_options["object_store_memory"] = object_store_memory
    else:
        # "auto" is the address in RAY_ADDRESS, or the cluster of this machine
        environment_address = os.environ.get("RAY_ADDRESS") if address == "auto" else None
        check_address_answers(environment_address or address)
    # Ray replaces the handler of the signal SIGTERM, so the old one is set again. Only the main
    # thread can do so.
    is_main_thread = threading.current_thread() is threading.main_thread()
    sigterm_handler = signal.getsignal(signal.SIGTERM) if is_main_thread else None
    try:
        ray.init(**ray_options)
    except (ConnectionError, RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        raise _make_unreachable_cluster_error(address, error) from error
    finally:
        if sigterm_handler is not None:
            signal.signal(signal.SIGTERM, sigterm_handler)
    try:
        yield
    finally:
        ray.shutdown()


def check_address_answers(address: str) -> None:
    """Raise ``ClusterError`` if nothing listens at an address; Ray itself would try for minutes."""
    # an address of a client outside of the cluster begins with ray://
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        return  # Ray finds such an address itself, or reports an error
    try:
        socket.create_connection((host.strip("[]"), int(port)), _ADDRESS_TIMEOUT_SECONDS).close()
    except OSError as error:
        raise _make_unreachable_cluster_error(address, error) from error


def _make_unreachable_cluster_error(address: str, error: Exception) -> ClusterError:
    """Return the error for a cluster that does not answer."""
    return ClusterError(
        f"No Ray cluster answers at {address!r} ({first_line(error)}). Check that it runs, with "
        "`ray status` on one of its machines, and that its Ray and Python have the same versions "
        f"as here (Ray {import_ray().__version__})."
    )


def run_tasks_on_cluster(
    task_function: Callable[..., Any],
    arguments_per_task: Iterable[tuple[Any, ...]],
    max_running_tasks: int | None = None,  # None for twice the number of CPUs
) -> Iterator[Any]:
    """Run a task for each tuple of arguments; yield the results in any order, or raise an error."""
    ray = import_ray()
    # Tasks are used instead of actors, because Ray can give the task of a lost worker to any other
    # machine. No data goes through Ray: a task reads its own rows and writes its own part.
    remote_function = ray.remote(num_cpus=1, max_retries=_MAX_TASK_RETRIES)(task_function)
    pending_arguments, running_tasks = iter(arguments_per_task), []
    try:
        while True:
            # By default, there are twice as many tasks as CPUs. No CPU waits for this process then,
            # and a cluster with autoscaling grows, because some tasks wait.
            num_cpus = max(1, int(ray.cluster_resources().get("CPU", 0)))
            num_new_tasks = max(0, (max_running_tasks or 2 * num_cpus) - len(running_tasks))
            running_tasks += [
                remote_function.remote(*arguments)
                for arguments in itertools.islice(pending_arguments, num_new_tasks)
            ]
            if not running_tasks:
                return
            [finished_task], running_tasks = ray.wait(running_tasks)
            result = ray.get(finished_task)
            if isinstance(result, RefoldError):
                raise result
            yield result
    except ray.exceptions.RayTaskError:
        raise  # a bug in the function
    except (ray.exceptions.RayError, ConnectionError) as error:
        raise ClusterError(
            f"The cluster lost the run ({first_line(error)}). Run it again: it completes what is "
            f"missing. Its machines need the same versions as here, Refold {refold.__version__} "
            f"and Ray {ray.__version__}."
        ) from error
    finally:  # tasks are left after an error, or if the caller takes no more results
        with contextlib.suppress(ray.exceptions.RayError, ConnectionError):
            for task in running_tasks:
                ray.cancel(task)
