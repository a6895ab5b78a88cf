"""The end of a fit: the settings under which held-out sequences are reconstructed best."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from refold.evaluation import Fidelity
from refold.network.keras.build import Network
from refold.network.keras.network import inference_with
from refold.sequences import Scaler, Sequences
from refold.training._held_out_error import HeldOut, assign_weights, holding
from refold.training._initial_weights import InitialWeights
from refold.training._split import Split
from refold.training._training import FitResult

# Training minimizes the error of the encoder's codes at the true lengths. Users see the error with
# predicted lengths and after latent optimization, and compare it with that of PCA.

# Latent optimization must lower the held-out error at least by this factor.
_WORTH = 0.995


@dataclass(frozen=True)
class Choice:
    """Settings of a fitted network."""

    latent_steps: int
    default_latent_steps: int
    initial: bool = False  # whether the initialization is better than the trained weights
    message: str | None = None  # what was changed because PCA was better


def choose(
    choice: Choice,  # that the data suggests
    network: Network,
    split: Split,
    outcome: FitResult,
    initial: InitialWeights,
    *,
    may_change: bool,  # whether latent optimization may be left out
) -> tuple[Choice, FitResult]:
    """Choose the weights, which the network gets, and the steps of latent optimization."""
    specification = network.specification
    comparable = specification.architecture == "default" and not specification.variational
    if (
        not len(split.held_out)
        or not outcome.complete
        or split.further is not None
        or not comparable
        or initial.corruption  # the error of PCA is that of clean input
    ):
        return choice, outcome
    measured, kept = split.comparison(specification.latent_dim), outcome.phase or "validated"
    choice = choose_settings(
        measured,
        network,
        split.scaler("validated"),
        trained=outcome.validated,
        initialization=lambda: initial.of("validated"),
        choice=choice,
        may_change=may_change,
    )
    choice = confirm_training(
        choice,
        measured,
        network,
        split.scaler(kept),
        initial=initial.of(kept),
        training=split.sample(kept, measured.most_sequences),
    )
    if not choice.initial:
        return choice, outcome
    # keep the initialization of the last phase, if that one is worth keeping
    refit = kept == "refit" and initial.of("refit") is not None
    phase, validated = ("refit", initial.of("validated")) if refit else ("validated", None)
    assign_weights(network, initial.of(phase) or [])
    return choice, replace(outcome, phase=phase, epoch=0, validated=validated)


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
    choice: Choice,  # that the data suggests
    may_change: bool,  # whether latent optimization may be left out
) -> Choice:
    """Compare settings of a network on held-out sequences."""
    # Latent optimization is used if it lowers the error. If PCA of the same size is better than the
    # trained weights, the better one of them and the initialization is used.

    def error(weights: list[np.ndarray] | None, steps: int) -> float:
        with holding(network, weights):
            found = measured.of_network(inference_with(network), scaler, latent_steps=steps)
        return total_error(found)

    candidates = {choice.latent_steps, 0} if may_change else {choice.latent_steps}

    def chosen(steps: int) -> Choice:
        default = steps if may_change else choice.default_latent_steps
        return replace(choice, latent_steps=steps, default_latent_steps=default)

    ours, steps = _best_steps({steps: error(trained, steps) for steps in candidates})
    pca = total_error(measured.of_pca(network.specification.latent_dim))
    if ours <= pca or (initial := initialization()) is None:
        return chosen(steps)
    start, start_steps = _best_steps({steps: error(initial, steps) for steps in candidates})
    if not start < ours:
        return chosen(steps)
    message = (
        f"PCA was better on held-out sequences (error {pca:.3g}) than the trained weights "
        f"({ours:.3g}), so their linear initialization is used ({start:.3g})."
    )
    return replace(chosen(start_steps), initial=True, message=message)


def _best_steps(errors: dict[int, float]) -> tuple[float, int]:
    """Return the error and the steps of latent optimization, if they are worth their time, or 0."""
    steps = max(errors)
    if errors[steps] > _WORTH * errors.get(0, math.inf):
        steps = 0
    return errors[steps], steps


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
    return replace(choice, initial=True, message=message)


def total_error(found: Fidelity) -> float:
    """Return the NMSE of numeric columns plus the share of wrong categories of the others."""
    numeric = 0.0 if found.nmse is None else found.nmse
    return numeric + (0.0 if found.accuracy is None else 1.0 - found.accuracy)
