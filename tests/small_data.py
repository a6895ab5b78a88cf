"""Tiny data and settings for tests in several folders: what one compiles, the others reuse."""

import numpy as np

# A refit has as many batches of 8 sequences as the training before it.
TINY = {
    "latent_dim": 3,
    "units": 8,
    "latent_steps": 0,
    "max_epochs": 1,
    "batch_size": 8,
    "random_state": 0,
}


def ragged(n=24, seed=0):
    """Draw sequences of two numbers and 3 to 8 steps, of the same lengths for every seed."""
    rng = np.random.default_rng(seed)
    return [rng.normal(5, 3, (3 + i % 6, 2)) for i in range(n)]
