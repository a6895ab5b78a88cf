"""`fit_network`, which splits and scales sequences, and builds and trains a network."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refold._support.console import log_kept_epoch
from refold.anomalies import reference_errors
from refold.fitting._data_sources import Source, source_of
from refold.fitting._defaults_from_data import check_forecast, specify
from refold.fitting._forecast_initialization import initialize_forecast
from refold.fitting._held_out_error import HeldOut, held_back, holding
from refold.fitting._latent_steps import check_latent_steps, pick_latent_steps
from refold.fitting._warm_start import check_readable
from refold.inference import MOST_SEQUENCES, check_fits, count_active, report_active
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
    if warm is None:
        specification = specify(source, parameters, chosen)
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
    units = source.units(parameters["scale"]) if warm is None else warm.units
    longest = batches.buckets[-1].num_steps
    phases = {
        "validated": (chosen, held_out),
        "refit": (np.arange(len(lengths)), np.arange(0)),
    }

    @functools.cache
    def scaler(phase: str) -> Scaler:
        if warm is not None:
            return warm.scaler
        return source.scaler(parameters["scale"], units, chosen if phase == "validated" else None)

    refit = parameters["refit"]
    if refit == "auto":  # a refit of a fitted model could end with a larger validation loss
        refit = warm is None and pick_refit(len(lengths), len(held_out))
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
            training.run(source.part(scaler(phase), rows, others, longest, seed), keep_initial=good)
    outcome = training.result
    if outcome.phase is None:
        return None, outcome, None
    if report and len(held_out) and not outcome.interrupted:
        own = scaler("validated")
        width = specification.latent_dim + own.num_statistics
        measured = HeldOut(source, chosen, held_out, seed=seed, most=width)
        log_kept_epoch(outcome.epoch, outcome.history["phase"].count("validated"))
        measured.report(
            network,
            own,
            outcome,
            latent_steps=latent_steps,
            max_epochs=max_epochs,
            linear=warm is None and outcome.epoch == 0,
        )
        if specification.forecast_steps:
            measured.report_forecast(network, own, outcome)
    active = None
    if specification.variational:
        sample = source.sample(phases[outcome.phase][0], MOST_SEQUENCES, seed)
        active = count_active(scaler(outcome.phase).transform(sample), packed)
        report_active(active, specification.latent_dim, verbose=parameters["verbose"])
    fitted = Fitted(
        packed,
        sequences.schema,
        scaler(outcome.phase),
        units,
        outcome.history,
        default_latent_steps,
        active,
        initial_loss=outcome.initial_loss,
        held_back=held_back(source, held_out, outcome),
    )
    with holding(network, outcome.validated):
        validated = fitted._replace(scaler=scaler("validated"))
        errors = _held_out_errors(source, held_out, validated, warm)
    fitted = fitted._replace(held_out_errors=errors)
    average = max(1.0, float(lengths.mean())) * len(specification.column_types)
    most = int(np.clip(_MOST_VALUES / average, _FEWEST, _MOST_KNOWN))
    return fitted, outcome, source.sample(phases[outcome.phase][0], most, seed)


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
