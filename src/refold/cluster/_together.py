"""`fit_together`: training that several connected processes run at the same time."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import refold
from refold._support.argument_checks import draw_seed
from refold.errors import ParameterError, RefoldError, argument
from refold.sequences import ColumnTypes, read


def fit_together(
    estimator: "refold.SequenceAutoencoder",
    source: str | os.PathLike[str],
    *,
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None" = None,
    resume: bool = False,
    num_parts: int | None = None,
    id: str | None = None,  # noqa: A002
    columns: Sequence[str] | None = None,
    column_types: ColumnTypes = None,
) -> "refold.SequenceAutoencoder":
    """Train one model in all processes that JAX has connected, each on its part of the files.

    Each process calls this function with the same arguments, after
    ``jax.distributed.initialize``. `fit` does both on a Ray cluster; this function is for other
    launchers, such as ``srun``. Each process trains on its range of the sequences. In each step,
    the processes take as many sequences of each part, and add up their gradients; the losses are
    those of one process with all of these sequences.

    Parameters
    ----------
    estimator : SequenceAutoencoder
        Unfitted model with the arguments of the training. It is not changed. ``time_warp`` is 0.
    source : path
        Parquet file, or folder of Parquet files. All processes need it under the same path. If it
        is larger than memory, each machine needs disk for a copy as float32, or a cache folder
        that all machines share (see `refold.sequences.read`).
    checkpoint : path or Checkpoint, optional
        As for `SequenceAutoencoder.fit`. The first process reads and writes it.
    resume : bool, default=False
        Continue from the checkpoint if it exists. The number of parts must be the same; the number
        of processes may be another one.
    num_parts : int, optional
        Number of parts, a multiple of the number of processes; by default that number. The batches
        depend on it, and not on the number of processes.
    id, columns, column_types
        As for `refold.sequences.read`.

    Returns
    -------
    SequenceAutoencoder
        The fitted model, in each process.

    Raises
    ------
    RefoldError
        If `SequenceAutoencoder.fit` or `refold.sequences.read` would raise one, or the training
        cannot be divided: a model class of your own, a share of the variance as ``latent_dim``, or
        time warps.

    Examples
    --------
    >>> import jax
    >>> import refold
    >>> jax.distributed.initialize()  # doctest: +SKIP
    >>> ae = refold.SequenceAutoencoder(latent_dim=16)
    >>> ae = refold.cluster.fit_together(ae, "/data/sines")  # doctest: +SKIP

    A model whose size one process would have to choose is refused:

    >>> ae = refold.SequenceAutoencoder(latent_dim=0.95)
    >>> refold.cluster.fit_together(ae, "/data/sines")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    refold.errors.ParameterError: latent_dim=0.95 is a share of the variance, ...
    """
    check_divisible(estimator)
    options = {"id": id, "columns": columns, "column_types": column_types}
    parts = open_parts(source, num_parts=num_parts, **options)
    return fit_parts(estimator, parts, checkpoint, resume=resume)


def open_parts(source: str | os.PathLike[str], num_parts: int | None = None, **options: Any) -> Any:
    """Open the files in all processes; an error in one of them is raised in all."""
    from refold.training import Divided, Processes  # not at the top, because it imports JAX

    processes = Processes.connected()
    opened: Any = None  # the data, or an error
    try:
        if "://" in str(source):
            raise ParameterError(
                f"Processes that train read {source} from a file system. Mount the store on all "
                "machines, or copy the files."
            )
        opened = Divided.among(processes, read(source, **options), num_parts)
    except RefoldError as error:  # all processes raise it, instead of waiting for this one
        opened = error
    for error in processes.gather(opened if isinstance(opened, RefoldError) else None):
        if error is not None:
            raise error
    return opened


def fit_parts(
    estimator: "refold.SequenceAutoencoder",
    divided: Any,  # of `open_parts`
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None",
    *,
    resume: bool,
) -> "refold.SequenceAutoencoder":
    """Train in all processes, each on its parts."""
    processes = divided.processes
    estimator = refold.SequenceAutoencoder(**estimator.get_params(deep=False))
    seed = processes.agree(draw_seed(estimator.random_state))
    estimator.set_params(time_warp=0, random_state=seed)
    with warnings.catch_warnings():
        if processes.index:  # the first one warns and logs
            estimator.set_params(verbose=0)
            warnings.simplefilter("ignore")
        return estimator.fit(divided, checkpoint=checkpoint, resume=resume)


def check_divisible(estimator: "refold.SequenceAutoencoder") -> None:
    """Raise ``ParameterError`` if several processes cannot train this model."""
    if not isinstance(estimator.architecture, str) or estimator.architecture == "custom":
        raise ParameterError(
            "Several processes cannot train a model of your own, because its random layers would "
            "draw the same numbers in each. Use one of the named architectures."
        )
    if isinstance(estimator.latent_dim, float) and 0 < estimator.latent_dim < 1:
        raise ParameterError(
            f"{argument(latent_dim=estimator.latent_dim)} is a share of the variance, which one "
            "process chooses on data in memory. Give the number of latent dimensions."
        )
    if estimator.time_warp not in ("auto", 0):
        raise ParameterError(
            f"{argument(time_warp=estimator.time_warp)} cannot be divided among processes. Use 0."
        )


def plain_checkpoint(
    checkpoint: "str | os.PathLike[str] | refold.Checkpoint | None",
) -> tuple[str, float, int | None] | None:
    """Return the fields of a `Checkpoint` with an absolute path, for processes in other folders."""
    if checkpoint is None:
        return None
    if not isinstance(checkpoint, refold.Checkpoint):
        checkpoint = refold.Checkpoint(checkpoint)
    return os.fspath(Path(checkpoint.path).absolute()), checkpoint.seconds, checkpoint.epochs
