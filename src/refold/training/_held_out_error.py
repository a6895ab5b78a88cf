"""Held-out errors of a network and of PCA: a fit makes choices by them, and reports them.

`HeldOutEvaluator` measures the errors. `choose_weights` chooses between trained and initial
weights, and `log_held_out_errors` writes the report of a fit.
"""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refold._support.messages import describe_kept_epoch, pluralize, print_stderr
from refold.errors import argument
from refold.evaluation import Fidelity, PCABaseline, fidelity, forecast_errors
from refold.model import Model, forecast_next_steps, split_last_steps_of_longer
from refold.network.keras.build import Network, to_inference_network
from refold.network.packed.network import FittedNetwork
from refold.network.specification import Specification
from refold.sequences import Scaler, Sequences
from refold.training._split import Split
from refold.training.initialization._initial_weights import (
    InitialWeights,
    assign_weights,
    temporary_weights,
)
from refold.training.loop._training import FitResult, Settings

# Cap on the held-out sequences whose error is measured.
_MAX_MEASURED_SEQUENCES = 1000
# Cap on the padded values of the training sequences that PCA is fitted to, because they are in
# memory together.
_MAX_PCA_VALUES = 1 << 23
# Minimum number of training sequences for PCA, even if they have more values than that.
_MIN_PCA_BASELINE_SAMPLE = 16
# Latent optimization is used if the error with it, divided by the error without it, is at most
# this. A step of latent optimization takes about as long as decoding twice, so a smaller gain is
# not worth the time.
_MAX_OPTIMIZATION_ERROR_RATIO = 0.995
# Number of training sequences below which the report suggests to collect more.
_MAX_SEQUENCES_TO_SUGGEST_MORE = 500
# If the result of `total_error` is smaller than this, the report says that little is left to gain.
_MIN_ERROR_TO_IMPROVE = 0.01
# Median length above which the report may suggest windows.
_MIN_LENGTH_TO_SUGGEST_WINDOWS = 500
# NMSE above which the report may suggest windows.
_MIN_NMSE_TO_SUGGEST_WINDOWS = 0.5
# Number of steps in the windows that the report suggests.
_SUGGESTED_WINDOW = 128
# If the best epoch came after this share of the epochs, the error was still falling at the end.
_LATE_EPOCHS_START_SHARE = 0.95
# Factor by which the report suggests to train longer.
_SUGGESTED_LONGER_TRAINING_FACTOR = 4
# A decoded length counts as wrong if its relative error is larger.
_RELATIVE_LENGTH_TOLERANCE = 0.1
# Share of wrong lengths above which the report mentions them.
_MAX_WRONG_LENGTHS_SHARE = 0.1
# Cap on the reasons in a line of the report.
_MAX_REPORTED_REASONS = 2


class HeldOutEvaluator:
    """Held-out sequences, and the reconstruction errors of networks and of PCA on them."""

    def __init__(self, split: Split, latent_dim: int) -> None:
        self.split, self._latent_dim = split, latent_dim
        training_lengths = split.lengths[split.training_indices]
        num_steps = max(1, int(training_lengths.max(initial=0)))
        num_values = num_steps * split.schema.output_width
        self._max_pca_sequences = max(_MIN_PCA_BASELINE_SAMPLE, _MAX_PCA_VALUES // num_values)
        # with `max_components`, PCA reconstructs its training data without error
        self.max_components = min(len(training_lengths), num_values)
        self.max_sequences = min(_MAX_MEASURED_SEQUENCES, self._max_pca_sequences)
        self.sequences = split.held_out_sequences
        if (num_held_out := len(self.sequences)) > self.max_sequences:
            # 0x4E1D stands for this use of random numbers: other uses of the same seed have other
            # numbers, so that their draws are independent
            rng = np.random.default_rng([split.seed, 0x4E1D])
            indices = rng.choice(num_held_out, self.max_sequences, replace=False)
            self.sequences = self.sequences[np.sort(indices)]

    def network_errors(
        self,
        network: FittedNetwork,
        scaler: Scaler,
        *,
        latent_steps: int = 0,
        sequences: Sequences | None = None,
    ) -> Fidelity:
        """Return errors of a network with predicted lengths, by default on held-out sequences."""
        original = self.sequences if sequences is None else sequences
        model = self.make_model(network, scaler, latent_steps)
        codes = model.encode_checked(original)
        reconstructed = model.decode_to_sequences(codes, model.predict_lengths(codes))
        return fidelity(original, reconstructed, self.split.held_out_error_scaler)

    def make_model(self, network: FittedNetwork, scaler: Scaler, latent_steps: int) -> Model:
        """Return a network as a model, which encodes and decodes sequences."""
        schema, error_scaler = self.sequences.schema, self.split.held_out_error_scaler
        return Model(network, schema, scaler, error_scaler, latent_steps=latent_steps)

    def pca_errors(self, num_components: int) -> Fidelity:
        """Return the errors of PCA with true lengths, and at most ``num_components`` components."""
        if self.fitted_pca is None:
            # there are no steps to fit to, so the error is that of a method that explains nothing
            numeric = self.sequences.schema.numeric
            nmse, accuracy = 1.0 if numeric.any() else None, None if numeric.all() else 0.0
            return Fidelity(nmse, accuracy, exact=0.0)
        reconstructed = self.fitted_pca.first(num_components).reconstruct(self.sequences)
        return fidelity(self.sequences, reconstructed, self.split.held_out_error_scaler)

    @property
    def latent_dim_with_statistics(self) -> int:
        """Number of values that encode a sequence: its code, and its mean and scale if stored."""
        return self._latent_dim + self.split.scaler("validated").num_statistics

    @functools.cached_property
    def fitted_pca(self) -> PCABaseline | None:
        """PCA of the training sequences; None if all of them are empty."""
        sample = self.split.sample("validated", self._max_pca_sequences)
        if not sample.lengths.any():
            return None
        num_values = int(sample.lengths.max()) * sample.schema.output_width
        # the rank is at most the number of sequences, and at most the number of values
        num_components = min(self.latent_dim_with_statistics, len(sample), num_values)
        return PCABaseline(num_components).fit(sample, self.split.held_out_error_scaler)


def total_error(errors: Fidelity) -> float:
    """Return the NMSE of numeric columns, plus the share of steps where other columns are wrong."""
    numeric = 0.0 if errors.nmse is None else errors.nmse
    return numeric + (0.0 if errors.accuracy is None else 1.0 - errors.accuracy)


# The choice of weights and of latent optimization
#
# Training minimizes the error of the codes of the encoder, decoded with the true lengths. Users see
# the error with predicted lengths and after latent optimization, and compare it with that of PCA.
# So the choice is made by the error that users see.


@dataclass(frozen=True)
class InferenceSettings:
    """Whether to use initial weights, and how many steps of latent optimization a model has."""

    latent_steps: int  # the argument of the fit, or the default if it is "auto"
    default_latent_steps: int  # what latent_steps="auto" stands for
    uses_initial_weights: bool = False  # because they are better than the trained weights


# Early stopping has already compared the initial weights with the weights of each epoch, but with
# the true lengths of sequences. Here the weights are compared as users will use them.
def choose_weights(
    provisional_settings: InferenceSettings,  # from the arguments or, for "auto", from the data
    evaluator: HeldOutEvaluator,
    network: Network,
    fit_result: FitResult,
    initial_weights: InitialWeights,
    *,
    may_skip_optimization: bool,  # whether latent optimization may be left out
) -> tuple[InferenceSettings, FitResult]:
    """Choose weights, which are assigned to the network, and the steps of latent optimization."""
    specification, split = network.specification, evaluator.split
    is_comparable = specification.architecture == "default" and not specification.variational
    # a comparison needs held-out sequences, a finished phase "validated", and a new model
    if (
        not len(split.held_out_indices)
        or not fit_result.complete
        or split.base_model is not None
        or not is_comparable
        or initial_weights.corruption  # PCA reads clean input, so its error cannot be compared
    ):
        return provisional_settings, fit_result
    last_phase = fit_result.phase or "validated"
    choice = choose_inference_settings(
        evaluator,
        network,
        split.scaler("validated"),
        trained_weights=fit_result.validated_weights,
        get_initial_weights=lambda: initial_weights.of_phase("validated"),
        provisional_settings=provisional_settings,
        may_skip_optimization=may_skip_optimization,
    )
    # the initial weights, if trained weights were chosen and must be checked against them
    rejected_weights = None if choice.uses_initial_weights else initial_weights.of_phase(last_phase)
    if rejected_weights is not None:
        # On few held-out sequences, trained weights can be better by chance, and a refit has no
        # held-out sequences at all. But if training did not even lower the error of the training
        # sequences, it learned nothing. An example is the data set employment, which grows almost
        # linearly.
        sample, errors = split.sample(last_phase, evaluator.max_sequences), []
        for weights in (None, rejected_weights):  # None: the trained weights of the network
            with temporary_weights(network, weights):
                packed, scaler = to_inference_network(network), split.scaler(last_phase)
                options: Any = {"latent_steps": choice.latent_steps, "sequences": sample}
                errors.append(total_error(evaluator.network_errors(packed, scaler, **options)))
        trained_error, initial_error = errors
        # `not <=` instead of `>`: an error of the trained weights may be NaN
        choice = replace(choice, uses_initial_weights=not trained_error <= initial_error)
    if not choice.uses_initial_weights:
        return choice, fit_result
    # take the initial weights of the refit, or those of the first phase if there are none
    is_refit = last_phase == "refit" and initial_weights.of_phase("refit") is not None
    phase = "refit" if is_refit else "validated"
    # weights of the phase "validated"; None if the network has them
    validated = initial_weights.of_phase("validated") if is_refit else None
    chosen_weights: Any = initial_weights.of_phase(phase)  # not None, because they were chosen
    assign_weights(network, chosen_weights)
    return choice, replace(fit_result, phase=phase, best_epoch=0, validated_weights=validated)


def choose_inference_settings(
    evaluator: HeldOutEvaluator,
    network: Network,
    scaler: Scaler,  # of the validated phase
    *,
    trained_weights: list[np.ndarray] | None,  # validated weights; None if the network has them
    # called only if the initial weights are compared, because after a resume they are computed
    # again; returns None if they are not worth keeping
    get_initial_weights: Callable[[], list[np.ndarray] | None],
    provisional_settings: InferenceSettings,
    may_skip_optimization: bool,  # whether latent optimization may be left out
) -> InferenceSettings:
    """Choose the settings that have the smallest error on held-out sequences."""
    # Latent optimization is used if it lowers the error. Initial weights are used if the trained
    # weights have a larger error than PCA and than the initial weights.
    candidate_steps = {provisional_settings.latent_steps}  # of latent optimization
    if may_skip_optimization:
        candidate_steps.add(0)

    def choose_latent_steps(
        weights_to_measure: list[np.ndarray] | None,
    ) -> tuple[float, InferenceSettings]:
        """Return the error of these weights with the best number of steps, and the settings."""
        errors = {}  # by latent steps
        with temporary_weights(network, weights_to_measure):
            packed = to_inference_network(network)
            for latent_steps in candidate_steps:
                result = evaluator.network_errors(packed, scaler, latent_steps=latent_steps)
                errors[latent_steps] = total_error(result)
        # `_MAX_OPTIMIZATION_ERROR_RATIO`: a small gain is not worth the time of the optimization
        best_steps = max(candidate_steps)
        if errors[best_steps] > _MAX_OPTIMIZATION_ERROR_RATIO * errors.get(0, math.inf):
            best_steps = 0
        settings = replace(provisional_settings, latent_steps=best_steps)
        if may_skip_optimization:
            settings = replace(settings, default_latent_steps=best_steps)
        return errors[best_steps], settings

    # The comparison of weights protects against errors above those of PCA. It changes little on the
    # data sets by which the defaults were chosen (without it, the error was 0.99 times as large),
    # but it matters on other data.
    trained_error, trained_settings = choose_latent_steps(trained_weights)
    pca_error = total_error(evaluator.pca_errors(network.specification.latent_dim))
    if trained_error <= pca_error or (initial := get_initial_weights()) is None:
        return trained_settings
    initial_error, initial_settings = choose_latent_steps(initial)
    is_better = initial_error < trained_error
    return replace(initial_settings, uses_initial_weights=True) if is_better else trained_settings


# The report


def log_held_out_errors(
    evaluator: HeldOutEvaluator,
    network: Network,
    fit_result: FitResult,
    latent_steps: int,
    training_settings: Settings,
) -> None:
    """Log the held-out errors of the validated weights and of PCA, and how to lower them."""
    split, specification = evaluator.split, network.specification
    if not len(split.held_out_indices) or not fit_result.complete or fit_result.interrupted:
        return
    scaler = split.scaler("validated")
    num_epochs = fit_result.history["phase"].count("validated")
    print_stderr(f"{describe_kept_epoch(fit_result.best_epoch, num_epochs).capitalize()}.")
    forecast_lines: list[str] = []
    with temporary_weights(network, fit_result.validated_weights):
        packed, sequences = to_inference_network(network), evaluator.sequences
        model = evaluator.make_model(packed, scaler, latent_steps)
        codes = model.encode_checked(sequences)
        decoded = model.decode_to_sequences(codes, model.predict_lengths(codes))
        if num_steps := specification.forecast_steps:
            # the steps to forecast are the last steps of held-out sequences that are long enough
            indices, before, after = split_last_steps_of_longer(sequences, num_steps)
            if len(indices):
                forecast = forecast_next_steps(before, packed, scaler)
                forecast_error = forecast_errors(before, after, forecast, model.error_scaler)
                count = pluralize(forecast_error.num_sequences, "sequence")
                line, *warnings = str(forecast_error).splitlines()
                ahead = f"{pluralize(num_steps, 'step')} ahead"
                forecast_lines = [f"Held out ({count}), {ahead}: {line}.", *warnings]
    errors = fidelity(sequences, decoded, model.error_scaler)
    pca_errors = evaluator.pca_errors(evaluator.latent_dim_with_statistics)
    baseline = evaluator.fitted_pca
    pca_name = f"PCA with {pluralize(0 if baseline is None else baseline.latent_dim, 'dimension')}"
    count = pluralize(len(sequences), "sequence")
    print_stderr(f"Held out ({count}): {errors.text(pca_errors, pca_name=pca_name)}.")
    # what ended the training too early, and what to set; None if nothing did
    advice, budget = None, training_settings.time_budget
    is_late = 0 < _LATE_EPOCHS_START_SHARE * num_epochs <= fit_result.best_epoch
    if fit_result.out_of_time and budget is not None and num_epochs < training_settings.max_epochs:
        remedy = argument(time_budget=max(1, round(_SUGGESTED_LONGER_TRAINING_FACTOR * budget)))
        epochs = f"{num_epochs} of {training_settings.max_epochs} epochs"
        advice = f"the time was up after {epochs}, so try {remedy}"
    elif is_late and num_epochs == training_settings.max_epochs:
        remedy = argument(max_epochs=_SUGGESTED_LONGER_TRAINING_FACTOR * num_epochs)
        advice = f"the error still fell after {pluralize(num_epochs, 'epoch')}, so try {remedy}"
    error = total_error(errors)
    if error > 0 and error >= total_error(pca_errors):
        length_error = np.abs(decoded.lengths - sequences.lengths)
        is_wrong = length_error > _RELATIVE_LENGTH_TOLERANCE * sequences.lengths
        reasons = [] if advice is None else [advice]
        reasons += _list_error_reasons(split, specification, fit_result, float(is_wrong.mean()))
        if error < _MIN_ERROR_TO_IMPROVE:
            reasons = [f"little is left to gain, so a smaller {argument('latent_dim')} is enough"]
        print_stderr(f"No better than PCA: {'; '.join(reasons[:_MAX_REPORTED_REASONS])}.")
    elif advice is not None and is_late and error > _MIN_ERROR_TO_IMPROVE:
        print_stderr(f"{advice[0].upper()}{advice[1:]}.")
    median, nmse = float(np.median(split.lengths)), errors.nmse or 0.0
    is_long = split.window is None and median > _MIN_LENGTH_TO_SUGGEST_WINDOWS
    if is_long and nmse > _MIN_NMSE_TO_SUGGEST_WINDOWS:
        print_stderr(
            f"The median sequence has {median:g} steps, much of which is lost. A code for each "
            f"window loses less: {argument(window=_SUGGESTED_WINDOW)}."
        )
    for forecast_line in forecast_lines:
        print_stderr(forecast_line)


def _list_error_reasons(
    split: Split, specification: Specification, fit_result: FitResult, wrong_length_share: float
) -> list[str]:
    """Return reasons why the error may not be smaller than that of PCA, and what to do."""
    lengths = split.lengths[split.training_indices]
    num_training, median_steps = len(lengths), int(np.median(lengths))
    num_values = median_steps * split.schema.num_columns  # of a typical sequence
    reasons = []
    if wrong_length_share > _MAX_WRONG_LENGTHS_SHARE:
        may_hold_length = specification.architecture == "default" and not specification.variational
        remedy = argument(length_dim=1) if may_hold_length else f"a larger {argument('latent_dim')}"
        reasons.append(
            f"{wrong_length_share:.0%} of the decoded lengths are off by more than a tenth, and "
            f"PCA is told the lengths, so use {remedy}"
        )
    if specification.rocket_dim:
        reasons.append(
            f"ROCKET features take {specification.rocket_dim} of the {specification.latent_dim} "
            f"dimensions and reconstruct little, so fit with {argument(rocket_dim=0)}"
        )
    if num_training < max(_MAX_SEQUENCES_TO_SUGGEST_MORE, num_values):
        remedy = ""
        # shorter sequences would give few windows each
        if split.window is None and median_steps > 2 * _SUGGESTED_WINDOW:
            remedy = f", or fit on windows of them with {argument(window=_SUGGESTED_WINDOW)}"
        reasons.append(
            f"{pluralize(num_training, 'sequence')} of {pluralize(num_values, 'value')} are few "
            f"to learn from, so collect more{remedy}"
        )
    if fit_result.best_epoch == 0 and split.base_model is None and not fit_result.out_of_time:
        reasons.append(
            "no epoch improved on the linear initialization, so the data may be linear: use PCA, "
            f"or try another {argument('learning_rate')}"
        )
    if not reasons:
        reasons.append(
            "the data may be nearly linear, or the network too small, so use PCA, or more "
            f"{argument('units')}"
        )
    return reasons
