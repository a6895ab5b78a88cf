"""Table of the losses of the column types, and the loss of lengths.

`ColumnHead.errors` of `refold.inference` has the same losses in NumPy.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from keras import ops

_SMALLEST = 1e-7


def observed_mask(y: Any) -> tuple[Any, Any]:
    """Split targets, NaN where not observed, into values with zeros and a mask of 1.0 and 0.0."""
    missing = ops.isnan(y)
    observed = ops.cast(ops.logical_not(missing), y.dtype)
    return ops.where(missing, ops.zeros_like(y), y), observed


class ColumnLoss(NamedTuple):
    """The loss of a column type."""

    # From targets (..., 1) and outputs (..., width of the column) to errors (..., 1). If every
    # column has one output, it is called once for all of them, with shapes (..., columns).
    error: Callable[[Any, Any], Any]
    # Whether the mean error is a variance. A variational model then gives the KL divergence the
    # weight that follows from the likelihood of a normal distribution.
    squared: bool = False


def _squared_error(target: Any, output: Any) -> Any:
    return ops.square(target - output)


def _binary_cross_entropy(target: Any, probability: Any) -> Any:
    probability = ops.clip(probability, _SMALLEST, 1.0 - _SMALLEST)
    return -(target * ops.log(probability) + (1.0 - target) * ops.log(1.0 - probability))


def _categorical_cross_entropy(target: Any, probabilities: Any) -> Any:
    categories = ops.arange(probabilities.shape[-1], dtype=target.dtype)
    chosen = ops.cast(ops.abs(target - categories) < 0.5, target.dtype)
    probability = ops.sum(chosen * probabilities, axis=-1, keepdims=True)
    return -ops.log(ops.maximum(probability, _SMALLEST))


COLUMN_LOSSES = {
    "numeric": ColumnLoss(_squared_error, squared=True),
    "binary": ColumnLoss(_binary_cross_entropy),
    "categorical": ColumnLoss(_categorical_cross_entropy),
}
"""The loss of each column type, in training, in validation and in latent optimization."""


def column_errors(
    values: Any, y_pred: Any, column_types: list[str], num_categories: list[int]
) -> Any:
    """Compute the error (batch, steps, features) of each value, by the type of its column."""
    if len(set(column_types)) == 1 and column_types[0] != "categorical":
        return COLUMN_LOSSES[column_types[0]].error(values, y_pred)
    errors, start = [], 0
    for i, (column_type, n) in enumerate(zip(column_types, num_categories, strict=True)):
        width = n if column_type == "categorical" else 1
        target, output = values[..., i : i + 1], y_pred[..., start : start + width]
        errors.append(COLUMN_LOSSES[column_type].error(target, output))
        start += width
    return ops.concatenate(errors, axis=-1)


def are_squared(column_types: Iterable[str]) -> bool:
    """Return whether the errors of all columns are squared errors."""
    return all(COLUMN_LOSSES[column_type].squared for column_type in column_types)


def length_loss(lengths: Any, predicted: Any) -> Any:
    """Return the negative log-likelihood (batch,) of lengths (batch,), in nats."""
    # a discretized logistic distribution, whose parameters a `LengthHead` writes
    location, log_scale = predicted[:, 0], predicted[:, 1]
    rate = ops.exp(-log_scale)
    above = (lengths + 0.5 - location) * rate
    below = (lengths - 0.5 - location) * rate
    # logistic mass between two points: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
    return ops.softplus(-above) + ops.softplus(below) - ops.log1p(-ops.exp(-rate))
