"""Ridge regression on codes, where each position has its own set of observed sequences."""

import numpy as np

from refold._support.blas_threads import one_blas_thread

# Cap on the size of an intermediate array.
_MOST_NUMBERS = 1 << 22


def ridge(
    codes: np.ndarray, values: np.ndarray, observed: np.ndarray, penalty: np.ndarray
) -> np.ndarray:
    """Regress each position's observed values on codes and a constant; the constant is last.

    Parameters
    ----------
    codes : array of shape (n, latent_dim)
    values : array of shape (n, num_steps, n_columns)
        Zero where not observed.
    observed : array of bool of shape (n, num_steps, n_columns)
    penalty : array of shape (latent_dim + 1,)
        Penalty of the square of each weight, the constant last.

    Returns
    -------
    array of shape (latent_dim + 1, num_steps, n_columns)

    Examples
    --------
    >>> codes = np.array([[0.0], [1.0], [2.0]])
    >>> values = (3 * codes + 1)[:, :, None]
    >>> ridge(codes, values, np.full(values.shape, True), np.zeros(2)).ravel().round(6).tolist()
    [3.0, 1.0]
    """
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
def solve_ridge(squares: np.ndarray, products: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Solve the normal equations of ridge regressions.

    Parameters
    ----------
    squares : array of shape (m, width, width)
        Products of the inputs of each regression.
    products : array of shape (m, width, k)
        Products of its inputs and outputs.
    penalty : array of shape (width,)
        Penalty of the square of each weight.

    Returns
    -------
    array of shape (m, width, k)

    Examples
    --------
    >>> solve_ridge(np.full((1, 1, 1), 2.0), np.full((1, 1, 1), 6.0), np.zeros(1)).round(6).item()
    3.0
    """
    return np.linalg.solve(squares + np.diag(penalty + 1e-9), products)
