"""How close forecasts come, beside those that need no model."""

from typing import NamedTuple

from refold.evaluation._fidelity import as_percent, fidelity
from refold.evaluation._naive_forecasts import last_value, pick_season, seasonal_naive
from refold.sequences import Scaler, Sequences

__all__ = ["ForecastAccuracy", "ForecastErrors", "forecast_errors"]


class ForecastAccuracy(NamedTuple):
    """Accuracy of the binary and categorical columns, forecast in three ways.

    Attributes
    ----------
    model, last_value : float
    seasonal_naive : float or None
    """

    model: float
    last_value: float
    seasonal_naive: float | None


class ForecastErrors(NamedTuple):
    """Errors of forecasts on the same steps.

    Attributes
    ----------
    measure : {"NMSE", "1 - accuracy"}
        Squared error over power of the numeric columns, in standard units; where no column is
        numeric, the share of the steps whose symbols are not all right.
    model, last_value : float
    seasonal_naive : float or None
    season : int or None
        Steps of a season; None where nothing repeats.
    num_sequences : int
    accuracy : ForecastAccuracy or None
        None where all columns are numeric.
    """

    measure: str
    model: float
    last_value: float
    seasonal_naive: float | None
    season: int | None
    num_sequences: int
    accuracy: ForecastAccuracy | None = None

    def __str__(self) -> str:
        """Say it in a line."""
        again = None if self.season is None else f"a season of {self.season} steps again"
        parts = []
        if self.measure == "NMSE":
            says = f"NMSE {self.model:.3g}, last value {self.last_value:.3g}"
            if self.seasonal_naive is not None:
                says += f", {again} {self.seasonal_naive:.3g}"
            parts.append(says)
        if self.accuracy is not None:
            shares = self.accuracy
            says = (
                f"accuracy {as_percent(shares.model)}, last value {as_percent(shares.last_value)}"
            )
            if shares.seasonal_naive is not None:
                says += f", {again} {as_percent(shares.seasonal_naive)}"
            parts.append(says)
        return "; ".join(parts)


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
    NMSE 0, last value 3, a season of 4 steps again 0
    """
    season = pick_season(before) if season is None else season
    steps = max(1, int(after.lengths.max(initial=1)))
    model = fidelity(after, forecast, scaler)
    last = fidelity(after, last_value(before, steps), scaler)
    again = None
    if season is not None:
        again = fidelity(after, seasonal_naive(before, steps, season), scaler)
    accuracy = None
    if model.accuracy is not None and last.accuracy is not None:
        accuracy = ForecastAccuracy(
            model.accuracy, last.accuracy, None if again is None else again.accuracy
        )
    return ForecastErrors(
        model.measure,
        model.error,
        last.error,
        None if again is None else again.error,
        season,
        len(after),
        accuracy,
    )
