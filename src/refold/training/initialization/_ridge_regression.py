"""Ridge regression on codes, where each position has its own set of observed sequences."""

import numpy as np

from refold._support.native_libraries import one_blas_thread

# Cap on the size of an intermediate array.
_MOST_NUMBERS = 1 << 22


def ridge(
    codes: np.ndarray,  # (n, latent_dim)
    values: np.ndarray,  # (n, num_steps, n_columns), zero where not observed
    observed: np.ndarray,  # bool (n, num_steps, n_columns)
    penalty: np.ndarray,  # (latent_dim + 1,), of the square of each weight
) -> np.ndarray:
    """Regress each position's observed values on codes and a constant, which is last."""
    # returns weights (latent_dim + 1, num_steps, n_columns)
    n, num_steps, num_columns = values.shape
    given = np.concatenate([codes, np.ones((n, 1))], axis=1)
    width = given.shape[1]
    # columns that are observed together share a matrix
    together = bool((observed == observed[:, :, :1]).all())
    seen = observed[:, :, 0] if together else observed.reshape(n, -1)
    sums = (values.reshape(n, -1).T @ given).reshape(seen.shape[1], -1, width).transpose(0, 2, 1)
    solved = np.empty_like(sums)
    at_once = max(1, _MOST_NUMBERS // width**2)
    for first in range(0, len(sums), at_once):
        here = slice(first, first + at_once)
        squares = np.zeros((len(sums[here]), width * width))
        for row in range(0, n, at_once):
            rows = given[row : row + at_once]
            products = (rows[:, :, None] * rows[:, None, :]).reshape(len(rows), -1)
            squares += seen[row : row + at_once, here].T.astype(float) @ products
        solved[here] = solve_ridge(squares.reshape(-1, width, width), sums[here], penalty)
    return solved.transpose(1, 0, 2).reshape(width, num_steps, num_columns)


@one_blas_thread()  # many small systems
def solve_ridge(
    squares: np.ndarray,  # (m, width, width), products of the inputs of each regression
    products: np.ndarray,  # (m, width, k), products of its inputs and outputs
    penalty: np.ndarray,  # (width,), of the square of each weight
) -> np.ndarray:
    """Solve the normal equations of ridge regressions, (m, width, k)."""
    return np.linalg.solve(squares + np.diag(penalty + 1e-9), products)
