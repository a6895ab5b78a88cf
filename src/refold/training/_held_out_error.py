"""Held-out errors of a network and of PCA: what a fit chooses by them, and what it reports."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from refold._support.output import describe_epochs, log
from refold.errors import argument
from refold.evaluation import Fidelity, PCABaseline, fidelity, forecast_errors
from refold.model import Model, continued, split_last
from refold.network.keras.build import Network, inference_with
from refold.network.packed.network import FittedNetwork
from refold.network.specification import Specification
from refold.sequences import Scaler, Sequences
from refold.training._split import Split
from refold.training.initialization._initial_weights import (
    InitialWeights,
    assign_weights,
    holding,
)
from refold.training.loop._training import FitResult, Settings

# Cap on held-out sequences for an error.
_MAX_SEQUENCES = 1000
# Cap on padded values for the PCA fit; minimum number of sequences.
_MAX_PCA_VALUES, _MIN_PCA_SEQUENCES = 1 << 23, 16
# Latent optimization must lower the held-out error at least by this factor. It takes about two
# passes of the decoder per step, so a smaller gain is not worth its time.
_MAX_RATIO = 0.995
# Number of training sequences below which they are few, and error below which little is left to
# gain. Median length and NMSE above which windows are suggested, and how long these are.
_FEW_SEQUENCES, _SMALL_ERROR = 500, 0.01
_LONG, _LARGE_NMSE, _WINDOW = 500, 0.5, 128
# Share of the epochs after which an epoch is one of the last, and factor for a longer training.
_LATE, _LONGER = 0.95, 4
# Share of lengths that are wrong by more than a tenth, worth a word, and number of reasons in a
# line.
_WRONG_LENGTHS, _MAX_REASONS = 0.1, 2


class HeldOut:
    """Held-out sequences and their reconstruction errors, in units of the training part."""

    def __init__(self, split: Split, code_size: int) -> None:
        self._split, self._code_size = split, code_size
        training = split.rows["validated"]
        num_steps = max(1, int(split.lengths[training].max(initial=0)))
        num_values = num_steps * split.schema.output_width
        self._sample_size = max(_MIN_PCA_SEQUENCES, _MAX_PCA_VALUES // num_values)
        # size at which PCA reconstructs its training data without error
        self.most_components = min(len(training), num_values)
        self.most_sequences = count = min(_MAX_SEQUENCES, self._sample_size)
        sequences = split.held_out_sequences
        if len(sequences) > count:
            rng = np.random.default_rng([split.seed, 0x4E1D])
            sequences = sequences[np.sort(rng.choice(len(sequences), count, replace=False))]
        self.sequences = sequences

    def of_network(
        self,
        network: FittedNetwork,
        scaler: Scaler,
        *,
        latent_steps: int = 0,
        others: Sequences | None = None,
    ) -> Fidelity:
        """Measure a network with its predicted lengths, on other sequences if they are given."""
        sequences = self.sequences if others is None else others
        model = self.as_model(network, scaler, latent_steps)
        codes = model.codes_of(sequences)
        reconstructed = model.to_sequences(codes, model.predict_lengths(codes))
        return fidelity(sequences, reconstructed, self.units)

    def as_model(self, network: FittedNetwork, scaler: Scaler, latent_steps: int) -> Model:
        """Return a network as a model, which encodes and decodes sequences."""
        return Model(network, self.sequences.schema, scaler, self.units, latent_steps=latent_steps)

    def of_pca(self, size: int) -> Fidelity:
        """Measure PCA with the true lengths, and with all components if there are fewer."""
        if self.baseline is None:
            numeric = self.sequences.schema.numeric
            return Fidelity(
                1.0 if numeric.any() else None, None if numeric.all() else 0.0, exact=0.0
            )
        reconstructed = self.baseline.first(size).reconstruct(self.sequences)
        return fidelity(self.sequences, reconstructed, self.units)

    @property
    def max_size(self) -> int:
        """Largest size of PCA: that of the code, with the statistics of each sequence."""
        return self._code_size + self._split.scaler("validated").num_statistics

    @property
    def units(self) -> Scaler:
        """Scaler fitted to the training part."""
        return self._split.training_units

    @functools.cached_property
    def baseline(self) -> PCABaseline | None:
        """PCA of the training part; None if that has no steps."""
        sample = self._split.sample("validated", self._sample_size)
        if not sample.lengths.any():
            return None
        num_values = int(sample.lengths.max()) * sample.schema.output_width
        components = min(self.max_size, len(sample), num_values)
        return PCABaseline(components).fit(sample, self.units)


def total_error(errors: Fidelity) -> float:
    """Return the NMSE of numeric columns plus the share of wrong categories of the others."""
    numeric = 0.0 if errors.nmse is None else errors.nmse
    return numeric + (0.0 if errors.accuracy is None else 1.0 - errors.accuracy)


# The choice of the settings
#
# Training minimizes the error of the encoder's codes at the true lengths. Users see the error with
# predicted lengths and after latent optimization, and compare it with that of PCA.


@dataclass(frozen=True)
class Choice:
    """Settings of a fitted network."""

    latent_steps: int
    default_latent_steps: int
    initial: bool = False  # whether the initialization is better than the trained weights


# The initialization is a candidate a second time here. Early stopping compares it with each epoch
# at the true lengths. Here it is compared with the weights as they are used.
def choose(
    choice: Choice,  # that the data suggests
    held_out: HeldOut,
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
        not len(split.held_out_rows)
        or not outcome.complete
        or split.further is not None
        or not comparable
        or initial.corruption  # the error of PCA is that of clean input
    ):
        return choice, outcome
    kept = outcome.phase or "validated"
    choice = choose_settings(
        held_out,
        network,
        split.scaler("validated"),
        trained=outcome.validated,
        initialization=lambda: initial.of("validated"),
        choice=choice,
        may_change=may_change,
    )
    if not choice.initial and (weights := initial.of(kept)) is not None:
        # A few held-out sequences can be reconstructed better by chance, and a refit is not
        # measured on any. But training that did not lower the error of its own sequences learned
        # nothing. An example is employment, which grows almost linearly.
        training, errors = split.sample(kept, held_out.most_sequences), []
        for some in (None, weights):
            with holding(network, some):
                result = held_out.of_network(
                    inference_with(network),
                    split.scaler(kept),
                    latent_steps=choice.latent_steps,
                    others=training,
                )
                errors.append(total_error(result))
        ours, start = errors
        choice = replace(choice, initial=not ours <= start)
    if not choice.initial:
        return choice, outcome
    # keep the initialization of the last phase, if that one is worth keeping
    refit = kept == "refit" and initial.of("refit") is not None
    phase, validated = ("refit", initial.of("validated")) if refit else ("validated", None)
    assign_weights(network, initial.of(phase) or [])
    return choice, replace(outcome, phase=phase, epoch=0, validated=validated)


# A dimension that does not reconstruct costs accuracy, so there are none unless principal
# components show that they cost nothing.
def rocket_features_cost_nothing(held_out: HeldOut, latent_dim: int, rocket_dim: int) -> bool:
    """Return whether ROCKET features may take the place of principal components."""
    if not len(held_out.sequences):
        return False
    # They may if the other components alone reconstruct held-out sequences equally well.
    fewer, all_of_them = (held_out.of_pca(size) for size in (latent_dim - rocket_dim, latent_dim))
    return total_error(fewer) <= total_error(all_of_them)


def choose_settings(
    held_out: HeldOut,
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
    candidates = {choice.latent_steps, 0} if may_change else {choice.latent_steps}

    def best(weights: list[np.ndarray] | None) -> tuple[float, Choice]:
        """Return the smallest error of some weights, and the settings that have it."""
        errors = {}
        with holding(network, weights):
            packed = inference_with(network)
            for steps in candidates:
                result = held_out.of_network(packed, scaler, latent_steps=steps)
                errors[steps] = total_error(result)
        steps = max(errors)
        if errors[steps] > _MAX_RATIO * errors.get(0, math.inf):
            steps = 0
        default = steps if may_change else choice.default_latent_steps
        return errors[steps], replace(choice, latent_steps=steps, default_latent_steps=default)

    # This guard against errors above those of PCA changes little on the sets for choosing (a ratio
    # of 0.99 without it). It matters on other data.
    ours, settings = best(trained)
    pca = total_error(held_out.of_pca(network.specification.latent_dim))
    if ours <= pca or (initial := initialization()) is None:
        return settings
    start, initial_settings = best(initial)
    return replace(initial_settings, initial=True) if start < ours else settings


# The report


def report(
    held_out: HeldOut,
    split: Split,
    network: Network,
    outcome: FitResult,
    choice: Choice,
    settings: Settings,
) -> None:
    """Log the held-out errors of the validated weights and of PCA, and what would lower them."""
    if not len(split.held_out_rows) or not outcome.complete or outcome.interrupted:
        return
    specification, scaler = network.specification, split.scaler("validated")
    epochs = outcome.history["phase"].count("validated")
    log(f"{describe_epochs(outcome.epoch, epochs).capitalize()}.")
    with holding(network, outcome.validated):
        packed, sequences = inference_with(network), held_out.sequences
        model = held_out.as_model(packed, scaler, choice.latent_steps)
        codes = model.codes_of(sequences)
        decoded = model.to_sequences(codes, model.predict_lengths(codes))
        ahead = _forecast_report(held_out, packed, scaler) if specification.forecast_steps else []
    ours, pca = fidelity(sequences, decoded, held_out.units), held_out.of_pca(held_out.max_size)
    baseline = held_out.baseline
    dimensions = _count(0 if baseline is None else baseline.latent_dim, "dimension")
    count = _count(len(sequences), "sequence")
    log(f"Held out ({count}): {ours.text(pca, name=f'PCA with {dimensions}')}.")
    late = 0 < _LATE * epochs <= outcome.epoch
    longer = _longer_training(outcome, settings, epochs, late=late)
    error = total_error(ours)
    if 0 < error >= total_error(pca):
        wrong = np.abs(decoded.lengths - sequences.lengths) > 0.1 * sequences.lengths
        reasons = [] if longer is None else [longer]
        reasons += _reasons(split, specification, outcome, float(wrong.mean()))
        if error < _SMALL_ERROR:
            reasons = [f"little is left to gain, so a smaller {argument('latent_dim')} is enough"]
        log(f"No better than PCA: {'; '.join(reasons[:_MAX_REASONS])}.")
    elif longer is not None and late and error > _SMALL_ERROR:
        log(f"{longer[0].upper()}{longer[1:]}.")
    median = float(np.median(split.lengths))
    if split.window is None and median > _LONG and (ours.nmse or 0.0) > _LARGE_NMSE:
        log(
            f"The median sequence has {median:g} steps, much of which is lost. A code for each "
            f"window loses less: {argument(window=_WINDOW)}."
        )
    for line in ahead:
        log(line)


def _longer_training(
    outcome: FitResult, settings: Settings, epochs: int, *, late: bool
) -> str | None:
    """Return what ended a training too early, and what to set; None if nothing did."""
    budget = settings.time_budget
    if outcome.out_of_time and budget is not None and epochs < settings.max_epochs:
        more = argument(time_budget=max(1, round(_LONGER * budget)))
        return f"the time was up after {epochs} of {settings.max_epochs} epochs, so try {more}"
    if late and epochs == settings.max_epochs:
        more = argument(max_epochs=_LONGER * epochs)
        return f"the error still fell after {_count(epochs, 'epoch')}, so try {more}"
    return None


def _forecast_report(held_out: HeldOut, network: FittedNetwork, scaler: Scaler) -> list[str]:
    """Describe the forecast error of the last held-out steps, if any sequence is longer."""
    steps = network.specification.forecast_steps
    longer, before, after = split_last(held_out.sequences, steps)
    if not len(longer):
        return []
    errors = forecast_errors(before, after, continued(before, network, scaler), held_out.units)
    count = _count(errors.num_sequences, "sequence")
    line, *worse = str(errors).splitlines()
    return [f"Held out ({count}), {_count(steps, 'step')} ahead: {line}.", *worse]


def _reasons(
    split: Split, specification: Specification, outcome: FitResult, wrong_lengths: float
) -> list[str]:
    """Return what may explain an error that is no smaller than that of PCA, and what to do."""
    lengths = split.lengths[split.rows["validated"]]
    num_training, num_steps = len(lengths), int(np.median(lengths))
    num_values = num_steps * split.schema.num_columns
    reasons = []
    if wrong_lengths > _WRONG_LENGTHS:
        usable = specification.architecture == "default" and not specification.variational
        remedy = argument(length_dim=1) if usable else f"a larger {argument('latent_dim')}"
        reasons.append(
            f"{wrong_lengths:.0%} of the decoded lengths are off by more than a tenth, and PCA is "
            f"told the lengths, so use {remedy}"
        )
    if specification.rocket_dim:
        reasons.append(
            f"ROCKET features take {specification.rocket_dim} of the {specification.latent_dim} "
            f"dimensions and reconstruct little, so fit with {argument(rocket_dim=0)}"
        )
    if num_training < max(_FEW_SEQUENCES, num_values):
        is_long = split.window is None and num_steps > 2 * _WINDOW
        remedy = f", or fit on windows of them with {argument(window=_WINDOW)}" if is_long else ""
        reasons.append(
            f"{_count(num_training, 'sequence')} of {_count(num_values, 'value')} are few to learn "
            f"from, so collect more{remedy}"
        )
    if outcome.epoch == 0 and split.further is None and not outcome.out_of_time:
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


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
