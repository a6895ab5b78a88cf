"""Train one model in several processes. `fit` starts the processes on a Ray cluster.

If another launcher starts the processes, they call `fit_together`. In both cases, each process
opens the files with ``_open_divided_data`` and trains with ``_fit_on_parts``.
"""

import os
import pickle
import socket
import tempfile
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import refold
from refold._support.arrays import to_integer_seed
from refold._support.messages import pluralize
from refold._support.rules import check_integer
from refold.cluster._files import absolute_path
from refold.cluster._ray import connect, import_ray
from refold.errors import (
    ClusterError,
    FileAccessError,
    FileFormatError,
    ParameterError,
    RefoldError,
    argument,
)
from refold.sequences import ColumnTypes, read


def fit(
    estimator: "refold.SequenceAutoencoder",
    source: str | os.PathLike[str],
    *,
    on: str = "local",
    processes: int = 2,
    cpus: int = 1,
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None" = None,
    resume: bool = False,
    max_failures: int = 3,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
) -> "refold.SequenceAutoencoder":
    """Train one model with several processes of a Ray cluster, each on its part of the files.

    In each step, each process takes the same number of sequences from its part, and JAX adds up the
    gradients. The losses are those of one process with all of these sequences. If a process dies,
    Ray Train starts all processes again, and they continue from the last checkpoint.

    Parameters
    ----------
    estimator : SequenceAutoencoder
        Unfitted model with the arguments of the training. It is not changed.
    source : path
        Parquet file, or folder of Parquet files. All machines need it under the same path. If it
        is larger than memory, each machine needs disk space for a copy as float32, or all
        machines need a shared cache folder (see `refold.sequences.read`).
    on : str, default="local"
        Address of the cluster, such as ``"ray://host:10001"``; ``"auto"`` for the cluster that this
        machine belongs to; or ``"local"`` for processes on this machine.
    processes : int, default=2
        Number of processes.
    cpus : int, default=1
        Cores that Ray reserves for each process, on any machines that have enough cores.
    checkpoint : path or Checkpoint, optional
        File for the state of the training, which all machines need under the same path. Without a
        checkpoint, a restart begins again.
    resume : bool, default=False
        Continue from the checkpoint if it exists.
    max_failures : int, default=3
        Number of restarts before this function gives up.
    id, time, columns, column_types, time_gaps, duplicates, time_format
        As for `refold.sequences.read`.

    Examples
    --------
    >>> import refold
    >>> ae = refold.SequenceAutoencoder(latent_dim=16)
    >>> ae = refold.cluster.fit(ae, "/data/sines", on="auto", processes=8)  # doctest: +SKIP
    """
    _check_supports_processes(estimator)
    check_integer("processes", processes)
    check_integer("max_failures", max_failures, minimum=0)
    if checkpoint is not None:
        if not isinstance(checkpoint, refold.Checkpoint):
            checkpoint = refold.Checkpoint(checkpoint)
        # the processes may have other working folders
        checkpoint = checkpoint._replace(path=absolute_path(checkpoint.path))
    fit_settings = {
        "estimator": pickle.dumps(estimator),
        "source": absolute_path(source),
        "checkpoint": checkpoint,
        "options": {"id": id, "time": time, "columns": columns, "column_types": column_types}
        | {"time_gaps": time_gaps, "duplicates": duplicates, "time_format": time_format},
    }
    ray = import_ray()
    with connect(on, num_cpus=processes * check_integer("cpus", cpus)):
        # `_run_trainer` is a task on the cluster, because Ray Train does not run outside of it
        remote_run = ray.remote(num_cpus=0, max_retries=0)(_run_trainer)
        call = remote_run.remote(fit_settings, processes, cpus, max_failures, resume=resume)
        pickled_result = ray.get(call)
    model_or_error = pickle.loads(pickled_result)  # noqa: S301  (from our own process)
    if isinstance(model_or_error, RefoldError):
        raise model_or_error
    return model_or_error


def fit_together(
    estimator: "refold.SequenceAutoencoder",
    source: str | os.PathLike[str],
    *,
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None" = None,
    resume: bool = False,
    num_parts: int | None = None,
    id: str | None = None,  # noqa: A002
    time: str | None = None,
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
    time_gaps: bool = False,
    duplicates: str = "error",
    time_format: str | None = None,
) -> "refold.SequenceAutoencoder":
    """Train one model in all processes that JAX has connected, each on its part of the files.

    Each process calls this function with the same arguments, after
    ``jax.distributed.initialize``. `fit` does both on a Ray cluster; this function is for other
    launchers, such as ``srun``. Each process trains on its range of the sequences. In each step,
    each process takes the same number of sequences from each of its parts, and JAX adds up the
    gradients. The losses are those of one process with all of these sequences.

    Parameters
    ----------
    estimator : SequenceAutoencoder
        Unfitted model with the arguments of the training. It is not changed. The training uses
        ``time_warp=0``.
    source : path
        As for `fit`; all processes need it under the same path.
    checkpoint : path or Checkpoint, optional
        As for `SequenceAutoencoder.fit`. The first process reads and writes it.
    resume : bool, default=False
        Continue from the checkpoint if it exists. The number of parts must be the same; the number
        of processes may be another one.
    num_parts : int, optional
        Number of parts, a multiple of the number of processes; by default the number of processes.
        The batches depend on the number of parts, and not on the number of processes.
    id, time, columns, column_types, time_gaps, duplicates, time_format
        As for `refold.sequences.read`.

    Examples
    --------
    >>> import jax, refold
    >>> jax.distributed.initialize()  # doctest: +SKIP
    >>> ae = refold.SequenceAutoencoder(latent_dim=16)
    >>> ae = refold.cluster.fit_together(ae, "/data/sines")  # doctest: +SKIP
    """
    _check_supports_processes(estimator)
    read_options = {"id": id, "time": time, "columns": columns, "column_types": column_types}
    read_options |= {"time_gaps": time_gaps, "duplicates": duplicates, "time_format": time_format}
    parts = _open_divided_data(source, num_parts=num_parts, **read_options)
    return _fit_on_parts(estimator, parts, checkpoint, resume=resume)


def _run_trainer(
    fit_settings: dict[str, Any], num_processes: int, cpus: int, max_failures: int, *, resume: bool
) -> bytes:
    """Run Ray Train from a machine of the cluster; return the pickled model or error."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    train = import_ray("ray.train")
    trainers = import_ray("ray.train.v2.api.data_parallel_trainer")
    if fit_settings["checkpoint"] is not None and not resume:
        # A process always resumes, because Ray may have started it again. So it must not find the
        # checkpoint of an earlier run.
        with suppress(FileNotFoundError):
            Path(fit_settings["checkpoint"].path).unlink()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainers.DataParallelTrainer(
            _train_in_worker,
            train_loop_config=fit_settings,
            scaling_config=train.ScalingConfig(
                num_workers=num_processes, resources_per_worker={"CPU": cpus}
            ),
            run_config=train.RunConfig(
                storage_path=folder, failure_config=train.FailureConfig(max_failures=max_failures)
            ),
        )
        try:
            return trainer.fit().return_value
        except train.TrainingFailedError as error:
            # Return the error of Refold that made a process fail. If there is none, report the last
            # line of the first failure.
            failures = [*getattr(error, "worker_failures", {}).values(), error]
            for failure in failures:
                for cause in (failure, getattr(failure, "cause", None), failure.__cause__):
                    if isinstance(cause, RefoldError):
                        return pickle.dumps(cause)
            lines = str(failures[0]).strip().splitlines() or [type(error).__name__]
            last_line = lines[-1].strip()
            reason = f"after {pluralize(max_failures, 'restart')}: {last_line}"
            return pickle.dumps(ClusterError(f"The training failed, {reason}"))


def _train_in_worker(fit_settings: dict[str, Any]) -> bytes:
    """Connect a process to the others and train; return the pickled model or error."""
    import jax  # not at the top, because no other worker needs it

    context = import_ray("ray.train").get_context()
    process_index, num_processes = context.get_world_rank(), context.get_world_size()
    collective = import_ray("ray.train.collective")
    with socket.socket() as free_socket:
        free_socket.bind(("", 0))  # the system chooses a free port
        host = import_ray("ray.util").get_node_ip_address()
        address = collective.broadcast_from_rank_zero(f"{host}:{free_socket.getsockname()[1]}")
    jax.distributed.initialize(address, num_processes, process_index)
    checkpoint = fit_settings["checkpoint"]
    estimator = pickle.loads(fit_settings["estimator"])  # noqa: S301  (from our own process)
    parts = None
    try:
        parts = _open_divided_data(fit_settings["source"], **fit_settings["options"])
        fitted = _fit_on_parts(estimator, parts, checkpoint, resume=checkpoint is not None)
    except RefoldError as error:
        # Once the files are open, an error with a file may occur in this process only, and the
        # other processes would wait for it. If the error is raised, Ray Train stops them.
        if parts is not None and isinstance(error, FileAccessError | FileFormatError):
            raise
        return pickle.dumps(error)
    return pickle.dumps(fitted)


def _open_divided_data(
    source: str | os.PathLike[str], num_parts: int | None = None, **read_options: Any
) -> Any:
    """Open the files in all processes, or raise the error of any process in all of them."""
    # not at the top, because it imports JAX
    from refold.training import MultiprocessData, Processes

    # The error of a process is sent to all processes. Otherwise they would wait for this process.
    processes, parts, own_error = Processes.from_jax_runtime(), None, None
    try:
        if "://" in str(source):
            raise ParameterError(
                f"Processes that train read {source} from a file system. Mount the store on all "
                "machines, or copy the files."
            )
        parts = MultiprocessData.divide(processes, read(source, **read_options), num_parts)
    except RefoldError as error:
        own_error = error
    for process_error in processes.gather(own_error):
        if process_error is not None:
            raise process_error
    return parts


def _fit_on_parts(
    estimator: "refold.SequenceAutoencoder",
    parts: Any,  # the result of `_open_divided_data`
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None",
    *,
    resume: bool,
) -> "refold.SequenceAutoencoder":
    """Train in this process and all others, each on its parts of the data."""
    processes = parts.processes
    estimator = refold.SequenceAutoencoder(**estimator.get_params(deep=False))
    # all processes need the same seed, so the first one draws it for all
    seed = processes.broadcast_from_first(to_integer_seed(estimator.random_state))
    estimator.set_params(time_warp=0, random_state=seed)
    with warnings.catch_warnings():
        if processes.process_index:  # only the first process warns and logs
            estimator.set_params(verbose=0)
            warnings.simplefilter("ignore")
        return estimator.fit(parts, checkpoint=checkpoint, resume=resume)


def _check_supports_processes(estimator: "refold.SequenceAutoencoder") -> None:
    """Raise ``ParameterError`` if several processes cannot train this model."""
    architecture = estimator.architecture
    # a loaded model has the name "custom" instead of a function
    is_custom = not isinstance(architecture, str) or architecture == "custom"
    is_variance_share = isinstance(estimator.latent_dim, float) and 0 < estimator.latent_dim < 1
    for name, is_unsupported, advice in (
        # random layers of a custom model would draw the same numbers in each process
        ("architecture", is_custom, "a named architecture"),
        # a share of the variance becomes a size in one process, on data in memory
        ("latent_dim", is_variance_share, "a number of latent dimensions"),
        ("time_warp", estimator.time_warp not in ("auto", 0), "0"),
        # the choice of held-out windows depends on all series
        ("window", estimator.window is not None, "one machine, or windows as sequences"),
    ):
        if is_unsupported:
            value = argument(**{name: getattr(estimator, name)})
            raise ParameterError(f"Several processes cannot train with {value}. Use {advice}.")
