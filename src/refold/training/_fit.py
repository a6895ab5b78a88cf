"""`fit`: from a user's data and arguments to a fitted model."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from refold._support.argument_checks import check_some, draw_seed
from refold._support.compilation import keep_compiled
from refold._support.output import log
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
    # Seed of a trial: a fit that only serves to compare sizes. It reports nothing, and its model
    # has no statistics of the training data.
    trial_seed: int | None = None,
) -> Fit:
    """Fit a model to data with the estimator's arguments, or train one further."""
    verbose = bool(arguments.verbose) and trial_seed is None

    # Open: read the data, with the columns of the model if one is trained further. If several
    # processes train together, each opens all data and trains on its part.
    check_arguments(arguments, further, checkpoint, resume=resume)
    divided = X if isinstance(X, Divided) else None
    data: Any = X if divided is None else divided.sequences
    sequences = open_training(data, arguments.missing_values, further)
    check_some(len(sequences), "sequence", "to fit on")

    # Split: set calibration sequences aside. No weights, sizes or settings depend on them.
    sequences, calibration = set_aside(sequences, arguments.calibration_fraction, further)
    check_columns(sequences, further)
    keep_compiled()
    seed = draw_seed(arguments.random_state) if trial_seed is None else trial_seed
    source = Source(sequences, divided)
    with opened_checkpoint(
        checkpoint, arguments, source, seed=seed, resume=resume, further=further
    ) as saved:
        further = saved.further

        # Choose the size: if a share of the variance is asked for, the smallest code that explains
        # it on held-out sequences, measured by trials. A checkpoint remembers the choice.
        if further is None and arguments.asks_for_share:
            arguments = choose_size(sequences, saved, fit)
        # Some of the other sequences are held out for validation.
        split = Split(source, calibration, arguments, seed=saved.seed, further=further)

        # Specify: the longest length, categories, patches, ROCKET features and the steps of latent
        # optimization follow from the data where the arguments leave them open.
        prepare = new_network if further is None else copied_network
        network, suggestion = prepare(split, arguments)
        batches, settings = settings_for(split, network, arguments)
        time_warp = split.time_warp(network.specification)
        if verbose and time_warp:
            log(f"Training on time warps with a standard deviation of {time_warp:g} steps.")

        # Initialize and train. The first phase trains on the training sequences, and the validation
        # loss says which epoch is kept. A refit starts again on all sequences, for as many steps as
        # that epoch took. In each phase, the network first computes the best linear code, which is
        # the first candidate of early stopping. A model that is trained further starts as it is.
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
                # a phase that a checkpoint continues is initialized already
                keep_initial = training.is_fresh and initial.set(phase)
                training.run(split.part(phase, batches, time_warp), keep_initial=keep_initial)
    outcome = training.result
    if outcome.phase is None:
        return Fit(None, outcome)

    # Choose, as users will see it: with predicted lengths, on held-out sequences, next to PCA. The
    # trained weights or their initialization; encoding with latent optimization or without.
    choice, outcome = choose(
        suggestion,
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

    # Measure: errors of held-out sequences, statistics of the training codes, and the scores of the
    # calibration sequences.
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
