"""The progress of a training, and the checkpoint file that it is saved to and resumed from."""

import hashlib
import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, NamedTuple, Self

import jax.numpy as jnp
import numpy as np

from refold._support.atomic_files import lock_checkpoint
from refold.arguments import ARGUMENT_FACTS, Arguments
from refold.errors import ModelFileError, ParameterError
from refold.model import Model, pack_container, read_container, write_container
from refold.training._shards import FitBlocks
from refold.training.loop._compiled_steps import MetricSums, TrainState

# Fields of `TrainState`. In a checkpoint, the name of an array begins with its field.
_STATE_FIELDS = ("trainable", "non_trainable", "optimizer", "totals")
# Fields of `TrainingProgress` that have another name in a checkpoint, and this name.
_CHECKPOINT_NAMES_BY_FIELD = {
    "peak_learning_rate": "peak",
    "num_scheduled_updates": "num_steps",
    "best_num_updates": "best_steps",
    "refit_num_updates": "refit_steps",
    "preparation_seconds": "preparation",
}
# Fields of `TrainingProgress` that a checkpoint stores as arrays.
_PROGRESS_ARRAY_FIELDS = ("state", "best_weights")
# What the training history has for each epoch.
HISTORY_COLUMNS = ("epoch", "phase", "loss", "val_loss", "learning_rate", "seconds")


class Checkpoint(NamedTuple):
    """File and frequency of the saved training state.

    A checkpoint is written before the first epoch and after epochs. A training that is resumed from
    it repeats the epochs after it, and has the same bits as a training that was never stopped.

    Attributes
    ----------
    path : path
        File to write.
    seconds : float
        Minimum time between two checkpoints, which are written at ends of epochs; 0 for each epoch.
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
    """Current progress of a training, from which it can be resumed."""

    state: TrainState
    peak_learning_rate: float  # of the schedule; callbacks can change it
    num_scheduled_updates: int  # length of the schedule
    phase: str = "validated"  # then "refit", on all sequences
    epoch: int = 1  # current epoch of the phase, counted from 1
    # weights of the epoch with the lowest validation loss or, without validation, of the latest
    # epoch: the trainable ones of the state, then the others
    best_weights: list[Any] | None = None
    best_loss: float = math.inf
    best_epoch: int = 0  # 0 if the initial weights are the best ones
    best_num_updates: int = 0  # number of updates up to the end of the best epoch
    initial_loss: float | None = None  # validation loss of the first weights, if they may be kept
    refit_num_updates: int = 0  # number of updates in the refit, once it has begun
    history: dict[str, list[Any]] = field(
        default_factory=lambda: {name: [] for name in HISTORY_COLUMNS}
    )
    seconds: float = 0.0  # time of the training, including earlier runs if it was resumed
    preparation_seconds: float = 0.0  # before the first update

    def keep_weights(self, loss: float, epoch: int, num_updates: int) -> None:
        """Keep the current weights as those of the best epoch, which ended after these updates."""
        self.best_weights = [*self.state.trainable, *self.state.non_trainable]
        self.best_loss, self.best_epoch, self.best_num_updates = loss, epoch, num_updates

    def to_file_content(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return JSON values, and arrays of the weights and of the optimizer."""
        json_values = {key: getattr(self, name) for name, key in self.json_names().items()}
        json_values["best_loss"] = self.best_loss if math.isfinite(self.best_loss) else None
        # the arrays of a group have the names "group/0000", "group/0001" and so on
        groups = {name: getattr(self.state, name) for name in _STATE_FIELDS}
        groups["best"] = self.best_weights or []
        arrays = {
            f"{name}/{i:04d}": np.asarray(leaf)
            for name, leaves in groups.items()
            for i, leaf in enumerate(leaves)
        }
        return json_values, arrays

    @classmethod
    def json_names(cls) -> dict[str, str]:
        """Return the JSON name of each field that is not an array."""
        names = [entry.name for entry in fields(cls) if entry.name not in _PROGRESS_ARRAY_FIELDS]
        return {name: _CHECKPOINT_NAMES_BY_FIELD.get(name, name) for name in names}

    @classmethod
    def from_file_content(cls, json_values: dict[str, Any], arrays: dict[str, np.ndarray]) -> Self:
        """Return the progress from what `to_file_content` returned."""
        groups: dict[str, Any] = {name: [] for name in (*_STATE_FIELDS, "best")}
        for key in sorted(arrays):
            groups[key.split("/")[0]].append(jnp.asarray(arrays[key], arrays[key].dtype))
        best_weights = groups.pop("best") or None
        state = TrainState(totals=MetricSums(*groups.pop("totals")), **groups)
        values = {name: json_values[key] for name, key in cls.json_names().items()}
        if values["best_loss"] is None:  # JSON has no infinity
            values["best_loss"] = math.inf
        return cls(state=state, best_weights=best_weights, **values)


# Type of the argument `checkpoint` of a fit.
CheckpointArgument = Checkpoint | str | os.PathLike[str] | None


@dataclass
class ResumableTraining:
    """What a training starts from, and the checkpoint that it writes."""

    arguments: Arguments
    seed: int
    base_model: Model | None  # to train further; None if the checkpoint began without a model
    progress: TrainingProgress | None = None  # from which training continues
    # which training a checkpoint belongs to, see `open_checkpoint`; if `fit` chose `latent_dim`,
    # the choice is under the key "choice"
    identity: dict[str, Any] = field(default_factory=dict)
    checkpoint: Checkpoint | None = None  # to write; None in all but the first of the processes

    def write(self, progress: TrainingProgress) -> None:
        """Write the progress to the checkpoint atomically, if there is one."""
        if self.checkpoint is not None:
            json_values, arrays = progress.to_file_content()
            config = {"checkpoint": json_values, "identity": self.identity}
            write_container(self.checkpoint.path, pack_container(config, arrays))


@contextmanager
def open_checkpoint(
    checkpoint: CheckpointArgument,
    arguments: Arguments,
    fit_data: FitBlocks,
    *,
    seed: int,
    resume: bool,
    base_model: Model | None,
) -> Generator[ResumableTraining]:
    """Lock the checkpoint of a training, and read it if the training is resumed."""
    if checkpoint is None:
        yield ResumableTraining(arguments, seed, base_model)
        return
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = Checkpoint(checkpoint)
    path, processes = checkpoint.path, fit_data.processes
    # only the first of several processes, with the index 0, locks, reads and writes the file
    with lock_checkpoint(None if processes.process_index else path):
        # The identity says which training a checkpoint belongs to: its arguments, its data, its
        # seed and its initial weights. Arguments that may change, such as verbose, do not count.
        values = arguments.to_json_values().items()
        parameters = {
            name: value for name, value in values if not ARGUMENT_FACTS[name].may_change_on_resume
        }
        identity: dict[str, Any] = {"parameters": parameters, "data": fit_data.digest()}
        identity["seed"] = seed
        if base_model is not None:
            digest = hashlib.sha256()
            for name, array in sorted(base_model.network.arrays().items()):
                digest.update(name.encode())
                digest.update(np.ascontiguousarray(array).tobytes())
            identity["weights"] = digest.hexdigest()

        progress = None
        # the first process sends the content to the others; False or None if there is none to read
        content = processes.call_in_first(lambda: resume and _read_to_resume(path, identity))
        # a resumed training takes the saved identity, which has the seed, too
        if content:
            identity, json_values, arrays = content
            progress = TrainingProgress.from_file_content(json_values, arrays)
            if "weights" not in identity:  # the training began without a base model
                base_model = None
        target = None if processes.process_index else checkpoint
        yield ResumableTraining(arguments, identity["seed"], base_model, progress, identity, target)


def _read_to_resume(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]] | None:
    """Read a checkpoint if it exists; raise an error if it belongs to another training."""
    if not Path(path).exists():
        return None
    saved_identity, values, arrays = load_checkpoint(path)
    parameters, saved_parameters = identity["parameters"], saved_identity["parameters"]
    names = set(TrainingProgress.json_names().values())
    if set(parameters) != set(saved_parameters) or names != set(values):
        raise ModelFileError(
            f"The checkpoint {str(path)!r} comes from another version of Refold. Start again "
            "without resume."
        )
    changed = [
        f"{name} was {saved_parameters[name]!r} and is {parameters[name]!r}"
        for name in parameters
        if saved_parameters[name] != parameters[name]
    ]
    if saved_identity["data"] != identity["data"]:
        changed.insert(0, "the data is not the same")
    # If the identity has no weights, the training began with a new model. It may be resumed with a
    # base model: an estimator with warm_start has a base model after its first fit was interrupted.
    if (weights := saved_identity.get("weights")) and weights != identity.get("weights"):
        changed.append("the model that is trained further has other weights")
    if changed:
        raise ParameterError(
            f"The checkpoint {str(path)!r} belongs to another training: {', '.join(changed)}. Use "
            "the same data, arguments and model, or start again without resume."
        )
    return saved_identity, values, arrays


def load_checkpoint(
    path: str | os.PathLike[str],
) -> tuple[dict[str, Any], dict[str, Any], dict[str, np.ndarray]]:
    """Return the identity of a checkpoint, and the values and arrays of its progress."""
    config, arrays = read_container(path)
    if "checkpoint" not in config:
        raise ModelFileError(
            f"{path} is a model, not a checkpoint of a training. Load it with refold.load, or name "
            "the checkpoint."
        )
    return config["identity"], config["checkpoint"], arrays
