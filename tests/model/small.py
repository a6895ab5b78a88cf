"""Small data and settings that the tests of this folder share, so that they compile once."""

import refold

TINY = {"latent_dim": 4, "units": 8, "max_epochs": 3, "latent_steps": 0, "random_state": 0}


def sines(n, seed=0):
    """Draw sines; models are fitted to 60 of seed 0, which include the longest length."""
    return refold.datasets.noisy_sines(n, seed=seed, min_steps=15, max_steps=30)
