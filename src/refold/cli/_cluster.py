"""Options of commands that can run on a Ray cluster, and a run of `refold.cluster`."""

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold.cli._inputs import Reading
from refold.cli._options import PANELS, PositiveOrNone, check_excludes, check_needs
from refold.cli._outputs import check_named, log
from refold.errors import DataError


def _on(what: str) -> Parameter:
    where = "ray://HOST:PORT, auto for that of RAY_ADDRESS, or local to start one here."
    return Parameter(metavar="CLUSTER", help=f"{what}: {where}")


@Parameter(name="*", group=PANELS["Cluster"])
@dataclass(frozen=True)
class Cluster:
    """Where to compute.

    Args:
        workers: Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    on: Annotated[
        str | None, _on("Ray cluster for large Parquet files, with a folder as the output")
    ] = None
    workers: PositiveOrNone = None

    def __post_init__(self) -> None:
        check_needs("--workers", self.workers, "--on CLUSTER", self.on)

    def run(
        self,
        operation: str,
        model: "refold.Model",
        data: str,
        output: str,
        reading: Reading,
        refused: dict[str, Any],  # options that work on one machine only
        *,
        quiet: bool,
        **settings: Any,
    ) -> None:
        """Run an operation of `refold.cluster` on Parquet files; ``settings`` are its arguments."""
        check_cluster(reading, ("id", "time", "columns", "column_types", "time_gaps"), refused)
        check_named("--on", data, output)
        options = reading.options | settings
        options |= {"on": self.on, "num_workers": self.workers, "verbose": 0 if quiet else 1}
        # Ray prints a line for a worker that died
        with contextlib.redirect_stdout(sys.stderr):
            summary = getattr(refold.cluster, operation)(model, data, output, **options)
        if not quiet:
            log(str(summary))
        if summary.num_failed:
            first = summary.failures[0]
            raise DataError(
                f"{summary.num_failed} sequences are in no part; "
                f"{Path(output) / '_failures.jsonl'} lists them. The first is in row {first.row} "
                f"of {first.file}: {first.reason}"
            )


@Parameter(name="*", group=PANELS["Cluster"])
@dataclass(frozen=True)
class TrainingCluster:
    """Where to train.

    Args:
        processes: Processes that train together, each on a part of the data. [default: 2]
    """

    on: Annotated[
        str | None, _on("Ray cluster that trains on Parquet files larger than one machine")
    ] = None
    processes: PositiveOrNone = None

    def __post_init__(self) -> None:
        check_needs("--processes", self.processes, "--on CLUSTER", self.on)


def check_cluster(reading: Reading, taken: Iterable[str], refused: dict[str, Any]) -> None:
    """Refuse options that work on one machine only: some, and those of reading but a few."""
    others = {name: value for name, value in reading.options.items() if name not in taken}
    check_excludes("--on", others | refused | {"format": reading.input_format})
