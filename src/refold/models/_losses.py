"""Table of the losses of the column types, and the loss of lengths.

To change the loss of a column type, write a function of targets and outputs, and put it into
`COLUMN_LOSSES`. Change `ColumnHead.errors` of `refold.inference`, too, which has it in NumPy.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from keras import ops

_SMALLEST = 1e-7


def observed_mask(y: Any) -> tuple[Any, Any]:
    """Split targets into finite values and a mask.

    Parameters
    ----------
    y : tensor of shape (batch, steps, features)
        Targets, NaN where not observed.

    Returns
    -------
    values, observed : tensors of the shape of ``y``
        The targets with zeros for NaN, and a mask with 1.0 for observed values, else 0.0.
    """
    missing = ops.isnan(y)
    observed = ops.cast(ops.logical_not(missing), y.dtype)
    return ops.where(missing, ops.zeros_like(y), y), observed


class ColumnLoss(NamedTuple):
    """The loss of a column type.

    Attributes
    ----------
    error : callable
        Function from targets of shape (..., 1) and outputs of shape (..., width of the column) to
        errors of shape (..., 1).  If a column has one output, it is also called for all columns at
        once, with shapes (..., columns).
    squared : bool
        Whether the mean error is a variance.  A variational model then gives the KL divergence
        the weight that follows from the likelihood of a normal distribution.
    """

    error: Callable[[Any, Any], Any]
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
    """Compute the error of each value with the loss of its column type, from `COLUMN_LOSSES`.

    Parameters
    ----------
    values : tensor of shape (batch, steps, features)
        Finite targets; the index of the category for a categorical column.
    y_pred : tensor of shape (batch, steps, outputs)
        Means, probabilities and softmax blocks, as a ``ColumnHead`` writes them.
    column_types, num_categories : lists
        Type of each column and its number of categories.

    Returns
    -------
    tensor of shape (batch, steps, features)

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([[[1.0, 1.0]]], "float32")
    >>> outputs = np.array([[[3.0, 0.2, 0.8]]], "float32")
    >>> errors = column_errors(values, outputs, ["numeric", "categorical"], [0, 2])
    >>> np.asarray(errors, float).round(2).tolist()
    [[[4.0, 0.22]]]
    """
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
    """Return whether the errors of all columns are squared errors.

    Examples
    --------
    >>> are_squared(["numeric"]), are_squared(["numeric", "binary"])
    (True, False)
    """
    return all(COLUMN_LOSSES[column_type].squared for column_type in column_types)


def length_loss(lengths: Any, predicted: Any) -> Any:
    """Negative log-likelihood of lengths under discretized logistic distributions, in nats.

    Parameters
    ----------
    lengths : tensor of shape (batch,)
        True lengths in steps.
    predicted : tensor of shape (batch, 2)
        Location and log-scale, as a ``LengthHead`` writes them.

    Returns
    -------
    tensor of shape (batch,)

    Examples
    --------
    >>> import numpy as np
    >>> certain = np.array([[7.0, -4.0]], "float32")
    >>> right, wrong = np.array([7.0], "float32"), np.array([8.0], "float32")
    >>> bool(length_loss(right, certain)[0] < 0.001 < length_loss(wrong, certain)[0])
    True
    """
    location, log_scale = predicted[:, 0], predicted[:, 1]
    rate = ops.exp(-log_scale)
    above = (lengths + 0.5 - location) * rate
    below = (lengths - 0.5 - location) * rate
    # logistic mass between two points: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
    return ops.softplus(-above) + ops.softplus(below) - ops.log1p(-ops.exp(-rate))
