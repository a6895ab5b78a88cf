"""Maps: places of codes, from places back to codes, and what threads compute for a map."""

import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from refold._support.arrays import evenly_spaced
from refold._support.optional_imports import how_to_install, is_installed
from refold._support.umap_layout import MIN_UMAP, umap_layout
from refold.errors import MissingExtraError, ParameterError, RefoldError, spelled
from refold.search import Nearest, nearest, squared_norms

logger = logging.getLogger("refold.explore")
# Sequences that are varied to measure the effect of each latent dimension, and steps in all.
_MAX_VARIED, _MAX_STEPS = 64, 300_000
# Least effect of a dimension, as a share of the largest one.
_MIN_EFFECT = 1e-3
# Vectors whose distances to all others say what is near, at most, and at least; and how many pairs
# are compared at most, unless these are more.
_SAMPLE, _MIN_SAMPLE, _MAX_PAIRS = 512, 32, 30_000_000
# Distance on a map that is never far.
_NEAR_ON_MAP = 0.04
# Neighbors that a place of a UMAP map is decoded from, at least and at most.
_MIN_NEAR, _MAX_NEAR = 8, 64
# Most vectors that UMAP arranges, which takes minutes.
_MAX_UMAP = 50_000


def effects(
    codes: np.ndarray,
    lengths: np.ndarray,
    change: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Measure how much each dimension changes decoded sequences, per unit: (code_size,)."""
    size = codes.shape[1]
    spread = np.maximum(codes.std(axis=0, dtype=float), 1e-9)
    most = int(_MAX_STEPS / max(1.0, size * float(lengths.mean())))
    some = codes[evenly_spaced(len(codes), min(_MAX_VARIED, max(4, most)))]
    base = np.repeat(some, size, axis=0)
    varied = base + np.tile(np.diag(spread), (len(some), 1))
    # the mean squared difference of each pair of decoded sequences
    changes = change(base.astype(np.float32), varied.astype(np.float32))
    effect = np.sqrt(changes.reshape(len(some), size).mean(axis=0))
    return np.maximum(effect, _MIN_EFFECT * max(effect.max(), 1e-9)) / spread


class VectorSet:
    """Vectors (n_vectors, n_dimensions) to find the nearest of, such as places on a map."""

    def __init__(self, vectors: np.ndarray, least_reach: float) -> None:
        self.vectors = vectors
        self._norms = squared_norms(vectors)
        # beyond this distance, a vector is far from all of them
        self.reach = max(self._usual_distance(), least_reach)

    def nearest(self, vectors: np.ndarray, k: int) -> list[Nearest]:
        """Return the nearest ones of each vector."""
        return nearest(self.vectors, np.asarray(vectors, np.float32), k, self._norms)

    def _usual_distance(self) -> float:
        """Return how far most are from the nearest other one, and half as much again."""
        count = len(self.vectors)
        if count < 3:
            return np.inf
        rows = evenly_spaced(count, min(_SAMPLE, max(_MIN_SAMPLE, _MAX_PAIRS // count)))
        farthest = [float(hits.distances[-1]) for hits in self.nearest(self.vectors[rows], 2)]
        return 1.5 * float(np.quantile(farthest, 0.99))


class PcaMap(VectorSet):
    """Principal components of weighted codes; other components of a place are at their mean."""

    def __init__(self, codes: np.ndarray, weights: np.ndarray) -> None:
        """Take codes (n_sequences, code_size), with the `effects` of dimensions as weights."""
        self._codes, self.weights = codes, weights
        self.mean = codes.mean(axis=0, dtype=float)
        away = (codes - self.mean) * weights
        values, vectors = np.linalg.eigh(away.T @ away / len(codes))
        # orthonormal axes of the weighted codes, (code_size, 2)
        self.axes = np.zeros((codes.shape[1], 2))
        num_axes = min(2, codes.shape[1])
        self.axes[:, :num_axes] = vectors[:, ::-1][:, :num_axes]
        largest = self.axes[np.abs(self.axes).argmax(axis=0), [0, 1]]
        self.axes *= np.where(largest < 0, -1.0, 1.0)
        # share of the variance of the weighted codes on each axis
        values = np.append(np.maximum(values[::-1], 0.0), 0.0)
        shares = values[:2] / max(values.sum(), 1e-300)
        self.explained = (float(shares[0]), float(shares[1]))
        # length of a unit of the map, in weighted codes
        farthest = np.abs(away @ self.axes).max(axis=1)
        self.scale = max(float(np.quantile(farthest, 0.99)), 1e-12)
        super().__init__(self.places_of(codes), _NEAR_ON_MAP)

    def places_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes, array of float32 of shape (n, 2)."""
        away = (codes - self.mean) * self.weights
        return (away @ (self.axes / self.scale)).astype(np.float32)

    def code_at(self, place: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return the code at a place; with a row, its other components are those of a sequence."""
        code = self._on_plane(place)
        return code if row is None else code + self._codes[row] - self._on_plane(self.vectors[row])

    def _on_plane(self, place: np.ndarray) -> np.ndarray:
        weighted = self.axes @ (np.asarray(place, float) * self.scale)
        return (self.mean + weighted / self.weights).astype(np.float32)


class NeighborMap(VectorSet):
    """A map without a formula: what is between sequences is a weighted mean of them."""

    def __init__(self, places: np.ndarray, codes: np.ndarray, similar: "WeightedCodes") -> None:
        super().__init__(places, _NEAR_ON_MAP)
        self._codes, self._similar = codes, similar
        self._near = max(_MIN_NEAR, min(_MAX_NEAR, isqrt(len(places)) // 8))

    def code_at(self, place: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return the mean of the codes near a place, in which those near it count most."""
        del row  # there are no other components
        [hits] = self.nearest(np.asarray(place)[None], self._near + 1)
        return _inverse_weights(hits.distances) @ self._codes[hits.rows]

    def places_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the means of the places of the most similar codes."""
        hits = self._similar.to(codes, _MIN_NEAR + 1)
        means = [_inverse_weights(distances) @ self.vectors[rows] for rows, distances in hits]
        return np.array(means, np.float32).reshape(-1, 2)


class WeightedCodes(VectorSet):
    """Codes whose dimensions count by their effect on the decoded sequence."""

    def __init__(self, codes: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> None:
        self._mean, self._weights = mean.astype(np.float32), weights.astype(np.float32)
        vectors = self._of(codes)
        super().__init__(vectors, 0.05 * float(np.sqrt(squared_norms(vectors).mean())))

    def to(self, codes: np.ndarray, k: int) -> list[Nearest]:
        """Return the rows that are most similar to each code."""
        return self.nearest(self._of(codes), k)

    def _of(self, codes: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray((codes - self._mean) * self._weights, np.float32)


def _inverse_weights(distances: np.ndarray) -> np.ndarray:
    """Return weights that fall from the nearest to none at the last, so that they never jump."""
    reach = max(float(distances[-1]), 1e-12)
    weights = ((reach - distances) / np.maximum(distances, 1e-7 * reach)) ** 2
    total = weights.sum()
    if total <= 0:  # all are equally far
        return np.full(len(distances), 1 / len(distances))
    return weights / total


class BackgroundTask:
    """Something that a thread computes once, when it is asked for the first time."""

    def __init__(self, what: str, compute: Any) -> None:
        """Take a function without arguments, or the result itself."""
        self._what, self._compute = what, compute
        self._result: Any = None if callable(compute) else compute
        self._failure = ""  # why it could not be computed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a result."""
        return self._result is not None

    def result(self, wait: float | None = 0.0) -> Any:
        """Return the result, or None if it is not ready after some seconds; raise a failure."""
        with self._lock:
            if self._result is None and self._thread is None:
                self._thread = threading.Thread(target=self._run, daemon=True)
                self._thread.start()
        if self._result is None and self._thread is not None:
            self._thread.join(wait)
        if self._failure:
            raise ParameterError(self._failure)
        return self._result

    def _run(self) -> None:
        try:
            self._result = self._compute()
        except RefoldError as error:
            self._failure = str(error)
        except Exception:
            logger.exception("%s could not be computed", self._what)
            self._failure = f"{self._what} could not be computed. The log of the server says why."


def umap_places(vectors: np.ndarray) -> np.ndarray:
    """Return places (n, 2) of vectors (n, n_dimensions) by UMAP, from about -1 to 1."""
    if not MIN_UMAP <= len(vectors) <= _MAX_UMAP:
        raise ParameterError(
            f"A UMAP map needs {MIN_UMAP} to {_MAX_UMAP:,} sequences. There are {len(vectors):,}. "
            f"Show some of them{spelled('', ' with --max-sequences')}."
        )
    if not is_installed("umap"):
        raise MissingExtraError(
            "A UMAP map needs the package 'umap-learn', which is not installed. "
            f"{how_to_install('umap')}."
        )
    # in a process of its own: UMAP holds the interpreter, so the server would not answer
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "vectors.npy"), vectors)
        program = f"from {__name__} import write_layout; write_layout({folder!r})"
        subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603
        layout = np.load(Path(folder, "layout.npy"))
    low, high = np.quantile(layout, [0.005, 0.995], axis=0)
    layout -= (low + high) / 2
    layout /= max(float(np.quantile(np.abs(layout).max(axis=1), 0.99)), 1e-12)
    return layout.astype(np.float32)


def write_layout(folder: str) -> None:
    """Read ``vectors.npy`` of a folder, and write ``layout.npy``."""
    np.save(Path(folder, "layout.npy"), umap_layout(np.load(Path(folder, "vectors.npy"))))
