"""The checkpoint of a fit, and the training that it belongs to."""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from refold import storage
from refold.errors import ModelFileError, ParameterError
from refold.training import Checkpoints, Snapshot

# Arguments that may change when a training is resumed.
_FREE = ("verbose", "time_budget", "random_state", "latent_steps")


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


def identify(
    parameters: Mapping[str, Any], digest: str, seed: int, weights: str | None = None
) -> dict[str, Any]:
    """Return what identifies a training: its arguments, its data, its seed and initial weights."""
    settled = {name: value for name, value in parameters.items() if name not in _FREE}
    found = {"parameters": storage.plain(settled), "data": digest, "seed": seed}
    return found if weights is None else {**found, "weights": weights}


def checkpoints(
    checkpoint: Checkpoint, identity: dict[str, Any], *, writes: bool = True
) -> Checkpoints:
    """Return the schedule and the writer of the checkpoints; of several processes, one writes."""

    def write(snapshot: Snapshot) -> None:
        if writes:
            storage.save_checkpoint(checkpoint.path, identity, snapshot.values, snapshot.arrays)

    return Checkpoints(write, checkpoint.seconds, checkpoint.epochs)


def resumed(
    path: str | os.PathLike[str], identity: dict[str, Any]
) -> tuple[Snapshot, dict[str, Any]]:
    """Read a checkpoint and its identity, and check that it belongs to this training."""
    theirs, values, arrays = storage.load_checkpoint(path)
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
