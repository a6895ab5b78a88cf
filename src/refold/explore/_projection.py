"""The map: two principal components of codes, and the way back from a place to a code."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from refold._support.sampling import evenly_spaced
from refold.errors import ParameterError

# Sequences that are varied to measure the effect of each latent dimension, and steps in all.
_MOST_VARIED, _MOST_STEPS = 64, 300_000
# Least effect of a dimension, as a share of the largest one.
_LEAST_EFFECT = 1e-3


@dataclass(frozen=True)
class Projection:
    """Principal components of weighted codes."""

    mean: np.ndarray  # (code_size,)
    weights: np.ndarray  # (code_size,), effect of each dimension on the decoded sequence, per unit
    axes: np.ndarray  # (code_size, 2), orthonormal axes of the weighted codes
    scale: float  # length of a unit of the map, in weighted codes
    explained: tuple[float, float]  # share of the variance of the weighted codes on each axis

    @classmethod
    def fit(cls, codes: np.ndarray, weights: np.ndarray) -> "Projection":
        """Fit codes (n_sequences, code_size) with the `effects` of dimensions as weights."""
        mean = codes.mean(axis=0, dtype=float)
        away = (codes - mean) * weights
        values, vectors = np.linalg.eigh(away.T @ away / len(codes))
        axes = np.zeros((codes.shape[1], 2))
        most = min(2, codes.shape[1])
        axes[:, :most] = vectors[:, ::-1][:, :most]
        axes *= np.where(axes[np.abs(axes).argmax(axis=0), [0, 1]] < 0, -1.0, 1.0)
        values = np.append(np.maximum(values[::-1], 0.0), 0.0)
        shares = values[:2] / max(values.sum(), 1e-300)
        farthest = np.abs(away @ axes).max(axis=1) if len(codes) else np.ones(1)
        scale = max(float(np.quantile(farthest, 0.99)), 1e-12)
        return cls(mean, weights, axes, scale, (float(shares[0]), float(shares[1])))

    def places(self, codes: np.ndarray) -> np.ndarray:
        """Return the places of codes on the map, array of float32 of shape (n, 2)."""
        away = (codes - self.mean) * self.weights
        return (away @ (self.axes / self.scale)).astype(np.float32)

    def codes(self, places: np.ndarray) -> np.ndarray:
        """Return the codes at places: all other components are at their mean."""
        weighted = np.asarray(places, float) * self.scale @ self.axes.T
        return (self.mean + weighted / self.weights).astype(np.float32)


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


def numbers_of(value: ArrayLike | None, size: int, name: str) -> np.ndarray:
    """Return a place or a code that a page sent as an array of shape (size,)."""
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        array = np.zeros(0)
    if array.shape != (size,) or not np.isfinite(array).all() or np.abs(array).max() > 1e6:
        raise ParameterError(f"{name!r} must be a list of {size} finite numbers.")
    return array
