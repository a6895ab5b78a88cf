"""Data of a training phase, the checkpoint schedule, and the reasons for a phase to stop."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from refold.training.data._loaders import Shard, Shards
from refold.training.loop._snapshot import Snapshot
from refold.training.loop._train_state import LossNormalizers

__all__ = ["Checkpoints", "SplitData", "StopReason"]


class SplitData(NamedTuple):
    """Training and validation data of one phase.

    Attributes
    ----------
    shards : Shards
        Loader of the training data.
    held_out : Shard or None
        Sequences to validate on.
    num_sequences, num_observed : int
        Number of training sequences, and of their observed targets.
    """

    shards: Shards
    held_out: Shard | None
    num_sequences: int
    num_observed: int

    def norms(self, batch_size: int) -> LossNormalizers:
        """Return the normalizers for batches of ``batch_size`` average sequences."""
        observed = self.num_observed / max(1, self.num_sequences)
        return LossNormalizers(max(1.0, observed * batch_size), float(batch_size))


class Checkpoints(NamedTuple):
    """Schedule and writer of checkpoints.

    Attributes
    ----------
    write : callable
        Called with a `Snapshot`.
    seconds : float
        Seconds between checkpoints.
    epochs : int, optional
        Additional checkpoint every ``epochs`` epochs.
    """

    write: Callable[[Snapshot], None]
    seconds: float = 60.0
    epochs: int | None = None


class StopReason(Enum):
    """Reason why a phase ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DIVERGED = "diverged"
