"""Maps: the places of codes, the sequences near a place, and the way from a place to a code."""

from collections.abc import Callable
from math import isqrt

import numpy as np

from refold._support.arrays import evenly_spaced
from refold.search import nearest, squared_norms

# Sequences that are varied to measure the effect of each latent dimension, and steps in all.
_MOST_VARIED, _MOST_STEPS = 64, 300_000
# Least effect of a dimension, as a share of the largest one.
_LEAST_EFFECT = 1e-3
# Sequences whose distances to their neighbors say what is near.
_SAMPLE = 512
# Neighbors that a place of a UMAP map is decoded from, at least and at most.
_LEAST_NEAR, _MOST_NEAR = 8, 64
# Cells on a side of the grid at most, which 16 bits number, and points per cell on average.
_MAX_CELLS, _PER_CELL = 256, 4
# Farthest ring of cells that is searched; beyond, all points are compared.
_MAX_RINGS = 16


def effects(
    codes: np.ndarray,
    lengths: np.ndarray,
    change: Callable[[np.ndarray, np.ndarray], np.ndarray],
) -> np.ndarray:
    """Measure how much each dimension changes decoded sequences, per unit: (code_size,)."""
    size = codes.shape[1]
    spread = np.maximum(codes.std(axis=0, dtype=float), 1e-9)
    most = int(_MOST_STEPS / max(1.0, size * float(lengths.mean())))
    some = codes[evenly_spaced(len(codes), min(_MOST_VARIED, max(4, most)))]
    base = np.repeat(some, size, axis=0)
    varied = base + np.tile(np.diag(spread), (len(some), 1))
    # the mean squared difference of each pair of decoded sequences
    changes = change(base.astype(np.float32), varied.astype(np.float32))
    found = np.sqrt(changes.reshape(len(some), size).mean(axis=0))
    return np.maximum(found, _LEAST_EFFECT * max(found.max(), 1e-9)) / spread


class PlaceGrid:
    """Places in the plane, (n, 2), in cells of a grid."""

    # A tree of SciPy would be shorter, and a small installation has no SciPy.

    def __init__(self, places: np.ndarray) -> None:
        self.places = places
        count = len(places)
        self._low = places.min(axis=0)
        wide = max(float((places.max(axis=0) - self._low).max()), 1e-9)
        self._side = max(1, min(_MAX_CELLS, isqrt(count // _PER_CELL)))
        self._cell = wide / self._side * (1 + 1e-6)
        cells = ((places - self._low) * np.float32(1 / self._cell)).astype(np.int32)
        np.clip(cells, 0, self._side - 1, out=cells)
        own = (cells[:, 1] * self._side + cells[:, 0]).astype(np.uint16)  # sorted fast
        self._order = np.argsort(own, kind="stable")
        counts = np.bincount(own, minlength=self._side**2)
        self._begins = np.concatenate([[0], np.cumsum(counts)])

    def nearest(self, place: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows nearest to a place and their distances, the nearest first."""
        place = np.asarray(place, np.float64)
        k = min(k, len(self.places))
        x, y = np.floor((place - self._low) / self._cell).astype(int).tolist()
        inside = 0 <= x < self._side and 0 <= y < self._side
        ring = 1
        while inside and ring <= _MAX_RINGS:
            rows = self._around(x, y, ring)
            if len(rows) >= k:
                nearby = self._best(rows, place, k)
                # no point outside these cells is nearer than this
                if nearby[1][-1] <= ring * self._cell:
                    return nearby
            ring *= 2
        return self._best(np.arange(len(self.places)), place, k)

    def _around(self, x: int, y: int, ring: int) -> np.ndarray:
        left, right = max(0, x - ring), min(self._side - 1, x + ring)
        parts = []
        for row in range(max(0, y - ring), min(self._side - 1, y + ring) + 1):
            begin = self._begins[row * self._side + left]
            parts.append(self._order[begin : self._begins[row * self._side + right + 1]])
        return np.concatenate(parts)

    def _best(self, rows: np.ndarray, place: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        away = self.places[rows] - place
        squared = np.einsum("ij,ij->i", away, away)
        if k < len(rows):
            some = np.argpartition(squared, k - 1)[:k]
            rows, squared = rows[some], squared[some]
        order = np.lexsort((rows, squared))
        return rows[order], np.sqrt(squared[order])


class FlatMap(PlaceGrid):
    """Places of sequences on a map, (n_sequences, 2), and how far from them is far."""

    def __init__(self, places: np.ndarray) -> None:
        super().__init__(places)
        self.reach = _usual_distance(len(places), 0.04, lambda row: self.nearest(places[row], 2)[1])

    def code_at(self, place: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return the code at a place."""
        raise NotImplementedError

    def places_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes."""
        raise NotImplementedError


class PcaMap(FlatMap):
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
        super().__init__(self.places_of(codes))

    def places_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes, array of float32 of shape (n, 2)."""
        away = (codes - self.mean) * self.weights
        return (away @ (self.axes / self.scale)).astype(np.float32)

    def code_at(self, place: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return the code at a place; with a row, its other components are those of a sequence."""
        code = self._on_plane(place)
        return code if row is None else code + self._codes[row] - self._on_plane(self.places[row])

    def _on_plane(self, place: np.ndarray) -> np.ndarray:
        weighted = self.axes @ (np.asarray(place, float) * self.scale)
        return (self.mean + weighted / self.weights).astype(np.float32)


class NeighborMap(FlatMap):
    """A map without a formula: what is between sequences is a weighted mean of them."""

    def __init__(self, places: np.ndarray, codes: np.ndarray, vectors: "WeightedCodes") -> None:
        super().__init__(places)
        self._codes, self._vectors = codes, vectors
        self._near = max(_LEAST_NEAR, min(_MOST_NEAR, isqrt(len(places)) // 8))

    def code_at(self, place: np.ndarray, row: int | None = None) -> np.ndarray:
        """Return the mean of the codes near a place, in which those near it count most."""
        del row  # there are no other components
        rows, distances = self.nearest(place, self._near + 1)
        return _inverse_weights(distances) @ self._codes[rows]

    def places_of(self, codes: np.ndarray) -> np.ndarray:
        """Return the means of the places of the most similar codes."""
        found = np.empty((len(codes), 2), np.float32)
        for i, (rows, distances) in enumerate(self._vectors.nearest(codes, _LEAST_NEAR + 1)):
            found[i] = _inverse_weights(distances) @ self.places[rows]
        return found


class WeightedCodes:
    """Codes whose dimensions count by their effect on the decoded sequence."""

    def __init__(self, codes: np.ndarray, mean: np.ndarray, weights: np.ndarray) -> None:
        self._mean, self._weights = mean.astype(np.float32), weights.astype(np.float32)
        self.vectors = self._of(codes)
        self._norms = squared_norms(self.vectors)
        least = 0.05 * float(np.sqrt(self._norms.mean()))
        # each row is compared with all others
        most = max(32, 30_000_000 // len(codes))
        self.reach = _usual_distance(len(codes), least, self._to_another, most)

    def nearest(self, codes: np.ndarray, k: int) -> list:
        """Return the rows nearest to each code, and their distances."""
        return nearest(self.vectors, self._of(codes), k, self._norms)

    def _to_another(self, row: int) -> np.ndarray:
        """Return the distance to the nearest other row."""
        scores = self._norms - 2.0 * (self.vectors @ self.vectors[row])
        scores[row] = np.inf
        return np.sqrt(np.maximum(scores.min(keepdims=True) + self._norms[row], 0.0))

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


def _usual_distance(
    count: int, least: float, distances: Callable[[int], np.ndarray], most: int = _SAMPLE
) -> float:
    """Return how far something may be from the data without a hint."""
    if count < 3:
        return np.inf
    rows = evenly_spaced(count, min(_SAMPLE, most))
    found = [float(distances(row)[-1]) for row in rows.tolist()]
    return max(1.5 * float(np.quantile(found, 0.99)), least)
