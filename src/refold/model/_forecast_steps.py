"""Forecasts in the units of the data, and the split of sequences into past and future."""

import numpy as np

from refold.network.packed.network import FittedNetwork
from refold.network.packed.rows import one_hot
from refold.network.specification import Specification
from refold.sequences import Scaler, Sequences, check_decoded, split_at


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
