"""Training settings and the rules for their defaults."""

import math
from typing import Any, NamedTuple

from refold.arguments import Corruption

# Number of sequences below which a data set is small.
_SMALL = 2000
# Longest typical sequence whose patches are single steps.
_SHORT = 100
# Largest number of patches of a typical sequence.
_MOST_PATCHES = 64


class Settings(NamedTuple):
    """Training settings."""

    max_epochs: int
    batch_size: int  # sequences of average length in a batch
    steps_an_epoch: int  # approximate; times max_epochs, the length of the schedule
    learning_rate: float  # peak of the schedule
    seed: int  # of the order of the data
    patience: int | None = None  # in epochs; by default `out_of_patience` decides
    optimizer: Any = None  # a name, a Keras optimizer with its own rate, or AdamW
    length_weight: float = 0.05  # of the length model's loss, in nats per sequence
    weight_decay: float = 1e-4  # of AdamW
    clip_norm: float = 1.0  # of AdamW
    time_budget: float | None = None  # seconds of the whole training
    corruption: Corruption = Corruption()  # in training and in validation
    verbose: int = 0  # 1 for a progress bar on standard error


def pick_batch_size(num_sequences: int) -> int:
    """Pick the batch size: 32, or 64 for 2000 training sequences or more; at most their number."""
    return max(1, min(num_sequences, 64 if num_sequences >= _SMALL else 32))


def pick_patch(length: float) -> int:
    """Pick the steps per patch: 1 up to length 100, else a power of two for at most 64 patches."""
    if length <= _SHORT:
        return 1
    return 1 << math.ceil(math.log2(length / _MOST_PATCHES))


def pick_refit(num_sequences: int, num_held_out: int) -> bool:
    """Pick whether to refit on all sequences: only if there are few and some were held out."""
    return num_held_out > 0 and num_sequences < _SMALL
