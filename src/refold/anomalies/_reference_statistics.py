"""Statistics of the training data, to which anomaly scores compare other sequences."""

from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf

from refold._support.sampling import evenly_spaced
from refold.anomalies._anomaly_scores import measure, scored_features
from refold.sequences import Sequences
from refold.storage import Fitted, ReferenceStatistics

# Standard deviations below this are rounding.
_LEAST = 1e-3
# Cap on decoded training sequences for the reference means.
_DECODED = 256


def remember(sequences: Sequences, fitted: Fitted) -> ReferenceStatistics:
    """Compute the reference statistics of training sequences.

    These are the mean and the covariance of codes and ROCKET features. Codes hold what the decoder
    can reconstruct, and ROCKET features describe patterns that it may not know. The covariance is
    shrunk [1]_, because there may be more features than sequences.

    References
    ----------
    .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for large-dimensional covariance
       matrices", Journal of Multivariate Analysis 88, 2004.
    """
    codes, features = scored_features(sequences, fitted)
    center, unit = features.mean(axis=0), features.std(axis=0)
    unit = np.where(unit > _LEAST, unit, 1.0)
    standard = (features - center) / unit
    precision: Any = np.eye(len(center))
    if standard.any():
        precision = LedoitWolf(assume_centered=True).fit(standard).get_precision()
    center, unit, precision = (part.astype(np.float32) for part in (center, unit, precision))
    known = ReferenceStatistics(codes, center, unit, precision, np.ones(2))
    some = evenly_spaced(len(sequences), _DECODED)
    found = measure(sequences[some], codes[some], features[some], fitted, known)
    means = np.array([found.errors.mean(), found.distances.mean()])
    return known._replace(units=np.where(means > 0, means, 1.0))
