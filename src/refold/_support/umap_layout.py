"""UMAP of vectors, with its progress."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from refold._support.optional_imports import optional
from refold.errors import ParameterError

NEIGHBORS = 15
MIN_UMAP = 5  # vectors
_EPOCHS = re.compile(r"(\d+)/(\d+)")


def umap_layout(
    vectors: np.ndarray,
    *,
    seed: int = 0,
    progress: Callable[[float], None] | None = None,  # called with the share of the epochs done
) -> np.ndarray:
    """Return two coordinates (n, 2) of each vector (n, n_dimensions) by UMAP."""
    if len(vectors) < MIN_UMAP:
        raise ParameterError(f"UMAP needs at least {MIN_UMAP} codes. Got {len(vectors)}.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of UMAP about the seed, and of Numba
        umap = optional("umap", extra="umap", purpose="UMAP")
        options: dict[str, Any] = {}
        if progress is not None:
            bar = {"file": _Epochs(progress), "bar_format": "{n_fmt}/{total_fmt}"}
            options = {"verbose": True, "tqdm_kwds": bar}
        reducer = umap.UMAP(
            n_neighbors=min(NEIGHBORS, len(vectors) - 1),
            init="random" if len(vectors) <= NEIGHBORS else "spectral",
            random_state=seed,
            **options,
        )
        return np.asarray(reducer.fit_transform(vectors), float)


class _Epochs:
    """A file that tqdm writes its bar to."""

    def __init__(self, progress: Callable[[float], None]) -> None:
        self._progress = progress

    def write(self, text: str) -> None:
        if match := _EPOCHS.search(text):
            self._progress(int(match[1]) / max(1, int(match[2])))

    def flush(self) -> None:
        """Do nothing; tqdm asks for it."""
