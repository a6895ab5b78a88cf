"""`encode`, `reconstruct` and `detect` on a cluster."""

import os
from collections.abc import Sequence
from typing import Any, TypeAlias

from refold._support.argument_checks import check_rate, check_whole
from refold._support.progress_bars import progress_bar
from refold._support.user_warnings import warn
from refold.cluster._connection import LOCAL, connected
from refold.cluster._operations import ModelOperation, hash_of, packed_model, without_sequences
from refold.cluster._run import ClusterRun, execute_on_cluster
from refold.cluster._storage import absolute, place_of
from refold.cluster._summary import RunSummary
from refold.errors import ParameterError, argument
from refold.model import Model, ModelLike, model_of
from refold.sequences import ColumnTypes, TableOptions, check_code_dtype

Paths: TypeAlias = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]

# Ray moves names of units and summaries only, so its shared memory can be small.
_STORE_BYTES = 256 << 20


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
        Number of workers, each with one CPU. By default all CPUs but one, or with ``"local"`` all.
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

    Raises
    ------
    ParameterError
        If an argument is invalid, the model needs Keras, the output folder holds other files, or a
        worker has another version of Refold.
    ClusterError
        If no cluster answers.
    DataError
        If an id occurs in two files, or the rows of a sequence are not together.
    SchemaError
        If the columns are not those of the training data.
    FileAccessError
        If a store cannot be reached after several attempts, or a file changed during the run.
    FileFormatError
        If there is no Parquet file, or it is damaged.
    MissingExtraError
        If Ray is not installed.

    Warns
    -----
    UserWarning
        Once for each kind of warning of the workers, such as that of missing values.

    Examples
    --------
    >>> summary = refold.cluster.encode(
    ...     "sines.refold", "s3://bucket/sines", "s3://bucket/codes", on="ray://head:10001"
    ... )  # doctest: +SKIP
    >>> summary.num_sequences, summary.num_failed  # doctest: +SKIP
    (1000000, 0)
    """
    check_code_dtype(dtype)
    roles = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    settings = {"dtype": dtype}
    how = on, num_workers, part_steps, verbose
    return _run("encode", model, source, output, roles, settings, latent_steps, *how)


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
    model, source, output, on, num_workers, id, time, columns, column_types, time_gaps
        As in `encode`.
    latent_steps, part_steps, verbose
        As in `encode`.
    clip : bool, default=False
        Clip each numeric column to its range in the training data.

    Returns
    -------
    RunSummary
        The parts hold a row for each sequence, with a list for each column.

    Raises
    ------
    RefoldError
        As `encode` does.

    Examples
    --------
    >>> refold.cluster.reconstruct(
    ...     "sines.refold", "sines/*.parquet", "back", on="local"
    ... )  # doctest: +SKIP
    """
    roles = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    how = on, num_workers, part_steps, verbose
    return _run("reconstruct", model, source, output, roles, {"clip": clip}, latent_steps, *how)


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

    Raises
    ------
    RefoldError
        As `encode` and `refold.SequenceAutoencoder.detect` do.

    Examples
    --------
    >>> refold.cluster.detect(
    ...     "sines.refold", "sines", "anomalies", alpha=0.001, on="local"
    ... )  # doctest: +SKIP
    """
    alpha = check_rate("alpha", alpha, "rate of false alarms")
    roles = TableOptions(id, time, columns, column_types, time_gaps=time_gaps)
    how = on, num_workers, part_steps, verbose
    return _run("detect", model, source, output, roles, {"alpha": alpha}, None, *how)


def _run(
    name: str,
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    roles: TableOptions,
    settings: dict[str, Any],
    latent_steps: int | None,
    on: str,
    num_workers: int | None,
    part_steps: int | None,
    verbose: int,
) -> RunSummary:
    job = job_of(
        name, model, source, output, roles, settings, latent_steps, num_workers, part_steps
    )
    cpus = None if on != LOCAL else 1 + (num_workers or os.cpu_count() or 1)
    with (
        connected(on, num_cpus=cpus, object_store_memory=_STORE_BYTES),
        progress_bar(disable=not verbose) as bar,
    ):
        task = bar.add_task(name, total=None)

        def report(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total or None)

        summary = execute_on_cluster(job, report)
    for text, count in (summary.warnings or {}).items():
        also = f" (a warning like this came from {count} parts)" if count > 1 else ""
        warn(f"{text}{also}")
    return summary


def job_of(
    name: str,
    model: ModelLike | str | os.PathLike[str],
    source: Paths,
    output: str | os.PathLike[str],
    roles: TableOptions,
    settings: dict[str, Any],
    latent_steps: int | None = None,
    num_workers: int | None = None,
    part_steps: int | None = None,
) -> ClusterRun:
    """Check arguments, and return a run as plain values."""
    for option, value in (("num_workers", num_workers), ("part_steps", part_steps)):
        if value is not None:
            check_whole(option, value)
    model = Model.load(model) if isinstance(model, str | os.PathLike) else model_of(model)
    if latent_steps is not None:
        model = model.with_latent_steps(latent_steps)
    data = packed_model(model)
    settings = settings | {"latent_steps": model.latent_steps, "threads": 1}
    taken = {"code", None, *model.schema.names}
    id_name = roles.id or model.schema.id_name
    operation = ModelOperation(name, settings, "id" if id_name in taken else str(id_name))
    without_sequences(model, operation, text_ids=False)  # raises what each worker would
    return ClusterRun(
        _absolute(source),
        place_of(output).name(),
        data,
        hash_of(model, name),
        model.schema.to_dict(),
        operation,
        roles,
        part_steps,
        num_workers,
    )


def _absolute(source: Paths) -> list[str]:
    """Return paths that mean the same on every machine."""
    many = source if isinstance(source, list | tuple) else [source]
    paths = [one for one in many if isinstance(one, str | os.PathLike)]
    if not paths or len(paths) < len(many):
        raise ParameterError(
            f"Expected a path, URL or glob of Parquet files for {argument('source')}, or a list of "
            f"them. Got a {type(source).__name__}."
        )
    return [absolute(path) for path in paths]
