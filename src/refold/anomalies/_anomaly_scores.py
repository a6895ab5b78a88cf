"""How odd a sequence is to a model: how badly it comes back, and how far from others it lies.

Codes are the encoder's own: a search for better ones would make what is odd look less so.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.covariance import LedoitWolf

from refold.inference import check_lengths, decode, describe, encode
from refold.sequences import Scaler, Sequences, sums_by_sequence
from refold.storage import Fitted, ReferenceStatistics

__all__ = ["AnomalyScores", "anomaly_scores", "remember"]

# A deviation below this is rounding; sequences at most that are decoded to learn what is usual.
_LEAST, _DECODED = 1e-3, 256
# Deviations from the mean that a value is measured as at most: in single precision, what a network
# makes of the largest ones is no number.
_FARTHEST = 1e12


class AnomalyScores(NamedTuple):
    """What is odd about sequences.

    Attributes
    ----------
    entries : array of shape (n_steps, n_columns)
        Squared error of each value, in the model's standard units; of a label or a binary value 1
        where it is wrong. NaN where nothing was observed.
    errors : array of shape (n_sequences,)
        Mean of a sequence's entries, 0 where there is none.
    distances : array of shape (n_sequences,)
        How far a sequence lies from those that the model remembers: the squared Mahalanobis
        distance of its code and of what describes it.
    """

    entries: np.ndarray
    errors: np.ndarray
    distances: np.ndarray


def remember(sequences: Sequences, fitted: Fitted) -> ReferenceStatistics:
    """Keep of training sequences what others are told from.

    Their codes say what they are as far as the decoder knows it, and pooled random convolutions
    how they move, known to it or not.  Both together have a mean and a covariance, which is shrunk
    [1]_ since there may be more features than sequences.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.
    """
    codes, features = _features(sequences, fitted)
    center, unit = features.mean(axis=0), features.std(axis=0)
    unit = np.where(unit > _LEAST, unit, 1.0)
    standard = (features - center) / unit
    precision: Any = np.eye(len(center))
    if standard.any():
        precision = LedoitWolf(assume_centered=True).fit(standard).get_precision()
    center, unit, precision = (part.astype(np.float32) for part in (center, unit, precision))
    known = ReferenceStatistics(codes, center, unit, precision, np.ones(2))
    some = np.linspace(0, len(sequences) - 1, min(len(sequences), _DECODED)).round().astype(int)
    found = _measure(sequences[some], codes[some], features[some], fitted, known)
    means = np.array([found.errors.mean(), found.distances.mean()])
    return known._replace(units=np.where(means > 0, means, 1.0))


def anomaly_scores(
    sequences: Sequences, fitted: Fitted, known: ReferenceStatistics
) -> AnomalyScores:
    """Measure how odd sequences are.

    Parameters
    ----------
    sequences : Sequences
        With the schema of the fitted data.
    fitted : Fitted
    known : Known
        As `remember` keeps it.

    Returns
    -------
    Oddness

    Raises
    ------
    DataError
        If a sequence is longer than the network writes.
    """
    sequences = _within_reach(sequences, fitted.units)
    codes, features = _features(sequences, fitted)
    return _measure(sequences, codes, features, fitted, known)


def _within_reach(sequences: Sequences, units: Scaler) -> Sequences:
    reach = _FARTHEST * units.scale_
    values = np.clip(sequences.values, units.mean_ - reach, units.mean_ + reach)
    return sequences.with_values(values.astype(sequences.values.dtype))


def _measure(
    sequences: Sequences,
    codes: np.ndarray,
    features: np.ndarray,
    fitted: Fitted,
    known: ReferenceStatistics,
) -> AnomalyScores:
    check_lengths(sequences.lengths, len(sequences), fitted.network)
    scaler, width = fitted.scaler, fitted.network.specification.latent_dim
    back = decode(codes[:, :width], sequences.lengths, fitted.schema, fitted.network)
    own = codes[:, width:] if scaler.mode == "sequence" else None
    entries = _entries(sequences, scaler.inverse_transform(back, own), fitted)
    away = (features - known.center) / known.unit
    distances = np.einsum("ni,ij,nj->n", away, known.precision.astype(float), away, optimize=True)
    return AnomalyScores(entries, _means(entries, sequences), np.maximum(distances, 0.0))


def _features(sequences: Sequences, fitted: Fitted) -> tuple[np.ndarray, np.ndarray]:
    """Return codes, the statistics of their scale behind, and these with descriptions behind."""
    scaled = fitted.scaler.transform(sequences)
    codes = encode(scaled, fitted.network)
    whole = np.concatenate([codes, fitted.scaler.statistics(sequences)], axis=1).astype(np.float32)
    features = np.concatenate([whole, describe(scaled, fitted.network)], axis=1)
    return whole, features.astype(float)


def _entries(sequences: Sequences, back: Sequences, fitted: Fitted) -> np.ndarray:
    given = fitted.units.transform(sequences).values.astype(float)
    written = fitted.units.transform(back).values.astype(float)
    wrong = given != written
    binary = fitted.schema.binary
    wrong[:, binary] = (given[:, binary] >= 0.5) != (written[:, binary] >= 0.5)
    entries = np.where(fitted.schema.numeric, (given - written) ** 2, wrong)
    return np.where(np.isnan(given), np.nan, entries)


def _means(entries: np.ndarray, sequences: Sequences) -> np.ndarray:
    """Mean of the observed entries of each sequence, by itself: a huge one is nobody else's."""
    observed = ~np.isnan(entries)
    sums = sums_by_sequence(np.where(observed, entries, 0.0), sequences).sum(axis=1)
    counts = sums_by_sequence(observed.astype(float), sequences).sum(axis=1)
    return sums / np.maximum(counts, 1)
