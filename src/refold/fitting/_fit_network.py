"""`fit_network`, which splits and scales sequences, and builds and trains a network."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refold._support.console import log, log_kept_epoch
from refold.anomalies import reference_errors
from refold.fitting._choose_settings import Choice, choose_settings, rocket_features_cost_nothing
from refold.fitting._data_sources import Source, source_of
from refold.fitting._defaults_from_data import check_forecast, specify
from refold.fitting._forecast_initialization import initialize_forecast
from refold.fitting._held_out_error import (
    HeldOut,
    assign_weights,
    held_back,
    holding,
    weights_of,
)
from refold.fitting._latent_steps import check_latent_steps, pick_latent_steps
from refold.fitting._warm_start import check_readable
from refold.inference import (
    MOST_SEQUENCES,
    Specification,
    check_fits,
    count_active,
    report_active,
)
from refold.models import Network, build, inference_with, seeded, with_weights_of
from refold.sequences import Batches, Scaler, Scan, Sequences, fingerprints
from refold.storage import Fitted
from refold.training import (
    Checkpoints,
    Corruption,
    FitResult,
    Settings,
    Snapshot,
    Training,
    cut_sequences,
    doing,
    has_linear_path,
    pick_batch_size,
    pick_max_epochs,
    pick_patience,
    pick_refit,
    sample_size,
    set_linear_initialization,
    set_rocket_initialization,
    validation_split,
)

# Sample of training sequences for the reference statistics: cap on sequences, cap on their values,
# and minimum number of sequences.
_MOST_KNOWN, _MOST_VALUES, _FEWEST = 1024, 1 << 21, 64


def fit_network(
    sequences: Sequences | Scan,
    parameters: Mapping[str, Any],
    *,
    seed: int,
    callbacks: Sequence[Any] = (),
    checkpoints: Checkpoints | None = None,
    resume: Snapshot | None = None,
    aside: np.ndarray | None = None,
    warm: Fitted | None = None,
    report: bool = False,
) -> tuple[Fitted | None, FitResult, Sequences | None]:
    """Split, scale, build and train.

    Parameters
    ----------
    sequences : Sequences or Scan
    parameters : mapping
        The estimator's arguments, checked, with a number as ``latent_dim``.
    seed : int
    callbacks : sequence of keras.callbacks.Callback
    checkpoints : Checkpoints, optional
    resume : Snapshot, optional
    aside : array of int, optional
        As for `fit`.
    warm : Fitted, optional
        As for `fit`. Its weights take the place of an initialization.
    report : bool
        Log the held-out errors of the validated weights and of PCA to standard error.

    Returns
    -------
    fitted, outcome, sample
        As `fit` returns them.
    """
    source = source_of(sequences)
    lengths = sequences.lengths
    fraction = source.most_held_out(parameters["validation_fraction"])
    chosen, held_out = validation_split(lengths, fraction, seed=seed)
    corruption = Corruption.of(parameters["denoise"])

    @functools.cache
    def units() -> Scaler:
        return source.units(parameters["scale"]) if warm is None else warm.units

    @functools.cache
    def scaler(phase: str) -> Scaler:
        if warm is not None:
            return warm.scaler
        rows = chosen if phase == "validated" else None
        return source.scaler(parameters["scale"], units(), rows)

    @functools.cache
    def measured() -> HeldOut:
        width = specification.latent_dim + scaler("validated").num_statistics
        return HeldOut(source, chosen, held_out, seed=seed, most=width)

    if warm is None:
        specification = specify(source, parameters, chosen)
        if specification.rocket_dim and parameters["rocket_dim"] == "auto":
            sizes = specification.latent_dim, specification.rocket_dim
            if not rocket_features_cost_nothing(measured(), *sizes):
                specification = specification._replace(rocket_dim=0)
        architecture = parameters["architecture"]
        latent_steps = pick_latent_steps(parameters, source)
        default_latent_steps = pick_latent_steps({**parameters, "latent_steps": "auto"}, source)
        with seeded(seed):
            network = build(specification, architecture if callable(architecture) else None)
    else:
        specification = warm.network.specification
        latent_steps = default_latent_steps = warm.latent_steps
        if parameters["latent_steps"] != "auto":
            latent_steps = check_latent_steps(
                parameters["latent_steps"],
                specification.architecture,
                variational=specification.variational,
            )
        check_forecast(specification.forecast_steps, None, int(lengths.max()))
        check_readable(specification, corruption)
        with seeded(seed):
            network = with_weights_of(warm.network)
    packed = inference_with(network)
    check_fits(lengths, packed)
    if aside is not None:
        check_fits(aside, packed)
    batch_size = min(parameters["batch_size"] or pick_batch_size(len(chosen)), len(chosen))
    batches = Batches(lengths, batch_size, network.fixed_steps)
    steps_an_epoch = source.num_batches(batches, chosen, seed)
    max_epochs = parameters["max_epochs"] or pick_max_epochs(steps_an_epoch)
    wait = pick_patience(max_epochs, variational=specification.variational)
    settings = Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        steps_an_epoch=steps_an_epoch,
        learning_rate=parameters["learning_rate"],
        seed=seed,
        patience=parameters["patience"] or wait,
        optimizer=parameters["optimizer"],
        time_budget=parameters["time_budget"],
        corruption=corruption,
        verbose=parameters["verbose"],
    )
    units()  # refuses columns without values before the training begins
    longest = batches.buckets[-1].num_steps
    phases = {
        "validated": (chosen, held_out),
        "refit": (np.arange(len(lengths)), np.arange(0)),
    }

    refit = parameters["refit"]
    if refit == "auto":  # a refit of a fitted model could end with a larger validation loss
        refit = warm is None and pick_refit(len(lengths), len(held_out))
    untrained = None if resume is None else weights_of(network)
    initial: dict[str, list[np.ndarray] | None] = {}

    def initialization(phase: str) -> list[np.ndarray] | None:
        if specification.forecast_steps:  # its forecasts are not compared
            return None
        if phase not in initial:  # it was set before a checkpoint that this fit resumes
            with holding(network, untrained):
                rows, _ = phases[phase]
                good = _initialize(network, source, rows, scaler(phase), seed, corruption)
                initial[phase] = weights_of(network) if good else None
        return initial[phase]

    with Training(
        network,
        batches,
        settings,
        refit=refit,
        checkpoints=checkpoints,
        callbacks=callbacks,
        resume=resume,
    ) as training:
        while (phase := training.phase) is not None:
            rows, others = phases[phase]
            good = training.is_fresh and (
                warm is not None
                or _initialize(network, source, rows, scaler(phase), seed, corruption)
            )
            if training.is_fresh:
                initial[phase] = weights_of(network) if good else None
            training.run(source.part(scaler(phase), rows, others, longest, seed), keep_initial=good)
    outcome = training.result
    if outcome.phase is None:
        return None, outcome, None
    choice, kept = Choice(latent_steps), outcome.phase
    if len(held_out) and outcome.complete:
        own = scaler("validated")
        if warm is None and _can_be_chosen(specification, corruption):
            choice = choose_settings(
                measured(),
                network,
                own,
                trained=outcome.validated,
                initialization=functools.partial(initialization, "validated"),
                latent_steps=latent_steps,
                may_change_steps=parameters["latent_steps"] == "auto",
            )
        if choice.initial:
            outcome, kept = _initialized(outcome, initialization)
            assign_weights(network, initialization(kept) or [])
        if report and not outcome.interrupted:
            log_kept_epoch(outcome.epoch, outcome.history["phase"].count("validated"))
            measured().report(
                network,
                own,
                outcome,
                latent_steps=choice.latent_steps,
                max_epochs=max_epochs,
                linear=warm is None and outcome.epoch == 0,
            )
            if choice.message:
                log(choice.message)
            if specification.forecast_steps:
                measured().report_forecast(network, own, outcome)
    active = None
    if specification.variational:
        sample = source.sample(phases[kept][0], MOST_SEQUENCES, seed)
        active = count_active(scaler(kept).transform(sample), packed)
        report_active(active, specification.latent_dim, verbose=parameters["verbose"])
    fitted = Fitted(
        packed,
        sequences.schema,
        scaler(kept),
        units(),
        outcome.history,
        choice.latent_steps if parameters["latent_steps"] == "auto" else default_latent_steps,
        active,
        initial_loss=outcome.initial_loss,
        keeps_initial=choice.initial,
        held_back=held_back(source, held_out, outcome),
    )
    with holding(network, outcome.validated):
        validated = fitted._replace(scaler=scaler("validated"))
        errors = _held_out_errors(source, held_out, validated, warm)
    fitted = fitted._replace(held_out_errors=errors)
    average = max(1.0, float(lengths.mean())) * len(specification.column_types)
    most = int(np.clip(_MOST_VALUES / average, _FEWEST, _MOST_KNOWN))
    return fitted, outcome, source.sample(phases[kept][0], most, seed)


def _held_out_errors(
    source: Source, held_out: np.ndarray, validated: Fitted, warm: Fitted | None
) -> np.ndarray | None:
    """Measure held-out sequences with weights that were not trained on them."""
    if not len(held_out):
        return None
    sequences = source.held_out(held_out)
    if warm is not None and warm.trained is not None:
        sequences = sequences[~np.isin(fingerprints(sequences), warm.trained)]
    return reference_errors(sequences, validated)


def _can_be_chosen(specification: Specification, corruption: Corruption) -> bool:
    """Return whether the error of PCA on held-out sequences is that to compare with."""
    default = specification.architecture == "default" and not specification.variational
    return default and not corruption


def _initialized(
    outcome: FitResult, initialization: Callable[[str], list[np.ndarray] | None]
) -> tuple[FitResult, str]:
    """Return the result of a fit that keeps the initialization of its last phase, and the phase."""
    refit = outcome.phase == "refit" and initialization("refit") is not None
    phase, validated = ("refit", initialization("validated")) if refit else ("validated", None)
    return outcome._replace(phase=phase, epoch=0, validated=validated), phase


def _initialize(
    network: Network,
    source: Source,
    rows: np.ndarray,
    scaler: Scaler,
    seed: int,
    corruption: Corruption,
) -> bool:
    """Set the initial weights from training sequences; return whether they are worth keeping."""
    specification = network.specification
    if not has_linear_path(network) and not specification.rocket_dim:
        return False
    doing("scaling")
    scaled = whole = scaler.transform(source.sample(rows, sample_size(network), seed))
    if specification.forecast_steps:
        scaled, _ = cut_sequences(whole, specification.forecast_steps, seed)
    if specification.rocket_dim:
        set_rocket_initialization(network, scaled)
    if not has_linear_path(network):
        return False
    good = set_linear_initialization(network, scaled, seed=seed, corruption=corruption)
    if specification.forecast_steps and whole.schema.numeric.any():
        initialize_forecast(network, whole, seed)
    return good
