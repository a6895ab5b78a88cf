"""Forecasts: the next steps of sequences, their bounds, and their errors.

`forecast` does the work of `Model.forecast`, and `measure_forecast_errors` that of
`Model.forecast_errors`. `compute_forecast_residuals` returns the errors that calibrate the bounds.
`forecast_next_steps` forecasts after sequences that are no longer than the inputs in training.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

import refold
from refold._support.messages import pluralize, warn
from refold._support.rules import check, check_fraction, check_integer, integer_rule
from refold.errors import DataError, ParameterError, SchemaError, argument, python_or_cli
from refold.evaluation import (
    ForecastErrors,
    conformal_margins,
    forecast_errors,
    min_calibration_sequences,
)
from refold.model._inputs import SequencesLike
from refold.model._warnings import describe_overlap_with_training
from refold.network.packed.batches import one_hot_encode_columns
from refold.network.packed.network import FittedNetwork
from refold.network.specification import Specification
from refold.sequences import CLIP_RULE, Scaler, Sequences, check_decoded_finite, split_at

# Maximum number of forecast errors that a calibration stores: 16 MiB in the file of the model.
_MAX_STORED_RESIDUALS = 1 << 21
# Minimum number of sequences whose errors are stored, even if their errors are more than
# `_MAX_STORED_RESIDUALS`. With fewer sequences, there could be no bounds with a small ``alpha``.
_MIN_STORED_RESIDUAL_SEQUENCES = 256
# Bounds are wider by this share, because rounding can change a forecast.
_FORECAST_ROUNDING_MARGIN = 1e-4


@dataclass(frozen=True)
class Forecast:
    """Forecast of the next steps of sequences.

    Attributes
    ----------
    sequences : Sequences of shape (n_sequences,)
        Next steps, with the ids of the sequences that they continue.
    alpha : float or None
        Largest share of values outside the bounds, for each step and column, on average over the
        draw of the calibration sequences; None if there are no bounds.
    lower, upper : array of shape (n_sequences, n_steps, n_columns) or None
        Bounds in the units of the data. They are NaN for columns that are not numeric, and infinite
        if too few calibration sequences had a value. A table has null for NaN and infinite bounds.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     latent_dim=4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines[:40])
    >>> ae = ae.calibrate(sines[40:])
    >>> forecast = ae.forecast(sines[:2], alpha=0.2)
    >>> forecast.values[0].shape, forecast.upper.shape
    ((5,), (2, 5, 1))
    >>> bool((forecast.upper > forecast.lower).all())
    True
    >>> forecast.to_table().column_names
    ['id', 'step', 'x0', 'x0_lower', 'x0_upper']
    """

    sequences: Sequences
    alpha: float | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    def __repr__(self) -> str:
        sequences = pluralize(len(self.sequences), "sequence")
        steps = pluralize(int(self.sequences.lengths.max(initial=0)), "step")
        bounds = "no bounds" if self.alpha is None else f"bounds at alpha {self.alpha:g}"
        return f"Forecast({sequences}, {steps}, {bounds})"

    @property
    def ids(self) -> np.ndarray:
        """Ids of the sequences, array (n,)."""
        return self.sequences.ids

    @property
    def values(self) -> list[Any]:
        """Next steps of each sequence, in the layout of the training data."""
        return self.sequences.to_list()

    def to_table(self, id: str = "id") -> pa.Table:  # noqa: A002
        """Return one row per step: id, number of the step from 1, time, columns and bounds.

        ``id`` is the name of the id column. There are times if the input had them: they continue
        at the usual gap of each sequence.
        """
        schema = self.sequences.schema
        table = self.sequences.to_table(id=id, time="step")
        num_steps = table.num_rows // max(1, len(self.sequences))  # the same for all sequences
        step_numbers = pa.array(np.tile(np.arange(1, num_steps + 1), len(self.sequences)))
        columns = {id: table[id], "step": step_numbers}
        if self.sequences.times is not None:
            columns[schema.choose_time_name(columns)] = self.sequences.times
        for i, name in enumerate(schema.names):
            columns[name] = table[name]
            if self.lower is None or self.upper is None or not schema.numeric[i]:
                continue
            for side, bounds in (("lower", self.lower), ("upper", self.upper)):
                if (bound_name := f"{name}_{side}") in schema.names:
                    raise SchemaError(
                        f"The column {bound_name!r} has the name of a bound of {name!r}. Give "
                        "the column another name."
                    )
                values = bounds[:, :, i].ravel()
                columns[bound_name] = pa.array(values, mask=~np.isfinite(values))
        return pa.table(columns)


def forecast(
    model: "refold.Model",
    X: SequencesLike,
    steps: int | None,
    alpha: float | None,
    *,
    clip: bool | str,
    verbose: int,
) -> Forecast:
    """Forecast the next steps; see `Model.forecast`."""
    check("clip", clip, CLIP_RULE)
    num_steps = _check_forecast_steps(model, steps)
    margins, alpha = _compute_forecast_bound_margins(model, alpha, num_steps)
    series = model.read_aligned(X, as_windows=False, checks_lengths=False)
    # the network always forecasts as many steps as it was fitted for, which may be more
    predicted, _ = split_at(_forecast_from_recent_steps(model, series, verbose), num_steps)
    clipped = model.scaler.clip(predicted, clip=clip)
    clipped.times = series.step_times_in_ranges(series.lengths, series.lengths + num_steps)
    if margins is None:
        return Forecast(clipped)
    # (n_sequences, num_steps, n_columns), with NaN for columns that are not numeric
    shape = len(predicted), num_steps, model.schema.num_columns
    clipped_values, values = (
        np.where(model.schema.numeric, sequences.values.astype(float).reshape(shape), np.nan)
        for sequences in (clipped, predicted)
    )
    # bounds are not clipped, but they contain the clipped forecast
    lower = np.minimum(values - margins, clipped_values)
    upper = np.maximum(values + margins, clipped_values)
    for i, column in enumerate(model.schema.columns):
        if column.column_type.is_whole:  # bounds of a count are whole numbers, and not below 0
            for bound in (lower, upper):
                bound[..., i] = column.column_type.to_nearest_valid(bound[..., i])
    return Forecast(clipped, alpha, lower, upper)


def measure_forecast_errors(
    model: "refold.Model", X: SequencesLike, steps: int | None, season: int | None
) -> ForecastErrors:
    """Forecast the last steps and measure the errors; see `Model.forecast_errors`."""
    num_steps = _check_forecast_steps(model, steps)
    if season is not None:
        season = check_integer("season", season)
    sequences = model.read_aligned(X, checks_lengths=False)  # only the last steps are read
    warn(describe_overlap_with_training(sequences, model.fingerprints.training_hashes))
    # Sequences are cut before as many steps as the network forecasts. Of these steps, only the
    # first ``num_steps`` are measured.
    max_steps = model.specification.forecast_steps
    longer_indices, before, after = split_last_steps_of_longer(sequences, max_steps)
    if not len(longer_indices):
        raise DataError(
            f"Forecasting the last {max_steps} steps needs longer sequences, and the longest of "
            f"{len(sequences)} has {int(sequences.lengths.max(initial=0))}. Give longer ones."
        )
    after, _ = split_at(after, num_steps)
    predicted = _forecast_from_recent_steps(model, before)
    return forecast_errors(before, after, predicted, model.error_scaler, season=season)


def compute_forecast_residuals(model: "refold.Model", sequences: Sequences) -> np.ndarray | None:
    """Return the absolute errors of forecasts of the last steps of aligned sequences."""
    # The shape is (n_sequences, forecast_steps, n_columns), with NaN for missing values and for
    # columns that are not numeric. The result is None if the model can have no bounds.
    num_steps, schema = model.specification.forecast_steps, model.schema
    if not num_steps or not schema.numeric.any():
        return None
    _, before, after = split_last_steps_of_longer(sequences, num_steps)
    max_sequences = _MAX_STORED_RESIDUALS // (num_steps * schema.num_columns)
    max_sequences = max(_MIN_STORED_RESIDUAL_SEQUENCES, max_sequences)
    if len(before) > max_sequences:
        # any fixed seed, so that the same sequences always give the same bounds
        rng = np.random.default_rng(0xF04E)
        rows = np.sort(rng.choice(len(before), max_sequences, replace=False))
        before, after = before[rows], after[rows]
    predicted = _forecast_from_recent_steps(model, before)
    errors = np.abs(np.asarray(after.values, float) - predicted.values)
    return np.where(schema.numeric, errors, np.nan).reshape(len(before), num_steps, errors.shape[1])


def _check_forecast_steps(model: "refold.Model", steps: int | None) -> int:
    """Return the number of steps to forecast, by default the maximum; refuse more steps."""
    max_steps = model.specification.forecast_steps
    if not max_steps:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast. Fit one with "
            f"{argument(forecast_steps=10)}, for ten steps."
        )
    if steps is not None:
        check("steps", steps, integer_rule(1, max_steps))
    return steps or max_steps


def _compute_forecast_bound_margins(
    model: "refold.Model", alpha: float | None, num_steps: int
) -> tuple[Any, float | None]:
    """Return how far bounds are from a forecast, (num_steps, n_columns), and their ``alpha``."""
    # Both results are None if there can be no bounds, and the user gave no ``alpha``.
    is_requested = alpha is not None
    # the default; if there can be no bounds at 0.1, the forecast has none
    alpha = 0.1 if alpha is None else alpha
    alpha = check_fraction("alpha", alpha, "share of values outside the bounds,")
    residuals = None if model.calibration is None else model.calibration.forecast_residuals
    if not model.schema.numeric.any():
        reason = "Bounds need numbers, and no column is numeric. Leave alpha out."
    elif residuals is None or len(residuals) < min_calibration_sequences(alpha):
        reason = (
            f"{argument(alpha=alpha)} needs at least {min_calibration_sequences(alpha)} "
            "calibration sequences, which are longer than the forecast and not trained on. Got "
            f"{0 if residuals is None else len(residuals)}. Fit with "
            f"{argument(calibration_fraction=0.2)}, "
            f"{python_or_cli('give more to calibrate()', 'give more with --normal DATA')}, or ask "
            "for a larger share."
        )
    else:
        margins = conformal_margins(residuals[:, :num_steps], alpha)
        return margins * (1.0 + _FORECAST_ROUNDING_MARGIN), alpha
    if is_requested:
        raise ParameterError(reason)
    return None, None


def _forecast_from_recent_steps(
    model: "refold.Model", sequences: Sequences, verbose: int = 0
) -> Sequences:
    """Forecast all steps that the model was fitted for, after aligned sequences of any length."""
    # only the last steps of a long sequence are read, as many as the longest input in training had
    max_input_steps = model.specification.max_steps - model.specification.forecast_steps
    starts = np.maximum(0, sequences.lengths - max_input_steps)
    last = split_at(sequences, starts)[1] if starts.any() else sequences
    return forecast_next_steps(last, model.network, model.scaler, verbose=verbose)


def split_last_steps_of_longer(
    sequences: Sequences, num_steps: int
) -> tuple[np.ndarray, Sequences, Sequences]:
    """Split sequences of more than ``num_steps`` steps before their last ``num_steps`` steps."""
    # The result has the indices of these sequences, their earlier steps and their last steps.
    # Shorter sequences are left out.
    rows = np.flatnonzero(sequences.lengths > num_steps)
    return rows, *split_at(sequences[rows], sequences.lengths[rows] - num_steps)


def forecast_next_steps(
    sequences: Sequences, network: FittedNetwork, scaler: Scaler, *, verbose: int = 0
) -> Sequences:
    """Forecast the steps after sequences, in the units of the data."""
    # Codes are made without latent optimization. Optimized codes reconstruct the sequences better,
    # but the forecast decoder was not trained on them: with them, its errors were 6 to 22 % larger.
    scaled = scaler.transform(sequences)
    codes = network.encode(scaled, verbose=verbose)
    with np.errstate(over="ignore"):  # `check_decoded_finite` refuses infinite values below
        recent = recent_values(scaled, network.specification)
    outputs = network.forecast(codes, recent)
    offsets = np.arange(len(codes) + 1) * network.specification.forecast_steps
    check_decoded_finite(np.isfinite(outputs), offsets)
    predicted = Sequences(network.head.likeliest_values(outputs), offsets, schema=sequences.schema)
    # models that forecast do not scale by sequence, so there are no statistics
    return scaler.inverse_transform(predicted, statistics=None).with_ids(sequences.ids)


def recent_values(scaled_sequences: Sequences, specification: Specification) -> np.ndarray:
    """Return the last values (n_sequences, width) that a forecast decoder reads beside the code."""
    # The width is `Specification.num_recent_values`. The last step comes first, with categories as
    # one-hot vectors. Then come the earlier steps, the latest first. The last step is subtracted
    # from each earlier step, because differences show changes even if all values are far from zero.
    # A missing value gets the value of the step before, or else of the first step after, or else
    # zero.
    num_steps, num_columns = specification.recent_steps, len(specification.num_categories)
    # (n_sequences, num_steps, num_columns)
    values = last_steps(scaled_sequences, num_steps).astype(np.float32)
    # pairs of a step and the step that it gets missing values from: first forward, then backward
    pairs = [(step, step - 1) for step in range(1, num_steps)]
    pairs += [(step, step + 1) for step in reversed(range(num_steps - 1))]
    for step, neighbor in pairs:
        is_missing = np.isnan(values[:, step])
        values[:, step][is_missing] = values[:, neighbor][is_missing]
    encoded = one_hot_encode_columns(values.reshape(-1, num_columns), specification.num_categories)
    shape = len(scaled_sequences), num_steps, specification.num_outputs
    encoded = np.nan_to_num(encoded, nan=0.0).reshape(shape)[:, ::-1]  # the last step first
    encoded[:, 1:] -= encoded[:, :1]
    return encoded.reshape(len(scaled_sequences), specification.num_recent_values)


def last_steps(sequences: Sequences, num_steps: int) -> np.ndarray:
    """Return the last steps (n_sequences, num_steps, n_columns), NaN before short sequences."""
    # (n_sequences, num_steps), indices into all steps; before the start of a short sequence, they
    # are indices of steps of other sequences
    step_indices = np.arange(-num_steps, 0) + sequences.offsets[1:, None]
    exists = step_indices >= sequences.offsets[:-1, None]
    values = np.full((*exists.shape, sequences.schema.num_columns), np.nan)
    values[exists] = sequences.values[step_indices[exists]]
    return values
