"""The progress of a training, its checkpoint, and the training that a checkpoint belongs to."""

import hashlib
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from refold._support.paths import sole_training
from refold.arguments import ARGUMENTS, Arguments
from refold.errors import ModelFileError, ParameterError
from refold.model import Model, pack_container, read_container, write_container
from refold.network.packed.network import FittedNetwork
from refold.training._shards import Source
from refold.training.loop._compiled_steps import StepMetrics, TrainState

# Fields of `TrainState`, and starts of the names of their arrays in a checkpoint.
_GROUPS = ("trainable", "non_trainable", "optimizer", "totals")
COLUMNS = ("epoch", "phase", "loss", "val_loss", "learning_rate", "seconds")


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


@dataclass
class TrainingProgress:
    """Current state of a training, from which it can resume."""

    state: TrainState
    peak: float  # peak learning rate of the schedule, which callbacks can change
    num_steps: int  # of the schedule
    phase: str = "validated"  # then "refit", on all sequences
    epoch: int = 1  # current epoch of the phase
    # weights, as the state holds them, of the epoch with the lowest validation loss or, without
    # validation, of the latest epoch; that epoch, and the number of steps up to its end
    best: list[Any] | None = None
    best_loss: float = math.inf
    best_epoch: int = 0
    best_steps: int = 0
    initial_loss: float | None = None  # validation loss of the initialization, if worth keeping
    refit_steps: int = 0  # number of steps of the refit, once it has begun
    history: dict[str, list[Any]] = field(default_factory=lambda: {name: [] for name in COLUMNS})
    seconds: float = 0.0  # trained, including earlier runs of a resumed training
    preparation: float = 0.0  # seconds before the first step

    def keep(self, loss: float, epoch: int, num_steps: int) -> None:
        """Keep the current weights as the best ones, of an epoch that ends at ``num_steps``."""
        self.best = [*self.state.trainable, *self.state.non_trainable]
        self.best_loss, self.best_epoch, self.best_steps = loss, epoch, num_steps

    def record(self, loss: float, val_loss: float | None, rate: float, seconds: float) -> None:
        """Append the epoch to the history."""
        row = (self.epoch, self.phase, loss, val_loss, rate, seconds)
        for name, value in zip(COLUMNS, row, strict=True):
            self.history[name].append(value)

    def saved(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values, and arrays of the weights and of the optimizer."""
        values = {name: x for name, x in vars(self).items() if name not in {"state", "best"}}
        values["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        groups = {name: getattr(self.state, name) for name in _GROUPS} | {"best": self.best or []}
        arrays = {
            f"{name}/{i:04d}": np.asarray(leaf)
            for name, leaves in groups.items()
            for i, leaf in enumerate(leaves)
        }
        return values, arrays

    @classmethod
    def are_values(cls, values: dict[str, Any]) -> bool:
        """Return whether this version of Refold saved these values, or one with the same ones."""
        return {attribute.name for attribute in fields(cls)} == {"state", "best", *values}

    @classmethod
    def restored(cls, values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Return the progress that was saved."""
        groups = {
            name: [
                jnp.asarray(arrays[key], arrays[key].dtype)
                for key in sorted(arrays)
                if key.startswith(f"{name}/")
            ]
            for name in (*_GROUPS, "best")
        }
        best = groups.pop("best") or None
        state = TrainState(**{**groups, "totals": StepMetrics(*groups["totals"])})
        best_loss = math.inf if values["best_loss"] is None else values["best_loss"]
        return cls(**{**values, "state": state, "best": best, "best_loss": best_loss})


# What `fit` takes.
CheckpointArgument = Checkpoint | str | os.PathLike[str] | None


@dataclass
class SavedTraining:
    """The state of a training in its checkpoint: what to start from, and where to save it."""

    arguments: Arguments
    seed: int
    further: Model | None  # the model to train further; None if the checkpoint began without one
    progress: TrainingProgress | None = None  # from which training continues
    identity: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None  # to write; of several processes, the first has it

    def write(self, progress: TrainingProgress) -> None:
        """Write a checkpoint, if there is one to write."""
        if self.checkpoint is not None:
            save_checkpoint(self.checkpoint.path, self.identity, *progress.saved())


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
        own = None if processes.index else checkpoint
        yield SavedTraining(arguments, identity["seed"], further, progress, identity, own)


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
    # an estimator with warm_start has weights if an interrupted first fit is resumed
    if (weights := theirs.get("weights")) and weights != identity.get("weights"):
        changed.append("the model that is trained further has other weights")
    if changed:
        raise ParameterError(
            f"The checkpoint {str(path)!r} belongs to another training: {', '.join(changed)}. Use "
            "the same data, arguments and model, or start again without resume."
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
