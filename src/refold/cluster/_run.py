"""`encode`, `reconstruct` and `detect` on a cluster, and the run that they share."""

import hashlib
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import refold
from refold._support.output import warn
from refold._support.progress_bars import progress_bar
from refold._support.rules import check_rate, check_whole
from refold.cluster._ray import LOCAL, connected, num_cpus, on_cluster
from refold.cluster._storage import absolute
from refold.cluster._tasks import (
    Failure,
    Run,
    WrittenPart,
    finish,
    plan,
    without_sequences,
    write_part,
)
from refold.errors import ParameterError, argument
from refold.model import Model, ModelLike, dumps, model_of
from refold.network.packed.network import PackedNetwork
from refold.sequences import ColumnTypes, TableOptions, check_code_dtype

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Failures that a summary lists; the file has more.
MAX_LISTED = 100
# Ray moves units and summaries only, so its shared memory can be small.
_STORE_BYTES = 256 << 20


@dataclass(frozen=True)
class RunSummary:
    """What a run on a cluster did.

    Attributes
    ----------
    operation : {"encode", "reconstruct", "detect"}
        What was done.
    output : str
        The output folder.
    num_sequences, num_failed : int
        Rows of all parts, also of an earlier run; and sequences that could not be computed, and
        are in no part.
    failures : list of Failure
        Up to 100 of the latter. The file ``_failures.jsonl`` in the output folder lists up to 100
        of each part.
    num_parts, num_there : int
        Number of parts, which are files, and of those that an earlier run wrote.
    num_steps : int
        Steps that this run computed.
    seconds : float
        Time that the computation took, without the start of the cluster.
    num_workers, memory : int
        Number of workers, at most, and the largest memory of one of them in bytes.
    warnings : dict of str to int
        Warnings of the workers, each with the number of parts in which it occurred.
    num_anomalous, num_discoveries : int or None
        For ``detect``: sequences that are anomalous, and those that remain after correction for
        multiple tests.

    Examples
    --------
    >>> summary = RunSummary("encode", "codes", 3, 0, [], 1, 0, 12, 2.0, 2, 400_000_000)
    >>> str(summary).partition(" by ")[0]
    'Encoded 3 sequences in 1 part in codes: 12 steps in 2.0 s'
    """

    operation: str
    output: str
    num_sequences: int
    num_failed: int
    failures: list[Failure]
    num_parts: int
    num_there: int
    num_steps: int
    seconds: float
    num_workers: int
    memory: int
    warnings: dict[str, int] | None = None
    num_anomalous: int | None = None
    num_discoveries: int | None = None

    @property
    def steps_per_second(self) -> float:
        """Steps that all workers computed in a second."""
        return self.num_steps / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        done = {"encode": "Encoded", "reconstruct": "Reconstructed", "detect": "Tested"}
        parts = f"{self.num_parts} part{'s' * (self.num_parts != 1)}"
        if self.num_there:
            parts += f" ({self.num_there} of an earlier run)"
        text = (
            f"{done[self.operation]} {self.num_sequences} sequences in {parts} in {self.output}: "
            f"{self.num_steps} steps in {self.seconds:.1f} s by {self.num_workers} "
            f"worker{'s' * (self.num_workers != 1)} ({self.steps_per_second:.0f} steps/s)"
        )
        if self.memory:
            text += f", each with at most {self.memory / 1e6:.0f} MB of memory"
        if self.num_anomalous is not None:
            text += (
                f"; {self.num_anomalous} are anomalous, {self.num_discoveries} after correction "
                "for multiple testing"
            )
        return text


def encode(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    latent_steps: int | None = None,
    dtype: str = "float32",
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Encode the sequences of Parquet files on a Ray cluster, and write the codes as Parquet files.

    Each worker reads a range of rows, encodes it and writes one part, whose name and content depend
    on the range alone. A part appears complete or not at all. If a worker dies, another one takes
    its range, and if the run ends early, the same call completes what is missing. The codes are
    those of one machine to the bit.

    Parameters
    ----------
    model : Model, SequenceAutoencoder or path
        A fitted model, or its file. It must be the default model with LSTMs.
    source : path, URL, glob or list of them
        Parquet files, or folders of them, that all machines of the cluster can read, such as
        ``"s3://bucket/folder"``. A row is a sequence with lists, or a step; then the rows must be
        sorted by their ids.
    output : path or URL
        Folder for the parts, which all machines of the cluster can write to. It must be new, or the
        output of the same run.
    on : str, default="auto"
        Cluster: ``"auto"`` for that of ``RAY_ADDRESS`` or of this machine, ``"local"`` to start one
        on this machine, or an address such as ``"ray://host:10001"``. If Ray is connected already,
        that connection is used.
    num_workers : int, optional
        Number of parts that are computed at a time, each by a worker with one CPU. By default as
        many as the cluster has CPUs for.
    id, time, columns, column_types, time_gaps
        As in `refold.sequences.read`; by default the columns of the training data. Without a column
        of ids, the ids are row numbers, over all files in the order of their names.
    latent_steps : int, optional
        Number of steps of latent optimization; by default that of the model.
    dtype : {"float32", "float16"}
        Type of the stored values.
    part_steps : int, optional
        Approximate number of steps of a part. By default it depends on the number of all steps.
    verbose : int, default=1
        0 hides the progress bar.

    Returns
    -------
    RunSummary
        Its `RunSummary.failures` are sequences that could not be encoded. All others are written.

    Examples
    --------
    >>> summary = refold.cluster.encode(
    ...     "sines.refold", "s3://bucket/sines", "s3://bucket/codes", on="ray://head:10001"
    ... )  # doctest: +SKIP
    """
    check_code_dtype(dtype)
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    settings = {"dtype": dtype, "latent_steps": latent_steps}
    work = _work("encode", model, source, output, options, settings, part_steps)
    return _run(*work, on, num_workers, verbose)


def reconstruct(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    latent_steps: int | None = None,
    clip: bool = False,
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Encode the sequences of Parquet files and decode the codes on a Ray cluster.

    Parameters
    ----------
    model, source, output, on, num_workers, id, time, columns, column_types, time_gaps, latent_steps
        As in `encode`, and so are ``part_steps`` and ``verbose``.
    clip : bool, default=False
        Clip each numeric column to its range in the training data.

    Returns
    -------
    RunSummary
        The parts hold a row for each sequence, with a list for each column.

    Examples
    --------
    >>> refold.cluster.reconstruct("sines.refold", "*.parquet", "back")  # doctest: +SKIP
    """
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    settings = {"clip": clip, "latent_steps": latent_steps}
    work = _work("reconstruct", model, source, output, options, settings, part_steps)
    return _run(*work, on, num_workers, verbose)


def detect(
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    *,
    alpha: float = 0.01,
    on: str = "auto",
    num_workers: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    part_steps: int | None = None,
    verbose: int = 1,
) -> RunSummary:
    """Compute anomaly scores and p-values of the sequences of Parquet files on a Ray cluster.

    Parameters
    ----------
    model : Model, SequenceAutoencoder or path
        A fitted model with calibration sequences, or its file.
    source, output, on, num_workers, id, time, columns, column_types, time_gaps
        As in `encode`.
    alpha : float, default=0.01
        False-alarm rate among normal sequences.
    part_steps, verbose
        As in `encode`.

    Returns
    -------
    RunSummary
        The parts hold the columns of `refold.model.Detection.to_table`, except for
        ``adjusted_p_value``, which depends on all sequences. The file
        ``_adjusted_p_values.parquet`` in the output folder has it for each p-value.

    Examples
    --------
    >>> refold.cluster.detect("sines.refold", "sines", "anomalies")  # doctest: +SKIP
    """
    options = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    settings = {"alpha": check_rate("alpha", alpha, "rate of false alarms"), "latent_steps": None}
    work = _work("detect", model, source, output, options, settings, part_steps)
    return _run(*work, on, num_workers, verbose)


def _work(
    name: str,
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    options: TableOptions,
    settings: dict[str, Any],
    part_steps: int | None,
) -> tuple[Run, tuple[Any, ...]]:
    """Check the arguments of an operation, and return those of `plan`."""
    if part_steps is not None:
        check_whole("part_steps", part_steps)
    model = Model.load(model) if isinstance(model, str | os.PathLike) else model_of(model)
    if settings["latent_steps"] is not None:
        model = model.with_latent_steps(settings["latent_steps"])
    if not isinstance(model.network, PackedNetwork):
        specification = model.specification
        raise ParameterError(
            f"This model runs with Keras (architecture={specification.architecture!r}, "
            f"cell={specification.cell!r}). The workers of a cluster run the default model with "
            "LSTMs only. Use one machine, or fit the default model."
        )
    paths: Any = source if isinstance(source, list | tuple) else [source]
    if not paths or not all(isinstance(path, str | os.PathLike) for path in paths):
        raise ParameterError(
            f"Expected a path, URL or glob of Parquet files for {argument('source')}, or a list of "
            f"them. Got a {type(source).__name__}."
        )
    id_name, taken = options.id or model.schema.id_name, {"code", None, *model.schema.names}
    content = dumps(model)
    run = Run(
        version=refold.__version__,
        operation=name,
        settings=settings | {"latent_steps": model.latent_steps},
        id_name="id" if id_name in taken else str(id_name),
        output=absolute(output),
        model_hash=hashlib.sha256(content).hexdigest(),
        options=options,
    )
    without_sequences(model, run)  # raises what each worker would
    return run, ([absolute(path) for path in paths], part_steps, model.schema.to_dict(), content)


def _run(
    run: Run, source: tuple[Any, ...], on: str, num_workers: int | None, verbose: int
) -> RunSummary:
    """Plan on the cluster, compute the parts, and write what concerns all of them."""
    if num_workers is not None:
        check_whole("num_workers", num_workers)
    cpus = num_workers if on == LOCAL else None
    with (
        connected(on, num_cpus=cpus, object_store_memory=_STORE_BYTES),
        progress_bar(disable=not verbose) as bar,
    ):
        task = bar.add_task(run.operation, total=None)
        started = time.monotonic()
        # the process ends, because the search for ids may have taken memory
        [(run, units)] = on_cluster(plan, [(run, *source)], max_calls=1)
        bar.update(task, total=len(units))
        parts: list[WrittenPart] = []
        p_values: Counter[float] = Counter()
        for part in on_cluster(write_part, [(run, unit) for unit in units], num_workers):
            p_values.update(part.p_values)
            parts.append(replace(part, p_values={}))  # many parts have the same
            bar.advance(task)
        parts.sort(key=lambda part: part.number)
        failures = [failure for part in parts for failure in part.failures]
        [counts] = on_cluster(finish, [(run, failures, p_values)])
        seconds = time.monotonic() - started  # without the end of a local cluster
        workers = num_workers or num_cpus()
    warnings = _warnings_of(parts)
    for text, count in warnings.items():
        more = f" (a warning like this came from {count} parts)" if count > 1 else ""
        warn(f"{text}{more}")
    new_parts = [part for part in parts if not part.is_earlier]
    return RunSummary(
        operation=run.operation,
        output=run.output,
        num_sequences=sum(part.num_sequences for part in parts),
        num_failed=sum(part.num_failed for part in parts),
        failures=failures[:MAX_LISTED],
        num_parts=len(parts),
        num_there=len(parts) - len(new_parts),
        num_steps=sum(part.num_steps for part in new_parts),
        seconds=seconds,
        num_workers=min(workers, len(parts)),
        memory=max((part.memory for part in new_parts), default=0),
        warnings=warnings,
        num_anomalous=counts[0],
        num_discoveries=counts[1],
    )


def _warnings_of(parts: list[WrittenPart]) -> dict[str, int]:
    """Return the first warning of each kind, and the number of parts with a warning like it."""
    texts: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for part in parts:
        if part.warning is not None:
            kind = re.sub(r"\d+", "0", part.warning)
            counts[texts.setdefault(kind, part.warning)] += 1
    return dict(counts)
