"""The checkpoint of a fit, and the training that it belongs to."""

import functools
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refold._support.file_lock import sole_training
from refold.arguments import ARGUMENTS, Arguments
from refold.errors import ModelFileError, ParameterError
from refold.model import Model
from refold.network.packed.network import FittedNetwork
from refold.training._checkpoint_file import load_checkpoint, save_checkpoint
from refold.training._data_sources import Source
from refold.training.loop._snapshot import Checkpoints, Snapshot


class Checkpoint(NamedTuple):
    """File and frequency of the saved training state.

    A checkpoint is written before the first step and after epochs. A training that is resumed from
    it repeats what came after the last one, and has the same bits as one that was never stopped.

    Attributes
    ----------
    path : path
        File to write.
    seconds : float
        Time after which the next end of an epoch writes a checkpoint; 0 for each epoch.
    epochs : int, optional
        Also write a checkpoint after this number of epochs.

    Examples
    --------
    >>> Checkpoint("vowels.checkpoint").seconds
    60.0
    """

    path: str | os.PathLike[str]
    seconds: float = 60.0
    epochs: int | None = None


# What `fit` takes.
CheckpointArgument = Checkpoint | str | os.PathLike[str] | None


@dataclass
class SavedTraining:
    """The state of a training in its checkpoint: what to start from, and where to save it."""

    arguments: Arguments
    seed: int
    further: Model | None  # the model to train further; None if the checkpoint began without one
    snapshot: Snapshot | None = None
    checkpoints: Checkpoints | None = None
    identity: dict[str, Any] = field(default_factory=dict)

    @property
    def is_resumed(self) -> bool:
        """Whether training continues from a snapshot."""
        return self.snapshot is not None


@contextmanager
def opened_checkpoint(
    checkpoint: CheckpointArgument,
    arguments: Arguments,
    source: Source,
    *,
    seed: int,
    resume: bool,
    further: Model | None,
) -> Iterator[SavedTraining]:
    """Lock the checkpoint of a training, and read it if the training is resumed.

    Of several processes, the first reads and writes it.
    """
    if checkpoint is None:
        yield SavedTraining(arguments, seed, further)
        return
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    path, processes = checkpoint.path, source.processes
    with sole_training(None if processes.index else path):
        identity = _identity(arguments, source.digest(), seed, further)
        exists = functools.partial(_opened, path, identity, resume=resume)
        snapshot, identity = processes.first(exists)
        if snapshot is not None and "weights" not in identity:
            further = None

        def write(taken: Snapshot) -> None:
            if processes.index == 0:
                save_checkpoint(path, identity, taken.values, taken.arrays)

        schedule = Checkpoints(write, checkpoint.seconds, checkpoint.epochs)
        yield SavedTraining(arguments, identity["seed"], further, snapshot, schedule, identity)


def _identity(
    arguments: Arguments, digest: str, seed: int, further: Model | None
) -> dict[str, Any]:
    """Return what identifies a training: its arguments, its data, its seed and initial weights."""
    values = arguments.plain().items()
    settled = {name: value for name, value in values if not ARGUMENTS[name].may_change}
    identity = {"parameters": settled, "data": digest, "seed": seed}
    return identity if further is None else {**identity, "weights": _digest_of(further.network)}


def _opened(
    path: str | os.PathLike[str], identity: dict[str, Any], *, resume: bool
) -> tuple[Snapshot | None, dict[str, Any]]:
    """Return the snapshot of a checkpoint to resume, if there is one, and the identity."""
    return _resumed(path, identity) if resume and Path(path).exists() else (None, identity)


def _resumed(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> tuple[Snapshot, dict[str, Any]]:
    """Read a checkpoint, and check that it belongs to the training."""
    theirs, values, arrays = load_checkpoint(path)
    ours, snapshot = identity["parameters"], Snapshot(values, arrays)
    if set(ours) != set(theirs["parameters"]) or not snapshot.is_current:
        raise ModelFileError(
            f"The checkpoint {str(path)!r} comes from another version of Refold. Start again "
            "without resume."
        )
    changed = [
        f"{name} was {theirs['parameters'].get(name)!r} and is {ours[name]!r}"
        for name in ours
        if theirs["parameters"].get(name) != ours[name]
    ]
    if theirs["data"] != identity["data"]:
        changed.insert(0, "the data is not the same")
    if changed:
        raise ParameterError(
            f"The checkpoint {str(path)!r} belongs to another training: {', '.join(changed)}. Use "
            "the same data and arguments, or start again without resume."
        )
    # an estimator with warm_start has weights if an interrupted first fit is resumed
    if (weights := theirs.get("weights")) and weights != identity.get("weights"):
        raise ParameterError(
            f"The checkpoint {str(path)!r} continues from other weights than this model has. Load "
            "the model that this training began with, or start again without resume."
        )
    return snapshot, theirs


def _digest_of(network: FittedNetwork) -> str:
    """Return a digest of the weights of a network."""
    digest = hashlib.sha256()
    for name, array in sorted(network.arrays().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
