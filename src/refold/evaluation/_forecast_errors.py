"""Forecast errors, next to those of naive forecasts."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.output import counted, short_number
from refold._support.rules import check_some
from refold.errors import DataError
from refold.evaluation._reconstruction_errors import as_percent, entry_errors, fidelity
from refold.sequences import Scaler, Sequences, as_sequences, positions

# A forecast is worse than another if its error is larger by more than this factor.
_MARGIN = 1.01
# Maximum number of columns to name for each baseline.
_MAX_NAMED = 3
# The naive forecasts: fields of `ForecastErrors`, and their names in a text.
_NAIVE = {
    "last_value": "last value",
    "linear": "linear continuation",
    "seasonal_naive": "last season",
}
_MAX_VALUES = 1 << 18  # values that are searched for a season
_MAX_SEASON = 1024
# A multiple of the season repeats as well, so a shorter lag wins unless its differences are larger
# than the smallest by more than this factor.
_TOLERANCE = 1.1
_ROUNDING = 1e-9  # differences that count as rounding, relative to those of one step


@dataclass(frozen=True)
class ForecastErrors:
    """Forecast errors of the model and the naive baselines on the same steps.

    Attributes
    ----------
    measure : {"NMSE", "1 - accuracy"}
        Normalized squared error of the numeric columns; if no column is numeric, the share of steps
        with a wrong entry.
    model, last_value : float
        Error of the model, and of repeating the last value.
    linear : float or None
        Error of going on as between the last two values; None if no column is numeric.
    seasonal_naive : float or None
        Error of repeating the value of one season ago; None if no season was found.
    season : int or None
        Season length in steps; None if no season was found.
    num_sequences : int
        Number of sequences that were measured.
    accuracy : dict of float or None
        Share of steps at which all binary and categorical entries are right: of ``"model"``,
        ``"last_value"`` and, if a season was found, ``"seasonal_naive"``. None if all columns are
        numeric.
    by_step : dict of arrays of shape (steps, n_columns)
        Errors of each step and column, of ``"model"`` and of each baseline: the root mean squared
        error of a numeric column in its own unit, or the share of wrong values. NaN where nothing
        was observed.
    names : tuple of str
        Names of the columns.

    Examples
    --------
    >>> from refold.sequences import split_at
    >>> waves = Sequences.from_list([[0.0, 1.0, 0.0, -1.0] * 4] * 3)
    >>> before, after = split_at(waves, 12)
    >>> forecast_errors(before, after, after, Scaler.fit(waves)).season
    4
    """

    measure: str
    model: float
    last_value: float
    linear: float | None
    seasonal_naive: float | None
    season: int | None
    num_sequences: int
    accuracy: dict[str, float] | None
    by_step: dict[str, np.ndarray]
    names: tuple[str, ...]

    def __repr__(self) -> str:
        errors = f"{self.measure} {short_number(self.model)}"
        last = f"last value {short_number(self.last_value)}"
        return f"ForecastErrors({counted(self.num_sequences, 'sequence')}, {errors}, {last})"

    def __str__(self) -> str:
        """Format the errors in one line, and in a second one where a baseline is better."""
        naive = _NAIVE | {"seasonal_naive": f"seasonal naive ({self.season} steps)"}
        measures = []
        if self.measure == "NMSE":
            errors = {field: getattr(self, field) for field in self.by_step}
            measures.append(("NMSE", errors, "{:.3g}".format))
        if self.accuracy is not None:
            measures.append(("accuracy", self.accuracy, as_percent))
        parts = []
        for measure, values, form in measures:
            names = {field: name for field, name in naive.items() if field in values}
            texts = [f"{name} {form(values[field])}" for field, name in names.items()]
            parts.append(", ".join([f"{measure} {form(values['model'])}", *texts]))
        text = "; ".join(parts)
        return f"{text}\n{self.worse}" if self.worse else text

    @property
    def worse(self) -> str:
        """One line that counts where a baseline is better by more than 1 %; empty if none is."""
        parts = []
        for field, name in _NAIVE.items():
            if field in self.by_step:
                worse = self.by_step["model"] > _MARGIN * self.by_step[field]
                if count := int(worse.sum()):
                    columns = ", ".join(np.array(self.names)[worse.any(axis=0)][:_MAX_NAMED])
                    parts.append(f"the {name} at {count} of {worse.size} steps ({columns})")
        return f"Worse than {'; than '.join(parts)}." if parts else ""

    def to_table(self) -> pa.Table:
        """Return ``by_step`` as a table with one row for each column and step; NaN is null."""
        steps = len(self.by_step["model"])
        errors = {
            name: pa.array(errors.T.ravel(), from_pandas=True)
            for name, errors in self.by_step.items()
        }
        names, numbers = np.repeat(self.names, steps), np.arange(1, steps + 1)
        return pa.table({"column": names, "step": np.tile(numbers, len(self.names)), **errors})


def forecast_errors(
    before: Sequences,
    after: Sequences,
    forecast: Sequences,
    scaler: Scaler,
    *,
    season: int | None = None,
) -> ForecastErrors:
    """Measure forecasts next to naive baselines: last value, linear continuation, last season.

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
        Season length in steps; by default the lag, up to half the median length, at which
        ``before`` repeats best.

    Examples
    --------
    >>> from refold.sequences import split_at
    >>> waves = Sequences.from_list([[0.0, 1.0, 0.0, -1.0] * 4] * 3)
    >>> before, after = split_at(waves, 12)
    >>> print(forecast_errors(before, after, after, Scaler.fit(waves)))
    NMSE 0, last value 3, linear continuation 26, seasonal naive (4 steps) 0
    """
    before, after = as_sequences(before), as_sequences(after)
    check_some(len(before), "sequence", "to forecast")
    season = pick_season(before) if season is None else season
    steps = max(1, int(after.lengths.max(initial=1)))
    forecast = as_sequences(forecast).align(after.schema)
    forecasts = {"model": forecast, "last_value": seasonal_naive(before, steps, 1)}
    if after.schema.numeric.any():
        forecasts["linear"] = linear_continuation(before, steps)
    if season is not None:
        forecasts["seasonal_naive"] = seasonal_naive(before, steps, season)
    measured = {name: fidelity(after, ahead, scaler) for name, ahead in forecasts.items()}
    if len(short := np.flatnonzero(forecast.lengths < after.lengths)):
        i = short[0]
        raise DataError(
            f"The forecast of sequence {i} has {forecast.lengths[i]} steps, but {after.lengths[i]} "
            "true steps follow. Forecast at least as many steps."
        )
    by_step = {name: _by_step(after, ahead, scaler) for name, ahead in forecasts.items()}
    if "linear" in by_step:
        by_step["linear"][:, ~after.schema.numeric] = np.nan
    errors: dict[str, Any] = {"linear": None, "seasonal_naive": None}
    errors |= {name: quality.error for name, quality in measured.items()}
    accuracy = {
        name: quality.accuracy
        for name, quality in measured.items()
        if quality.accuracy is not None and name != "linear"
    }
    return ForecastErrors(
        measured["model"].measure,
        **errors,
        season=season,
        num_sequences=len(after),
        accuracy=accuracy or None,
        by_step=by_step,
        names=tuple(after.schema.names),
    )


def _by_step(after: Sequences, ahead: Sequences, scaler: Scaler) -> np.ndarray:
    """Return the error of each step and column, (steps, n_columns)."""
    numeric, (_, step) = after.schema.numeric, positions(after)
    errors = entry_errors(after, ahead, scaler)
    errors[:, numeric] *= np.square(scaler.scale_[numeric])
    observed = ~np.isnan(errors)
    shape = max(1, int(after.lengths.max(initial=1))), errors.shape[1]
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, step, np.where(observed, errors, 0.0))
    np.add.at(count, step, observed)
    mean = np.divide(total, count, out=np.full(shape, np.nan), where=count > 0)
    return np.where(numeric, np.sqrt(mean), mean)


def linear_continuation(before: Sequences, steps: int) -> Sequences:
    """Forecast that each numeric column goes on as between its last two observed values."""
    # Other columns, and columns that were observed once, keep their last value.
    last = seasonal_naive(before, steps, 1)
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
    """Forecast the value of one season ago; with a season of 1, the last value."""
    # If it was not observed, the forecast is the value of an earlier season at the same phase, or
    # else the last observed value. It is missing where a column was never observed.
    # The last observed value of each phase: later steps overwrite earlier ones.
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
    """Find the lag at which sequences repeat best; None if there is none."""
    # The lag is between 2 and half the median length. Values differ from those one lag before less
    # than at the neighboring lags, and less than from step to step. Among such lags, the shortest
    # whose differences are close to the smallest is chosen.
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
