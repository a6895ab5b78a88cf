"""Statistics of the training data, to which a model compares other sequences."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf

from refold._support.arrays import evenly_spaced
from refold.model import (
    MAX_ERRORS,
    Model,
    ReferenceStatistics,
    count_active,
    distances,
    errors_of,
    fit_mixture,
    means_by_sequence,
    reconstruction_errors,
    report_active,
    scored_features,
)
from refold.model import MOST_SEQUENCES as MAX_COUNTED
from refold.network.keras.build import Network
from refold.sequences import Sequences
from refold.training._held_out_error import holding
from refold.training._split import Split
from refold.training._training import FitResult

# Standard deviations below this are rounding.
_MIN_DEVIATION = 1e-3
_MAX_DECODED = 256  # training sequences for the typical error


def measured(
    model: Model, network: Network, split: Split, outcome: FitResult, *, verbose: int
) -> Model:
    """Return a model that knows its training data, calibrated if sequences were set aside."""
    kept = outcome.phase or "validated"
    if model.specification.variational:
        sample = model.scaler.transform(split.sample(kept, MAX_COUNTED))
        active = count_active(sample, model.network)
        report_active(active, model.specification.latent_dim, verbose=verbose)
        model = replace(model, active_dimensions=active)
    if (unseen := split.unseen()) is not None:
        with holding(network, outcome.validated):  # a refit was trained on them
            validated = replace(model, scaler=split.scaler("validated"))
            model = replace(model, held_out_errors=held_out_errors(validated, unseen))
    model = with_reference(model, split.reference_sample(kept), seed=split.seed)
    model = replace(model, fingerprints=split.fingerprints(outcome))
    if split.calibration is None or (outcome.interrupted and not outcome.complete):
        return model
    return model.calibrated_with(model.align(split.calibration))


def with_reference(model: Model, sequences: Sequences, *, seed: int) -> Model:
    """Return a model that knows the statistics of a sample of its training sequences.

    These are the mean and the covariance of codes and ROCKET features. Codes hold what the decoder
    can reconstruct, and ROCKET features describe patterns that it may not know.
    """
    codes, features = scored_features(model, sequences)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    deviation = np.where(deviation > _MIN_DEVIATION, deviation, 1.0)
    standard = (features - mean) / deviation
    precision: Any = np.eye(len(mean))
    if standard.any():
        # shrunk, because there may be more features than sequences: O. Ledoit and M. Wolf, "A
        # well-conditioned estimator for large-dimensional covariance matrices", Journal of
        # Multivariate Analysis 88, 2004
        precision = LedoitWolf(assume_centered=True).fit(standard).get_precision()
    mean, deviation, precision = (part.astype(np.float32) for part in (mean, deviation, precision))
    mixture = fit_mixture(codes, seed=seed)
    reference = ReferenceStatistics(codes, mean, deviation, precision, np.ones(2), mixture)
    rows = evenly_spaced(len(sequences), _MAX_DECODED)
    some = sequences[rows]
    errors = means_by_sequence(reconstruction_errors(model, some, codes[rows]), some)
    typical = np.array([errors.mean(), distances(features[rows], reference).mean()])
    typical = np.where(typical > 0, typical, 1.0)
    return replace(model, reference=replace(reference, typical=typical))


def held_out_errors(model: Model, sequences: Sequences) -> np.ndarray | None:
    """Return reconstruction errors of at most 1024 of these sequences, sorted; None if none."""
    if not len(sequences):
        return None
    some = sequences[evenly_spaced(len(sequences), MAX_ERRORS)]
    return np.sort(errors_of(model, some)).astype(np.float32)
