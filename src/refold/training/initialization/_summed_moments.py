"""Linear initialization of numeric columns from sums over all blocks of the data."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refold._support.blas_threads import one_blas_thread
from refold.sequences import Sequences
from refold.training.initialization._principal_components import Components, decompose_covariance
from refold.training.initialization._ridge_regression import solve_ridge

# Principal components need the mean and the covariance of the series, and the ridge regression of
# the decoding map needs products of codes and values. Both are sums over sequences, which several
# processes can add up, each over its own blocks.

# Called with a function of scaled sequences; returns the sums of its results over all blocks.
Total = Callable[[Callable[[Sequences], list[np.ndarray]]], list[np.ndarray]]
# Returns series (n, num_steps, n_columns), zero where not observed, and where they are observed.
Padded = Callable[[Sequences], tuple[np.ndarray, np.ndarray]]

# Cap on the values of a padded series, whose covariance has the square, and on the products of
# codes, which each step or value has.
_MOST_VALUES, _MOST_PRODUCTS = 4096, 1 << 24


class Regression(NamedTuple):
    """Sums for a ridge regression of each observed value on codes."""

    # (num_steps, latent_dim + 1, latent_dim + 1), products of the codes of the sequences that have
    # the step, the constant last; with gaps, one for each value of a step, one after another
    squares: np.ndarray
    # (num_steps * n_columns, latent_dim + 1), of the errors of the components and the codes
    products: np.ndarray
    error: np.ndarray  # (n_columns,), squared errors of the components
    count: np.ndarray  # (n_columns,), observed values
    power: np.ndarray  # (n_columns,), about the mean
    square: float  # sum of the squared values

    def solve(self, penalty: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the change of the decoding map, and the squared errors that it leaves."""
        width, num_columns = self.products.shape[1], len(self.error)
        products = self.products.reshape(len(self.squares), -1, width).transpose(0, 2, 1)
        solved = solve_ridge(self.squares, products, penalty)
        gain = (2 * solved * products - solved * (self.squares @ solved)).sum(axis=1)
        error = self.error - gain.reshape(-1, num_columns).sum(axis=0)
        change = solved.transpose(1, 0, 2).reshape(width, -1, num_columns)
        return change, np.maximum(error, 0.0)


def few_enough(num_steps: int, num_columns: int, latent_dim: int, *, gaps: bool) -> bool:
    """Return whether the sums fit into memory."""
    positions = num_steps * (num_columns if gaps else 1)
    small = num_steps * num_columns <= _MOST_VALUES
    return small and positions * (latent_dim + 1) ** 2 <= _MOST_PRODUCTS


def summed_components(
    total: Total, padded: Padded, n_components: int
) -> tuple[Components, int, bool]:
    """Find components, the number of sequences, and whether columns have gaps of their own."""

    def measure(block: Sequences) -> list[np.ndarray]:
        values, observed = padded(block)
        rows = values.reshape(len(block), -1)
        apart = (observed != observed[:, :, :1]).sum()
        return [np.array([len(rows), apart], float), rows.sum(axis=0), rows.T @ rows]

    (n, apart), sums, products = total(measure)
    n = int(n)
    mean = sums / n
    covariance = products / n - np.outer(mean, mean)
    size = len(mean)
    with one_blas_thread(size, size):
        spread, directions = decompose_covariance(covariance, n_components)
    smallest = 1e-6 * max(float(spread[0]), 1e-12)
    real = np.flatnonzero(spread > smallest)
    loadings, deviation = np.zeros((n_components, size)), np.ones(n_components)
    loadings[real] = directions[real]
    deviation[real] = np.maximum(spread[real] * np.sqrt(n / max(n - 1, 1)), smallest)
    return Components(mean, loadings, deviation), n, bool(apart)


def summed_regression(
    total: Total,
    padded: Padded,
    encode: Callable[[np.ndarray], np.ndarray],  # from series to codes
    decode: Callable[[np.ndarray], np.ndarray],
    *,
    gaps: bool,  # whether the columns of a step are not always observed together
) -> Regression:
    """Add up what a ridge regression of the errors of a codec on its codes needs."""

    def measure(block: Sequences) -> list[np.ndarray]:
        values, observed = padded(block)
        n = len(values)
        codes = encode(values)
        difference = (values - decode(codes)) * observed
        given = np.concatenate([codes, np.ones((n, 1))], axis=1)
        seen = observed.reshape(n, -1) if gaps else observed[:, :, 0]
        outer = (given[:, :, None] * given[:, None, :]).reshape(n, -1)
        return [
            seen.T.astype(float) @ outer,
            difference.reshape(n, -1).T @ given,
            (difference**2).sum(axis=(0, 1)),
            observed.sum(axis=(0, 1)),
            values.sum(axis=(0, 1)),
            (values**2).sum(axis=(0, 1)),
        ]

    squares, products, error, count, sums, square = total(measure)
    width = products.shape[1]
    mean = sums / np.maximum(count, 1)
    power = np.maximum(square - count * mean**2, 0.0)
    power = np.where(power > 1e-12 * np.maximum(count, 1) * mean**2, power, 0.0)
    squares = squares.reshape(-1, width, width)
    return Regression(squares, products, error, count, power, float(square.sum()))
