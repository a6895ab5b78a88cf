"""Forecasts: the next steps of sequences, their bounds, and their errors."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

import refold
from refold._support.output import counted, warn
from refold._support.rules import check, check_rate, check_whole, whole
from refold.errors import DataError, ParameterError, SchemaError, argument, spelled
from refold.evaluation import ForecastErrors, conformal_margins, forecast_errors, least_calibration
from refold.model._inputs import SequencesLike, describe_trained
from refold.network.packed.network import FittedNetwork
from refold.network.packed.rows import one_hot
from refold.network.specification import Specification
from refold.sequences import CLIP, Scaler, Sequences, check_decoded, split_at

_MAX_RESIDUALS, _MIN_SEQUENCES = 1 << 21, 256  # stored forecast errors, and sequences in any case
# Bounds are wider by this share, because equal forecasts may differ by rounding.
_ROUNDING = 1e-4


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
        if too few calibration sequences had a value; both are null in a table.

    Examples
    --------
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     latent_dim=4, forecast_steps=5, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines[:40])
    >>> ae = ae.calibrate(sines[40:])
    >>> ahead = ae.forecast(sines[:2], alpha=0.2)
    >>> ahead.values[0].shape, ahead.upper.shape, bool((ahead.upper > ahead.lower).all())
    ((5,), (2, 5, 1), True)
    >>> ahead.to_table().column_names
    ['id', 'step', 'x0', 'x0_lower', 'x0_upper']
    """

    sequences: Sequences
    alpha: float | None = None
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None

    def __repr__(self) -> str:
        sequences, steps = len(self.sequences), int(self.sequences.lengths.max(initial=0))
        bounds = "no bounds" if self.alpha is None else f"bounds at alpha {self.alpha:g}"
        return f"Forecast({counted(sequences, 'sequence')}, {counted(steps, 'step')}, {bounds})"

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
        num_steps = table.num_rows // max(1, len(self.sequences))
        steps = pa.array(np.tile(np.arange(1, num_steps + 1), len(self.sequences)))
        columns = {id: table[id], "step": steps}
        if self.sequences.times is not None:
            columns[schema.time_column(columns)] = self.sequences.times
        for i, name in enumerate(schema.names):
            columns[name] = table[name]
            if self.lower is None or self.upper is None or not schema.numeric[i]:
                continue
            for bound, values in (("lower", self.lower), ("upper", self.upper)):
                if (bound_name := f"{name}_{bound}") in schema.names:
                    raise SchemaError(
                        f"The column {bound_name!r} has the name of a bound of {name!r}. Give it "
                        "another."
                    )
                finite = np.where(np.isfinite(values[:, :, i]), values[:, :, i], np.nan)
                columns[bound_name] = pa.array(finite.ravel(), from_pandas=True)
        return pa.table(columns)


def forecast(
    model: "refold.Model",
    X: SequencesLike,
    steps: int | None,
    *,
    alpha: float | None,
    clip: bool | str,
    verbose: int,
) -> Forecast:
    """Forecast the next steps; see `Model.forecast`."""
    check("clip", clip, CLIP)
    steps = _check_steps(model, steps)
    margins, alpha = _margins(model, alpha, steps)
    series = model.read(X, is_cut=False)
    sequences = _latest(series, model.specification)
    ahead, _ = split_at(continued(sequences, model.network, model.scaler, verbose=verbose), steps)
    written = model.scaler.clip(ahead, clip=clip)
    written.times = series.times_between(series.lengths, series.lengths + steps)
    if margins is None:
        return Forecast(written)
    shape = len(ahead), steps, model.schema.num_columns
    clipped, values = (
        np.where(model.schema.numeric, of.values.astype(float).reshape(shape), np.nan)
        for of in (written, ahead)
    )
    # bounds are not clipped, and contain the forecast
    lower, upper = np.minimum(values - margins, clipped), np.maximum(values + margins, clipped)
    for i, column in enumerate(model.schema.columns):
        if column.column_type.is_whole:  # no count is below 0 or between whole numbers
            for bound in (lower, upper):
                bound[..., i] = column.column_type.clean(bound[..., i])
    return Forecast(written, alpha, lower, upper)


def errors_of_forecasts(
    model: "refold.Model", X: SequencesLike, steps: int | None, *, season: int | None
) -> ForecastErrors:
    """Forecast the last steps and measure the errors; see `Model.forecast_errors`."""
    steps = _check_steps(model, steps)
    if season is not None:
        season = check_whole("season", season)
    sequences = model.read(X)
    warn(describe_trained(sequences, model.fingerprints.trained))
    specification = model.specification
    trained = specification.forecast_steps
    longer, before, after = split_last(sequences, trained)
    if not len(longer):
        raise DataError(
            f"Forecasting the last {trained} steps needs longer sequences, and the longest of "
            f"{len(sequences)} has {int(sequences.lengths.max(initial=0))}. Give longer ones."
        )
    after, _ = split_at(after, steps)
    ahead = continued(_latest(before, specification), model.network, model.scaler)
    return forecast_errors(before, after, ahead, model.error_scaler, season=season)


def residuals(model: "refold.Model", sequences: Sequences) -> np.ndarray | None:
    """Return the absolute errors of forecasts of the last steps of aligned sequences."""
    # Their shape is (n_sequences, forecast_steps, n_columns). They are NaN for missing values and
    # for columns that are not numeric. None if the model has no bounds.
    specification, schema = model.specification, model.schema
    trained = specification.forecast_steps
    if not trained or not schema.numeric.any():
        return None
    longer, before, after = split_last(sequences, trained)
    most = max(_MIN_SEQUENCES, _MAX_RESIDUALS // (trained * schema.num_columns))
    if len(longer) > most:
        rng = np.random.default_rng(0xF04E)
        some = np.sort(rng.choice(len(longer), most, replace=False))
        before, after = before[some], after[some]
    ahead = continued(_latest(before, specification), model.network, model.scaler)
    errors = np.abs(np.asarray(after.values, float) - ahead.values)
    errors = np.where(schema.numeric, errors, np.nan)
    return errors.reshape(len(before), trained, schema.num_columns)


def _check_steps(model: "refold.Model", steps: int | None) -> int:
    """Check the number of steps to forecast; the default is that of the fit."""
    trained = model.specification.forecast_steps
    if not trained:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast. Fit one with "
            f"{argument(forecast_steps=10)}, for ten steps."
        )
    if steps is None:
        return trained
    check("steps", steps, whole(1, trained))
    return steps


def _margins(model: "refold.Model", alpha: float | None, steps: int) -> tuple[Any, float | None]:
    """Return the margins by step and column, and the share of values outside them."""
    # If no share is requested and there can be no bounds, both are None.
    requested = alpha is not None
    alpha = check_rate("alpha", alpha if requested else 0.1, "share of values outside the bounds,")
    errors = None if model.calibration is None else model.calibration.residuals
    if not model.schema.numeric.any():
        reason = "Bounds need numbers, and no column is numeric. Leave alpha out."
    elif errors is None or len(errors) < least_calibration(alpha):
        reason = (
            f"{argument(alpha=alpha)} needs at least {least_calibration(alpha)} calibration "
            "sequences, which are longer than the forecast and not trained on. Got "
            f"{0 if errors is None else len(errors)}. Fit with "
            f"{argument(calibration_fraction=0.2)}, "
            f"{spelled('give more to calibrate()', 'give more with --normal DATA')}, or ask for a "
            "larger share."
        )
    else:
        return conformal_margins(errors[:, :steps], alpha) * (1.0 + _ROUNDING), alpha
    if requested:
        raise ParameterError(reason)
    return None, None


def _latest(sequences: Sequences, specification: Specification) -> Sequences:
    """Return the last steps of each sequence, as many as the longest input in training had."""
    longest = specification.max_steps - specification.forecast_steps
    first = np.maximum(0, sequences.lengths - longest)
    return split_at(sequences, first)[1] if first.any() else sequences


# The network's forecasts, in the units of the data


def split_last(sequences: Sequences, steps: int) -> tuple[np.ndarray, Sequences, Sequences]:
    """Split off the last steps of sequences that have more; return their indices and both parts."""
    rows = np.flatnonzero(sequences.lengths > steps)
    longer = sequences[rows]
    return rows, *split_at(longer, longer.lengths - steps)


def continued(
    before: Sequences, network: FittedNetwork, scaler: Scaler, *, verbose: int = 0
) -> Sequences:
    """Forecast the steps after sequences, in the units of the data."""
    # Without latent optimization. Optimized codes fit the past better, but the forecaster was not
    # trained on them: errors were 6 to 22 % larger.
    scaled = scaler.transform(before)
    codes = network.encode(scaled, verbose=verbose)
    with np.errstate(over="ignore"):  # refused below
        recent = recent_values(scaled, network.specification)
    outputs = network.forecast(codes, recent)
    offsets = np.arange(len(codes) + 1) * network.specification.forecast_steps
    check_decoded(np.isfinite(outputs), offsets)
    ahead = Sequences(network.head.values(outputs), offsets, schema=before.schema)
    return scaler.inverse_transform(ahead, None).with_ids(before.ids)


def recent_values(scaled: Sequences, specification: Specification) -> np.ndarray:
    """Return what a forecast decoder reads beside the code, (n_sequences, recent_dim)."""
    # The last step comes first, with categories as one-hot. The others are the differences of
    # earlier steps from it, the latest first, so that a level far from zero does not hide them. A
    # missing value is that of the step before, or else of the first step after, or else zero.
    steps, num_columns = specification.recent_steps, len(specification.num_categories)
    values = last_steps(scaled, steps).astype(np.float32)
    forward = [(step, step - 1) for step in range(1, steps)]
    backward = [(step, step + 1) for step in reversed(range(steps - 1))]
    for step, source in forward + backward:
        missing = np.isnan(values[:, step])
        values[:, step][missing] = values[:, source][missing]
    encoded = one_hot(values.reshape(-1, num_columns), specification.num_categories)
    shape = len(scaled), steps, specification.num_outputs
    encoded = np.nan_to_num(encoded, nan=0.0).reshape(shape)[:, ::-1]
    encoded[:, 1:] -= encoded[:, :1]
    return encoded.reshape(len(scaled), specification.recent_dim)


def last_steps(sequences: Sequences, steps: int) -> np.ndarray:
    """Return the last steps (n_sequences, steps, n_columns), with NaN before shorter sequences."""
    places = np.arange(-steps, 0) + sequences.offsets[1:, None]
    there = places >= sequences.offsets[:-1, None]
    values = np.full((*there.shape, sequences.schema.num_columns), np.nan)
    values[there] = sequences.values[places[there]]
    return values
