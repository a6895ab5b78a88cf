"""NMSE: squared error over power of the numeric columns, over real, observed steps."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import ParameterError, SchemaError
from refold.evaluation._entry_errors import entry_errors
from refold.sequences import Scaler, Sequences

__all__ = ["explained_variance", "nmse"]


def nmse(original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler) -> float:
    """Squared error over power of the numeric columns, standardised on the training split.

    0 is perfect; 1 is what the training mean at every step gets.  Only real, observed steps of
    the original count; a step that the reconstruction lacks counts as zero, an extra one is
    ignored.  Binary and categorical columns are left out: `accuracy` measures those.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in, held out from training.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    float
        Where the original has no power at all: 0 if there is no error either, else infinity.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ, or none of them is numeric.
    ParameterError
        If ``scaler`` is not one of features.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.sequences import Scaler, Sequences
    >>> original = Sequences.from_list([np.array([-1.0, 1.0, -1.0, 1.0])])
    >>> scaler = Scaler.fit(original, mode="features")
    >>> nmse(original, [np.array([-1.0, 1.0])], scaler)  # two of four steps are lacking
    0.5
    """
    if scaler is None:
        raise ParameterError(
            "nmse needs the units of the training split. Got no scaler; "
            'pass Scaler.fit(train, mode="features").'
        )
    return _ratio(original, reconstructed, scaler, otherwise=float("inf"))


def explained_variance(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> float:
    """Share of the variance of the numeric columns that comes back: 1 - NMSE, 1 is perfect.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``: the units of `nmse`.  Without one,
        the units are the mean and the standard deviation of each column of ``original``.

    Returns
    -------
    float
        At most 1.  Where the original has no power at all: 1 if there is no error, else 0.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ, or none of them is numeric.
    ParameterError
        If ``scaler`` is not one of features.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.sequences import Sequences
    >>> original = Sequences.from_list([np.array([1.0, 2.0, 3.0])])
    >>> explained_variance(original, [np.array([1.0, 2.0, 2.0])])
    0.5
    """
    return 1.0 - _ratio(original, reconstructed, scaler, otherwise=1.0)


def _ratio(
    original: Sequences,
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None,
    *,
    otherwise: float,
) -> float:
    """Squared error over power, with an answer where there is an error and no power."""
    numeric = original.schema.numeric
    if not numeric.any():
        raise SchemaError(
            "NMSE and explained variance need numeric columns. Got binary and categorical columns "
            "only; use accuracy or exact."
        )
    errors = entry_errors(original, reconstructed, scaler)[:, numeric]
    x = original.values[:, numeric].astype(float)
    if scaler is not None:
        mean, variance = scaler.mean_[numeric], np.square(scaler.scale_[numeric])
    else:
        count = np.maximum(1, (~np.isnan(x)).sum(axis=0))
        mean = np.nansum(x, axis=0) / count
        variance = np.nansum(np.square(x - mean), axis=0) / count
        variance = np.where(variance > 0, variance, 1.0)
        errors = errors / variance
    error, power = np.nansum(errors), np.nansum(np.square(x - mean) / variance)
    if power > 0:
        return float(error / power)
    return 0.0 if error == 0 else otherwise
