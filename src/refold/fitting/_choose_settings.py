"""The end of a fit: the settings under which held-out sequences are reconstructed best."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refold.evaluation import Fidelity
from refold.fitting._held_out_error import HeldOut, holding
from refold.models import Network, inference_with
from refold.sequences import Scaler, Sequences

# Training minimizes the error of the encoder's codes at the true lengths. Users see the error with
# predicted lengths and after latent optimization, and compare it with that of PCA.

# Latent optimization must lower the held-out error at least by this factor.
_WORTH = 0.995


class Choice(NamedTuple):
    """Settings of a fitted network."""

    latent_steps: int
    initial: bool = False  # whether the initialization is better than the trained weights
    message: str | None = None  # what was changed because PCA was better


def rocket_features_cost_nothing(measured: HeldOut, latent_dim: int, rocket_dim: int) -> bool:
    """Return whether ROCKET features may take the place of principal components."""
    if not len(measured.sequences):
        return False
    # They may if the other components reconstruct held-out sequences as well. To tell sequences
    # apart, `SequenceAutoencoder.features` costs no dimension.
    fewer, all_of_them = (measured.of_pca(size) for size in (latent_dim - rocket_dim, latent_dim))
    return total_error(fewer) <= total_error(all_of_them)


def choose_settings(
    measured: HeldOut,
    network: Network,
    scaler: Scaler,  # of the validated weights
    *,
    trained: list[np.ndarray] | None,  # validated weights; None for those of the network
    initialization: Callable[[], list[np.ndarray] | None],  # None if it is not worth keeping
    latent_steps: int,  # that the data suggests
    may_change_steps: bool,
) -> Choice:
    """Compare settings of a network on held-out sequences."""
    # Latent optimization is used if it lowers the error. If PCA of the same size is better than the
    # trained weights, the better one of them and the initialization is used.

    def error(weights: list[np.ndarray] | None, steps: int) -> float:
        with holding(network, weights):
            found = measured.of_network(inference_with(network), scaler, latent_steps=steps)
        return total_error(found)

    def best_steps(weights: list[np.ndarray] | None) -> tuple[float, int]:
        optimized = error(weights, latent_steps)
        if latent_steps and may_change_steps:
            plain = error(weights, 0)
            if optimized > _WORTH * plain:
                return plain, 0
        return optimized, latent_steps

    ours, steps = best_steps(trained)
    pca = total_error(measured.of_pca(network.specification.latent_dim))
    if ours <= pca or (initial := initialization()) is None:
        return Choice(steps)
    start, start_steps = best_steps(initial)
    if not start < ours:
        return Choice(steps)
    return Choice(
        start_steps,
        initial=True,
        message=(
            f"PCA was better on held-out sequences (error {pca:.3g}) than the trained weights "
            f"({ours:.3g}), so their linear initialization is used ({start:.3g})."
        ),
    )


def confirm_training(
    choice: Choice,
    measured: HeldOut,
    network: Network,  # with its final weights, of the refit if there was one
    scaler: Scaler,  # of these weights
    *,
    initial: list[np.ndarray] | None,  # their initialization; None if it is not worth keeping
    training: Sequences,  # on which they were trained
) -> Choice:
    """Choose the initialization if it is better than the trained weights on training sequences."""
    # A few held-out sequences can be reconstructed better by chance, and a refit is not measured on
    # any. But training that did not lower the error of its own sequences learned nothing.
    if choice.initial or initial is None:
        return choice

    def error(weights: list[np.ndarray] | None) -> float:
        with holding(network, weights):
            packed, steps = inference_with(network), choice.latent_steps
            found = measured.of_network(packed, scaler, latent_steps=steps, sequences=training)
        return total_error(found)

    ours, start = error(None), error(initial)
    if ours <= start:
        return choice
    message = (
        f"The trained weights reconstruct training sequences worse (error {ours:.3g}) than their "
        f"linear initialization ({start:.3g}), so that is used."
    )
    return choice._replace(initial=True, message=message)


def total_error(found: Fidelity) -> float:
    """Return the NMSE of numeric columns plus the share of wrong categories of the others."""
    numeric = 0.0 if found.nmse is None else found.nmse
    return numeric + (0.0 if found.accuracy is None else 1.0 - found.accuracy)
