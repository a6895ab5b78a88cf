"""How to train: plain values, and the rules for those that are not given."""

import math
from typing import Any, NamedTuple

from refold.training.data._corruption import Corruption

__all__ = ["Settings", "pick_batch_size", "pick_patch", "pick_refit"]

_SMALL = 2000
# Patches of the typical sequence at most.
_SHORT, _MOST_PATCHES = 100, 64


class Settings(NamedTuple):
    """How to train.

    Attributes
    ----------
    max_epochs : int
    batch_size : int
        Number of sequences of average length in a batch.
    steps_an_epoch : int
        About how many steps an epoch has; ``max_epochs`` of them are the length of the schedule.
    learning_rate : float
        Highest rate of the schedule.
    seed : int
        Fixes the order of the data.
    patience : int, optional
        Epochs without a better validation loss before training stops; by default as
        `out_of_patience` has it.
    optimizer : str, keras.optimizers.Optimizer or None
        One with a rate of its own follows no schedule of ours; by default AdamW.
    length_weight : float
        Weight of the length model's loss, in nats a sequence.
    weight_decay, clip_norm : float
        Of the default optimizer.
    time_budget : float, optional
        Seconds, from the start of training to its end.
    corruption : Corruption
        What is done to the input, in training and where it is validated.
    verbose : int
        0 for silence, 1 for a progress bar on standard error.
    """

    max_epochs: int
    batch_size: int
    steps_an_epoch: int
    learning_rate: float
    seed: int
    patience: int | None = None
    optimizer: Any = None
    length_weight: float = 0.05
    weight_decay: float = 1e-4
    clip_norm: float = 1.0
    time_budget: float | None = None
    corruption: Corruption = Corruption()
    verbose: int = 0


def pick_batch_size(num_sequences: int) -> int:
    """Pick the batch size by the number of training sequences: 32, and 64 from 2000 on.

    Parameters
    ----------
    num_sequences : int

    Returns
    -------
    int
        Never more than there are sequences.

    Examples
    --------
    >>> pick_batch_size(20), pick_batch_size(1000), pick_batch_size(100_000)
    (20, 32, 64)
    """
    return max(1, min(num_sequences, 64 if num_sequences >= _SMALL else 32))


def pick_patch(length: float) -> int:
    """Pick the steps a patch: 1 up to 100 steps, else a power of two for 64 patches at most.

    Parameters
    ----------
    length : float
        Of a typical sequence, in steps.

    Returns
    -------
    int

    Examples
    --------
    >>> [pick_patch(length) for length in (0, 100, 101, 1000)]
    [1, 1, 2, 16]
    """
    if length <= _SHORT:
        return 1
    return 1 << math.ceil(math.log2(length / _MOST_PATCHES))


def pick_refit(num_sequences: int, num_held_out: int) -> bool:
    """Pick whether to train once more on all sequences: where there are few, and some held out.

    Parameters
    ----------
    num_sequences, num_held_out : int

    Returns
    -------
    bool

    Examples
    --------
    >>> pick_refit(300, 30), pick_refit(300, 0), pick_refit(5000, 500)
    (True, False, False)
    """
    return num_held_out > 0 and num_sequences < _SMALL
