"""`fit_network`, which splits and scales sequences, and builds and trains a network."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from refold._support.console import log, log_kept_epoch
from refold.fitting._choose_settings import (
    Choice,
    choose_settings,
    confirm_training,
    rocket_features_cost_nothing,
)
from refold.fitting._defaults_from_data import check_forecast, specify, warn_of_spare_dimensions
from refold.fitting._fit_data import FitData
from refold.fitting._forecasts import fit_forecasts
from refold.fitting._held_out_error import assign_weights, held_back, holding
from refold.fitting._initial_weights import InitialWeights
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
from refold.sequences import Batches, Scan, Sequences
from refold.storage import Fitted
from refold.training import (
    Checkpoints,
    Corruption,
    FitResult,
    Settings,
    Snapshot,
    Training,
    pick_batch_size,
    pick_max_epochs,
    pick_patience,
    pick_refit,
)

# Share of a time budget for the forecast decoder.
_FORECAST_SHARE = 0.15


def fit_network(
    sequences: Sequences | Scan,
    parameters: Mapping[str, Any],  # with a number as latent_dim
    *,
    seed: int,
    callbacks: Sequence[Any] = (),
    checkpoints: Checkpoints | None = None,
    resume: Snapshot | None = None,
    aside: np.ndarray | None = None,
    warm: Fitted | None = None,
    report: bool = False,  # log the held-out errors to standard error
) -> tuple[Fitted | None, FitResult, Sequences | None]:
    """Split, scale, build and train; arguments and results are those of `fit`."""
    data = FitData(sequences, parameters, seed=seed, warm=warm)
    corruption = Corruption.of(parameters["denoise"])
    if warm is None:
        model = _new_model(data, parameters)
    else:
        model = _further_model(warm, data, parameters, corruption)
    network = model.network
    packed = inference_with(network)
    for lengths in (data.lengths, aside):
        if lengths is not None:
            check_fits(lengths, packed)
    batches, settings = _training_settings(data, network, parameters, corruption)
    data.units()  # refuses columns without values before the training begins
    time_warp = data.time_warp(network.specification)
    if report and time_warp:
        log(f"Training on time warps with a standard deviation of {time_warp:g} steps.")
    initial = InitialWeights(
        network, data, corruption, from_data=warm is None, resumed=resume is not None
    )
    refit = parameters["refit"]
    if refit == "auto":  # a refit of a fitted model could end with a larger validation loss
        refit = warm is None and pick_refit(len(data.lengths), len(data.held_out))
    with Training(
        network,
        batches,
        settings,
        refit=refit,
        checkpoints=checkpoints,
        callbacks=callbacks,
        resume=resume,
        processes=data.source.processes,
    ) as training:
        longest = batches.buckets[-1].num_steps
        while (phase := training.phase) is not None:
            good = training.is_fresh and initial.set(phase)
            training.run(data.part(phase, longest, time_warp), keep_initial=good)
    outcome = training.result
    if outcome.phase is None:
        return None, outcome, None
    choice, kept = Choice(model.latent_steps), outcome.phase
    if len(data.held_out) and outcome.complete:
        if warm is None and _can_be_chosen(network.specification, corruption):
            measured = data.comparison(network.specification.latent_dim)
            choice = choose_settings(
                measured,
                network,
                data.scaler("validated"),
                trained=outcome.validated,
                initialization=lambda: initial.of("validated"),
                latent_steps=model.latent_steps,
                may_change_steps=parameters["latent_steps"] == "auto",
            )
            choice = confirm_training(
                choice,
                measured,
                network,
                data.scaler(kept),
                initial=initial.of(kept),
                training=data.sample(kept, measured.most_sequences),
            )
        if choice.initial:
            outcome, kept = _initialized(outcome, initial)
            assign_weights(network, initial.of(kept) or [])
    if network.specification.forecast_steps:
        outcome = fit_forecasts(
            network,
            data,
            outcome,
            max_epochs=_forecast_epochs(outcome, parameters),
            seconds=_forecast_seconds(parameters),
            further=warm is not None,
            verbose=parameters["verbose"],
        )
    if report and len(data.held_out) and outcome.complete and not outcome.interrupted:
        _report(data, network, outcome, choice, settings.max_epochs, is_new=warm is None)
    active = None
    if network.specification.variational:
        sample = data.sample(kept, MOST_SEQUENCES)
        active = count_active(data.scaler(kept).transform(sample), packed)
        latent_dim = network.specification.latent_dim
        report_active(active, latent_dim, verbose=parameters["verbose"])
    own_steps = parameters["latent_steps"] != "auto"
    fitted = Fitted(
        packed,
        sequences.schema,
        data.scaler(kept),
        data.units(),
        outcome.history,
        model.default_latent_steps if own_steps else choice.latent_steps,
        active,
        initial_loss=outcome.initial_loss,
        keeps_initial=choice.initial,
        held_back=held_back(data.source, data.held_out, outcome),
    )
    with holding(network, outcome.validated):
        errors = data.held_out_errors(fitted._replace(scaler=data.scaler("validated")))
    return fitted._replace(held_out_errors=errors), outcome, data.reference_sample(kept)


class _Model(NamedTuple):
    """A network before its training, its steps of latent optimization, and their default."""

    network: Network
    latent_steps: int
    default_latent_steps: int


def _new_model(data: FitData, parameters: Mapping[str, Any]) -> _Model:
    """Build a network for the data."""
    specification = specify(data.source, parameters, data.rows["validated"])
    warn_of_spare_dimensions(parameters, data.source)
    if specification.rocket_dim and parameters["rocket_dim"] == "auto":
        sizes = specification.latent_dim, specification.rocket_dim
        if not rocket_features_cost_nothing(data.comparison(specification.latent_dim), *sizes):
            specification = specification._replace(rocket_dim=0)
    architecture = parameters["architecture"]
    latent_steps = pick_latent_steps(parameters, data.source)
    default = pick_latent_steps({**parameters, "latent_steps": "auto"}, data.source)
    with seeded(data.seed):
        network = build(specification, architecture if callable(architecture) else None)
    return _Model(network, latent_steps, default)


def _further_model(
    warm: Fitted, data: FitData, parameters: Mapping[str, Any], corruption: Corruption
) -> _Model:
    """Copy a fitted network that is trained further."""
    specification = warm.network.specification
    latent_steps = warm.latent_steps
    if parameters["latent_steps"] != "auto":
        latent_steps = check_latent_steps(
            parameters["latent_steps"],
            specification.architecture,
            variational=specification.variational,
            cell=specification.cell,
        )
    check_forecast(specification.forecast_steps, None, int(data.lengths.max()))
    check_readable(specification, corruption)
    with seeded(data.seed):
        network = with_weights_of(warm.network)
    return _Model(network, latent_steps, warm.latent_steps)


def _training_settings(
    data: FitData, network: Network, parameters: Mapping[str, Any], corruption: Corruption
) -> tuple[Batches, Settings]:
    """Choose the batches and the settings of training that are not given."""
    chosen = data.rows["validated"]
    batch_size = min(parameters["batch_size"] or pick_batch_size(len(chosen)), len(chosen))
    batches = data.source.batches(batch_size, network.fixed_steps)
    steps_an_epoch = data.source.num_batches(batches, chosen, data.seed)
    parts = data.source.epochs_in_a_pass
    max_epochs = parameters["max_epochs"] or parts * pick_max_epochs(parts * steps_an_epoch)
    wait = pick_patience(max_epochs, variational=network.specification.variational)
    return batches, Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        steps_an_epoch=steps_an_epoch,
        learning_rate=parameters["learning_rate"],
        seed=data.seed,
        patience=parameters["patience"] or wait,
        optimizer=parameters["optimizer"],
        time_budget=_autoencoder_seconds(parameters),
        corruption=corruption,
        verbose=parameters["verbose"],
    )


def _autoencoder_seconds(parameters: Mapping[str, Any]) -> float | None:
    """Return the time budget of the autoencoder; the forecast decoder has a share of it."""
    budget = parameters["time_budget"]
    share = 1.0 - (_FORECAST_SHARE if parameters["forecast_steps"] else 0.0)
    return None if budget is None else share * budget


def _forecast_seconds(parameters: Mapping[str, Any]) -> float | None:
    budget = parameters["time_budget"]
    return None if budget is None else _FORECAST_SHARE * budget


def _forecast_epochs(outcome: FitResult, parameters: Mapping[str, Any]) -> int | None:
    """Return the most epochs of the forecast decoder: none if the autoencoder was not trained."""
    untrained = not outcome.history["phase"] or outcome.interrupted
    return 0 if untrained else parameters["max_epochs"]


def _can_be_chosen(specification: Specification, corruption: Corruption) -> bool:
    """Return whether the error of PCA on held-out sequences is that to compare with."""
    default = specification.architecture == "default" and not specification.variational
    return default and not corruption


def _initialized(outcome: FitResult, initial: InitialWeights) -> tuple[FitResult, str]:
    """Return the result of a fit that keeps the initialization of its last phase, and the phase."""
    refit = outcome.phase == "refit" and initial.of("refit") is not None
    phase, validated = ("refit", initial.of("validated")) if refit else ("validated", None)
    return outcome._replace(phase=phase, epoch=0, validated=validated), phase


def _report(
    data: FitData,
    network: Network,
    outcome: FitResult,
    choice: Choice,
    max_epochs: int,
    *,
    is_new: bool,
) -> None:
    """Log the held-out errors and what was chosen."""
    measured = data.comparison(network.specification.latent_dim)
    log_kept_epoch(outcome.epoch, outcome.history["phase"].count("validated"))
    measured.report(
        network,
        data.scaler("validated"),
        outcome,
        latent_steps=choice.latent_steps,
        max_epochs=max_epochs,
        linear=is_new and outcome.epoch == 0,
    )
    if choice.message:
        log(choice.message)
    if network.specification.forecast_steps:
        measured.report_forecast(network, data.scaler("validated"), outcome)
