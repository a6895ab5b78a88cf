"""Units go through Ray Data to workers, and their results come back."""

import pickle
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from refold.cluster._connection import load_ray, load_ray_data
from refold.cluster._source import Unit
from refold.cluster._storage import one_line
from refold.cluster._worker import Worker, unit_to
from refold.errors import ClusterError, ParameterError, argument

# Takes units as text, and returns the pickled result of each.
Batch = Callable[[dict[str, Any]], dict[str, Any]]


class Pool(Protocol):
    """What a run needs of workers: `RayPool` on a cluster, `ThisProcess` without one."""

    num_workers: int

    def each(self, function: Batch, units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a function for each unit, in any order."""
        ...

    def worked(self, job: dict[str, Any], units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a worker for each unit, in any order."""
        ...


class ThisProcess:
    """Computes in this process, one unit after another."""

    num_workers = 1

    def each(self, function: Batch, units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a function for each unit."""
        for unit in units:
            yield from _results(function({"unit": [unit_to(unit)]})["result"])

    def worked(self, job: dict[str, Any], units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a worker for each unit."""
        yield from self.each(Worker(job), units)


class RayPool:
    """Workers on the cluster that this process is connected to, each with one CPU."""

    def __init__(self, num_workers: int | None = None) -> None:
        cpus = int(load_ray().cluster_resources().get("CPU", 0))
        most = max(1, cpus - 1)  # Ray Data waits forever if its actors take all CPUs
        if num_workers is not None and num_workers > most:
            raise ParameterError(
                f"{argument(num_workers=num_workers)} needs a cluster with {num_workers + 1} CPUs, "
                f"because one stays free for Ray. This one has {cpus}."
            )
        self.num_workers = num_workers or most
        self._share = 1.0 if cpus > 1 else 0.5

    def each(self, function: Batch, units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a function for each unit, in any order."""
        strategy = load_ray_data().TaskPoolStrategy(size=self._number_for(units))
        return self._mapped(function, units, compute=strategy)

    def worked(self, job: dict[str, Any], units: list[Unit]) -> Iterator[Any]:
        """Yield the result of a worker for each unit, in any order."""
        strategy = load_ray_data().ActorPoolStrategy(size=self._number_for(units))
        return self._mapped(Worker, units, compute=strategy, fn_constructor_args=[job])

    def _number_for(self, units: list[Unit]) -> int:
        return min(self.num_workers, len(units))

    def _mapped(
        self, function: Batch | type[Worker], units: list[Unit], **options: Any
    ) -> Iterator[Any]:
        ray, data = load_ray(), load_ray_data()
        items = [{"unit": unit_to(unit)} for unit in units]
        mapped = data.from_items(items, override_num_blocks=len(items)).map_batches(
            function, batch_size=None, num_cpus=self._share, **options
        )
        context = mapped.context
        context.enable_progress_bars = context.print_on_execution_start = False
        context.enable_auto_log_stats = False
        try:
            for row in mapped.iter_rows():
                yield from _results([row["result"]])
        except ray.exceptions.RayTaskError:
            raise  # an error of the program
        except ray.exceptions.RayError as error:
            raise ClusterError(
                f"The cluster lost the run ({one_line(error)}). Run it again: it completes what is "
                "missing."
            ) from error


def _results(found: list[bytes]) -> Iterator[Any]:
    for one in found:
        yield pickle.loads(one)  # noqa: S301 - a worker's own
