"""UMAP of vectors."""

import warnings

import numpy as np

from refold._support.optional_imports import optional
from refold.errors import ParameterError

NEIGHBORS = 15
MIN_UMAP = 5  # vectors


def umap_layout(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return two coordinates (n, 2) of each vector (n, n_dimensions) by UMAP."""
    if len(vectors) < MIN_UMAP:
        raise ParameterError(f"UMAP needs at least {MIN_UMAP} codes. Got {len(vectors)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of UMAP about the seed, and of Numba
        umap = optional("umap", extra="umap", purpose="UMAP")
        reducer = umap.UMAP(
            n_neighbors=min(NEIGHBORS, len(vectors) - 1),
            init="random" if len(vectors) <= NEIGHBORS else "spectral",
            random_state=seed,
        )
        return np.asarray(reducer.fit_transform(vectors), float)
