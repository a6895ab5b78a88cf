"""Anomaly scores from the reconstruction error and the distance to the training data.

Codes come without latent optimization, which would make anomalies look more normal. Steps without
any value are bridged, because the encoder reads them as a jump to the mean.
"""

from typing import NamedTuple

import numpy as np

import refold
from refold._support.arrays import offsets_from_lengths
from refold.model._input_checks import check_lengths
from refold.model._statistics import ReferenceStatistics
from refold.sequences import Scaler, Sequences, positions, sums_by_sequence

# Values are clipped to this number of standard deviations from the mean, because a network turns
# larger ones into NaN in single precision.
_MAX_DEVIATIONS = 1e12


class Measurement(NamedTuple):
    """Errors and distances of sequences, before they are scaled and added."""

    # (n_steps, n_columns): squared error of each numeric value in standardized units, and 1 for
    # another wrong value, else 0; NaN for missing values
    entries: np.ndarray
    errors: np.ndarray  # (n_sequences,), mean of a sequence's entries, 0 if there is none
    # (n_sequences,), squared Mahalanobis distances of codes and ROCKET features to training
    distances: np.ndarray
    codes: np.ndarray  # (n_sequences, width of the code), of the encoder


def measure(model: "refold.Model", sequences: Sequences) -> Measurement:
    """Measure errors and distances of aligned sequences."""
    sequences = within_reach(sequences, model.error_scaler)
    codes, features = scored_features(model, sequences)
    entries = reconstruction_errors(model, sequences, codes)
    return Measurement(
        entries,
        means_by_sequence(entries, sequences),
        distances(features, model.require_reference()),
        codes,
    )


def score_components(measured: Measurement, reference: ReferenceStatistics) -> np.ndarray:
    """Return (n_sequences, 2): error and distance, divided by their means in training.

    Their sum is the anomaly score.
    """
    return np.stack([measured.errors, measured.distances], axis=1) / reference.typical


def distances(features: np.ndarray, reference: ReferenceStatistics) -> np.ndarray:
    """Return the squared Mahalanobis distances (n_sequences,) of what `scored_features` returns."""
    away = (features - reference.mean) / reference.deviation
    precision = reference.precision.astype(float)
    return np.maximum(np.einsum("ni,ij,nj->n", away, precision, away, optimize=True), 0.0)


def errors_of(model: "refold.Model", sequences: Sequences) -> np.ndarray:
    """Return the reconstruction errors (n_sequences,) of aligned sequences, at their lengths."""
    sequences = within_reach(sequences, model.error_scaler)
    codes, _ = scored_features(model, sequences)
    return means_by_sequence(reconstruction_errors(model, sequences, codes), sequences)


def within_reach(sequences: Sequences, error_scaler: Scaler) -> Sequences:
    """Clip values to what the network can compute with."""
    reach = _MAX_DEVIATIONS * error_scaler.scale_
    values = np.clip(sequences.values, error_scaler.mean_ - reach, error_scaler.mean_ + reach)
    return sequences.with_values(values.astype(sequences.values.dtype))


def scored_features(model: "refold.Model", sequences: Sequences) -> tuple[np.ndarray, np.ndarray]:
    """Return the encoder's codes, and these with ROCKET features appended."""
    sequences = _bridged(sequences)
    scaled = model.scaler.transform(sequences)
    codes = model.network.encode(scaled)
    whole = np.concatenate([codes, model.scaler.statistics(sequences)], axis=1).astype(np.float32)
    features = np.concatenate([whole, model.network.rocket_features(scaled)], axis=1)
    return whole, features.astype(float)


def reconstruction_errors(
    model: "refold.Model", sequences: Sequences, codes: np.ndarray
) -> np.ndarray:
    """Return the entries (n_steps, n_columns) of a `Measurement`, from codes."""
    check_lengths(sequences.lengths, len(sequences), model.network)
    lengths = _bridged(sequences).lengths
    decoded = model.to_sequences(codes, lengths).values
    row, step = positions(sequences)
    written = np.zeros(sequences.values.shape, decoded.dtype)
    written[step < lengths[row]] = decoded
    return entries_between(sequences, sequences.with_values(written), model.error_scaler)


def entries_between(sequences: Sequences, decoded: Sequences, error_scaler: Scaler) -> np.ndarray:
    """Return the error (n_steps, n_columns) of each value, NaN where it is missing."""
    schema = sequences.schema
    true = error_scaler.transform(sequences).values.astype(float)
    written = error_scaler.transform(decoded).values.astype(float)
    columns = zip(schema.columns, true.T, written.T, strict=True)
    entries = np.stack([column.column_type.error(x, y, np) for column, x, y in columns], axis=1)
    return np.where(np.isnan(true), np.nan, entries)


def means_by_sequence(entries: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Average the observed entries of each sequence, so that no other affects the rounding."""
    observed = ~np.isnan(entries)
    sums = sums_by_sequence(np.where(observed, entries, 0.0), sequences).sum(axis=1)
    counts = sums_by_sequence(observed.astype(float), sequences).sum(axis=1)
    return sums / np.maximum(counts, 1)


def _bridged(sequences: Sequences) -> Sequences:
    """Interpolate steps without any value, and drop those at the end.

    A gap at the begin has the first values, and a column that is not numeric those before the gap.
    """
    values, schema = sequences.values, sequences.schema
    own = values[:, :-1] if schema.time_gaps else values  # a step has a time without values, too
    gap = np.isnan(own).all(axis=1)
    if not gap.any():
        return sequences
    row, place = positions(sequences)[0], np.arange(len(values))
    before = np.maximum.accumulate(np.where(gap, -1, place))
    after = np.minimum.accumulate(np.where(gap, len(values), place)[::-1])[::-1]
    follows, precedes = before >= sequences.offsets[row], after < sequences.offsets[row + 1]
    between = gap & precedes
    after = after[between]
    before = np.where(follows, before, -1)[between]
    before = np.where(before < 0, after, before)
    share = (place[between] - before) / np.maximum(after - before, 1)
    slope = np.where(schema.numeric, values[after] - values[before], 0.0)
    bridge, filled = values[before] + share[:, None] * slope, values.copy()
    filled[between] = np.where(np.isnan(values[between]), bridge, values[between])
    kept = ~gap | precedes | ~follows  # a sequence without any value stays as it is
    lengths = np.bincount(row[kept], minlength=len(sequences))
    return Sequences(filled[kept], offsets_from_lengths(lengths), sequences.ids, schema)
