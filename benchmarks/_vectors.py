"""Vectors of sequences that other methods compute, for `probe` and `search`."""

from typing import Any

import numpy as np


def padded(sequences: Any, steps: int) -> np.ndarray:
    """Return an array (n, steps, features), cut or padded with zeros."""
    values = sequences.to_padded(0.0)[:, :steps]
    return np.pad(values, ((0, 0), (0, steps - values.shape[1]), (0, 0)))


def pca_baseline(train: Any, size: int) -> Any:
    """Fit PCA to zero-padded sequences, with at most as many components as it can have."""
    from refold.evaluation import PCABaseline

    numbers = int(train.lengths.max()) * train.schema.num_columns
    return PCABaseline(min(size, len(train), numbers)).fit(train)


def aeon_features(train: Any, test: Any, kind: str, seed: int = 0) -> list[np.ndarray]:
    """Return Catch22 or MiniRocket features of both splits, computed by aeon on padded arrays."""
    from aeon.transformations.collection.convolution_based import MiniRocket
    from aeon.transformations.collection.feature_based import Catch22

    steps = int(train.lengths.max())
    arrays = [np.nan_to_num(padded(part, steps)).transpose(0, 2, 1) for part in (train, test)]
    if kind == "Catch22":
        features = Catch22(catch24=True, replace_nans=True)
    else:
        features = MiniRocket(random_state=seed)
        missing = max(0, 9 - steps)  # it reads at least 9 steps
        arrays = [np.pad(one, ((0, 0), (0, 0), (0, missing))) for one in arrays]
    # numba needs contiguous arrays of doubles
    first, second = (np.ascontiguousarray(one, float) for one in arrays)
    return [np.asarray(features.fit(first).transform(one)) for one in (first, second)]
