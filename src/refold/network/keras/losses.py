"""The losses of columns, which their types define, and of lengths."""

from collections.abc import Iterable
from typing import Any

from keras import ops

from refold.network.keras.tensors import Tensor
from refold.sequences.types import COLUMN_TYPES, outputs_of


def observed_mask(y: Tensor) -> tuple[Any, Any]:
    """Split targets, NaN where not observed, into values with zeros and a mask of 1.0 and 0.0."""
    missing = ops.isnan(y)
    observed = ops.cast(ops.logical_not(missing), y.dtype)
    return ops.where(missing, ops.zeros_like(y), y), observed


def column_errors(
    values: Tensor, y_pred: Tensor, column_types: list[str], num_categories: list[int]
) -> Any:
    """Compute the error (batch, steps, features) of each value, by the type of its column."""
    outputs = list(outputs_of(column_types, num_categories))
    types = {one.type for one in outputs}
    if len(types) == 1 and not outputs[0].type.has_categories:
        return types.pop().loss(values, y_pred, ops)
    errors = [
        one.type.loss(values[..., one.index : one.index + 1], y_pred[..., one.block], ops)
        for one in outputs
    ]
    return ops.concatenate(errors, axis=-1)


def are_squared(column_types: Iterable[str]) -> bool:
    """Return whether the errors of all columns are squared errors."""
    return all(COLUMN_TYPES[name].loss_is_squared for name in column_types)
