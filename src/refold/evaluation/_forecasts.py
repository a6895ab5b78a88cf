"""How close forecasts come, beside those that need no model."""

from typing import NamedTuple

from refold.evaluation._errors import nmse
from refold.evaluation._naive import last_value, pick_season, seasonal_naive
from refold.evaluation._symbols import accuracy
from refold.sequences import Scaler, Sequences

__all__ = ["ForecastErrors", "forecast_errors"]


class ForecastErrors(NamedTuple):
    """Errors of forecasts on the same steps.

    Attributes
    ----------
    measure : {"NMSE", "steps wrong"}
        Squared error over power, in standard units; where no column is numeric, the share of steps
        that are not as they were.
    model, last_value : float
    seasonal_naive : float or None
    season : int or None
        Steps of a season; None where nothing repeats.
    num_sequences : int
    """

    measure: str
    model: float
    last_value: float
    seasonal_naive: float | None
    season: int | None
    num_sequences: int

    def __str__(self) -> str:
        """Say it in a line."""
        count = f"{self.num_sequences} sequence{'' if self.num_sequences == 1 else 's'}"
        line = f"{self.model:.3g} ({self.measure}, {count}), last value {self.last_value:.3g}"
        if self.seasonal_naive is None:
            return line
        return f"{line}, a season of {self.season} steps again {self.seasonal_naive:.3g}"


def forecast_errors(
    before: Sequences,
    after: Sequences,
    forecast: Sequences,
    scaler: Scaler,
    *,
    season: int | None = None,
) -> ForecastErrors:
    """Measure forecasts, and the last value and the last season beside them.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
        What was known.
    after : Sequences of shape (n_sequences,)
        What came.
    forecast : Sequences of shape (n_sequences,)
        What was forecast, of at least as many steps.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``: the units.
    season : int, optional
        Steps of a season; by default as `pick_season` finds it in ``before``.

    Returns
    -------
    ForecastErrors

    Raises
    ------
    DataError
        If there is no sequence.

    Examples
    --------
    >>> from refold.sequences import split_at
    >>> waves = Sequences.from_list([[0.0, 1.0, 0.0, -1.0] * 4] * 3)
    >>> before, after = split_at(waves, 12)
    >>> print(forecast_errors(before, after, after, Scaler.fit(waves)))
    0 (NMSE, 3 sequences), last value 3, a season of 4 steps again 0
    """
    season = pick_season(before) if season is None else season
    steps = max(1, int(after.lengths.max(initial=1)))
    numeric = before.schema.numeric.any()

    def error(found: Sequences) -> float:
        return nmse(after, found, scaler) if numeric else 1.0 - accuracy(after, found)

    return ForecastErrors(
        "NMSE" if numeric else "steps wrong",
        error(forecast),
        error(last_value(before, steps)),
        None if season is None else error(seasonal_naive(before, steps, season)),
        season,
        len(after),
    )
