"""`fit`: from a user's data and arguments to a fitted model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from refold._support.argument_checks import check_some, draw_seed
from refold._support.compilation import keep_compiled
from refold._support.console import log
from refold.arguments import Arguments
from refold.model import History, Model
from refold.network.keras.network import inference_with
from refold.training._check_arguments import check_arguments
from refold.training._checkpoint import CheckpointArgument, opened_checkpoint
from refold.training._choose_latent_dim import choose_size
from refold.training._choose_settings import choose
from refold.training._data_sources import Source, open_training
from refold.training._forecasts import fit_forecasts
from refold.training._initial_weights import InitialWeights
from refold.training._reference_statistics import measured
from refold.training._report import report
from refold.training._specify import (
    check_columns,
    copied_network,
    new_network,
    settings_for,
)
from refold.training._split import Split, set_aside
from refold.training._training import FitResult, Training
from refold.training.data._division import Divided


class Fit(NamedTuple):
    """A fitted model, and how its training went."""

    model: Model | None  # None if training was interrupted before any weights could be kept
    outcome: FitResult


def fit(
    X: Any,
    arguments: Arguments,
    *,
    callbacks: Sequence[Any] = (),
    checkpoint: CheckpointArgument = None,
    resume: bool = False,
    further: Model | None = None,
    # of a trial, which reports nothing, and whose model has no statistics of the training data
    trial_seed: int | None = None,
) -> Fit:
    """Fit a model to data with the estimator's arguments, or train one further."""
    verbose = bool(arguments.verbose) and trial_seed is None

    # Open: read the data, with the columns of the model if one is trained further.
    check_arguments(arguments, further, checkpoint, resume=resume)
    divided = X if isinstance(X, Divided) else None
    data = X if divided is None else divided.sequences
    sequences = open_training(data, arguments.missing_values, further)
    check_some(len(sequences), "sequence", "to fit on")

    # Split: set calibration sequences aside, and hold out some of the others for validation.
    sequences, calibration = set_aside(sequences, arguments.calibration_fraction, further)
    check_columns(sequences, further)
    keep_compiled()
    seed = draw_seed(arguments.random_state) if trial_seed is None else trial_seed
    source = Source(sequences, divided)
    with opened_checkpoint(
        checkpoint, arguments, source, seed=seed, resume=resume, further=further
    ) as saved:
        further = saved.further

        # Choose the size: the smallest code that explains the requested share of the variance.
        if further is None and arguments.asks_for_share:
            arguments = choose_size(sequences, saved, fit)
        split = Split(source, calibration, arguments, seed=saved.seed, further=further)

        # Specify: sizes, decoder, patches and ROCKET features that suit the data.
        prepare = new_network if further is None else copied_network
        network, suggested = prepare(split, arguments)
        batches, settings = settings_for(split, network, arguments)
        time_warp = split.time_warp(network.specification)
        if verbose and time_warp:
            log(f"Training on time warps with a standard deviation of {time_warp:g} steps.")

        # Initialize and train, on the training sequences and, in a refit, on all of them. The
        # weights start from the best linear code, which is a candidate of early stopping.
        initial = InitialWeights(network, split, settings.corruption, resumed=saved.is_resumed)
        with Training(
            network,
            batches,
            settings,
            refit=split.refits(arguments.refit),
            checkpoints=saved.checkpoints,
            callbacks=callbacks,
            resume=saved.snapshot,
            processes=source.processes,
        ) as training:
            while (phase := training.phase) is not None:
                keep_initial = training.is_fresh and initial.set(phase)
                training.run(split.part(phase, batches, time_warp), keep_initial=keep_initial)
    outcome = training.result
    if outcome.phase is None:
        return Fit(None, outcome)

    # Choose: trained weights or their initialization, with latent optimization or without.
    choice, outcome = choose(
        suggested,
        network,
        split,
        outcome,
        initial,
        may_change=arguments.latent_steps == "auto",
    )
    if network.specification.forecast_steps:
        outcome = fit_forecasts(network, split, outcome, arguments)
    if verbose:
        report(split, network, outcome, choice, settings.max_epochs)

    # Measure: held-out errors, statistics of the training codes, and the calibration.
    model = Model(
        inference_with(network),
        split.schema,
        split.scaler(outcome.phase or "validated"),
        split.error_scaler(),
        History(outcome.history, outcome.initial_loss, keeps_initial=choice.initial),
        latent_steps=choice.latent_steps,
        default_latent_steps=choice.default_latent_steps,
    )
    if trial_seed is None:
        model = measured(model, network, split, outcome, verbose=verbose)
    return Fit(model, outcome)
