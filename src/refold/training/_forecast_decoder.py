"""`fit_forecast_decoder` trains a forecast decoder for an autoencoder, which does not change."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import keras
import numpy as np
from keras import ops

from refold._support.compilation import enable_compilation_cache
from refold.arguments import Arguments
from refold.evaluation import pick_season
from refold.model import recent_values
from refold.network.keras.build import Network, to_inference_network
from refold.network.keras.heads import compute_column_losses
from refold.network.keras.layer import seeded
from refold.network.packed.network import FittedNetwork
from refold.sequences import Sequences, concatenate, pad, split_at
from refold.sequences.types import output_slices
from refold.training._shards import FitBlocks, sample_indices
from refold.training._split import Split
from refold.training.initialization._initial_weights import list_network_weights, temporary_weights
from refold.training.loop._compiled_steps import AdamW
from refold.training.loop._training import FitResult, InterruptHandler

# 1. Training sequences are cut in two, before their last steps and at random steps. The decoder
#    reads the code of the steps before a cut, and the last values before the cut. It learns to
#    predict the steps after the cut.
# 2. The initial decoder is linear. For a numeric column, it predicts the mean or the last value,
#    plus a ridge regression of the difference from the mean or last value. Cross-validation
#    chooses between the mean and the last value, and the penalty, for each step and column. On the
#    digits, the error is 0.53 if only the last value is used, and 0.37 with the choice. For a
#    binary or categorical column, the decoder predicts how often each category follows the last
#    category before the cut.
# 3. LSTMs learn what the linear decoder misses, until the error of held-out sequences no longer
#    falls. If it never falls, the linear decoder is used.
#
# The autoencoder is not trained together with the forecast decoder. When both were trained
# together, on sequences that were cut, the error of reconstructions of storm tracks was 1.21 times
# as large. The decoder reads the last values as well as the code, because a code does not hold
# them exactly. Without the last values, forecasts of moving objects would be worse than the last
# value itself.

# Minimum number of steps before a forecast that a forecast decoder reads. It reads fewer if
# sequences are shorter, or if a step has many values.
_MIN_RECENT_STEPS = 16
# Cap on the values of these steps, which are inputs of the ridge regression.
_MAX_FORECAST_RECENT_VALUES = 256
# Cap on the sequences in which a season is searched, because the search takes time.
_MAX_SEASON_SEQUENCES = 256
# Cap on the values of the sequences to learn from, because they are in memory.
_MAX_FORECAST_TRAINING_VALUES = 4_000_000
# Share of the time budget of a fit for the forecast decoder.
FORECAST_TIME_SHARE = 0.15
# If the fit holds out no sequences, one sequence out of this many is held out here.
_HOLD_OUT_EVERY = 10
# Number of random cuts of each sequence, in addition to the cut before its last steps.
_RANDOM_CUTS_PER_SEQUENCE = 3
# Cap on the cuts to learn from. More take longer.
_MAX_TRAINING_CUTS = 16384
# Candidate penalties of the ridge regression, relative to the number of rows, the strongest first.
# With the first one, the regression only learns a constant.
_RIDGE_PENALTIES = np.array([np.inf, 10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
# Number of cross-validation folds.
_NUM_FOLDS = 5
# Cap on the outputs that are regressed together, because of the memory for all penalties.
_MAX_OUTPUTS_PER_REGRESSION = 256
# An error that is a divisor is raised to at least this share of the power (the sum or the mean of
# squares), so that nothing is divided by 0.
_MIN_ERROR_SHARE_OF_POWER = 1e-6
# Addition to the count of each category, so that its overall frequency is never 0.
_PRIOR_CATEGORY_COUNT = 0.1
# Number of cuts in a batch.
_FORECAST_BATCH_SIZE = 64
# Minimum number of epochs, even if they have more updates than `_MAX_FORECAST_UPDATES`.
_MIN_FORECAST_EPOCHS = 10
# Cap on the number of epochs for few cuts.
_MAX_FORECAST_EPOCHS = 300
# Cap on the number of updates (training steps).
_MAX_FORECAST_UPDATES = 3000
# Learning rate at the start of training. It decays to 0.
_FORECAST_LEARNING_RATE = 2e-3
# Training stops if the error has not become smaller for this share of all epochs.
_FORECAST_PATIENCE_SHARE = 0.25


class ForecastPairs(NamedTuple):
    """Inputs of the forecast decoder, before cuts of sequences, and its targets after the cuts."""

    sequence_indices: np.ndarray  # int (n,), of the sequence of each cut
    codes: np.ndarray  # (n, latent_dim) of the steps before the cuts, without latent optimization
    # (n, num_recent_values), scaled: first the last step before the cut, with one value for each
    # output of a step, and then the differences of earlier steps from the last step
    recent_values: np.ndarray
    # (n, forecast_steps, n_columns), scaled; NaN after the end of a sequence and where missing
    future_values: np.ndarray
    # (n,), weights of the errors, with a mean of about 1. A cut has a smaller weight if the values
    # before it varied more: large movements are hard to forecast, and a few of them must not
    # dominate what is learned.
    error_weights: np.ndarray

    def take(self, selection: np.ndarray) -> "ForecastPairs":
        """Return the pairs that indices or a mask select."""
        return ForecastPairs(*(array[selection] for array in self))

    @property
    def codes_with_recent_values(self) -> np.ndarray:
        """Codes and recent values, (n, latent_dim + num_recent_values)."""
        return np.concatenate([self.codes, self.recent_values], axis=1)


def pick_recent_steps(
    fit_data: FitBlocks, training_indices: np.ndarray, forecast_steps: int
) -> int:
    """Pick the number of steps before a forecast whose values the forecast decoder reads."""
    # Recent steps cover a season, and at least as many steps as are forecast. In the longest
    # sequence, a forecast must still fit after the recent steps.
    sequences = fit_data.sequences
    sample = sequences[sample_indices(training_indices, _MAX_SEASON_SEQUENCES, seed=0)]
    season = pick_season(sample) or 0  # in steps; 0 if there is none
    max_steps = int(sequences.lengths.max()) - forecast_steps
    max_steps = min(max_steps, _MAX_FORECAST_RECENT_VALUES // sequences.schema.output_width)
    return max(1, min(max(season, forecast_steps, _MIN_RECENT_STEPS), max_steps))


def fit_forecast_decoder(
    network: Network, split: Split, fit_result: FitResult, arguments: Arguments
) -> FitResult:
    """Fit the forecast decoder to the autoencoder of each phase, and return the new result."""
    values_per_sequence = max(1.0, float(split.lengths.mean())) * split.schema.output_width
    max_sequences = max(1, int(_MAX_FORECAST_TRAINING_VALUES / values_per_sequence))

    def make_forecast_pairs(phase: str, sequences: Sequences) -> ForecastPairs:
        """Cut sequences, and encode them with the current weights of the network."""
        scaled = split.scaler(phase).transform(sequences)
        return cut_and_encode(scaled, to_inference_network(network), split.seed)

    # with a base model, training goes on from the forecast decoder of the base model
    starts_anew = split.base_model is None
    # The first forecast decoder is for the weights of the validated phase. A refit may have
    # replaced them in the network.
    with temporary_weights(network, fit_result.validated_weights):
        training_pairs = make_forecast_pairs("validated", split.sample("validated", max_sequences))
        if len(split.held_out_indices):
            held_out_pairs = make_forecast_pairs("validated", split.held_out_sequences)
        else:  # all cuts of a sequence are held out, or none
            is_held_out = (training_pairs.sequence_indices + 1) % _HOLD_OUT_EVERY == 0
            held_out_pairs = training_pairs.take(is_held_out)
            training_pairs = training_pairs.take(~is_held_out)
        if starts_anew:
            _initialize_forecast_decoder(network, training_pairs)
        num_epochs = 0
        # if the autoencoder was not trained, the decoder stays linear, too
        if fit_result.history["phase"] and not fit_result.interrupted:
            num_epochs = _train_with_early_stopping(
                network, training_pairs, held_out_pairs, arguments, split.seed
            )
        validated_weights = list_network_weights(network)
    if fit_result.validated_weights is None:  # the network had the validated weights already
        return fit_result
    # Outside of the context, the network has the weights of a refit. They give other codes, which
    # need another forecast decoder.
    training_pairs = make_forecast_pairs("refit", split.sample("refit", max_sequences))
    if starts_anew:
        _initialize_forecast_decoder(network, training_pairs)
    if num_epochs:
        _train_forecast_decoder(network, training_pairs, num_epochs, split.seed)
    return replace(fit_result, validated_weights=validated_weights)


def cut_and_encode(scaled_sequences: Sequences, encoder: FittedNetwork, seed: int) -> ForecastPairs:
    """Cut scaled sequences before their last steps and at random, and encode the first parts."""
    specification = encoder.specification
    forecast_steps, lengths = specification.forecast_steps, scaled_sequences.lengths
    # 0xF0CE is the number of this use of random numbers; with a number for each use, their random
    # numbers are independent
    rng = np.random.default_rng([seed, 0xF0CE])
    indices = np.flatnonzero(lengths > 1)
    max_sequences = max(1, _MAX_TRAINING_CUTS // (1 + _RANDOM_CUTS_PER_SEQUENCE))
    if len(indices) > max_sequences:
        indices = np.sort(rng.choice(indices, max_sequences, replace=False))
    # The position of a cut is the number of steps before it. If a sequence is too short for a
    # complete forecast, the target of its last cut has all steps but the first.
    last = np.maximum(lengths[indices] - forecast_steps, 1)
    # a random cut comes after the recent steps, or in a short sequence after half of the steps
    # before the last cut
    first = np.minimum(specification.recent_steps, (last + 1) // 2)
    # one array (n_sequences,) for each of the cuts
    positions = [last, *(rng.integers(first, last + 1) for _ in range(_RANDOM_CUTS_PER_SEQUENCE))]
    pairs = [split_at(scaled_sequences[indices], position) for position in positions]
    before, after = (concatenate(list(sequences)) for sequences in zip(*pairs, strict=True))
    targets, _ = split_at(after, np.minimum(after.lengths, forecast_steps))
    # `pad` returns an input and a target
    future = pad(targets, np.arange(len(targets)), forecast_steps)[1]
    # without latent optimization, as in `forecast`
    codes, recent = encoder.encode(before), recent_values(before, specification)
    # How much the values before a cut vary: the sum of their squared differences from the last
    # step. In `recent`, these differences follow the values of the last step.
    weights = np.square(recent[:, specification.num_outputs :]).sum(axis=1)
    if len(weights):  # the constants are lower bounds, so that nothing is divided by 0
        weights = 1.0 / (weights + max(np.median(weights), 1e-6))
        weights = (weights / max(weights.mean(), 1e-30)).astype(np.float32)
    return ForecastPairs(np.tile(indices, len(positions)), codes, recent, future, weights)


def _train_with_early_stopping(
    network: Network,
    training_pairs: ForecastPairs,
    held_out_pairs: ForecastPairs,
    arguments: Arguments,
    seed: int,
) -> int:
    """Train, keep the weights with the smallest held-out error, and return their epoch, from 1.

    Return 0 if no epoch has a smaller error than the initial decoder, whose weights are then kept.
    """
    if not len(training_pairs.codes) or not len(held_out_pairs.codes):
        return 0
    num_epochs = _MAX_FORECAST_UPDATES * _FORECAST_BATCH_SIZE // len(training_pairs.codes)
    num_epochs = int(np.clip(num_epochs, _MIN_FORECAST_EPOCHS, _MAX_FORECAST_EPOCHS))
    num_epochs = min(num_epochs, arguments.max_epochs or num_epochs)
    budget = arguments.time_budget
    end = time.perf_counter() + (np.inf if budget is None else FORECAST_TIME_SHARE * budget)
    model: Any = network.forecaster
    initial_weights = model.get_weights()
    patience = max(1, round(_FORECAST_PATIENCE_SHARE * num_epochs))
    early_stopping = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    with InterruptHandler() as interrupt:

        def stop_on_time_or_interrupt(_batch: int, logs: Any = None) -> None:  # noqa: ARG001
            if time.perf_counter() > end or interrupt.is_interrupted:
                model.stop_training = True

        stop = keras.callbacks.LambdaCallback(on_train_batch_end=stop_on_time_or_interrupt)
        callbacks = [early_stopping, stop]
        options: Any = {"callbacks": callbacks, "held_out_pairs": held_out_pairs}
        initial_loss = _train_forecast_decoder(network, training_pairs, num_epochs, seed, **options)
    if early_stopping.best is not None and early_stopping.best < initial_loss:
        return early_stopping.best_epoch + 1  # Keras counts epochs from 0
    model.set_weights(initial_weights)
    return 0


def _train_forecast_decoder(
    network: Network,
    training_pairs: ForecastPairs,
    num_epochs: int,
    seed: int,
    callbacks: Sequence[Any] = (),
    held_out_pairs: ForecastPairs | None = None,
) -> float:
    """Train the forecast decoder, and return the held-out loss of the initial weights.

    Without held-out cuts, return inf.
    """
    enable_compilation_cache()
    model: Any = network.forecaster
    num_updates = num_epochs * -(-len(training_pairs.codes) // _FORECAST_BATCH_SIZE)
    schedule: Any = keras.optimizers.schedules.CosineDecay(_FORECAST_LEARNING_RATE, num_updates)
    optimizer = AdamW(schedule, weight_decay=1e-4, global_clipnorm=1.0)
    model.compile(optimizer, loss=_make_relative_error_loss(network, training_pairs))
    validation, initial_loss = None, np.inf
    if held_out_pairs is not None:
        inputs = _list_decoder_inputs(model, held_out_pairs)
        validation = inputs, held_out_pairs.future_values, held_out_pairs.error_weights
        initial_loss = model.evaluate(*validation[:2], sample_weight=validation[2], verbose=0)
    with seeded(seed):
        model.fit(
            _list_decoder_inputs(model, training_pairs),
            training_pairs.future_values,
            sample_weight=training_pairs.error_weights,
            validation_data=validation,
            batch_size=_FORECAST_BATCH_SIZE,
            epochs=num_epochs,
            callbacks=list(callbacks),
            verbose=0,
        )
    return initial_loss


def _list_decoder_inputs(forecaster: Any, forecast_pairs: ForecastPairs) -> list[np.ndarray]:
    """Return the inputs of a forecast decoder: codes, and recent values if it reads them."""
    return [forecast_pairs.codes, forecast_pairs.recent_values][: len(forecaster.inputs)]


def _make_relative_error_loss(network: Network, training_pairs: ForecastPairs) -> Any:
    """Return a loss: the error of each step and column divided by that of the initial decoder."""
    # without the division, training would mostly learn the last steps, whose errors are the largest
    types, categories = network.specification.column_types, network.specification.num_categories

    def compute_masked_errors(future_values: Any, outputs: Any) -> tuple[Any, Any]:
        """Return the error of each value, 0 for a missing one, and whether it was observed."""
        is_observed = ops.logical_not(ops.isnan(future_values))
        values = ops.where(is_observed, future_values, 0.0)
        is_observed = ops.cast(is_observed, outputs.dtype)
        return compute_column_losses(values, outputs, types, categories) * is_observed, is_observed

    model: Any = network.forecaster
    outputs = model.predict(_list_decoder_inputs(model, training_pairs), batch_size=1024, verbose=0)
    future = training_pairs.future_values
    errors, is_observed = (np.asarray(array) for array in compute_masked_errors(future, outputs))
    count = np.maximum(is_observed.sum(axis=0), 1.0)
    # mean errors over the cuts, and mean squares, of each step and column: both have the shape
    # (forecast_steps, n_columns)
    initial_errors = np.tensordot(training_pairs.error_weights, errors, 1) / count
    power = np.nan_to_num(np.nanmean(np.square(future), axis=0), nan=0.0)
    # the inner bound is for a constant column, whose power may be 0
    min_errors = _MIN_ERROR_SHARE_OF_POWER * np.maximum(power, _MIN_ERROR_SHARE_OF_POWER)
    initial_errors = np.maximum(initial_errors, min_errors)

    def compute_relative_error_loss(future_values: Any, outputs: Any) -> Any:
        errors, is_observed = compute_masked_errors(future_values, outputs)
        total: Any = ops.sum(errors / initial_errors, axis=(1, 2))
        return total / ops.maximum(ops.sum(is_observed, axis=(1, 2)), 1.0)

    return compute_relative_error_loss


# The linear initial decoder


class _FutureRegression(NamedTuple):
    """Linear regression of each future step of numeric columns on codes and recent values."""

    weights: np.ndarray  # (latent_dim + num_recent_values, forecast_steps, n_columns)
    constants: np.ndarray  # (forecast_steps, n_columns)
    errors: np.ndarray  # (forecast_steps, n_columns), sums of squared errors in cross-validation


def _initialize_forecast_decoder(network: Network, training_pairs: ForecastPairs) -> None:
    """Set the linear path to a regression, to which the LSTMs add nothing at first."""
    specification, model = network.specification, cast(Any, network.forecaster)
    linear_layer: Any = model.get_layer("linear_steps_ahead")
    head: Any = model.get_layer("head_ahead")
    kernel, bias = np.zeros(linear_layer.initial_map.shape), np.zeros(linear_layer.bias.shape)
    # the linear path covers only these first steps of a long forecast
    num_steps = linear_layer.num_steps
    scale, residual_share = np.ones(head.scale.shape), 1.0
    outputs = list(output_slices(specification.column_types, specification.num_categories))
    numeric = [output for output in outputs if output.type.is_number]
    for output in [output for output in outputs if not output.type.is_number]:
        block, num_categories = output.output_slice, specification.num_categories[output.index]
        # in the inputs, the last values follow the code: rows of the kernel that read this column
        rows = slice(*(specification.latent_dim + k for k in (block.start, block.stop)))
        future = training_pairs.future_values[:, :, output.index]
        last = training_pairs.recent_values[:, block]
        weights, constant = _fit_category_logits(last, future, num_categories)
        kernel[rows, :, block], bias[:, block] = weights[:, :num_steps], constant[:num_steps]
    if numeric and len(training_pairs.codes):
        # Regress the future values, and the differences of future values from the last value. For
        # each step and column, the regression with the smaller error is used.
        future = training_pairs.future_values[:, :, [output.index for output in numeric]]
        last_columns = np.array([output.output_slice.start for output in numeric])
        last = training_pairs.recent_values[:, None, last_columns]
        for_values, for_differences = _regress_future(training_pairs, future, future - last)
        # add the last value, which follows the code in the inputs, to the predicted difference
        last_rows = specification.latent_dim + last_columns
        for_differences.weights[last_rows, :, range(len(numeric))] += 1.0
        is_better = for_differences.errors < for_values.errors
        pairs = zip(for_differences, for_values, strict=True)
        regression = _FutureRegression(*(np.where(is_better, *pair) for pair in pairs))
        count = np.maximum((~np.isnan(future)).sum(axis=0), 1)
        power = np.nansum(np.square(future, dtype=float), axis=0)
        errors = np.maximum(regression.errors, _MIN_ERROR_SHARE_OF_POWER * power)
        residual_share = errors.sum() / max(power.sum(), 1e-12)
        residual_share = float(np.clip(residual_share, _MIN_ERROR_SHARE_OF_POWER, 1.0))
        for k, output in enumerate(numeric):
            weights, constant = regression.weights[..., k], regression.constants[:, k]
            residual_std = np.sqrt(errors / count)[:, k]
            if output.type.link != "identity":
                # approximate the inverse of the link function by a line around the mean forecast
                predicted = training_pairs.codes_with_recent_values @ weights + constant
                mean = predicted.mean(axis=0)
                level, slope = output.type.linearize_inverse(mean, predicted.std(axis=0))
                weights, constant = weights * slope, level + slope * (constant - mean)
                residual_std *= slope
            column = output.output_slice.start
            kernel[..., column], bias[:, column] = weights[:, :num_steps], constant[:num_steps]
            scale[:, column] = residual_std
    linear_layer.initial_map.assign(kernel.astype(np.float32))
    linear_layer.bias.assign(bias.astype(np.float32))
    # the optimizer changes the linear weights in this unit, which is small if the residual is small
    linear_layer.change_factor.assign(float(np.sqrt(residual_share / len(kernel))))
    head.scale.assign(scale.astype(np.float32))
    head.dense.kernel.assign(np.zeros(head.dense.kernel.shape, np.float32))


def _regress_future(training_pairs: ForecastPairs, *targets: np.ndarray) -> list[_FutureRegression]:
    """Regress several targets (n, forecast_steps, n_columns) on codes and recent values."""
    # each step of each column is an output, with its own penalty
    x, y = training_pairs.codes_with_recent_values.astype(float), np.concatenate(targets, axis=2)
    shape, y = y.shape[1:], y.reshape(len(y), -1).astype(float)
    center, std = x.mean(axis=0), x.std(axis=0)
    # an input that hardly varies gets a weight of 0
    std = np.where(std > 1e-6 * std.max(initial=0), std, np.inf)
    standardized, fold = (x - center) / std, training_pairs.sequence_indices % _NUM_FOLDS
    weights, (constants, errors) = np.zeros((x.shape[1], y.shape[1])), np.zeros((2, y.shape[1]))
    # Each group is a mask of rows, and indices of outputs that are observed in exactly these rows
    # and are regressed together. Outputs that are never observed are in no group.
    row_masks, mask_indices = np.unique(~np.isnan(y), axis=1, return_inverse=True)
    groups = [
        (is_row, outputs[first : first + _MAX_OUTPUTS_PER_REGRESSION])
        for i, is_row in enumerate(row_masks.T)
        for outputs in [np.flatnonzero(mask_indices.ravel() == i)]
        for first in range(0, len(outputs) if is_row.any() else 0, _MAX_OUTPUTS_PER_REGRESSION)
    ]
    for is_row, outputs in groups:
        inputs, target = standardized[is_row], y[is_row][:, outputs]
        row_weights, row_folds = training_pairs.error_weights[is_row], fold[is_row]
        # sums of squared errors on held-out rows, by penalty and output
        test_errors = np.zeros((len(_RIDGE_PENALTIES), len(outputs)))
        folds = np.unique(row_folds)
        for i in folds if len(folds) > 1 else []:
            test = row_folds == i
            slopes, levels = _fit_ridge_path(inputs[~test], target[~test], row_weights[~test])
            residual = target[test] - inputs[test] @ slopes - levels
            test_errors += row_weights[test] @ residual**2
        best_penalty, position = test_errors.argmin(axis=0), np.arange(len(outputs))
        errors[outputs] = test_errors[best_penalty, position]
        slopes, levels = _fit_ridge_path(inputs, target, row_weights)
        # for the inputs before standardization
        best_slopes = slopes[best_penalty, :, position].T / std[:, None]
        weights[:, outputs] = best_slopes
        constants[outputs] = levels[best_penalty, 0, position] - center @ best_slopes
    # the targets were joined along the columns, and are split again
    by_target = (
        np.split(array.reshape(*array.shape[:-1], *shape), len(targets), axis=-1)
        for array in (weights, constants, errors)
    )
    return [_FutureRegression(*arrays) for arrays in zip(*by_target, strict=True)]


def _fit_ridge_path(
    inputs: np.ndarray,  # (n, d)
    targets: np.ndarray,  # (n, m)
    row_weights: np.ndarray,  # (n,), weight of the squared errors of each row
) -> tuple[np.ndarray, np.ndarray]:
    """Return slopes (n_penalties, d, m) and levels (n_penalties, 1, m) of ridge regressions."""
    # In the directions of the eigenvectors of the weighted covariance, a penalty is added to each
    # eigenvalue, so a single decomposition serves all penalties. The levels, which are the outputs
    # for inputs of zeros, have no penalty.
    share = row_weights / row_weights.sum()
    center, level = share @ inputs, share @ targets
    centered = inputs - center
    weighted = centered * row_weights[:, None]
    eigenvalues, eigenvectors = np.linalg.eigh(weighted.T @ centered)
    products = eigenvectors.T @ (weighted.T @ (targets - level))
    penalized = np.maximum(eigenvalues, 0) + len(inputs) * _RIDGE_PENALTIES[:, None]
    slope = eigenvectors @ (products / penalized[..., None])
    return slope, (level - center @ slope)[:, None]


def _fit_category_logits(
    last_one_hot: np.ndarray,  # (n, num_categories) one-hot, or (n, 1) of a binary column
    future_categories: np.ndarray,  # (n, forecast_steps), indices of categories, NaN where missing
    num_categories: int,  # 0 for a binary column
) -> tuple[np.ndarray, np.ndarray]:
    """Return weights and a constant: the logits of each future category, given the last one."""
    # The last category is that of the last step before the cut. The weights have the axes (last
    # category, step, future category), and the constant has (step, future category). The logits of
    # a future category are the weights of the last category plus the constant.
    binary = not num_categories
    one_hot = np.concatenate([1 - last_one_hot, last_one_hot], axis=1) if binary else last_one_hot
    width = one_hot.shape[1]
    is_follower = (future_categories[..., None] == np.arange(width)).astype(float)
    overall = is_follower.sum(axis=0) + _PRIOR_CATEGORY_COUNT
    overall = overall / overall.sum(axis=1, keepdims=True)
    # how often category j comes h steps after the cut if the last category is i
    counts = np.einsum("ni,nhj->ihj", one_hot, is_follower)
    # for each last category, add a total count of 1, shared out by the overall frequencies
    frequency = (counts + overall) / (counts.sum(axis=2, keepdims=True) + 1.0)
    logits = np.log(frequency)
    if not binary:
        constant = np.log(overall)
        return logits - constant, constant
    # a binary column has one logit, that of true against false
    log_odds = logits[..., 1:] - logits[..., :1]
    return log_odds[1:] - log_odds[:1], log_odds[0]
