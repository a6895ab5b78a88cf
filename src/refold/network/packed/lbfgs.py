"""Limited-memory BFGS that minimizes a separate loss for each row of an array."""

from collections.abc import Callable

import numpy as np

# Number of pairs of steps and gradient changes to keep.
_MEMORY = 8
# Factor of the step length after a rejected step.
_SHORTER = np.float32(0.4)
# Length of the step before the curvature is known.
_FIRST_STEP = np.float32(0.3)


class _Curvature:
    """Estimate of the curvature of every row, from its latest steps."""

    def __init__(self, x: np.ndarray) -> None:
        # steps of x and changes of the gradient (memory, n_rows, width), the latest last
        self.steps = np.zeros((_MEMORY, *x.shape), np.float32)
        self.changes = np.zeros_like(self.steps)
        # one over the inner product of step and change; 0 if there is no pair
        self.inverse = np.zeros((_MEMORY, len(x), 1), np.float32)
        # scale of the initial inverse Hessian, a multiple of the identity; 0 if unknown
        self.first = np.zeros((len(x), 1), np.float32)
        self.num_pairs = 0  # the most that a row has

    def direction(self, gradient: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Compute minus the inverse Hessian times the gradient, by the two-loop recursion."""
        oldest = _MEMORY - self.num_pairs
        weights = {}
        for i in reversed(range(oldest, _MEMORY)):
            weights[i] = self.inverse[i] * _dot(self.steps[i], gradient)
            gradient = gradient - weights[i] * self.changes[i]
        result = first * gradient
        for i in range(oldest, _MEMORY):
            other = self.inverse[i] * _dot(self.changes[i], result)
            result = result + (weights[i] - other) * self.steps[i]
        return -result

    def learn(self, step: np.ndarray, change: np.ndarray) -> None:
        """Replace the oldest pair with a new one, in rows where the curvature is positive."""
        product, square = _dot(step, change), _dot(change, change)
        # one over a smaller product would overflow
        upward = (product > np.maximum(np.float32(1e-8) * square, np.float32(1e-30)))[:, 0]
        if not upward.any():
            return
        self.num_pairs = min(self.num_pairs + 1, _MEMORY)
        rows = slice(None) if upward.all() else upward  # a slice is faster
        inverse = np.float32(1) / product[rows]
        for stored, new in (
            (self.steps, step[rows]),
            (self.changes, change[rows]),
            (self.inverse, inverse),
        ):
            stored[:-1, rows] = stored[1:, rows]
            stored[-1, rows] = new
        self.first[rows] = product[rows] / np.maximum(square[rows], np.float32(1e-30))


def minimize_rows(
    loss: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    x: np.ndarray,
    num_steps: int,
    *,
    losses: Callable[[np.ndarray], np.ndarray] | None = None,
) -> np.ndarray:
    """Minimize the loss (n_rows,) of each row of x (n_rows, width) by limited-memory BFGS."""
    # Algorithms 7.4 and 7.5 of J. Nocedal, S. Wright, "Numerical Optimization", 2006, for all rows
    # at once. A step that does not lower the loss of its row is rejected, and a shorter one is
    # tried. ``loss`` returns losses (n_rows,) and gradients (n_rows, width), each row from its own
    # row alone. The last step needs no gradient, so it can use ``losses``.
    lowest, gradient = loss(x)
    share = np.ones((len(x), 1), np.float32)
    curvature = _Curvature(x)
    for left in reversed(range(num_steps)):
        size = np.sqrt(_dot(gradient, gradient))
        short = _FIRST_STEP / (size + np.float32(1e-30))
        first = np.where(curvature.first > 0, curvature.first, short)
        whole = curvature.direction(gradient, first)
        rising = _dot(whole, gradient) >= 0
        whole = np.where(rising, -first * gradient, whole)
        tried = x + share * whole
        if not left and losses is not None:
            new, new_gradient = losses(tried), gradient
        else:
            new, new_gradient = loss(tried)
        accepted = (new < lowest)[:, None]  # False for NaN
        if left:
            curvature.learn(tried - x, new_gradient - gradient)
            lowest = np.where(accepted[:, 0], new, lowest)
            gradient = np.where(accepted, new_gradient, gradient)
            share = np.where(accepted, np.float32(1), _SHORTER * share)
        x = np.where(accepted, tried, x)
    return x


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the inner product of each row, of shape (n_rows, 1)."""
    return np.add.reduce(a * b, axis=1, keepdims=True)
