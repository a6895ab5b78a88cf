"""Forecast errors, next to those of the naive baselines."""

from typing import NamedTuple

from refold.evaluation._fidelity import as_percent, fidelity
from refold.evaluation._naive_forecasts import last_value, pick_season, seasonal_naive
from refold.sequences import Scaler, Sequences, as_sequences


class ForecastAccuracy(NamedTuple):
    """Accuracy on the binary and categorical columns, of the model and the naive baselines.

    Attributes
    ----------
    model, last_value : float
        Accuracy of the model, and of repeating the last value.
    seasonal_naive : float or None
        Accuracy of repeating the value of one season ago; None if no season was found.
    """

    model: float
    last_value: float
    seasonal_naive: float | None


class ForecastErrors(NamedTuple):
    """Forecast errors of the model and the naive baselines on the same steps.

    Attributes
    ----------
    measure : {"NMSE", "1 - accuracy"}
        Normalized squared error of the numeric columns; if no column is numeric, the share of steps
        with a wrong entry.
    model, last_value : float
        Error of the model, and of repeating the last value.
    seasonal_naive : float or None
        Error of repeating the value of one season ago; None if no season was found.
    season : int or None
        Season length in steps; None if no season was found.
    num_sequences : int
        Number of sequences that were measured.
    accuracy : ForecastAccuracy or None
        None if all columns are numeric.
    """

    measure: str
    model: float
    last_value: float
    seasonal_naive: float | None
    season: int | None
    num_sequences: int
    accuracy: ForecastAccuracy | None = None

    def __str__(self) -> str:
        """Format the errors in one line."""
        seasonal = f"seasonal naive ({self.season} steps)"
        parts = []
        if self.measure == "NMSE":
            text = f"NMSE {self.model:.3g}, last value {self.last_value:.3g}"
            if self.seasonal_naive is not None:
                text += f", {seasonal} {self.seasonal_naive:.3g}"
            parts.append(text)
        if self.accuracy is not None:
            shares = self.accuracy
            text = (
                f"accuracy {as_percent(shares.model)}, last value {as_percent(shares.last_value)}"
            )
            if shares.seasonal_naive is not None:
                text += f", {seasonal} {as_percent(shares.seasonal_naive)}"
            parts.append(text)
        return "; ".join(parts)


def forecast_errors(
    before: Sequences,
    after: Sequences,
    forecast: Sequences,
    scaler: Scaler,
    *,
    season: int | None = None,
) -> ForecastErrors:
    """Measure forecasts next to two naive baselines: the last value and the last season.

    Parameters
    ----------
    before : Sequences of shape (n_sequences,)
        Steps that the forecast is based on.
    after : Sequences of shape (n_sequences,)
        True values of the forecast steps.
    forecast : Sequences of shape (n_sequences,)
        Forecasts of at least as many steps.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``.
    season : int, optional
        Season length in steps; by default found by `pick_season` in ``before``.

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
    NMSE 0, last value 3, seasonal naive (4 steps) 0
    """
    before, after = as_sequences(before), as_sequences(after)
    season = pick_season(before) if season is None else season
    steps = max(1, int(after.lengths.max(initial=1)))
    model = fidelity(after, forecast, scaler)
    last = fidelity(after, last_value(before, steps), scaler)
    seasonal = None
    if season is not None:
        seasonal = fidelity(after, seasonal_naive(before, steps, season), scaler)
    accuracy = None
    if model.accuracy is not None and last.accuracy is not None:
        accuracy = ForecastAccuracy(
            model.accuracy, last.accuracy, None if seasonal is None else seasonal.accuracy
        )
    return ForecastErrors(
        model.measure,
        model.error,
        last.error,
        None if seasonal is None else seasonal.error,
        season,
        len(after),
        accuracy,
    )
