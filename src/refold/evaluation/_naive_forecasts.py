"""Naive forecasts, which repeat the last value or the last season, and season detection."""

import numpy as np

from refold._support.argument_checks import check_some, check_whole
from refold.sequences import Sequences, as_sequences, positions

_MAX_VALUES = 1 << 18  # values that are searched for a season
_MAX_SEASON = 1024
# A multiple of the season repeats as well, so a shorter lag wins unless its differences are larger
# than the smallest by more than this factor.
_TOLERANCE = 1.1
_ROUNDING = 1e-9  # differences that count as rounding, relative to those of one step


def last_value(before: Sequences, steps: int) -> Sequences:
    """Forecast the last observed value of each column.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
        Sequences to forecast from.
    steps : int
        Steps to forecast.

    Returns
    -------
    Sequences of shape (n_sequences,)
        ``steps`` steps each; missing where a column was never observed.

    Examples
    --------
    >>> last_value(Sequences.from_list([[1.0, 2.0], [3.0, float("nan")]]), 2).to_list()
    [array([2., 2.]), array([3., 3.])]
    """
    return seasonal_naive(before, steps, 1)


def linear_continuation(before: Sequences, steps: int) -> Sequences:
    """Forecast that each numeric column goes on as between its last two observed values.

    Other columns, and columns that were observed once, keep their last value.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
        Sequences to forecast from.
    steps : int
        Steps to forecast.

    Returns
    -------
    Sequences of shape (n_sequences,)
        ``steps`` steps each; missing where a column was never observed.

    Examples
    --------
    >>> linear_continuation(Sequences.from_list([[1.0, 3.0], [5.0]]), 2).to_list()
    [array([5., 7.]), array([5., 5.])]
    """
    last = last_value(before, steps)
    row, step = positions(before)
    slope = np.zeros((len(before), before.schema.num_columns))
    for column in np.flatnonzero(before.schema.numeric):
        observed = np.flatnonzero(~np.isnan(before.values[:, column]))
        values, at = before.values[observed, column].astype(float), step[observed]
        pairs = np.flatnonzero(row[observed][1:] == row[observed][:-1])
        # the last pair of a sequence overwrites its earlier ones
        slope[row[observed][pairs], column] = (values[1:] - values[:-1])[pairs] / np.diff(at)[pairs]
    ahead = np.tile(np.arange(1, steps + 1), len(before))[:, None]
    return last.with_values(last.values + ahead * np.repeat(slope, steps, axis=0))


def seasonal_naive(before: Sequences, steps: int, season: int) -> Sequences:
    """Forecast the value of one season ago.

    If it was not observed, the forecast is the value of an earlier season at the same phase, or
    else the last observed value.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
        Sequences to forecast from.
    steps : int
        Steps to forecast.
    season : int
        Season length in steps.

    Returns
    -------
    Sequences of shape (n_sequences,)
        ``steps`` steps each; missing where a column was never observed.

    Raises
    ------
    ParameterError
        If ``steps`` or ``season`` is not positive.

    Examples
    --------
    >>> seasonal_naive(Sequences.from_list([[1.0, 2.0, 3.0, 1.0, 2.0]]), 4, 3).to_list()
    [array([3., 1., 2., 3.])]
    """
    before = as_sequences(before)
    for name, value in (("steps", steps), ("season", season)):
        check_whole(name, value)
    # the last observed value of each phase: later steps overwrite earlier ones
    row, step = positions(before)
    phase, width = (step - before.lengths[row]) % season, min(season, steps)
    shape, type_ = (len(before), width, before.schema.num_columns), before.values.dtype
    latest, last = np.full(shape, np.nan, type_), np.full((shape[0], shape[2]), np.nan, type_)
    for column in range(before.schema.num_columns):
        observed = ~np.isnan(before.values[:, column])
        last[row[observed], column] = before.values[observed, column]
        observed &= phase < width
        latest[row[observed], phase[observed], column] = before.values[observed, column]
    ahead = np.where(np.isnan(latest), last[:, None], latest)[:, np.arange(steps) % season]
    offsets = np.arange(len(before) + 1) * steps
    flat = ahead.reshape(-1, before.schema.num_columns)
    return Sequences(flat, offsets, ids=before.ids, schema=before.schema)


def pick_season(sequences: Sequences) -> int | None:
    """Find the lag at which sequences repeat best.

    The lag is between 2 and half the median length. Values differ from those one lag before less
    than at the neighboring lags, and less than from step to step. Among such lags, the shortest
    whose differences are close to the smallest is chosen.

    Parameters
    ----------
    sequences : Sequences
        At least one; only the first ones are used if there are many.

    Returns
    -------
    int or None
        None if there is no such lag.

    Raises
    ------
    DataError
        If there is no sequence.

    Examples
    --------
    >>> pick_season(Sequences.from_list([[0.0, 1.0, 5.0, 2.0] * 6]))
    4
    """
    sequences = as_sequences(sequences)
    check_some(len(sequences), "sequence", "to find a season in")
    widest = _MAX_VALUES // sequences.schema.num_columns
    row, _ = positions(sequences)
    row, values = row[:widest], np.asarray(sequences.values[:widest], float)
    count = np.maximum(1, (~np.isnan(values)).sum(axis=0))
    spread = np.nansum((values - np.nansum(values, axis=0) / count) ** 2, axis=0) / count
    values = values / np.where(spread > 0, np.sqrt(spread), 1.0)
    categorical = ~sequences.schema.numeric
    longest = int(min(_MAX_SEASON, np.median(sequences.lengths) // 2))
    differences = []
    for lag in range(1, longest + 2):
        same = row[lag:] == row[:-lag]
        squares = ((values[lag:] - values[:-lag])[same]) ** 2
        # categories have no order: they are equal or not
        differs = np.where(np.isnan(squares), np.nan, squares > 0)
        squares[:, categorical] = differs[:, categorical]
        observed = ~np.isnan(squares)
        differences.append(squares[observed].mean() if observed.any() else np.inf)
    error = np.array(differences)
    if len(error) < 3:
        return None
    lags = np.arange(2, len(error))
    dips = lags[(error[lags - 1] < error[lags - 2]) & (error[lags - 1] <= error[lags])]
    if not len(dips):
        return None
    close = error[dips - 1] <= _TOLERANCE * error[dips - 1].min() + _ROUNDING * error[0]
    best = int(dips[close][0])
    return best if error[best - 1] < error[0] else None
