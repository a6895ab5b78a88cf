"""Initialization of a forecaster from the codes of the untrained network."""

import numpy as np

from refold.inference import encode, split_last
from refold.models import Network, inference_with
from refold.sequences import Sequences, concatenate
from refold.training import cut_sequences, next_steps, set_forecast_initialization

# Cap on sequences for the regression.
_MOST_SEQUENCES = 4096


def initialize_forecast(network: Network, scaled: Sequences, seed: int) -> None:
    """Initialize a forecaster by regression on the current codes of its network.

    Each sequence is cut twice: before its last steps, and at random as in training.

    Parameters
    ----------
    network : Network
    scaled : Sequences
        Training sequences.
    seed : int
        Seed of the cuts, and of the sample if there are many sequences.
    """
    if len(scaled) > _MOST_SEQUENCES:
        rng = np.random.default_rng([seed, 0xF0CE])
        scaled = scaled[np.sort(rng.choice(len(scaled), _MOST_SEQUENCES, replace=False))]
    steps = network.specification.forecast_steps
    longer, *last = split_last(scaled, steps)
    drawn = cut_sequences(scaled, steps, seed + 1)
    before, after = (concatenate([a, b]) for a, b in zip(last, drawn, strict=True))
    codes = encode(before, inference_with(network))
    set_forecast_initialization(
        network, codes, next_steps(after, steps), np.concatenate([longer, np.arange(len(scaled))])
    )
