"""Limited-memory BFGS that minimizes a separate loss for each row of an array."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

__all__ = ["minimize_rows"]

# Number of pairs of steps and gradient changes to keep.
_MEMORY = 8
# Factor of the step length after a rejected step.
_SHORTER = 0.4


class _Point(NamedTuple):
    """State of every row: x, its loss and gradient, and the step length to try."""

    x: Any
    loss: Any
    gradient: Any
    share: Any


class _Curvature(NamedTuple):
    """Estimate of the curvature of every row, from its latest steps.

    Attributes
    ----------
    steps, changes : arrays of shape (memory, n_rows, width)
        Steps of x and changes of the gradient, the latest last.
    inverse : array of shape (memory, n_rows)
        One over the inner product of step and change, 0 if there is no pair.
    first : array of shape (n_rows, 1)
        Scale of the initial inverse Hessian, a multiple of the identity; 0 if unknown.
    """

    steps: Any
    changes: Any
    inverse: Any
    first: Any


def minimize_rows(
    loss: Callable[[Any], Any], x: Any, num_steps: int, *, first_step: float = 0.3
) -> Any:
    """Minimize the loss of each row by limited-memory BFGS [1]_; JAX can trace it.

    The rows are independent.  A step that does not lower the loss of its row is rejected, and a
    shorter step is tried.  Each step, and the initial point, costs one value and one gradient of
    all rows.

    Parameters
    ----------
    loss : callable
        Function from (n_rows, width) to (n_rows,); each entry depends only on its own row.
    x : array of shape (n_rows, width)
        Initial point.
    num_steps : int
        Number of steps; may be traced.
    first_step : float
        Length of the first step, before the curvature is known.

    Returns
    -------
    array of shape (n_rows, width)

    References
    ----------
    .. [1] J. Nocedal, S. Wright, "Numerical Optimization", 2006, algorithms 7.4 and 7.5.

    Examples
    --------
    >>> goal = jnp.array([[1.0, 2.0], [-3.0, 0.5]])
    >>> minimum = minimize_rows(
    ...     lambda x: jnp.sum((x - goal) ** 2 * jnp.array([1.0, 9.0]), axis=1), 0 * goal, 12
    ... )
    >>> bool(jnp.abs(minimum - goal).max() < 1e-3)
    True
    """

    def step(_: Any, so_far: tuple[_Point, _Curvature]) -> tuple[_Point, _Curvature]:
        here, curvature = so_far
        size = jnp.sqrt(jnp.sum(here.gradient**2, axis=1, keepdims=True))
        first = jnp.where(curvature.first > 0, curvature.first, first_step / (size + 1e-30))
        whole = _direction(here.gradient, curvature._replace(first=first))
        rising = jnp.sum(whole * here.gradient, axis=1, keepdims=True) >= 0
        whole = jnp.where(rising, -first * here.gradient, whole)
        x = here.x + here.share * whole
        losses, back = jax.vjp(loss, x)
        gradient = back(jnp.ones_like(losses))[0]
        curvature = _learn(curvature, x - here.x, gradient - here.gradient)
        lower = losses < here.loss  # False for NaN
        accepted = lower[:, None]
        return _Point(
            jnp.where(accepted, x, here.x),
            jnp.where(lower, losses, here.loss),
            jnp.where(accepted, gradient, here.gradient),
            jnp.where(accepted, 1.0, _SHORTER * here.share),
        ), curvature

    # the first step has no gradient and evaluates the initial point, so the loss is compiled once
    pairs = jnp.zeros((_MEMORY, *x.shape), x.dtype)
    known = _Curvature(pairs, pairs, pairs[:, :, 0], jnp.zeros_like(x[:, :1]))
    start = _Point(
        x, jnp.full(len(x), jnp.inf, x.dtype), jnp.zeros_like(x), jnp.ones_like(x[:, :1])
    )
    return jax.lax.fori_loop(0, 1 + num_steps, step, (start, known))[0].x


def _direction(gradient: Any, known: _Curvature) -> Any:
    """Compute minus the inverse Hessian times the gradient, by the two-loop recursion."""
    pairs = known.inverse, known.steps, known.changes

    def backward(gradient: Any, pair: Any) -> tuple[Any, Any]:
        inverse, step, change = pair
        weight = inverse * jnp.sum(step * gradient, axis=1)
        return gradient - weight[:, None] * change, weight

    def forward(result: Any, pair: Any) -> tuple[Any, None]:
        inverse, step, change, weight = pair
        other = inverse * jnp.sum(change * result, axis=1)
        return result + (weight - other)[:, None] * step, None

    # loops in XLA, because unrolled loops would take longer to compile than all the rest
    gradient, weights = jax.lax.scan(backward, gradient, pairs, reverse=True)
    result, _ = jax.lax.scan(forward, known.first * gradient, (*pairs, weights))
    return -result


def _learn(known: _Curvature, step: Any, change: Any) -> _Curvature:
    """Replace the oldest pair with a new one, in rows where the curvature is positive."""
    product, square = jnp.sum(step * change, axis=1), jnp.sum(change**2, axis=1)
    upward = product > 1e-8 * square
    inverse = jnp.where(upward, 1.0 / jnp.where(upward, product, 1.0), 0.0)

    def latest(old: Any, new: Any) -> Any:
        moved = jnp.concatenate([old[1:], new[None]])
        return jnp.where(jnp.reshape(upward, (1, -1) + (1,) * (new.ndim - 1)), moved, old)

    return _Curvature(
        latest(known.steps, step),
        latest(known.changes, change),
        latest(known.inverse, inverse),
        jnp.where(upward, product / jnp.maximum(square, 1e-30), known.first[:, 0])[:, None],
    )
