"""`fit`: from the data and arguments of a user to a fitted model."""

from collections.abc import Sequence
from dataclasses import replace
from operator import attrgetter
from typing import Any, NamedTuple

import jax
import keras
import numpy as np

from refold._support.arrays import linspace_indices, to_integer_seed
from refold._support.compilation import enable_compilation_cache
from refold._support.messages import print_stderr, warn
from refold._support.rules import check_not_empty
from refold.arguments import ARGUMENT_FACTS, Arguments
from refold.errors import ParameterError, argument
from refold.model import (
    MAX_STORED_HELD_OUT_ERRORS,
    History,
    Model,
    describe_missing_values,
    measure_errors_and_features,
    with_reference_statistics,
)
from refold.network.keras.build import Network, to_inference_network
from refold.sequences import Windows, check_marker_numbers, default_window_step, fingerprints
from refold.training._choose_latent_dim import choose_latent_dim
from refold.training._forecast_decoder import fit_forecast_decoder
from refold.training._held_out_error import HeldOutEvaluator, choose_weights, log_held_out_errors
from refold.training._shards import FitBlocks, MultiprocessData
from refold.training._specify import build_network, check_columns, make_settings
from refold.training._split import Split, prepare_training_windows, split_off_calibration
from refold.training.initialization._initial_weights import InitialWeights, temporary_weights
from refold.training.loop._checkpoint import CheckpointArgument, open_checkpoint
from refold.training.loop._training import FitResult, Training

# Cap on the training sequences that are encoded to count the active dimensions of a variational
# model. More would take time and change the variances little.
_MAX_ACTIVITY_SEQUENCES = 4096
# A latent dimension of a variational model is active if its variance over the codes is larger than
# this. (Each code is the mean of a distribution.) See Y. Burda, R. Grosse and R. Salakhutdinov,
# "Importance Weighted Autoencoders", ICLR 2016, section 5.2.
_MIN_ACTIVE_VARIANCE = 0.01
# A smaller share of active dimensions causes a warning.
_MIN_ACTIVE_SHARE = 0.25
# Cap on the training sequences for the reference statistics: more sequences change them little.
_MAX_REFERENCE_SEQUENCES = 1024
# Cap on the values of these sequences, because the sequences are encoded after each fit.
_MAX_REFERENCE_VALUES = 1 << 21
# Minimum number of these sequences, even if they exceed the cap on values. Fewer sequences would
# not give meaningful statistics.
_MIN_REFERENCE_STATISTICS_SEQUENCES = 64


class Fit(NamedTuple):
    """A fitted model, and the result of its training."""

    model: Model | None  # None if training was interrupted before any weights could be kept
    result: FitResult


def fit(
    X: Any,
    arguments: Arguments,
    *,
    callbacks: Sequence[Any] = (),
    checkpoint: CheckpointArgument = None,
    resume: bool = False,
    base_model: Model | None = None,  # to train further
    # The seed if this is a trial fit, which only serves to compare code sizes. A trial fit logs
    # nothing, and its model has no statistics of the training data.
    dim_trial_seed: int | None = None,
) -> Fit:
    """Fit a model to data with the arguments of the estimator, or train a model further."""
    verbose = bool(arguments.verbose) and dim_trial_seed is None

    # Open the data, with the columns of the base model if there is one. Without the argument
    # `window`, each sequence is one window. If several processes train together, X is a
    # `MultiprocessData`: each process opens all data and trains on its parts.
    check_arguments(arguments, base_model, checkpoint, resume=resume)
    data_parts = X if isinstance(X, MultiprocessData) else None
    data: Any = X if data_parts is None else data_parts.sequences
    # a trial fit gets its data as `Windows`, which were checked and cut before
    windows = X if isinstance(X, Windows) else prepare_training_windows(data, arguments, base_model)
    check_not_empty(len(windows.sequences), "sequence", "to fit on")

    # Split: set calibration sequences aside. Weights, sizes and settings do not depend on them.
    fraction = arguments.calibration_fraction
    windows, calibration = split_off_calibration(windows, fraction, base_model)
    sequences = windows.sequences
    if base_model is None:
        check_columns(sequences)
    enable_compilation_cache()
    seed = to_integer_seed(arguments.random_state) if dim_trial_seed is None else dim_trial_seed
    fit_data = FitBlocks(sequences, data_parts)
    with open_checkpoint(
        checkpoint, arguments, fit_data, seed=seed, resume=resume, base_model=base_model
    ) as saved:
        base_model, seed = saved.base_model, saved.seed

        # Choose the code size: if `latent_dim` is a share of the variance, trial fits find the
        # smallest code that explains it on held-out sequences. A checkpoint stores the choice.
        if base_model is None and arguments.chooses_latent_dim:
            arguments, saved = choose_latent_dim(windows, saved, fit)
        # Hold out some of the remaining sequences for validation, and to compare their error with
        # that of PCA with as many dimensions.
        split = Split(
            fit_data, calibration, arguments, seed=seed, base_model=base_model, windows=windows
        )
        latent_dim = (base_model.specification if base_model else arguments).latent_dim
        evaluator = HeldOutEvaluator(split, int(latent_dim))

        # Specify: build the network and make the settings of the training. Where the arguments say
        # "auto", they follow from the data. The model has `inference_settings` unless
        # `choose_weights` below changes them.
        network, inference_settings = build_network(evaluator, arguments)
        batches, settings = make_settings(split, network, arguments)
        if verbose and (warp_std := settings.warp_std):
            print_stderr(f"Training on time warps with a standard deviation of {warp_std:g} steps.")

        # Initialize and train. The phase "validated" trains on the training sequences and keeps the
        # epoch with the lowest validation loss. The phase "refit" starts again on all sequences,
        # for as many updates as that epoch needed. In each phase, the initial network computes the
        # best linear code, and early stopping compares each epoch with it. But a base model starts
        # with the weights that it has.
        resumed = saved.progress is not None
        initial_weights = InitialWeights(network, split, settings.corruption, is_resumed=resumed)
        with Training(
            network,
            batches,
            settings,
            saved_training=saved,
            callbacks=callbacks,
            processes=fit_data.processes,
        ) as training:
            while (phase := training.phase) is not None:
                # A phase that continues from a checkpoint is not initialized again. `initialize`
                # returns whether the initial weights should be kept if no epoch is better.
                keep_initial = training.needs_initialization and initial_weights.initialize(phase)
                phase_data = split.phase_data(phase, batches, settings.warp_std)
                training.run_phase(phase_data, keep_initial=keep_initial)
    fit_result = training.result
    if fit_result.phase is None:
        return Fit(None, fit_result)

    # Choose trained or initial weights, and encoding with or without latent optimization, by the
    # error that users will see: on held-out sequences, with predicted lengths, compared with PCA.
    choice, fit_result = choose_weights(
        inference_settings,
        evaluator,
        network,
        fit_result,
        initial_weights,
        may_skip_optimization=arguments.latent_steps == "auto",
    )
    if network.specification.forecast_steps:
        fit_result = fit_forecast_decoder(network, split, fit_result, arguments)
    if verbose:
        log_held_out_errors(evaluator, network, fit_result, choice.latent_steps, settings)

    # Make the model, and measure what it will compare other sequences with: errors of held-out
    # sequences, statistics of the training codes, and scores of the calibration sequences.
    model = Model(
        network=to_inference_network(network),
        schema=split.schema,
        scaler=split.scaler(fit_result.phase or "validated"),
        error_scaler=split.error_scaler,
        history=History(
            fit_result.history,
            fit_result.initial_loss,
            keeps_initial_weights=choice.uses_initial_weights,
        ),
        latent_steps=choice.latent_steps,
        default_latent_steps=choice.default_latent_steps,
        window=arguments.window,
        step=arguments.step or (arguments.window and default_window_step(arguments.window)),
    )
    if dim_trial_seed is None:
        model = _add_training_statistics(model, network, split, fit_result, verbose=verbose)
    return Fit(model, fit_result)


def check_arguments(
    arguments: Arguments,
    base_model: Model | None = None,
    checkpoint: Any = None,
    *,
    resume: bool = False,
) -> None:
    """Raise an error for wrong arguments of a fit, or if they contradict the base model."""
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
    # A loaded model of a custom architecture has the architecture "custom", because the function
    # that builds it was not saved. A new model must not have this name, so `check` would refuse it.
    is_loaded = base_model is not None and arguments.architecture == "custom"
    (replace(arguments, architecture="default") if is_loaded else arguments).check()
    # an argument must not contradict the base model, if there is one
    for name, declared in ARGUMENT_FACTS.items() if base_model is not None else ():
        value = getattr(arguments, name)
        # "auto" and "custom" agree with every model. So does a function that builds a custom
        # architecture, because the model does not store its function.
        agrees = value in ("auto", "custom") if isinstance(value, str) else callable(value)
        # if `latent_dim` is a share of the variance, the model may have any code size
        agrees |= name in ("latent_dim", "rocket_dim") and arguments.chooses_latent_dim
        if agrees or declared.model_attribute is None:
            continue
        model_value = attrgetter(declared.model_attribute)(base_model)
        if name == "missing_values":
            if value is None:
                continue  # then the same values as in the base model count as missing
            value, model_value = list(check_marker_numbers(value)), list(model_value)
        if value != model_value:
            raise ParameterError(
                f"{argument(**{name: value})} cannot change in further training: the fitted model "
                f"has {model_value}. Leave it out, or train a new model without "
                f"{argument('warm_start')}."
            )
    if resume and checkpoint is None:
        raise ParameterError("resume=True needs a checkpoint. Name it with checkpoint=.")


# Statistics of the training data, with which a model compares other sequences


def _add_training_statistics(
    model: Model, network: Network, split: Split, fit_result: FitResult, *, verbose: bool
) -> Model:
    """Return the model with statistics; calibrate it if calibration sequences were set aside."""
    phase = fit_result.phase or "validated"
    if model.specification.variational:
        sample = model.scaler.transform(split.sample(phase, _MAX_ACTIVITY_SEQUENCES))
        variances = model.network.encode(sample).var(axis=0)
        num_active, latent_dim = int((variances > _MIN_ACTIVE_VARIANCE).sum()), variances.size
        verb = "is" if num_active == 1 else "are"
        note = f"{num_active} of {latent_dim} latent dimensions {verb} active"
        if num_active < _MIN_ACTIVE_SHARE * latent_dim:
            warn(
                f"Only {note} (posterior collapse). A smaller latent_dim would lose nothing. More "
                "epochs or variational=False may activate more."
            )
        if verbose:
            print_stderr(f"{note}.")
        model = replace(model, active_dimensions=num_active)
    unseen, base_model = split.held_out_sequences, split.base_model
    if base_model is not None and base_model.fingerprints.training_hashes is not None:
        # the base model must not have been trained on these sequences, either
        unseen = unseen[~np.isin(fingerprints(unseen), base_model.fingerprints.training_hashes)]
    if len(unseen):
        unseen = unseen[linspace_indices(len(unseen), MAX_STORED_HELD_OUT_ERRORS)]
        # a refit also trains on held-out sequences, so measure with the weights from before it
        with temporary_weights(network, fit_result.validated_weights):
            model_before = replace(model, scaler=split.scaler("validated"))
            errors = measure_errors_and_features(model_before, unseen).sequence_errors
        model = replace(model, held_out_errors=np.sort(errors).astype(np.float32))
    values_per_sequence = max(1.0, float(split.lengths.mean())) * split.schema.num_columns
    max_sequences = min(_MAX_REFERENCE_VALUES / values_per_sequence, _MAX_REFERENCE_SEQUENCES)
    sample = split.sample(phase, int(max(max_sequences, _MIN_REFERENCE_STATISTICS_SEQUENCES)))
    model = with_reference_statistics(model, sample, mixture_seed=split.seed)
    model = replace(model, fingerprints=split.fingerprints(phase))
    # a training that was interrupted before the phase "validated" ended is not calibrated
    if split.calibration_sequences is None or (fit_result.interrupted and not fit_result.complete):
        return model
    calibration_sequences = model.convert_and_check(split.calibration_sequences)
    num_missing = int(np.isnan(calibration_sequences.values).sum())
    warn(describe_missing_values(num_missing, model))
    return model.calibrate_aligned(calibration_sequences)
