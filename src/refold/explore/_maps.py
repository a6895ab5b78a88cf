"""Maps of codes compute places in the plane from codes, and codes from places.

`PcaMap` and `NeighborMap` are the two types of maps. `BackgroundTask` computes in a thread what
takes long, such as UMAP.
"""

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

from refold._support.arrays import MIN_UMAP_VECTORS, linspace_indices, umap_layout
from refold._support.optional_imports import how_to_install, is_installed
from refold.errors import MissingExtraError, ParameterError, RefoldError, python_or_cli
from refold.search import Nearest, nearest, squared_norms

logger = logging.getLogger("refold.explore")
# Largest number of codes that are varied to measure the effect of each latent dimension. More
# would change the effects little.
_MAX_VARIED_CODES = 64
# Largest number of steps that are decoded to measure effects, which bounds the time. At least
# four codes are varied.
_MAX_STEPS_TO_MEASURE_EFFECTS = 300_000
# Smallest effect of a dimension, as a share of the largest effect. It is not 0, because decoding
# a place divides by effects.
_RELATIVE_EFFECT_FLOOR = 1e-3

# Each vector of a set has a distance to its nearest neighbor in the set. A place or code is far if
# its own nearest distance to the set is larger than nearly all of these distances
# (`SearchableVectors.far_threshold`). The next four constants are for this threshold.

# Largest number of vectors whose nearest distances decide what is far.
_MAX_FAR_THRESHOLD_SAMPLE = 512
# Smallest number of vectors in this sample, even if it then has more pairs than the limit below.
_MIN_FAR_THRESHOLD_SAMPLE = 32
# Largest number of pairs of vectors that are compared to decide what is far. It bounds the time.
_MAX_FAR_THRESHOLD_PAIRS = 30_000_000
# A smaller distance on a map is never far. The map is about 2 wide.
_MIN_MAP_FAR_THRESHOLD = 0.04

# Smallest number of neighbors that a place on a UMAP map is decoded from.
_MIN_MAP_NEIGHBORS = 8
# Largest number of these neighbors. A mean of more would be blurred.
_MAX_MAP_NEIGHBORS = 64
# UMAP of more sequences would take too many minutes.
_MAX_UMAP_SEQUENCES = 50_000


def measure_dimension_effects(
    codes: np.ndarray,
    mean_length: float,
    # from two arrays of codes: squared difference of the decoded sequences (n_codes,)
    measure_difference: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Return for each dimension (code_size,) how much a unit of it changes decoded sequences."""
    code_size = codes.shape[1]
    std = np.maximum(codes.std(axis=0, dtype=float), 1e-9)  # not 0, because it is a divisor
    # each code of the sample is decoded once for each dimension
    max_codes = int(_MAX_STEPS_TO_MEASURE_EFFECTS / max(1.0, code_size * float(mean_length)))
    sample = codes[linspace_indices(len(codes), min(_MAX_VARIED_CODES, max(4, max_codes)))]
    # (n_samples * code_size, code_size); each dimension is changed by its standard deviation
    base = np.repeat(sample, code_size, axis=0)
    varied = base + np.tile(np.diag(std), (len(sample), 1))
    squared_changes = measure_difference(base.astype(np.float32), varied.astype(np.float32))
    effect = np.sqrt(squared_changes.reshape(len(sample), code_size).mean(axis=0))
    # these are effects of a standard deviation; divided by it, they are effects of a unit
    return np.maximum(effect, _RELATIVE_EFFECT_FLOOR * max(effect.max(), 1e-9)) / std


class SearchableVectors:
    """Vectors (n_vectors, n_dimensions) among which the nearest are found: places, or codes."""

    def __init__(self, vectors: np.ndarray, min_far_threshold: float) -> None:
        self.vectors = vectors
        self._squared_norms = squared_norms(vectors)
        # a vector is far from the set if its nearest distance is larger than this
        self.far_threshold = np.inf
        num_vectors = len(vectors)
        if num_vectors < 3:  # too few to say what is far
            return
        max_size = max(_MIN_FAR_THRESHOLD_SAMPLE, _MAX_FAR_THRESHOLD_PAIRS // num_vectors)
        sample_size = min(_MAX_FAR_THRESHOLD_SAMPLE, max_size)
        sample = vectors[linspace_indices(num_vectors, sample_size)]
        # of two hits, the first is the vector itself
        distances = [float(hits.distances[-1]) for hits in self.find_nearest(sample, k=2)]
        # 99 % of the sample has a neighbor within the quantile; more than 1.5 times this is far
        self.far_threshold = max(1.5 * float(np.quantile(distances, 0.99)), min_far_threshold)

    def find_nearest(self, vectors: np.ndarray, k: int) -> list[Nearest]:
        """Return the k nearest vectors of the set for each vector (n, n_dimensions)."""
        return nearest(self.vectors, np.asarray(vectors, np.float32), k, norms=self._squared_norms)


class PcaMap(SearchableVectors):
    """A map of the first two principal components of weighted codes."""

    def __init__(self, codes: np.ndarray, dimension_weights: np.ndarray) -> None:
        """Fit the map to codes (n_sequences, code_size), with weights of their dimensions."""
        self._codes, self.weights = codes, dimension_weights
        self.mean = codes.mean(axis=0, dtype=float)
        weighted = (codes - self.mean) * dimension_weights
        # principal components, smallest variance first
        variances, eigenvectors = np.linalg.eigh(weighted.T @ weighted / len(codes))
        # Orthonormal axes of the weighted codes, (code_size, 2). If codes have one dimension, the
        # second axis is 0.
        self.axes = np.zeros((codes.shape[1], 2))
        num_axes = min(2, codes.shape[1])
        self.axes[:, :num_axes] = eigenvectors[:, ::-1][:, :num_axes]
        # the sign of an axis is arbitrary: its largest entry becomes positive
        largest = self.axes[np.abs(self.axes).argmax(axis=0), [0, 1]]
        self.axes *= np.where(largest < 0, -1.0, 1.0)
        # share of the variance of the weighted codes on each axis
        variances = np.append(np.maximum(variances[::-1], 0.0), 0.0)
        self.explained_shares = (variances[:2] / max(variances.sum(), 1e-300)).tolist()
        # length of a unit of the map, in weighted codes: 99 % of the places are within -1 and 1
        farthest = np.abs(weighted @ self.axes).max(axis=1)
        self.scale = max(float(np.quantile(farthest, 0.99)), 1e-12)
        super().__init__(self.project(codes), min_far_threshold=_MIN_MAP_FAR_THRESHOLD)

    def project(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes (n, 2)."""
        weighted = (codes - self.mean) * self.weights
        return (weighted @ (self.axes / self.scale)).astype(np.float32)

    def code_at(self, place: np.ndarray, base_row: int | None = None) -> np.ndarray:
        """Return the code at a place (code_size,).

        The place sets the first two principal components. The others are those of the code with
        index ``base_row``, or 0.
        """
        code = self._code_on_plane(place)
        if base_row is not None:
            code = code + self._codes[base_row] - self._code_on_plane(self.vectors[base_row])
        return code

    def _code_on_plane(self, place: np.ndarray) -> np.ndarray:
        """Return the code at a place (code_size,), whose other principal components are 0."""
        weighted = self.axes @ (np.asarray(place, float) * self.scale)
        return (self.mean + weighted / self.weights).astype(np.float32)


class EffectWeightedCodes(SearchableVectors):
    """Codes whose dimensions are weighted by their effect on the decoded sequence."""

    def __init__(self, codes: np.ndarray, mean: np.ndarray, dimension_weights: np.ndarray) -> None:
        self._mean, self._weights = mean.astype(np.float32), dimension_weights.astype(np.float32)
        vectors = self._weigh(codes)
        # distances under a twentieth of the root mean square distance from the mean do not count as
        # far
        super().__init__(vectors, 0.05 * float(np.sqrt(squared_norms(vectors).mean())))

    def find_nearest_codes(self, codes: np.ndarray, k: int) -> list[Nearest]:
        """Return for each code the k codes that decode to the most similar sequences."""
        return self.find_nearest(self._weigh(codes), k)

    def _weigh(self, codes: np.ndarray) -> np.ndarray:
        """Return codes as vectors whose distances are those of decoded sequences, roughly."""
        return np.ascontiguousarray((codes - self._mean) * self._weights, np.float32)


class NeighborMap(SearchableVectors):
    """A map with given places, such as those of UMAP; a place decodes to a mean of near codes."""

    def __init__(
        self, places: np.ndarray, codes: np.ndarray, weighted_codes: EffectWeightedCodes
    ) -> None:
        super().__init__(places, min_far_threshold=_MIN_MAP_FAR_THRESHOLD)
        self._codes, self._weighted_codes = codes, weighted_codes
        # The number of neighbors grows with the square root of the number of places. In a square
        # grid of places, it is an eighth of the number on a side.
        num_neighbors = min(_MAX_MAP_NEIGHBORS, isqrt(len(places)) // 8)
        self._num_neighbors = max(_MIN_MAP_NEIGHBORS, num_neighbors)

    def code_at(self, place: np.ndarray, base_row: int | None = None) -> np.ndarray:
        """Return the mean of the codes near a place (code_size,); near codes have more weight."""
        del base_row  # only `PcaMap` uses it, for components that the place does not set
        # the last neighbor sets the radius and has no weight, so one more is found
        [hits] = self.find_nearest(np.asarray(place)[None], self._num_neighbors + 1)
        return _weigh_by_distance(hits.distances) @ self._codes[hits.indices]

    def project(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes (n, 2): each is the mean of the places of similar codes."""
        # one more, because the last neighbor has no weight
        hits = self._weighted_codes.find_nearest_codes(codes, _MIN_MAP_NEIGHBORS + 1)
        means = [_weigh_by_distance(distances) @ self.vectors[rows] for rows, distances in hits]
        return np.array(means, np.float32).reshape(-1, 2)


def _weigh_by_distance(distances: np.ndarray) -> np.ndarray:
    """Return weights (k,) of sum 1 by increasing distances (k,); the last weight is 0."""
    # Shepard's method, modified by Franke and Little: ((radius - distance) / distance)^2. The last
    # distance is the radius, so its weight is 0, and the mean does not jump where the set of
    # neighbors changes.
    radius = max(float(distances[-1]), 1e-12)
    weights = ((radius - distances) / np.maximum(distances, 1e-7 * radius)) ** 2
    total = weights.sum()
    if total <= 0:  # all distances are equal
        return np.full(len(distances), 1 / len(distances))
    return weights / total


class BackgroundTask:
    """A result that a thread computes once, after the first request for it."""

    def __init__(self, name: str, function_or_result: Any) -> None:
        """Take a name for messages, and a function without arguments, or its result."""
        self._name, self._compute = name, function_or_result
        self._result: Any = None if callable(function_or_result) else function_or_result
        self._failure = ""  # why the result could not be computed
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @property
    def is_ready(self) -> bool:
        """Whether there is a result."""
        return self._result is not None

    def result(self, max_seconds: float | None = 0.0) -> Any:
        """Return the result, or None if it is not ready after ``max_seconds`` (None: no limit)."""
        with self._lock:
            if self._result is None and self._thread is None:
                self._thread = threading.Thread(target=self._compute_result, daemon=True)
                self._thread.start()
        if self._result is None and self._thread is not None:
            self._thread.join(max_seconds)
        if self._failure:
            raise ParameterError(self._failure)
        return self._result

    def _compute_result(self) -> None:
        """Compute the result, or note why that failed."""
        try:
            self._result = self._compute()
        except RefoldError as error:
            self._failure = str(error)
        except Exception:
            logger.exception("%s could not be computed", self._name)
            self._failure = f"{self._name} could not be computed. The log of the server says why."


def compute_umap_places(vectors: np.ndarray) -> np.ndarray:
    """Return places (n, 2) of vectors (n, n_dimensions) by UMAP, from about -1 to 1."""
    if not MIN_UMAP_VECTORS <= len(vectors) <= _MAX_UMAP_SEQUENCES:
        raise ParameterError(
            f"A UMAP map needs {MIN_UMAP_VECTORS} to {_MAX_UMAP_SEQUENCES:,} sequences. There are "
            f"{len(vectors):,}. Show some of them{python_or_cli('', ' with --max-sequences')}."
        )
    if not is_installed("umap"):
        raise MissingExtraError(
            "A UMAP map needs the package 'umap-learn', which is not installed. "
            f"{how_to_install('umap')}."
        )
    # In a thread, UMAP would hold the lock of the interpreter, and the server could not answer
    # meanwhile. So it runs in another process.
    with tempfile.TemporaryDirectory() as folder:
        np.save(Path(folder, "vectors.npy"), vectors)
        program = f"from {__name__} import write_umap_layout; write_umap_layout({folder!r})"
        subprocess.run([sys.executable, "-c", program], check=True)  # noqa: S603
        layout = np.load(Path(folder, "layout.npy"))
    # apart from outliers, the layout fills the range from -1 to 1
    low, high = np.quantile(layout, [0.005, 0.995], axis=0)
    layout -= (low + high) / 2
    layout /= max(float(np.quantile(np.abs(layout).max(axis=1), 0.99)), 1e-12)
    return layout.astype(np.float32)


def write_umap_layout(folder: str) -> None:
    """Read ``vectors.npy`` in a folder, and write their UMAP layout to ``layout.npy``."""
    np.save(Path(folder, "layout.npy"), umap_layout(np.load(Path(folder, "vectors.npy"))))
