"""Squared errors over real, observed steps: by feature, over power, over variance."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from refold.errors import ParameterError
from refold.evaluation._matching import as_reconstruction, check_units, on_steps_of
from refold.sequences import Scaler, Sequences

__all__ = ["explained_variance", "nmse", "squared_errors"]


class _Sums(NamedTuple):
    """Sums over observed steps, one a feature."""

    error: np.ndarray
    power: np.ndarray
    spread: np.ndarray
    count: np.ndarray


def squared_errors(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> np.ndarray:
    """Mean squared error of each feature over real, observed steps.

    Numeric columns are measured in the units of ``scaler``, or as they are without one; binary
    columns as probabilities; categorical columns as the squared distance between the two one-hot
    codes, which is 2 for a wrong label.  A step that the reconstruction lacks counts as the mean
    of the column, which is zero in standardised units; an extra step is ignored.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``.

    Returns
    -------
    array of shape (n_features,)
        NaN for a feature that was never observed.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ.
    ParameterError
        If ``scaler`` is not one of features.

    Examples
    --------
    >>> import numpy as np
    >>> from refold.sequences import Sequences
    >>> original = Sequences.from_list([np.array([[1.0, 5.0], [3.0, 5.5]])])
    >>> squared_errors(original, [np.array([[1.0, 6.0], [2.0, 5.5]])]).tolist()
    [0.5, 0.5]
    """
    sums = _sums(original, reconstructed, scaler)
    return np.where(sums.count > 0, sums.error / np.maximum(sums.count, 1), np.nan)


def nmse(original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler) -> float:
    """Squared error over power, in units standardised on the training split.

    0 is perfect; 1 is what the training mean at every step gets.  Only real, observed steps of
    the original count; a step that the reconstruction lacks counts as zero, an extra one is
    ignored.  Binary and categorical columns have no standardised unit: theirs is the probability
    of each label, and zero its share in the original.

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
        If the columns differ.
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
    sums = _sums(original, reconstructed, scaler)
    return _ratio(sums.error.sum(), sums.power.sum(), otherwise=float("inf"))


def explained_variance(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None = None
) -> float:
    """Share of the variance over real, observed steps that comes back: 1 is perfect.

    One minus squared error over squared deviation from the original's own mean, both summed over
    all features.  Lengths and kinds of columns are treated as in `nmse`.

    Parameters
    ----------
    original : Sequences of shape (n_sequences,)
        What went in.
    reconstructed : Sequences or list of shape (n_sequences,)
        What came back, in the same order.
    scaler : Scaler, optional
        Fitted on the training split with ``mode="features"``: the units in which numeric features
        weigh alike.  Without one, each is divided by its own deviation in ``original``.

    Returns
    -------
    float
        At most 1.  Where the original does not vary: 1 if there is no error, else 0.

    Raises
    ------
    DataError
        If the numbers of sequences differ, or there are none.
    SchemaError
        If the columns differ.
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
    sums = _sums(original, reconstructed, scaler)
    error, spread = sums.error, sums.spread
    if scaler is None:
        numeric = original.schema.numeric
        unit = np.where(numeric & (spread > 0), spread / np.maximum(sums.count, 1), 1.0)
        error, spread = error / unit, spread / unit
    return 1.0 - _ratio(error.sum(), spread.sum(), otherwise=1.0)


def _ratio(error: float, power: float, *, otherwise: float) -> float:
    """Error over power, with an answer where there is no power."""
    if power > 0:
        return float(error / power)
    return 0.0 if error == 0 else otherwise


def _sums(
    original: Sequences, reconstructed: Sequences | Sequence[Any], scaler: Scaler | None
) -> _Sums:
    """Error, power about zero, spread about the mean and number of observed steps by feature."""
    check_units(scaler)
    x = original.values
    y = on_steps_of(original, as_reconstruction(original, reconstructed))
    if scaler is not None:
        x = scaler.transform(original).values
        y = scaler.transform(original.with_values(y)).values
    num_columns = len(original.schema.columns)
    sums = _Sums(*np.zeros((4, num_columns)))
    for i, column in enumerate(original.schema.columns):
        a, b = x[:, i].astype(float), y[:, i].astype(float)
        if column.kind == "categorical":
            terms = _label_terms(a, b, len(column.labels))
        else:
            standardised = scaler is not None and column.kind == "numeric"
            terms = _number_terms(a, b, zero=0.0 if standardised else None)
        for total, term in zip(sums, terms, strict=True):
            total[i] = term
    return sums


def _number_terms(x: np.ndarray, y: np.ndarray, zero: float | None) -> tuple[float, ...]:
    """Sum one numeric or binary column; a missing ``y`` counts as ``zero``, else the mean."""
    observed = ~np.isnan(x)
    x, y = x[observed], y[observed]
    mean = float(x.mean()) if len(x) else 0.0
    zero = mean if zero is None else zero
    error = x - np.where(np.isnan(y), zero, y)
    return (
        float(error @ error),
        float(((x - zero) ** 2).sum()),
        float(((x - mean) ** 2).sum()),
        len(x),
    )


def _label_terms(x: np.ndarray, y: np.ndarray, num_labels: int) -> tuple[float, ...]:
    """Sum one categorical column; a missing ``y`` counts as the shares of the labels."""
    observed = ~np.isnan(x) & (x < num_labels)
    x, y = x[observed].astype(int), y[observed]
    shares = np.bincount(x, minlength=num_labels) / max(len(x), 1)
    from_shares = 1.0 - 2.0 * shares[x] + shares @ shares
    missing = np.isnan(y) | (y >= num_labels)
    error = np.where(missing, from_shares, np.where(x == y, 0.0, 2.0))
    return float(error.sum()), float(from_shares.sum()), float(from_shares.sum()), len(x)
