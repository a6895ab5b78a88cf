"""Losses that leave out what was not observed."""

from typing import Any

from keras import ops

__all__ = ["column_errors", "length_loss", "observed_mask"]

_SMALLEST = 1e-7


def observed_mask(y: Any) -> tuple[Any, Any]:
    """Split targets into finite values and a mask.

    Parameters
    ----------
    y : tensor of shape (batch, steps, features)
        Targets, NaN where nothing was observed.

    Returns
    -------
    values, observed : tensors of the shape of ``y``
        The targets with zeros for NaN, and 1.0 where a value was observed, else 0.0.
    """
    missing = ops.isnan(y)
    observed = ops.cast(ops.logical_not(missing), y.dtype)
    return ops.where(missing, ops.zeros_like(y), y), observed


def column_errors(values: Any, y_pred: Any, kinds: list[str], num_labels: list[int]) -> Any:
    """Error of every value by the kind of its column.

    Squared error for numeric columns, binary and categorical cross-entropy (in nats) for the
    others.

    Parameters
    ----------
    values : tensor of shape (batch, steps, features)
        Finite targets; a label's index for a categorical column.
    y_pred : tensor of shape (batch, steps, outputs)
        Means, probabilities and softmax blocks, as a ``ColumnHead`` writes them.
    kinds, num_labels : lists
        Kind of each column and its number of labels.

    Returns
    -------
    tensor of shape (batch, steps, features)
    """
    if set(kinds) == {"numeric"}:
        return ops.square(values - y_pred)
    if set(kinds) == {"binary"}:
        return _binary_cross_entropy(values, y_pred)
    errors, start = [], 0
    for i, (kind, labels) in enumerate(zip(kinds, num_labels, strict=True)):
        width = labels if kind == "categorical" else 1
        target, output = values[..., i : i + 1], y_pred[..., start : start + width]
        if kind == "numeric":
            errors.append(ops.square(target - output))
        elif kind == "binary":
            errors.append(_binary_cross_entropy(target, output))
        else:
            chosen = ops.cast(
                ops.abs(target - ops.arange(width, dtype=target.dtype)) < 0.5, target.dtype
            )
            probability = ops.sum(chosen * output, axis=-1, keepdims=True)
            errors.append(-ops.log(ops.maximum(probability, _SMALLEST)))
        start += width
    return ops.concatenate(errors, axis=-1)


def _binary_cross_entropy(target: Any, probability: Any) -> Any:
    probability = ops.clip(probability, _SMALLEST, 1.0 - _SMALLEST)
    return -(target * ops.log(probability) + (1.0 - target) * ops.log(1.0 - probability))


def length_loss(lengths: Any, predicted: Any) -> Any:
    """Negative log-likelihood of lengths under discretised logistic distributions, in nats.

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
    # mass between two points of a logistic: sigma(a) - sigma(b) = sigma(a) sigma(-b) (1 - e^(b-a))
    return ops.softplus(-above) + ops.softplus(below) - ops.log1p(-ops.exp(-rate))
