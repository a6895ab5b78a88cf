"""Statistics of the training data, to which a model compares other sequences."""

from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.covariance import LedoitWolf

from refold._support.arrays import evenly_spaced
from refold._support.output import log, warn
from refold.model import (
    MAX_ERRORS,
    Model,
    ReferenceStatistics,
    distances,
    errors_of,
    fit_mixture,
    means_by_sequence,
    reconstruction_errors,
    scored_features,
)
from refold.network.keras.build import Network
from refold.sequences import Sequences
from refold.training._split import Split
from refold.training.initialization._initial_weights import holding
from refold.training.loop._training import FitResult

# Standard deviations below this are rounding.
_MIN_DEVIATION = 1e-3
_MAX_DECODED = 256  # training sequences for the typical error
_MAX_COUNTED = 4096  # training sequences for the active dimensions of a variational model
# Variance of the means above which a dimension is active: Y. Burda, R. Grosse and R. Salakhutdinov,
# "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
_ACTIVE = 0.01
# Fraction of active dimensions below which there is a warning.
_MIN_ACTIVE_SHARE = 0.25


def measured_model(
    model: Model, network: Network, split: Split, outcome: FitResult, *, verbose: int
) -> Model:
    """Return a model that knows its training data, calibrated if sequences were set aside."""
    kept = outcome.phase or "validated"
    if model.specification.variational:
        sample = model.scaler.transform(split.sample(kept, _MAX_COUNTED))
        active = int((model.network.encode(sample).var(axis=0) > _ACTIVE).sum())
        _report_active(active, model.specification.latent_dim, verbose=verbose)
        model = replace(model, active_dimensions=active)
    if (unseen := split.unseen()) is not None:
        with holding(network, outcome.validated):  # a refit was trained on them
            validated = replace(model, scaler=split.scaler("validated"))
            model = replace(model, held_out_errors=held_out_errors(validated, unseen))
    model = with_reference(model, split.reference_sample(kept), seed=split.seed)
    model = replace(model, fingerprints=split.fingerprints(kept))
    if split.calibration is None or (outcome.interrupted and not outcome.complete):
        return model
    return model.calibrated_with(model.align(split.calibration))


def _report_active(active: int, latent_dim: int, *, verbose: int) -> None:
    """Report how many latent dimensions are active, and warn if they are few."""
    count = f"{active} of {latent_dim} latent dimensions {'is' if active == 1 else 'are'} active"
    if active == 0 or active < _MIN_ACTIVE_SHARE * latent_dim:
        warn(
            f"Only {count} (posterior collapse). A smaller latent_dim would lose nothing. More "
            "epochs or variational=False may activate more."
        )
    if verbose:
        log(f"{count}.")


def with_reference(model: Model, sequences: Sequences, *, seed: int) -> Model:
    """Return a model that knows the statistics of a sample of its training sequences."""
    # These are the mean and the covariance of codes and ROCKET features. Codes hold what the
    # decoder can reconstruct, and ROCKET features describe patterns that it may not know.
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
