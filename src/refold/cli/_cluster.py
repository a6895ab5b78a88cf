"""Where a command computes: options of the cluster, and a run of `refold.cluster`."""

import contextlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._inputs import Reading
from refold.cli._outputs import check_named, log
from refold.errors import DataError


@Parameter(name="*", group=options.PANELS["Cluster"])
@dataclass(frozen=True)
class Cluster:
    """Where to compute, with a folder as the output.

    Args:
        workers: Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    on: options.OnCluster = None
    workers: options.PositiveOrNone = None

    def __post_init__(self) -> None:
        options.check_needs("--workers", self.workers, "--on CLUSTER", self.on)

    def run(
        self,
        operation: str,  # "encode", "reconstruct" or "detect"
        model: "refold.Model",
        data: str,
        output: str,
        reading: Reading,
        refused: dict[str, Any],  # options that work on one machine only
        *,
        quiet: bool,
        **settings: Any,
    ) -> None:
        """Run an operation on Parquet files; ``settings`` are its arguments."""
        check_cluster(reading, ("id", "time", "columns", "column_types", "time_gaps"), refused)
        check_named("--on", data, output)
        settings |= reading.arguments
        settings |= {"on": self.on, "num_workers": self.workers, "verbose": 0 if quiet else 1}
        # Ray prints a line for a worker that died
        with contextlib.redirect_stdout(sys.stderr):
            summary = getattr(refold.cluster, operation)(model, data, output, **settings)
        if not quiet:
            log(str(summary))
        if summary.num_failed:
            first = summary.failures[0]
            raise DataError(
                f"{summary.num_failed} sequences are in no part; "
                f"{Path(output) / '_failures.jsonl'} lists them. The first is in row {first.row} "
                f"of {first.file}: {first.reason}"
            )


def check_cluster(reading: Reading, taken: Iterable[str], refused: dict[str, Any]) -> None:
    """Refuse options that work on one machine only: some, and those of reading but a few."""
    others = {name: value for name, value in reading.arguments.items() if name not in taken}
    options.check_excludes("--on", others | refused | {"format": reading.input_format})
