"""Forecasts that need no model: the last value again, and the last season again."""

import numpy as np

from refold.errors import DataError, ParameterError
from refold.sequences import Sequences, positions

__all__ = ["last_value", "pick_season", "seasonal_naive"]

# Values at most that a season is looked for in, and the longest one.
_MOST_VALUES, _LONGEST = 1 << 18, 1024
# A shorter season is taken if its differences are larger by no more than this.
_AS_GOOD = 1.1
# Differences, over those of a step, that are taken for rounding.
_ROUNDING = 1e-9


def last_value(before: Sequences, steps: int) -> Sequences:
    """Forecast that the last observed value of each column comes again.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
    steps : int
        Steps to forecast.

    Returns
    -------
    Sequences of shape (n_sequences,)
        Of so many steps each; missing where a column was never observed.

    Examples
    --------
    >>> last_value(Sequences.from_list([[1.0, 2.0], [3.0, float("nan")]]), 2).to_list()
    [array([2., 2.]), array([3., 3.])]
    """
    return seasonal_naive(before, steps, 1)


def seasonal_naive(before: Sequences, steps: int, season: int) -> Sequences:
    """Forecast that what was a season ago comes again.

    Where it was not observed, or a sequence is shorter than a season, what was observed last
    counts: of an earlier season if there is one, else of all.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
    steps : int
        Steps to forecast.
    season : int
        Steps of a season.

    Returns
    -------
    Sequences of shape (n_sequences,)
        Of so many steps each; missing where a column was never observed.

    Raises
    ------
    ParameterError
        If ``steps`` or ``season`` is not positive.

    Examples
    --------
    >>> seasonal_naive(Sequences.from_list([[1.0, 2.0, 3.0, 1.0, 2.0]]), 4, 3).to_list()
    [array([3., 1., 2., 3.])]
    """
    for name, value in (("steps", steps), ("season", season)):
        if value < 1:
            raise ParameterError(f"{name} must be a positive integer. Got {value!r}.")
    # of each phase that comes, the value observed last: later steps overwrite earlier ones
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
    """Find after how many steps sequences repeat themselves best.

    That is the lag, from 2 to half the typical length, at which values differ least from those
    before, or a shorter one that is as good, if they differ less than at the lags beside it, and
    less than a step after the other.

    Parameters
    ----------
    sequences : Sequences
        Of which some are looked at where there are many.

    Returns
    -------
    int or None
        None where nothing repeats.

    Raises
    ------
    DataError
        If there is none.

    Examples
    --------
    >>> pick_season(Sequences.from_list([[0.0, 1.0, 5.0, 2.0] * 6]))
    4
    """
    if not len(sequences):
        raise DataError("There is no sequence to look for a season in. Give at least one.")
    widest = _MOST_VALUES // sequences.schema.num_columns
    row, _ = positions(sequences)
    row, values = row[:widest], np.asarray(sequences.values[:widest], float)
    count = np.maximum(1, (~np.isnan(values)).sum(axis=0))
    spread = np.nansum((values - np.nansum(values, axis=0) / count) ** 2, axis=0) / count
    values = values / np.where(spread > 0, np.sqrt(spread), 1.0)
    labels = ~sequences.schema.numeric
    longest = int(min(_LONGEST, np.median(sequences.lengths) // 2))
    differences = []
    for lag in range(1, longest + 2):
        same = row[lag:] == row[:-lag]
        squares = ((values[lag:] - values[:-lag])[same]) ** 2
        # labels are the same or not, whatever their order
        squares[:, labels] = np.where(np.isnan(squares), np.nan, squares > 0)[:, labels]
        observed = ~np.isnan(squares)
        differences.append(squares[observed].mean() if observed.any() else np.inf)
    found = np.array(differences)
    if len(found) < 3:
        return None
    lags = np.arange(2, len(found))
    dips = lags[(found[lags - 1] < found[lags - 2]) & (found[lags - 1] <= found[lags])]
    if not len(dips):
        return None
    # what repeats after a season does so after two, too
    close = found[dips - 1] <= _AS_GOOD * found[dips - 1].min() + _ROUNDING * found[0]
    best = int(dips[close][0])
    return best if found[best - 1] < found[0] else None
