"""The forecast decoder of a fit, trained after the autoencoder, whose weights stay as they are."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import keras
import numpy as np
from keras import ops

from refold._support.compilation import keep_compiled
from refold.arguments import Arguments
from refold.evaluation import pick_season
from refold.model import recent_values
from refold.network.keras.build import Network, inference_with
from refold.network.keras.heads import column_errors
from refold.network.keras.layer import seeded
from refold.network.packed.network import FittedNetwork
from refold.sequences import Sequences, concatenate, pad, split_at
from refold.sequences.types import outputs_of
from refold.training._shards import Source
from refold.training._split import Split
from refold.training.initialization._initial_weights import holding, weights_of
from refold.training.loop._compiled_steps import AdamW
from refold.training.loop._stopping import Interrupt
from refold.training.loop._training import FitResult

# 1. Training sequences are cut, before their last steps and at random. The decoder reads the code
#    and the last values of what is before the cut, and learns the steps after it.
# 2. The start is linear. For a numeric column, it is the mean or the last value, plus a ridge
#    regression of the difference from it. Cross-validation chooses between both, and the penalty,
#    for each step and column. On the digits, the error is 0.53 from the last value alone, and 0.37
#    with the choice. For other columns, it is the frequency of each value after each last value.
# 3. LSTMs learn what the start misses, until the error of held-out sequences no longer falls. If it
#    never falls, the start remains.
#
# The autoencoder is not trained together with the forecast decoder. When both were, on sequences
# that were cut, reconstructions were 21 % worse on tracks of storms. The decoder reads the last
# values beside the code, because a code does not hold them exactly. Forecasts of moving things
# would then be worse than the last value.

# Minimum number of last steps that a forecast decoder reads, and cap on their values.
_MIN_RECENT_STEPS, _MAX_RECENT_VALUES = 16, 256
# Sequences that are searched for a season, and cap on the values to learn from.
_SEASON_SEQUENCES, _MAX_TRAINING_VALUES = 256, 4_000_000
# Share of a time budget for the forecast decoder.
SHARE_OF_TIME = 0.15
# Without held-out sequences, one of this many is held out from the training of the decoder.
_EVERY = 10
# Random cuts of each sequence, beside the one before its last steps.
_RANDOM_CUTS = 3
# Maximum number of cuts to learn from.
_MAX_ROWS = 16384
# Penalties of the ridge regression to try, relative to the number of rows, the safest first. With
# the first one, only a constant is learned.
_PENALTIES = np.array([np.inf, 10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
# Number of cross-validation folds, and of outputs that are regressed at a time.
_FOLDS, _MAX_OUTPUTS = 5, 256
# Lower bound of an error that others are divided by, as a share of the power.
_MIN_SHARE = 1e-6
# Number of times that each value counts as seen before the frequencies are counted.
_PRIOR = 0.1
# Batch size, and bounds of the number of epochs and of training steps.
_BATCH_SIZE, _MIN_EPOCHS, _MAX_EPOCHS, _MAX_STEPS = 64, 10, 300, 3000
_LEARNING_RATE = 2e-3
# Share of the epochs without a smaller error after which training stops.
_PATIENCE = 0.25


class Cuts(NamedTuple):
    """Cut sequences: what the forecast decoder reads and what follows."""

    sequence: np.ndarray  # int (n,), index of the sequence of each cut
    codes: np.ndarray  # (n, latent_dim) of the steps before the cuts, without latent optimization
    recent: np.ndarray  # (n, recent_dim), see `refold.model.recent_values`
    # (n, forecast_steps, n_columns), scaled; NaN beyond the end and where nothing was observed
    future: np.ndarray
    # (n,), of the errors, with a mean of about 1. It is smaller if the last values varied more:
    # large movements are hard to forecast, and a few of them must not decide what is learned.
    weight: np.ndarray

    def of(self, rows: np.ndarray) -> "Cuts":
        """Return some of the cuts."""
        return Cuts(*(part[rows] for part in self))

    @property
    def inputs(self) -> np.ndarray:
        """Codes and recent values, (n, latent_dim + recent_dim)."""
        return np.concatenate([self.codes, self.recent], axis=1)


def pick_recent_steps(source: Source, rows: np.ndarray, forecast_steps: int) -> int:
    """Pick how many of the last steps a forecast decoder reads."""
    # a season, and at least as many steps as are forecast
    schema, longest = source.sequences.schema, int(source.sequences.lengths.max())
    season = pick_season(source.sample(rows, _SEASON_SEQUENCES, 0)) or 0
    room = min(longest - forecast_steps, _MAX_RECENT_VALUES // schema.output_width)
    return max(1, min(max(season, forecast_steps, _MIN_RECENT_STEPS), room))


def fit_forecasts(
    network: Network, split: Split, outcome: FitResult, arguments: Arguments
) -> FitResult:
    """Fit the forecast decoder to the autoencoder of each phase, and return the new result."""
    average = max(1.0, float(split.lengths.mean())) * split.schema.output_width
    most = max(1, int(_MAX_TRAINING_VALUES / average))

    def cuts(phase: str, sequences: Sequences) -> Cuts:
        """Cut sequences for the autoencoder that the network holds, that of the phase."""
        return cut(split.scaler(phase).transform(sequences), inference_with(network), split.seed)

    def start(training: Cuts) -> None:
        if split.further is None:  # else the fitted weights are the start
            _set_start(network, training)

    with holding(network, outcome.validated):
        training = cuts("validated", split.sample("validated", most))
        if len(split.held_out_rows):
            held_out_cuts = cuts("validated", split.held_out_sequences)
        else:
            is_held = training.sequence % _EVERY == _EVERY - 1
            training, held_out_cuts = training.of(~is_held), training.of(is_held)
        start(training)
        epochs = 0
        # if the autoencoder was not trained, the linear forecast remains
        if outcome.history["phase"] and not outcome.interrupted:
            epochs = _train_until_best(network, training, held_out_cuts, arguments, split.seed)
        validated = weights_of(network)
    if outcome.validated is None:
        return outcome
    training = cuts("refit", split.sample("refit", most))
    start(training)
    if epochs:
        _train(network, training, epochs, split.seed)
    return replace(outcome, validated=validated)


def cut(scaled: Sequences, network: FittedNetwork, seed: int) -> Cuts:
    """Cut scaled sequences before their last steps and at random, and encode what is before."""
    specification = network.specification
    steps, lengths = specification.forecast_steps, scaled.lengths
    rng = np.random.default_rng([seed, 0xF0CE])
    rows = np.flatnonzero(lengths > 1)
    most = max(1, _MAX_ROWS // (1 + _RANDOM_CUTS))
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    # a forecast of a short sequence has fewer steps to learn from
    last = np.maximum(lengths[rows] - steps, 1)
    first = np.minimum(specification.recent_steps, (last + 1) // 2)
    places = [last, *(rng.integers(first, last + 1) for _ in range(_RANDOM_CUTS))]
    parts = [split_at(scaled[rows], place) for place in places]
    before, after = (concatenate(list(part)) for part in zip(*parts, strict=True))
    nearest, _ = split_at(after, np.minimum(after.lengths, steps))
    future = pad(nearest, np.arange(len(nearest)), steps)[1]
    # The codes are those of the encoder, without latent optimization, as in `forecast`.
    codes, recent = network.encode(before), recent_values(before, specification)
    variation = np.square(recent[:, specification.num_outputs :]).sum(axis=1)
    weight = 1.0 / (variation + max(np.median(variation), 1e-6)) if len(recent) else variation
    weight = (weight / max(weight.mean(), 1e-30)).astype(np.float32) if len(weight) else weight
    return Cuts(np.tile(rows, len(places)), codes, recent, future, weight)


def _train_until_best(
    network: Network, training: Cuts, held_out_cuts: Cuts, arguments: Arguments, seed: int
) -> int:
    """Train on cuts; return the epoch with the smallest held-out error, 0 for the start."""
    if not len(training.codes) or not len(held_out_cuts.codes):
        return 0
    epochs = _MAX_STEPS * _BATCH_SIZE // len(training.codes)
    epochs = int(np.clip(epochs, _MIN_EPOCHS, _MAX_EPOCHS))
    if arguments.max_epochs is not None:
        epochs = min(epochs, arguments.max_epochs)
    budget = arguments.time_budget
    seconds = np.inf if budget is None else SHARE_OF_TIME * budget
    model: Any = network.forecaster
    start = model.get_weights()
    patience = max(1, round(_PATIENCE * epochs))
    best = keras.callbacks.EarlyStopping(patience=patience, restore_best_weights=True)
    with Interrupt() as interrupt:
        stop = _Stop(seconds, interrupt)
        of_start = _train(network, training, epochs, seed, [best, stop], held_out_cuts)
    if best.best is not None and best.best < of_start:
        return best.best_epoch + 1
    model.set_weights(start)
    return 0


def _train(
    network: Network,
    training: Cuts,
    epochs: int,
    seed: int,
    callbacks: Sequence[Any] = (),
    held_out_cuts: Cuts | None = None,
) -> float:
    """Train the forecast decoder; return the loss of its start on held-out cuts, if there are."""
    keep_compiled()
    model: Any = network.forecaster
    num_steps = epochs * -(-len(training.codes) // _BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, num_steps)
    optimizer = AdamW(rate, weight_decay=1e-4, global_clipnorm=1.0)
    model.compile(optimizer, loss=_relative_loss(network, training))
    validation, of_start = None, np.inf
    if (cuts := held_out_cuts) is not None:
        validation = _inputs(model, cuts), cuts.future, cuts.weight
        of_start = model.evaluate(*validation[:2], sample_weight=validation[2], verbose=0)
    with seeded(seed):
        model.fit(
            _inputs(model, training),
            training.future,
            sample_weight=training.weight,
            validation_data=validation,
            batch_size=_BATCH_SIZE,
            epochs=epochs,
            callbacks=list(callbacks),
            verbose=0,
        )
    return of_start


def _inputs(model: Any, cuts: Cuts) -> list[np.ndarray]:
    return [cuts.codes, cuts.recent][: len(model.inputs)]


def _relative_loss(network: Network, training: Cuts) -> Any:
    """Return the loss: the error of each step and column, divided by that of the start."""
    # without the division, the last steps, whose errors are the largest, would be all that is
    # learned
    types, categories = network.specification.column_types, network.specification.num_categories

    def errors(future: Any, outputs: Any) -> tuple[Any, Any]:
        """Return the error of each value, 0 where nothing was observed, and what was observed."""
        observed = ops.logical_not(ops.isnan(future))
        values = ops.where(observed, future, 0.0)
        observed = ops.cast(observed, outputs.dtype)
        return column_errors(values, outputs, types, categories) * observed, observed

    model: Any = network.forecaster
    outputs = model.predict(_inputs(model, training), batch_size=1024, verbose=0)
    error, observed = (np.asarray(part) for part in errors(training.future, outputs))
    of_start = np.tensordot(training.weight, error, 1) / np.maximum(observed.sum(axis=0), 1.0)
    power = np.nan_to_num(np.nanmean(np.square(training.future), axis=0), nan=0.0)
    of_start = np.maximum(of_start, _MIN_SHARE * np.maximum(power, _MIN_SHARE))

    def loss(future: Any, outputs: Any) -> Any:
        error, observed = errors(future, outputs)
        total = ops.sum(error / of_start, axis=(1, 2))
        return total / ops.maximum(ops.sum(observed, axis=(1, 2)), 1.0)

    return loss


class _Stop(keras.callbacks.Callback):
    """Stop training when the time is up or Ctrl-C was pressed."""

    def __init__(self, seconds: float, interrupt: Interrupt) -> None:
        super().__init__()
        self._end, self._interrupt = time.perf_counter() + seconds, interrupt

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if time.perf_counter() > self._end or self._interrupt.asked:
            self.model.stop_training = True


# The linear start


class _Regression(NamedTuple):
    """Regression of each step of numeric columns on codes and recent values."""

    weights: np.ndarray  # (latent_dim + recent_dim, forecast_steps, n_columns)
    constant: np.ndarray  # (forecast_steps, n_columns)
    error: np.ndarray  # of this shape: sum of squared errors on sequences that were left out


def _set_start(network: Network, training: Cuts) -> None:
    """Set the linear path to the start; the LSTMs initially add nothing to it."""
    specification, model = network.specification, cast(Any, network.forecaster)
    linear_layer: Any = model.get_layer("linear_steps_ahead")
    head: Any = model.get_layer("head_ahead")
    start, bias = np.zeros(linear_layer.start.shape), np.zeros(linear_layer.bias.shape)
    num_steps = linear_layer.num_steps  # the last steps of a long forecast have no linear path
    scale, share = np.ones(head.scale.shape), 1.0
    outputs = list(outputs_of(specification.column_types, specification.num_categories))
    numeric = [output for output in outputs if output.type.is_number]
    for output in [output for output in outputs if not output.type.is_number]:
        block, count = output.block, specification.num_categories[output.index]
        # the last values are next to the code
        rows = slice(*(specification.latent_dim + k for k in (block.start, block.stop)))
        future = training.future[:, :, output.index]
        weights, constant = _log_frequencies(training.recent[:, block], future, count)
        start[rows, :, block], bias[:, block] = weights[:, :num_steps], constant[:num_steps]
    if numeric and len(training.codes):
        future = training.future[:, :, [output.index for output in numeric]]
        best = _best_regression(training, future, np.array([o.block.start for o in numeric]))
        count = np.maximum((~np.isnan(future)).sum(axis=0), 1)
        power = np.nansum(np.square(future, dtype=float), axis=0)
        error = np.maximum(best.error, _MIN_SHARE * power)
        share = float(np.clip(error.sum() / max(power.sum(), 1e-12), _MIN_SHARE, 1.0))
        for k, output in enumerate(numeric):
            weights, constant = best.weights[..., k], best.constant[:, k]
            deviation = np.sqrt(error / count)[:, k]
            if output.type.link != "identity":
                written = training.inputs @ weights + constant
                mean = written.mean(axis=0)
                level, slope = output.type.before_link(mean, written.std(axis=0))
                weights, constant = weights * slope, level + slope * (constant - mean)
                deviation *= slope
            column = output.block.start
            start[..., column], bias[:, column] = weights[:, :num_steps], constant[:num_steps]
            scale[:, column] = deviation
    linear_layer.start.assign(start.astype(np.float32))
    linear_layer.bias.assign(bias.astype(np.float32))
    linear_layer.unit.assign(float(np.sqrt(share / len(start))))
    head.scale.assign(scale.astype(np.float32))
    head.dense.kernel.assign(np.zeros(head.dense.kernel.shape, np.float32))


def _best_regression(
    training: Cuts,
    future: np.ndarray,  # (n, forecast_steps, n_columns), of numeric columns
    places: np.ndarray,  # of these columns in the recent values
) -> _Regression:
    """Regress numeric columns or their differences from the last value, whichever is closer."""
    last = training.recent[:, None, places]
    of_value, of_difference = _regressions(training, future, future - last)
    # the last value, which is beside the code, is added to its difference
    of_difference.weights[training.codes.shape[1] + places, :, range(len(places))] += 1.0
    is_closer = of_difference.error < of_value.error
    pairs = zip(of_difference, of_value, strict=True)
    return _Regression(*(np.where(is_closer, *pair) for pair in pairs))


def _regressions(training: Cuts, *targets: np.ndarray) -> list[_Regression]:
    """Regress each of several targets on the inputs, with the best penalty for each output."""
    # Targets are (n, forecast_steps, n_columns), and each step of each column is one output.
    x, y = training.inputs.astype(float), np.concatenate(targets, axis=2)
    shape, y = y.shape[1:], y.reshape(len(y), -1).astype(float)
    center, spread = x.mean(axis=0), x.std(axis=0)
    # a value that hardly varies must not get a large weight
    spread = np.where(spread > 1e-6 * spread.max(initial=0), spread, np.inf)
    standard, fold = (x - center) / spread, training.sequence % _FOLDS
    weights, (constant, error) = np.zeros((x.shape[1], y.shape[1])), np.zeros((2, y.shape[1]))
    for outputs, rows in _groups(~np.isnan(y)):
        inputs, wanted, weight = standard[rows], y[rows][:, outputs], training.weight[rows]
        errors, numbers = np.zeros((len(_PENALTIES), len(outputs))), np.unique(fold[rows])
        for number in numbers if len(numbers) > 1 else []:
            held = fold[rows] == number
            slope, level = _ridge_path(inputs[~held], wanted[~held], weight[~held])
            missed = wanted[held] - inputs[held] @ slope - level
            errors += weight[held] @ missed**2
        best, column = errors.argmin(axis=0), np.arange(len(outputs))  # the best penalty of each
        error[outputs] = errors[best, column]
        slope, level = _ridge_path(inputs, wanted, weight)
        slope = slope[best, :, column].T / spread[:, None]
        weights[:, outputs] = slope
        constant[outputs] = level[best, 0, column] - center @ slope
    # back to the steps and columns of each target
    parts = (
        np.split(part.reshape(*part.shape[:-1], *shape), len(targets), axis=-1)
        for part in (weights, constant, error)
    )
    return [_Regression(*part) for part in zip(*parts, strict=True)]


def _groups(observed: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield groups of outputs that are observed in the same rows, and these rows."""
    patterns, member = np.unique(observed, axis=1, return_inverse=True)
    for i, rows in enumerate(patterns.T):
        outputs = np.flatnonzero(member.ravel() == i)
        for first in range(0, len(outputs) if rows.any() else 0, _MAX_OUTPUTS):
            yield outputs[first : first + _MAX_OUTPUTS], rows


def _ridge_path(
    x: np.ndarray, targets: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Regress targets (n, m) on x (n, d) with each penalty; the constant has none."""
    # Returns slopes (n_penalties, d, m) and levels (n_penalties, 1, m). In the directions of the
    # eigenvectors of the weighted covariance, a penalty is added to each eigenvalue, so one
    # decomposition serves all penalties.
    share = weight / weight.sum()
    center, level = share @ x, share @ targets
    centered = x - center
    weighted = centered * weight[:, None]
    values, vectors = np.linalg.eigh(weighted.T @ centered)
    products = vectors.T @ (weighted.T @ (targets - level))
    shrunk = np.maximum(values, 0) + len(x) * _PENALTIES[:, None]
    slope = vectors @ (products / shrunk[..., None])
    return slope, (level - center @ slope)[:, None]


def _log_frequencies(
    last: np.ndarray,  # (n, num_categories) one-hot, or (n, 1) of a binary column
    future: np.ndarray,  # (n, forecast_steps), NaN where nothing was observed
    num_categories: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of what follows each last value, as weights of it and a constant."""
    # returns (num_categories, forecast_steps, num_categories) and (forecast_steps, num_categories)
    binary = not num_categories
    one_hot = np.concatenate([1 - last, last], axis=1) if binary else last
    width = one_hot.shape[1]
    follows = (future[..., None] == np.arange(width)).astype(float)
    overall = follows.sum(axis=0) + _PRIOR
    overall = overall / overall.sum(axis=1, keepdims=True)
    counts = np.einsum("ni,nhj->ihj", one_hot, follows)
    after = (counts + overall) / (counts.sum(axis=2, keepdims=True) + 1.0)
    logits = np.log(after)
    if not binary:
        constant = np.log(overall)
        return logits - constant, constant
    odds = logits[..., 1:] - logits[..., :1]
    return odds[1:] - odds[:1], odds[0]
