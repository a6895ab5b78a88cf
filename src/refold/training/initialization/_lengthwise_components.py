"""Principal components of series of different lengths, where the end of a series is no value."""

from typing import NamedTuple

import numpy as np

from refold._support.native_libraries import one_blas_thread
from refold.training._progress import doing
from refold.training.initialization._principal_components import Components

# Zero-filled series have components that describe where a series ends, and a code of a short series
# counts the steps after its end as errors. Probabilistic principal components [1, 2] ignore them:
# they are found by expectation maximization, and a code is the least-squares solution for the steps
# that a series has, which is a different linear map for each length.
#
# [1] M. E. Tipping and C. M. Bishop, "Probabilistic Principal Component Analysis", Journal of the
#     Royal Statistical Society B 61, 1999.
# [2] A. Ilin and T. Raiko, "Practical Approaches to Principal Component Analysis in the Presence of
#     Missing Values", JMLR 11, 2010.

# Iterations of expectation maximization, and the relative change of the noise that ends them.
_ITERATIONS, _CONVERGED = 8, 3e-3
# Lower bound of the noise, as a share of the power.
_LEAST_NOISE = 1e-4
# Share of the noise in the final codes. The mean code under the full noise is drawn towards zero,
# which makes the error of the reconstruction larger.
_FINAL_NOISE = 0.01


class LengthwiseCodec(NamedTuple):
    """Linear encoder for series of any length, and its decoding map."""

    encoder: np.ndarray  # (num_steps, n_columns, latent_dim)
    # by number of steps: what to subtract from the weighted sum of the values, (num_steps + 1,
    # latent_dim), and the map from that difference to the code, (num_steps + 1, latent_dim,
    # latent_dim)
    offsets: np.ndarray
    maps: np.ndarray
    decoder: np.ndarray  # (latent_dim + 1, num_steps, n_columns), for a code of zeros last

    def encode(self, values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
        """Return codes (n, latent_dim) of zero-filled series (n, num_steps, n_columns)."""
        sums = np.tensordot(values, self.encoder, axes=2) - self.offsets[lengths]
        return np.einsum("nd,nde->ne", sums, self.maps[lengths])


@one_blas_thread()
def lengthwise_codec(
    values: np.ndarray,  # (n, num_steps, n_columns), without gaps, zero after the ends
    lengths: np.ndarray,  # (n,)
    components: Components,  # of zero-filled series or of a stationary process, the start
    *,
    noise: float,  # first estimate of the mean squared error of a value
    # How much the result is drawn to the start: 1 for the evidence of the data, more for fewer
    # sequences. Infinity keeps the components, and only the codes depend on the length.
    shrinkage: float,
) -> LengthwiseCodec:
    """Fit probabilistic principal components, whose codes have a mean square of 1."""
    n, num_steps, num_columns = values.shape
    rank = len(components.loadings)
    by_length = np.argsort(-lengths, kind="stable")
    values, lengths = values[by_length], lengths[by_length]
    reach = np.searchsorted(-lengths, -np.arange(num_steps), side="left")  # longer than each step
    weights = (components.loadings.T * components.deviation).reshape(num_steps, num_columns, rank)
    prior = np.concatenate(
        [weights.transpose(0, 2, 1), components.mean.reshape(num_steps, 1, num_columns)], axis=1
    )
    bias, count = components.mean.reshape(num_steps, num_columns), max(1, lengths.sum())
    power = (values**2).sum(axis=(0, 2))
    # above zero even for series of zeros, which would have a singular covariance
    least = max(_LEAST_NOISE * power.sum() / (count * num_columns), 1e-30)
    noise = max(noise, least)
    for number in range(_ITERATIONS if np.isfinite(shrinkage) else 0):
        doing(f"finding components by length, iteration {number + 1}")
        codes, covariances = _codes(values, lengths, weights, bias, noise)
        wide = np.concatenate([codes, np.ones((n, 1))], axis=1)
        squares = wide[:, :, None] * wide[:, None, :]
        squares[:, :rank, :rank] += covariances
        squares = np.concatenate([np.zeros((1, rank + 1, rank + 1)), np.cumsum(squares, axis=0)])
        squares = squares[reach]
        products = np.stack([wide[:m].T @ values[:m, t] for t, m in enumerate(reach)])
        size = np.maximum((weights**2).mean(axis=(0, 1)), 1e-9)
        penalty = shrinkage * np.diag([*(noise / size), 0.1 * noise + 1e-9])
        change = np.linalg.solve(squares + penalty, products - np.matmul(squares, prior))
        solved = prior + change  # (num_steps, rank + 1, n_columns)
        rest = power - 2 * (solved * products).sum(axis=(1, 2))
        rest += (np.matmul(squares, solved) * solved).sum(axis=(1, 2))
        before, noise = noise, max(rest.sum() / (count * num_columns), least)
        weights, bias = solved[:, :rank].transpose(0, 2, 1), solved[:, rank]
        if abs(noise - before) < _CONVERGED * before:
            break
    _, scale, rotation = np.linalg.svd(weights.reshape(-1, rank), full_matrices=False)
    rotation = rotation[scale > 1e-9 * scale[0]]
    # dimensions beyond the rank, which is at most the number of values, have weights of zero
    real = np.arange(rank) < len(rotation)
    weights = weights @ np.concatenate([rotation, np.zeros((rank - len(rotation), rank))]).T
    noise *= _FINAL_NOISE
    codes, _ = _codes(values, lengths, weights, bias, noise)
    deviation = np.where(real, np.maximum(np.sqrt((codes**2).mean(axis=0)), 1e-3), 1.0)
    scaled = weights * deviation
    grams = np.concatenate([np.zeros((1, rank, rank)), _cumulative(weights, weights)])
    offsets = np.concatenate([np.zeros((1, rank)), _cumulative(scaled, bias[..., None])[..., 0]])
    inverses = np.linalg.inv(grams + np.diag(np.where(real, noise, 1.0)))
    maps = inverses / deviation[:, None] / deviation
    decoder = np.concatenate([scaled.transpose(2, 0, 1), bias[None]])
    return LengthwiseCodec(scaled, offsets, maps, decoder)


def _cumulative(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return the sums over all steps so far of the products over columns."""
    return np.cumsum(np.matmul(left.transpose(0, 2, 1), right), axis=0)


def _codes(
    values: np.ndarray,
    lengths: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    noise: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean (n, rank) and the covariance (n, rank, rank) of the code of each series."""
    rank = weights.shape[2]
    grams = np.concatenate([np.zeros((1, rank, rank)), _cumulative(weights, weights)])
    offsets = np.concatenate([np.zeros((1, rank)), _cumulative(weights, bias[..., None])[..., 0]])
    distinct, index = np.unique(lengths, return_inverse=True)
    inverses = np.linalg.inv(grams[distinct] + noise * np.eye(rank))[index]
    sums = np.tensordot(values, weights, axes=2) - offsets[lengths]
    return np.einsum("nd,nde->ne", sums, inverses), noise * inverses
