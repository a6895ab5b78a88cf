"""The checkpoint of a fit: its file, and the training that it belongs to."""

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from refold._support.file_lock import sole_training
from refold.arguments import ARGUMENTS, Arguments
from refold.errors import ModelFileError, ParameterError
from refold.model import Model, pack_container, read_container, write_container
from refold.network.packed.network import FittedNetwork
from refold.training._split import Source
from refold.training.loop._state import Checkpoints, TrainingProgress


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
    progress: TrainingProgress | None = None  # from which training continues
    checkpoints: Checkpoints | None = None
    identity: dict[str, Any] = field(default_factory=dict)


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
    """Lock the checkpoint of a training, and read it if the training is resumed."""
    # of several processes, the first reads and writes it
    if checkpoint is None:
        yield SavedTraining(arguments, seed, further)
        return
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    path, processes = checkpoint.path, source.processes
    with sole_training(None if processes.index else path):
        # what identifies a training: its arguments, its data, its seed and its initial weights
        values = arguments.plain().items()
        settled = {name: value for name, value in values if not ARGUMENTS[name].may_change}
        identity = {"parameters": settled, "data": source.digest(), "seed": seed}
        if further is not None:
            identity["weights"] = _digest_of(further.network)

        exists = processes.first(lambda: resume and Path(path).exists())
        progress = None
        if exists:
            identity, values, arrays = processes.first(lambda: _read(path, identity))
            progress = TrainingProgress.restored(values, arrays)
            if "weights" not in identity:
                further = None

        def write(values: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
            if processes.index == 0:
                save_checkpoint(path, identity, values, arrays)

        schedule = Checkpoints(write, checkpoint.seconds, checkpoint.epochs)
        yield SavedTraining(arguments, identity["seed"], further, progress, schedule, identity)


def _read(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint, and check that it belongs to the training."""
    theirs, values, arrays = load_checkpoint(path)
    ours = identity["parameters"]
    if set(ours) != set(theirs["parameters"]) or not TrainingProgress.are_values(values):
        raise ModelFileError(
            f"The checkpoint {str(path)!r} comes from another version of Refold. Start again "
            "without resume."
        )
    changed = [
        f"{name} was {theirs['parameters'][name]!r} and is {ours[name]!r}"
        for name in ours
        if theirs["parameters"][name] != ours[name]
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
    return theirs, values, arrays


def _digest_of(network: FittedNetwork) -> str:
    """Return a digest of the weights of a network."""
    digest = hashlib.sha256()
    for name, array in sorted(network.arrays().items()):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def save_checkpoint(
    path: str | os.PathLike[str],
    identity: Mapping[str, Any],
    values: Mapping[str, Any],
    arrays: dict[str, np.ndarray],
) -> None:
    """Write a checkpoint atomically."""
    write_container(
        path, pack_container({"checkpoint": dict(values), "identity": dict(identity)}, arrays)
    )


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint."""
    config, arrays = read_container(path)
    if "checkpoint" not in config:
        raise ModelFileError(
            f"{path} is a model, not a checkpoint of a training. Load it with refold.load, or name "
            "the checkpoint."
        )
    return config["identity"], config["checkpoint"], arrays
