"""Anomaly scores from the reconstruction error and the distance to the training data.

Codes come without latent optimization, which would make anomalies look more normal. Steps without
any value are bridged, because the encoder reads them as a jump to the mean.
"""

from typing import NamedTuple

import numpy as np

from refold._support.offsets import offsets_from_lengths
from refold._support.sampling import evenly_spaced
from refold.inference import check_lengths, decode, encode, rocket_features
from refold.sequences import Scaler, Sequences, positions, sums_by_sequence
from refold.storage import Fitted, ReferenceStatistics

# Values are clipped to this number of standard deviations from the mean, because a network turns
# larger ones into NaN in single precision.
_FARTHEST = 1e12
# Cap on stored errors of sequences.
MOST_ERRORS = 1024


class AnomalyScores(NamedTuple):
    """Errors and distances of sequences, before they are scaled and added.

    Attributes
    ----------
    entries : array of shape (n_steps, n_columns)
        Squared error of each numeric value, in the model's standardized units; 1 for a wrong
        categorical or binary value, else 0. NaN for missing values.
    errors : array of shape (n_sequences,)
        Mean of a sequence's entries, 0 if there is none.
    distances : array of shape (n_sequences,)
        Squared Mahalanobis distance of a sequence's code and ROCKET features to those of the
        training data.
    codes : array of shape (n_sequences, width of the code)
        The encoder's codes.
    """

    entries: np.ndarray
    errors: np.ndarray
    distances: np.ndarray
    codes: np.ndarray = np.zeros((0, 0), np.float32)


def anomaly_scores(
    sequences: Sequences, fitted: Fitted, known: ReferenceStatistics
) -> AnomalyScores:
    """Measure errors and distances of sequences.

    Parameters
    ----------
    sequences : Sequences
        Sequences with the schema of the training data.
    fitted : Fitted
    known : ReferenceStatistics
        Statistics of the training data.

    Returns
    -------
    AnomalyScores

    Raises
    ------
    DataError
        If a sequence is longer than the network can decode.
    """
    sequences = _within_reach(sequences, fitted.units)
    codes, features = scored_features(sequences, fitted)
    return measure(sequences, codes, features, fitted, known)


def _within_reach(sequences: Sequences, units: Scaler) -> Sequences:
    reach = _FARTHEST * units.scale_
    values = np.clip(sequences.values, units.mean_ - reach, units.mean_ + reach)
    return sequences.with_values(values.astype(sequences.values.dtype))


def measure(
    sequences: Sequences,
    codes: np.ndarray,
    features: np.ndarray,
    fitted: Fitted,
    known: ReferenceStatistics,
) -> AnomalyScores:
    """Measure errors and distances, given what `scored_features` returns."""
    entries = _reconstruction_errors(sequences, codes, fitted)
    away = (features - known.center) / known.unit
    distances = np.einsum("ni,ij,nj->n", away, known.precision.astype(float), away, optimize=True)
    return AnomalyScores(entries, _means(entries, sequences), np.maximum(distances, 0.0), codes)


def reference_errors(sequences: Sequences, fitted: Fitted) -> np.ndarray | None:
    """Return the reconstruction errors of sequences, in increasing order, as float32.

    Of many sequences, 1024 are measured. None if there is no sequence.
    """
    if not len(sequences):
        return None
    some = sequences[evenly_spaced(len(sequences), MOST_ERRORS)]
    chosen = _within_reach(some, fitted.units)
    codes, _ = scored_features(chosen, fitted)
    entries = _reconstruction_errors(chosen, codes, fitted)
    return np.sort(_means(entries, chosen)).astype(np.float32)


def scored_features(sequences: Sequences, fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """Return codes with scale statistics appended, and these with ROCKET features appended."""
    sequences = _bridged(sequences)
    scaled = fitted.scaler.transform(sequences)
    codes = encode(scaled, fitted.network)
    whole = np.concatenate([codes, fitted.scaler.statistics(sequences)], axis=1).astype(np.float32)
    features = np.concatenate([whole, rocket_features(scaled, fitted.network)], axis=1)
    return whole, features.astype(float)


def _reconstruction_errors(sequences: Sequences, codes: np.ndarray, fitted: Fitted) -> np.ndarray:
    check_lengths(sequences.lengths, len(sequences), fitted.network)
    scaler, width = fitted.scaler, fitted.network.specification.latent_dim
    lengths = _bridged(sequences).lengths
    back = decode(codes[:, :width], lengths, fitted.schema, fitted.network)
    own = codes[:, width:] if scaler.mode == "sequence" else None
    decoded = scaler.inverse_transform(back, own).values
    row, step = positions(sequences)
    written = np.zeros(sequences.values.shape, decoded.dtype)
    written[step < lengths[row]] = decoded
    return _entries(sequences, sequences.with_values(written), fitted)


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


def _entries(sequences: Sequences, back: Sequences, fitted: Fitted) -> np.ndarray:
    given = fitted.units.transform(sequences).values.astype(float)
    written = fitted.units.transform(back).values.astype(float)
    wrong = given != written
    binary = fitted.schema.binary
    wrong[:, binary] = (given[:, binary] >= 0.5) != (written[:, binary] >= 0.5)
    entries = np.where(fitted.schema.numeric, (given - written) ** 2, wrong)
    return np.where(np.isnan(given), np.nan, entries)


def _means(entries: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Average the observed entries of each sequence, so that no other affects the rounding."""
    observed = ~np.isnan(entries)
    sums = sums_by_sequence(np.where(observed, entries, 0.0), sequences).sum(axis=1)
    counts = sums_by_sequence(observed.astype(float), sequences).sum(axis=1)
    return sums / np.maximum(counts, 1)
