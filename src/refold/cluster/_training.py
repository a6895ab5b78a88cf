"""`fit`: training by several processes that Ray Train starts, and starts again if one dies."""

import os
import pickle
import socket
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import refold
from refold._support.argument_checks import check_whole
from refold._support.optional_imports import optional
from refold.cluster._connection import connected, load_ray
from refold.cluster._storage import absolute
from refold.cluster._together import check_divisible, fit_parts, open_parts, plain_checkpoint
from refold.errors import ClusterError, FileAccessError, FileFormatError, RefoldError
from refold.sequences import ColumnTypes


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
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
) -> "refold.SequenceAutoencoder":
    """Train one model with several processes of a Ray cluster, each on its part of the files.

    The processes take as many sequences of each part in each step, and add up their gradients with
    JAX. The losses are those of one process with all of these sequences. If a process dies, Ray
    Train starts all of them again, and they continue from the last checkpoint.

    Parameters
    ----------
    estimator : SequenceAutoencoder
        Unfitted model with the arguments of the training. It is not changed.
    source : path
        Parquet file, or folder of Parquet files. All machines need it under the same path. If it
        is larger than memory, each needs disk for a copy as float32, or a cache folder that they
        share (see `refold.sequences.read`).
    on : str, default="local"
        Address of the cluster, as ``"ray://host:10001"``; ``"auto"`` for the cluster that this
        machine belongs to; or ``"local"`` for processes on this machine.
    processes : int, default=2
        Number of processes.
    cpus : int, default=1
        Cores that Ray reserves for each process. It places the processes on machines that have
        them.
    checkpoint : path or Checkpoint, optional
        File for the state of the training, which all machines need under the same path. Without
        one, a restart begins again.
    resume : bool, default=False
        Continue from the checkpoint if it exists.
    max_failures : int, default=3
        Number of restarts before this function gives up.
    id, columns, column_types
        As for `refold.sequences.read`.

    Returns
    -------
    SequenceAutoencoder
        The fitted model.

    Raises
    ------
    RefoldError
        If the training cannot be divided (see `fit_together`), the data cannot be used, or the
        processes died more often than ``max_failures``.
    MissingExtraError
        If Ray is not installed.

    Examples
    --------
    >>> import refold
    >>> ae = refold.SequenceAutoencoder(latent_dim=16)
    >>> ae = refold.cluster.fit(ae, "/data/sines", on="auto", processes=8)  # doctest: +SKIP
    """
    check_divisible(estimator)
    check_whole("processes", processes)
    check_whole("max_failures", max_failures, least=0)
    settings = {
        "estimator": pickle.dumps(estimator),
        "source": absolute(source),
        "checkpoint": plain_checkpoint(checkpoint),
        "options": {"id": id, "columns": columns, "column_types": column_types},
    }
    ray = load_ray()
    with connected(on, num_cpus=processes * check_whole("cpus", cpus)):
        # on the cluster, because Ray Train does not run in a client outside of it
        run = ray.remote(num_cpus=0, max_retries=0)(_run)
        found = ray.get(run.remote(settings, processes, cpus, max_failures, resume=resume))
    outcome = pickle.loads(found)  # noqa: S301  (from our own process)
    if isinstance(outcome, RefoldError):
        raise outcome
    return outcome


def _run(
    settings: dict[str, Any], processes: int, cpus: int, max_failures: int, *, resume: bool
) -> bytes:
    """Run the training from within the cluster; return the pickled model or error."""
    os.environ.setdefault("RAY_TRAIN_V2_ENABLED", "1")
    train = _ray_module("ray.train")
    trainers = _ray_module("ray.train.v2.api.data_parallel_trainer")
    if settings["checkpoint"] is not None and not resume:
        # the processes always resume, because they may have been started again
        with suppress(FileNotFoundError):
            Path(settings["checkpoint"][0]).unlink()
    with tempfile.TemporaryDirectory() as folder:
        trainer = trainers.DataParallelTrainer(
            _train,
            train_loop_config=settings,
            scaling_config=train.ScalingConfig(
                num_workers=processes, resources_per_worker={"CPU": cpus}
            ),
            run_config=train.RunConfig(
                storage_path=folder, failure_config=train.FailureConfig(max_failures=max_failures)
            ),
        )
        try:
            return trainer.fit().return_value
        except train.TrainingFailedError as error:
            return pickle.dumps(_one_line(error, max_failures))


def _train(settings: dict[str, Any]) -> bytes:
    """Train in one process; return the pickled model or error."""
    import jax  # not at the top, because no other worker needs it

    context = _ray_module("ray.train").get_context()
    index, count = context.get_world_rank(), context.get_world_size()
    collective = _ray_module("ray.train.collective")
    address = collective.broadcast_from_rank_zero(_free_address() if index == 0 else None)
    jax.distributed.initialize(address, count, index)
    checkpoint = settings["checkpoint"]
    checkpoint = None if checkpoint is None else refold.Checkpoint(*checkpoint)
    estimator = pickle.loads(settings["estimator"])  # noqa: S301  (from our own process)
    opened = False
    try:
        parts = open_parts(settings["source"], **settings["options"])
        opened = True
        fitted = fit_parts(estimator, parts, checkpoint, resume=checkpoint is not None)
    except RefoldError as error:
        if opened and isinstance(error, FileAccessError | FileFormatError):
            raise  # perhaps in this process only, while the others wait
        return pickle.dumps(error)
    return pickle.dumps(fitted)


def _free_address() -> str:
    """Return an address of this machine with a free port."""
    host = _ray_module("ray.util").get_node_ip_address()
    with socket.socket() as probe:
        probe.bind(("", 0))
        return f"{host}:{probe.getsockname()[1]}"


def _ray_module(name: str) -> Any:
    return optional(name, extra="ray", purpose="Training on a cluster")


def _one_line(error: Exception, max_failures: int) -> RefoldError:
    """Return the error of a process as one line."""
    failures = getattr(error, "worker_failures", {})
    for failure in failures.values():
        for one in (failure, getattr(failure, "cause", None), failure.__cause__):
            if isinstance(one, RefoldError):
                return one
    reasons = [str(failure) for failure in failures.values()] or [str(error)]
    lines = [line.strip() for line in reasons[0].splitlines() if line.strip()]
    return ClusterError(
        f"The training failed, after {max_failures} restart{'' if max_failures == 1 else 's'}: "
        f"{lines[-1] if lines else type(error).__name__}"
    )
