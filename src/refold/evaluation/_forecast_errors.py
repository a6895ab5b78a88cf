"""Forecast errors, next to those of naive forecasts.

`forecast_errors` measures a forecast and the baselines, which `seasonal_naive` and
`linear_continuation` compute. `pick_season` finds the season.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from refold._support.messages import format_rounded, pluralize
from refold._support.rules import check_not_empty
from refold.errors import DataError
from refold.evaluation._reconstruction_errors import as_percent, entry_errors, fidelity
from refold.sequences import Scaler, Sequences, as_sequences, sequence_and_step_indices

# A forecast is worse than a baseline if its error is more than this number of times as large.
# Smaller differences are rarely of interest.
_MIN_WORSE_ERROR_RATIO = 1.01
# Maximum number of columns that a text names for each baseline, so that it stays short.
_MAX_COLUMNS_NAMED = 3
# Names of the baselines in a text, by the attribute of `ForecastErrors`.
_BASELINE_NAMES = {
    "last_value": "last value",
    "linear": "linear continuation",
    "seasonal_naive": "last season",
}
# Maximum number of values that are searched for a season. It limits the time.
_MAX_VALUES_FOR_SEASON = 1 << 18
# Maximum number of steps of a season. It limits the time.
_MAX_SEASON_STEPS = 1024
# The season is the shortest lag whose mean squared difference is at most this number of times as
# large as that of the best lag. The best lag is often a multiple of the season.
_MAX_SEASON_RATIO_TO_BEST_LAG = 1.1
# Mean squared differences below this share of the one at lag 1 are due to rounding.
_DIFFERENCE_ROUNDING_TOLERANCE = 1e-9


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
        Error of the straight line through the last two values; None if no column is numeric.
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
        errors = f"{self.measure} {format_rounded(self.model)}"
        last = f"last value {format_rounded(self.last_value)}"
        return f"ForecastErrors({pluralize(self.num_sequences, 'sequence')}, {errors}, {last})"

    def __str__(self) -> str:
        """Format the errors in one line, and in a second one where a baseline is better."""
        # the line of errors also tells the length of the season
        labels = _BASELINE_NAMES | {"seasonal_naive": f"seasonal naive ({self.season} steps)"}
        # for each measure: its name, its value for each forecast, and the function that formats it
        measures = []
        if self.measure == "NMSE":
            errors = {field: getattr(self, field) for field in self.by_step}
            measures.append(("NMSE", errors, "{:.3g}".format))
        if self.accuracy is not None:
            measures.append(("accuracy", self.accuracy, as_percent))
        texts = []
        for measure, values, to_text in measures:
            parts = [f"{measure} {to_text(values['model'])}"]
            parts += [f"{labels[key]} {to_text(values[key])}" for key in labels if key in values]
            texts.append(", ".join(parts))
        text = "; ".join(texts)
        return f"{text}\n{self.worse}" if self.worse else text

    @property
    def worse(self) -> str:
        """One line that counts where a baseline is better by more than 1 %; empty if none is."""
        texts = []
        for field, name in _BASELINE_NAMES.items():
            # A baseline is not computed if it needs a season or a numeric column that is missing.
            # With infinite errors, it is better nowhere.
            errors = self.by_step.get(field, np.full(len(self.names), np.inf))
            is_worse = self.by_step["model"] > _MIN_WORSE_ERROR_RATIO * errors  # (steps, n_columns)
            if count := int(is_worse.sum()):  # a step counts once for each column
                columns = np.array(self.names)[is_worse.any(axis=0)][:_MAX_COLUMNS_NAMED]
                texts.append(
                    f"the {name} at {count} of {is_worse.size} steps ({', '.join(columns)})"
                )
        return f"Worse than {'; than '.join(texts)}." if texts else ""

    def to_table(self) -> pa.Table:
        """Return ``by_step`` as a table with one row for each column and step; NaN is null."""
        num_steps = len(self.by_step["model"])
        step_numbers = np.tile(np.arange(1, num_steps + 1), len(self.names))
        columns = {"column": np.repeat(self.names, num_steps), "step": step_numbers}
        for name, errors in self.by_step.items():
            columns[name] = pa.array(errors.T.ravel(), from_pandas=True)
        return pa.table(columns)


def forecast_errors(
    past: Sequences,
    future: Sequences,
    forecast: Sequences,
    scaler: Scaler,
    *,
    season: int | None = None,
) -> ForecastErrors:
    """Measure forecasts next to naive baselines: last value, linear continuation, last season.

    Parameters
    ----------
    past : Sequences of shape (n_sequences,)
        Steps that the forecast is based on.
    future : Sequences of shape (n_sequences,)
        True values of the forecast steps.
    forecast : Sequences of shape (n_sequences,)
        Forecasts of at least as many steps.
    scaler : Scaler
        Fitted on the training split with ``mode="features"``.
    season : int, optional
        Season length in steps; by default the lag, up to half the median length, at which
        ``past`` repeats best.

    Examples
    --------
    >>> from refold.sequences import split_at
    >>> waves = Sequences.from_list([[0.0, 1.0, 0.0, -1.0] * 4] * 3)
    >>> before, after = split_at(waves, 12)
    >>> print(forecast_errors(before, after, after, Scaler.fit(waves)))
    NMSE 0, last value 3, linear continuation 26, seasonal naive (4 steps) 0
    """
    past, future = as_sequences(past), as_sequences(future)
    check_not_empty(len(past), "sequence", "to forecast")
    season = pick_season(past) if season is None else season
    num_steps = max(1, int(future.lengths.max(initial=1)))
    forecast = as_sequences(forecast).convert_to_schema(future.schema)
    numeric = future.schema.numeric
    forecasts = {"model": forecast, "last_value": seasonal_naive(past, num_steps, season=1)}
    if numeric.any():
        forecasts["linear"] = linear_continuation(past, num_steps)
    if season is not None:
        forecasts["seasonal_naive"] = seasonal_naive(past, num_steps, season)
    fidelities = {name: fidelity(future, x, scaler) for name, x in forecasts.items()}
    if len(too_short := np.flatnonzero(forecast.lengths < future.lengths)):
        i = too_short[0]
        raise DataError(
            f"The forecast of sequence {i} has {forecast.lengths[i]} steps, but "
            f"{future.lengths[i]} true steps follow. Forecast at least as many steps."
        )
    errors: dict[str, Any] = {"linear": None, "seasonal_naive": None}  # None without a baseline
    accuracy, by_step = {}, {}
    _, step_indices = sequence_and_step_indices(future)  # index of each step in its sequence
    for name, predicted in forecasts.items():
        errors[name] = fidelities[name].error
        # linear continuation changes only numeric columns, so it has the accuracy of the last value
        if fidelities[name].accuracy is not None and name != "linear":
            accuracy[name] = fidelities[name].accuracy
        step_errors = entry_errors(future, predicted, scaler)  # (steps of all sequences, n_columns)
        step_errors[:, numeric] *= np.square(scaler.scale_[numeric])  # back from standardized units
        if name == "linear":  # only numeric columns can go on linearly
            step_errors[:, ~numeric] = np.nan
        observed = ~np.isnan(step_errors)
        # means over the sequences, (num_steps, n_columns)
        sums, counts = np.zeros((2, num_steps, len(numeric)))
        np.add.at(sums, step_indices, np.where(observed, step_errors, 0.0))
        np.add.at(counts, step_indices, observed)
        means = np.divide(sums, counts, out=np.full(sums.shape, np.nan), where=counts > 0)
        # root mean squared errors, and shares of wrong values
        by_step[name] = np.where(numeric, np.sqrt(means), means)
    return ForecastErrors(
        fidelities["model"].measure_name,
        **errors,
        season=season,
        num_sequences=len(future),
        accuracy=accuracy or None,
        by_step=by_step,
        names=tuple(future.schema.names),
    )


def linear_continuation(past: Sequences, num_steps: int) -> Sequences:
    """Continue each numeric column on the straight line through its last two observed values."""
    # Other columns, and columns that were observed only once, keep their last value.
    last_values = seasonal_naive(past, num_steps, season=1)
    sequence_indices, step_indices = sequence_and_step_indices(past)  # of each step
    slopes = np.zeros((len(past), past.schema.num_columns))
    for column in np.flatnonzero(past.schema.numeric):
        observed = np.flatnonzero(~np.isnan(past.values[:, column]))
        values = past.values[observed, column].astype(float)
        # of each observed value: index of its sequence, and number of steps to the next value
        observed_sequences, gaps = sequence_indices[observed], np.diff(step_indices[observed])
        # a pair is two neighboring values of the same sequence; `pairs` has the index of the first
        pairs = np.flatnonzero(observed_sequences[1:] == observed_sequences[:-1])
        # the last pair of a sequence overwrites the slopes of its earlier pairs
        slopes[observed_sequences[pairs], column] = np.diff(values)[pairs] / gaps[pairs]
    step_numbers = np.tile(np.arange(1, num_steps + 1), len(past))[:, None]
    changes = step_numbers * np.repeat(slopes, num_steps, axis=0)
    return last_values.with_values(last_values.values + changes)


def seasonal_naive(past: Sequences, num_steps: int, season: int) -> Sequences:
    """Forecast the value of one season ago; with a season of one step, the last value."""
    # If the value of one season ago is missing, the forecast is the value of an earlier season at
    # the same phase, or else the last observed value, or else missing.
    sequence_indices, step_indices = sequence_and_step_indices(past)  # of each step
    # The phase is the position in the season, from 0 for the first forecast step. Phases that no
    # forecast step has are not needed.
    phases = (step_indices - past.lengths[sequence_indices]) % season
    num_sequences, num_phases = len(past), min(season, num_steps)
    num_columns, dtype = past.schema.num_columns, past.values.dtype
    by_phase = np.full((num_sequences, num_phases, num_columns), np.nan, dtype)
    last_values = np.full((num_sequences, num_columns), np.nan, dtype)
    for column in range(num_columns):
        # in both arrays, values of later steps overwrite those of earlier steps
        observed = ~np.isnan(past.values[:, column])
        last_values[sequence_indices[observed], column] = past.values[observed, column]
        observed &= phases < num_phases
        observed_values = past.values[observed, column]
        by_phase[sequence_indices[observed], phases[observed], column] = observed_values
    by_phase = np.where(np.isnan(by_phase), last_values[:, None], by_phase)
    forecast = by_phase[:, np.arange(num_steps) % season].reshape(-1, num_columns)
    offsets = np.arange(len(past) + 1) * num_steps
    return Sequences(forecast, offsets, ids=past.ids, schema=past.schema)


def pick_season(sequences: Sequences) -> int | None:
    """Find the lag at which sequences repeat best; None if there is none."""
    # A season is a lag from 2 to half the median length. The mean squared difference of values that
    # are one season apart is smaller than at the neighboring lags and at lag 1. Of several such
    # lags, the season is the shortest one whose difference is close to the smallest.
    num_searched_steps = _MAX_VALUES_FOR_SEASON // sequences.schema.num_columns  # the first ones
    sequence_indices = sequence_and_step_indices(sequences)[0][:num_searched_steps]  # of each step
    values = np.asarray(sequences.values[:num_searched_steps], float)
    # columns are divided by their standard deviations, because they count equally
    counts = np.maximum(1, (~np.isnan(values)).sum(axis=0))  # of observed values, (n_columns,)
    variances = np.nansum((values - np.nansum(values, axis=0) / counts) ** 2, axis=0) / counts
    values = values / np.where(variances > 0, np.sqrt(variances), 1.0)
    categorical = ~sequences.schema.numeric
    max_lag = int(min(_MAX_SEASON_STEPS, np.median(sequences.lengths) // 2))
    differences = [np.nan]  # mean squared differences by lag; the lag 0 is not searched
    for lag in range(1, max_lag + 2):  # one more, to compare the last lag with its neighbors
        is_in_same_sequence = sequence_indices[lag:] == sequence_indices[:-lag]
        squares = ((values[lag:] - values[:-lag])[is_in_same_sequence]) ** 2
        # categories have no order: they are equal or not
        is_different = np.where(np.isnan(squares), np.nan, squares > 0)
        squares[:, categorical] = is_different[:, categorical]
        observed = ~np.isnan(squares)
        differences.append(squares[observed].mean() if observed.any() else np.inf)
    # lags whose difference is smaller than at the lag before, and not larger than at the lag after
    candidate_lags = [
        lag
        for lag in range(2, max_lag + 1)
        if differences[lag - 1] > differences[lag] <= differences[lag + 1]
    ]
    if not candidate_lags:
        return None
    max_difference = _MAX_SEASON_RATIO_TO_BEST_LAG * min(differences[lag] for lag in candidate_lags)
    max_difference += _DIFFERENCE_ROUNDING_TOLERANCE * differences[1]
    season = next(lag for lag in candidate_lags if differences[lag] <= max_difference)
    return season if differences[season] < differences[1] else None
