"""Validation split: random, seeded and stratified by length."""

import numpy as np

from refold.errors import ParameterError


def validation_split(
    lengths: np.ndarray, fraction: float, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Split sequences with these lengths (n,) at random into those to train and to validate on."""
    num_sequences = len(lengths)
    if fraction == 0:
        return np.arange(num_sequences), np.arange(0)
    num_validation = max(1, round(num_sequences * fraction))
    if num_sequences - num_validation < 1:
        raise ParameterError(
            f"validation_fraction={fraction:g} of {num_sequences} "
            f"sequence{'' if num_sequences == 1 else 's'} leaves nothing to train on. Give more "
            "sequences, or validation_fraction=0 to train without validation."
        )
    # stratified: one random sequence of each group of similar length, ties in random order
    rng = np.random.default_rng([seed, 0x5917])
    by_length = np.lexsort((rng.random(num_sequences), lengths))
    validation = np.sort([rng.choice(group) for group in np.array_split(by_length, num_validation)])
    return np.setdiff1d(np.arange(num_sequences), validation), validation
