"""Options of commands that can run on a Ray cluster, and the end of such a run."""

import contextlib
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold.cli._console import log
from refold.cli._files import STREAM
from refold.cli._options import PANELS, PositiveOrNone, check_needs
from refold.cli._reading import Reading
from refold.errors import DataError, ParameterError

# Options of reading that a cluster has.
_READING = {"id", "time", "columns", "column_types", "time_gaps"}


@Parameter(name="*", group=PANELS["Cluster"])
@dataclass(frozen=True)
class Cluster:
    """Where to compute.

    Parameters
    ----------
    on
        Ray cluster for large Parquet files, with a folder as the output: ray://HOST:PORT, auto
        for that of RAY_ADDRESS, or local to start one here.
    workers
        Workers of the cluster, each with one CPU. [default: all CPUs]
    """

    on: Annotated[str | None, Parameter(metavar="CLUSTER")] = None
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
        _check_options(reading, refused, _READING)
        if STREAM in (data, output):
            raise ParameterError(
                "--on needs names of Parquet files, and of a folder for the parts with -o."
            )
        options = reading.options | settings
        function = getattr(refold.cluster, operation)
        options |= {"on": self.on, "num_workers": self.workers, "verbose": 0 if quiet else 1}
        # Ray prints a line for a worker that died
        with contextlib.redirect_stdout(sys.stderr):
            summary = function(model, data, output, **options)
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

    Parameters
    ----------
    on
        Ray cluster that trains on Parquet files larger than one machine: ray://HOST:PORT, auto for
        that of RAY_ADDRESS, or local to start one here.
    processes
        Processes that train together, each on a part of the data. [default: 2]
    """

    on: Annotated[str | None, Parameter(metavar="CLUSTER")] = None
    processes: PositiveOrNone = None

    def __post_init__(self) -> None:
        check_needs("--processes", self.processes, "--on CLUSTER", self.on)

    def fit(
        self,
        model: "refold.SequenceAutoencoder",
        data: str,
        reading: Reading,
        refused: dict[str, Any],
        *,
        checkpoint: "refold.Checkpoint | None",
        resume: bool,
    ) -> Any:
        """Return the model that `refold.cluster.fit` trains; ``refused`` as for `Cluster.run`."""
        _check_options(reading, refused, _READING - {"time", "time_gaps"})
        if data == STREAM:
            raise ParameterError("--on needs the name of a Parquet file or folder.")
        where = {"on": self.on, "processes": self.processes or 2}
        return refold.cluster.fit(
            model, data, checkpoint=checkpoint, resume=resume, **where, **reading.options
        )


def _check_options(reading: Reading, refused: dict[str, Any], known: set[str]) -> None:
    """Raise ``ParameterError`` for an option that works on one machine only."""
    given = {f"--{name.replace('_', '-')}" for name in set(reading.options) - known}
    given |= {name for name, value in refused.items() if value not in (None, False)}
    if reading.input_format is not None:
        given.add("--format")
    if given:
        raise ParameterError(f"{min(given)} cannot be used with --on. Leave it out.")
