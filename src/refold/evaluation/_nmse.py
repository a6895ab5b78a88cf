"""Normalized mean squared error (NMSE) of the numeric columns."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from refold.errors import ParameterError, SchemaError
from refold.evaluation._entry_errors import entry_errors
from refold.sequences import Scaler, Sequences, as_sequences


def nmse(
    original: Sequences | Sequence[Any], reconstructed: Sequences | Sequence[Any], scaler: Scaler
) -> float:
    """Compute the normalized mean squared error of the numeric columns.

    This is the sum of the squared errors over the sum of the squared values, after standardization
    on the training split. 0 is perfect; 1 is the error of predicting the training mean at every
    step. Only observed entries of the original count. A step that the reconstruction lacks counts
    as the training mean; extra steps are ignored. For other columns, see `accuracy`.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        Sequences that were held out from training.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    float
        If all values of the original are the training mean: 0 if there is no error, else infinity.

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ, or none of them is numeric.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.sequences import Scaler, Sequences
    >>> original = Sequences.from_list([np.array([-1.0, 1.0, -1.0, 1.0])])
    >>> scaler = Scaler.fit(original, mode="features")
    >>> nmse(original, [np.array([-1.0, 1.0])], scaler)  # two of four steps are missing
    0.5
    """
    if scaler is None:
        raise ParameterError(
            "nmse needs a scaler fitted on the training split. Got none; "
            'pass Scaler.fit(train, mode="features").'
        )
    return _ratio(original, reconstructed, scaler, otherwise=float("inf"))


def explained_variance(
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None = None,
) -> float:
    """Share of the variance of the numeric columns that is explained: 1 - `nmse`.

    Parameters
    ----------
    original : Sequences or list of shape (n_sequences,)
        The true sequences.
    reconstructed : Sequences or list of shape (n_sequences,)
        In the order of ``original``.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``. By default the columns of
        ``original`` are standardized by their own mean and standard deviation.

    Returns
    -------
    float
        At most 1; 1 is perfect. If all values of the original are the mean: 1 if there is no error,
        else 0.

    Raises
    ------
    DataError
        If the two differ in their number of sequences, or are empty.
    SchemaError
        If the columns differ, or none of them is numeric.

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
    original: Sequences | Sequence[Any],
    reconstructed: Sequences | Sequence[Any],
    scaler: Scaler | None,
    *,
    otherwise: float,
) -> float:
    """Squared error over squared values, or ``otherwise`` if only the error is positive."""
    original = as_sequences(original)
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
