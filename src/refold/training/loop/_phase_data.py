"""What a loop is given and gives back: a phase's data, when to take snapshots, how it ended."""

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from refold.training.data._loaders import Shard, Shards
from refold.training.loop._snapshot import Snapshot
from refold.training.loop._train_state import LossNormalizers

__all__ = ["Checkpoints", "SplitData", "StopReason"]


class SplitData(NamedTuple):
    """What one phase trains on.

    Attributes
    ----------
    pages : Pages
        Of the sequences to train on.
    held_out : Page or None
        Sequences to validate on.
    num_sequences, num_observed : int
        Sequences to train on, and their observed targets.
    """

    pages: Shards
    held_out: Shard | None
    num_sequences: int
    num_observed: int

    def norms(self, batch_size: int) -> LossNormalizers:
        """Return what the sums of a batch of so many average sequences are divided by."""
        observed = self.num_observed / max(1, self.num_sequences)
        return LossNormalizers(max(1.0, observed * batch_size), float(batch_size))


class Checkpoints(NamedTuple):
    """When snapshots are taken, and who takes them.

    Attributes
    ----------
    write : callable
        Called with a `Snapshot`.
    seconds : float
        One is due so long after the one before.
    epochs : int, optional
        And at the end of every so many epochs.
    """

    write: Callable[[Snapshot], None]
    seconds: float = 60.0
    epochs: int | None = None


class StopReason(Enum):
    """Why a phase has ended."""

    DONE = "done"
    TIME = "time"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DIVERGED = "diverged"
