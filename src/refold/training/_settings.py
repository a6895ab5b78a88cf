"""Training settings and the rules for their defaults."""

import math
from typing import Any, NamedTuple

from refold.training.data._corruption import Corruption

# Number of sequences below which a data set is small.
_SMALL = 2000
# Longest typical sequence whose patches are single steps.
_SHORT = 100
# Largest number of patches of a typical sequence.
_MOST_PATCHES = 64


class Settings(NamedTuple):
    """Training settings.

    Attributes
    ----------
    max_epochs : int
        Maximum number of epochs.
    batch_size : int
        Number of sequences of average length in a batch.
    steps_an_epoch : int
        Approximate steps per epoch. Times ``max_epochs``, they are the length of the schedule.
    learning_rate : float
        Peak learning rate of the schedule.
    seed : int
        Seed of the order of the data.
    patience : int, optional
        Epochs without a better validation loss before training stops. By default, the rule of
        `out_of_patience` decides.
    optimizer : str, keras.optimizers.Optimizer or None
        A Keras optimizer object keeps its own learning rate, without the schedule. By default
        AdamW.
    length_weight : float
        Weight of the length model's loss, in nats per sequence.
    weight_decay, clip_norm : float
        Weight decay and gradient clipping of the default optimizer.
    time_budget : float, optional
        Seconds that the whole training may take.
    corruption : Corruption
        Corruption of the input, in training and in validation.
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
    """Pick the batch size: 32, or 64 for 2000 training sequences or more.

    Parameters
    ----------
    num_sequences : int
        Number of training sequences.

    Returns
    -------
    int
        At most ``num_sequences``.

    Examples
    --------
    >>> pick_batch_size(20), pick_batch_size(1000), pick_batch_size(100_000)
    (20, 32, 64)
    """
    return max(1, min(num_sequences, 64 if num_sequences >= _SMALL else 32))


def pick_patch(length: float) -> int:
    """Pick the steps per patch: 1 up to length 100, else a power of two for at most 64 patches.

    Parameters
    ----------
    length : float
        Length of a typical sequence, in steps.

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
    """Pick whether to refit on all sequences: only if there are few and some were held out.

    Parameters
    ----------
    num_sequences, num_held_out : int
        Number of all sequences, and of those held out for validation.

    Returns
    -------
    bool

    Examples
    --------
    >>> pick_refit(300, 30), pick_refit(300, 0), pick_refit(5000, 500)
    (True, False, False)
    """
    return num_held_out > 0 and num_sequences < _SMALL
