"""Models run over many batches of one shape, so that each is compiled once."""

from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np

__all__ = ["predict"]


def predict(
    model: keras.Model, batches: Iterable[tuple[Any, ...]], *, batch_size: int
) -> Iterator[np.ndarray]:
    """Run a model over batches; smaller ones are filled up and cut again.

    Parameters
    ----------
    model : keras.Model
        With one output.
    batches : iterable of tuples of arrays
        The model's inputs, each of at most ``batch_size`` rows.
    batch_size : int
        Number of rows that the model is given.

    Yields
    ------
    array
        The output for each batch, as many rows as came in.

    Examples
    --------
    >>> x = keras.Input((2,))
    >>> model = keras.Model(x, x + 1.0)
    >>> [y.shape for y in predict(model, [(np.zeros((3, 2)),)], batch_size=4)]
    [(3, 2)]
    """
    for arrays in batches:
        num_rows = len(arrays[0])
        filled = [_fill_rows(np.asarray(array), batch_size) for array in arrays]
        output = model.predict_on_batch(filled[0] if len(filled) == 1 else filled)
        yield np.asarray(output)[:num_rows]


def _fill_rows(array: np.ndarray, num_rows: int) -> np.ndarray:
    missing = num_rows - len(array)
    if missing == 0:
        return array
    return np.concatenate([array, np.zeros((missing, *array.shape[1:]), array.dtype)])
