"""Maps of vectors in two dimensions by UMAP, which places similar vectors close together."""

import warnings

import numpy as np

from refold._support.optional_imports import import_optional
from refold.errors import ParameterError

# The number of nearest vectors that UMAP places close to each vector; 15 is UMAP's default.
_NUM_NEIGHBORS = 15
# The smallest number of vectors that UMAP can place: fewer vectors have too few neighbors.
MIN_UMAP_VECTORS = 5


def umap_layout(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Return two coordinates (n, 2) of each vector (n, n_dimensions) by UMAP."""
    if len(vectors) < MIN_UMAP_VECTORS:
        raise ParameterError(f"UMAP needs at least {MIN_UMAP_VECTORS} codes. Got {len(vectors)}.")
    with warnings.catch_warnings():
        # UMAP warns that a seed makes it slower, and its compiler Numba warns, too
        warnings.simplefilter("ignore")
        umap = import_optional("umap", extra="umap", purpose="UMAP")
        reducer = umap.UMAP(
            n_neighbors=min(_NUM_NEIGHBORS, len(vectors) - 1),  # a vector is not its own neighbor
            # the spectral start needs a graph of neighbors, which a few vectors do not have
            init="random" if len(vectors) <= _NUM_NEIGHBORS else "spectral",
            random_state=seed,
        )
        return np.asarray(reducer.fit_transform(vectors), float)
