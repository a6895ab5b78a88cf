"""`fit`: from a user's data and arguments to a fitted model."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import jax
import keras
import numpy as np

from refold._support.arrays import draw_seed, evenly_spaced
from refold._support.compilation import keep_compiled
from refold._support.output import log, warn
from refold._support.rules import check_some
from refold.arguments import ARGUMENTS, Arguments
from refold.errors import ParameterError, argument
from refold.model import (
    MAX_ERRORS,
    History,
    Model,
    errors_of,
    with_reference,
)
from refold.network.keras.build import Network, inference_with
from refold.sequences import Windows, check_missing, default_step
from refold.training._choose_latent_dim import choose_size
from refold.training._forecasts import fit_forecasts
from refold.training._held_out_error import HeldOut, choose, report
from refold.training._shards import Divided, Source
from refold.training._specify import check_columns, prepare, settings_for
from refold.training._split import Split, open_training, set_aside
from refold.training.initialization._initial_weights import InitialWeights, holding
from refold.training.loop._checkpoint import CheckpointArgument, opened_checkpoint
from refold.training.loop._training import FitResult, Training

# Cap on the training sequences for the active dimensions of a variational model.
_MAX_COUNTED = 4096
# Variance of the means above which a dimension is active: Y. Burda, R. Grosse and R. Salakhutdinov,
# "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
_ACTIVE = 0.01
# Fraction of active dimensions below which there is a warning.
_MIN_ACTIVE_SHARE = 0.25


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
    # the windows of a trial are cut already; without windows, each sequence is one
    windows = X if isinstance(X, Windows) else open_training(data, arguments, further)
    check_some(len(windows.sequences), "sequence", "to fit on")

    # Split: set calibration sequences aside. No weights, sizes or settings depend on them.
    windows, calibration = set_aside(windows, arguments.calibration_fraction, further)
    sequences = windows.sequences
    if further is None:
        check_columns(sequences)
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
            arguments, saved = choose_size(windows, saved, fit)
        # Some of the other sequences are held out for validation. Their error is compared with that
        # of PCA of the size of the code.
        split = Split(
            source, calibration, arguments, seed=saved.seed, further=further, windows=windows
        )
        size = int(arguments.latent_dim) if further is None else further.specification.latent_dim
        held_out = HeldOut(split, size)

        # Specify: the longest length, categories, patches, ROCKET features and the steps of latent
        # optimization follow from the data where the arguments leave them open.
        network, suggestion = prepare(split, held_out, arguments)
        batches, settings = settings_for(split, network, arguments)
        if verbose and settings.time_warp:
            warp = settings.time_warp
            log(f"Training on time warps with a standard deviation of {warp:g} steps.")

        # Initialize and train. The first phase trains on the training sequences, and the validation
        # loss says which epoch is kept. A refit starts again on all sequences, for as many steps as
        # that epoch took. In each phase, the network first computes the best linear code, which is
        # the first candidate of early stopping. A model that is trained further starts as it is.
        resumed = saved.progress is not None
        initial = InitialWeights(
            network, split, settings.corruption, init=arguments.init, resumed=resumed
        )
        with Training(
            network,
            batches,
            settings,
            saved=saved,
            callbacks=callbacks,
            processes=source.processes,
        ) as training:
            while (phase := training.phase) is not None:
                # a phase that a checkpoint continues is initialized already
                keep_initial = training.is_fresh and initial.set(phase)
                part = split.part(phase, batches, settings.time_warp)
                training.run(part, keep_initial=keep_initial)
    outcome = training.result
    if outcome.phase is None:
        return Fit(None, outcome)

    # Choose, as users will see it: with predicted lengths, on held-out sequences, next to PCA. The
    # trained weights or their initialization; encoding with latent optimization or without.
    may_change = arguments.latent_steps == "auto"
    choice, outcome = choose(
        suggestion, held_out, network, split, outcome, initial, may_change=may_change
    )
    if network.specification.forecast_steps:
        outcome = fit_forecasts(network, split, outcome, arguments)
    if verbose:
        report(held_out, split, network, outcome, choice, settings)

    # Measure: errors of held-out sequences, statistics of the training codes, and the scores of the
    # calibration sequences.
    model = Model(
        inference_with(network),
        split.schema,
        split.scaler(outcome.phase or "validated"),
        split.error_scaler,
        History(outcome.history, outcome.initial_loss, keeps_initial=choice.initial),
        latent_steps=choice.latent_steps,
        default_latent_steps=choice.default_latent_steps,
        window=arguments.window,
        step=arguments.step or (arguments.window and default_step(arguments.window)),
    )
    if trial_seed is None:
        model = _measured(model, network, split, outcome, verbose=verbose)
    return Fit(model, outcome)


def check_arguments(
    arguments: Arguments,
    further: Model | None = None,
    checkpoint: Any = None,
    *,
    resume: bool = False,
) -> None:
    """Check the arguments of a fit, also that they do not contradict a model to train further."""
    backend = keras.backend.backend()
    if backend != "jax":
        raise ParameterError(
            f"SequenceAutoencoder trains on JAX, but Keras runs on {backend!r}. Set the "
            "environment variable KERAS_BACKEND=jax before importing Keras, or train the models "
            "of refold.models with compile and fit, which works on any backend."
        )
    if jax.dtypes.canonicalize_dtype("float64") == "float64":
        raise ParameterError(
            "JAX is set to 64-bit floats (jax_enable_x64), but SequenceAutoencoder trains in 32 "
            "bits. Leave that setting out, or fit in a separate process."
        )
    # a model with the architecture "custom" was loaded, and the class is not known
    own = further is not None and arguments.architecture == "custom"
    (replace(arguments, architecture="default") if own else arguments).check()
    if further is not None:
        _check_same_model(arguments, further)
    if resume and checkpoint is None:
        raise ParameterError("resume=True needs a checkpoint. Name it with checkpoint=.")


def _check_same_model(arguments: Arguments, model: Model) -> None:
    """Refuse arguments that contradict the fitted model."""
    # "auto" and a share stand for any size; the classes of a loaded model are not known
    any_size = ("latent_dim", "rocket_dim") if arguments.asks_for_share else ()
    for name, declared in ARGUMENTS.items():
        value = getattr(arguments, name)
        open_ended = value in ("auto", "custom") if isinstance(value, str) else callable(value)
        if declared.stored is None or name in any_size or open_ended:
            continue
        stored = attrgetter(declared.stored)(model)
        if name == "missing_values":
            if value is None:
                continue
            value, stored = list(check_missing(value)), list(stored)
        if value != stored:
            raise ParameterError(
                f"{argument(**{name: value})} cannot change in further training: the fitted model "
                f"has {stored}. Leave it out, or train a new model without "
                f"{argument('warm_start')}."
            )


# What a model knows of its training data, to which it compares other sequences


def _measured(
    model: Model, network: Network, split: Split, outcome: FitResult, *, verbose: int
) -> Model:
    """Return a model that knows its training data, calibrated if sequences were set aside."""
    kept = outcome.phase or "validated"
    if model.specification.variational:
        sample = model.scaler.transform(split.sample(kept, _MAX_COUNTED))
        active = int((model.network.encode(sample).var(axis=0) > _ACTIVE).sum())
        _report_active(active, model.specification.latent_dim, verbose=verbose)
        model = replace(model, active_dimensions=active)
    if len(unseen := split.unseen()):
        unseen = unseen[evenly_spaced(len(unseen), MAX_ERRORS)]
        with holding(network, outcome.validated):  # a refit was trained on them
            errors = errors_of(replace(model, scaler=split.scaler("validated")), unseen)
        model = replace(model, held_out_errors=np.sort(errors).astype(np.float32))
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
