"""The forecast decoder of a fit, trained after the autoencoder, whose weights stay as they are."""

import functools
import time
from collections.abc import Callable, Iterator
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
from refold.sequences.types import COLUMN_TYPES
from refold.training._split import Source, Split
from refold.training.initialization._initial_weights import holding, weights_of
from refold.training.loop._compiled_steps import AdamW
from refold.training.loop._stopping import Interrupt
from refold.training.loop._training import FitResult

# 1. Training sequences are cut, before their last steps and at random. The decoder reads the code
#    and the last values of what is before the cut, and learns the steps after it.
# 2. The start is linear. For a numeric column, it is a naive forecast (the mean, the last value,
#    the continuation of the last step, or the last season) plus a ridge regression of what the
#    naive forecast misses. Both are chosen by cross-validation, for each step and column. For the
#    others, it is the frequency of each value after each last value.
# 3. LSTMs learn what the start misses, until the errors of held-out sequences no longer fall. A
#    step of a column that does not get better keeps the start.

# Minimum number of last steps that a forecast decoder reads, and cap on their values.
_MIN_RECENT_STEPS, _MAX_RECENT_VALUES = 16, 256
# Sequences that are searched for a season, and cap on the values to learn from.
_SEASON_SEQUENCES, _MAX_VALUES = 256, 4_000_000
# Share of a time budget for the forecast decoder.
SHARE_OF_TIME = 0.15
# Without held-out sequences, one of this many is held out from the training of the decoder.
_EVERY = 10
# Random cuts of each sequence, beside the one before its last steps.
_RANDOM_CUTS = 3
# Maximum number of cuts to learn from.
_MAX_ROWS = 16384
# Candidate penalties of the ridge regression, relative to the number of rows.
_PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
# Number of cross-validation folds, and of outputs that are regressed at a time.
_FOLDS, _MAX_OUTPUTS = 5, 256
# Lower bound of an error that others are divided by, as a share of the power.
_MIN_SHARE = 1e-6
# Number of times that each value counts as seen before the frequencies are counted.
_PRIOR = 0.1
# Batch size, and bounds of the number of epochs and of training steps.
_BATCH_SIZE, _MIN_EPOCHS, _MAX_EPOCHS, _MAX_STEPS = 64, 10, 300, 3000
_LEARNING_RATE = 2e-3
# Share of the epochs without a better error after which training stops.
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
    season = _season(source, rows) or 0
    room = min(longest - forecast_steps, _MAX_RECENT_VALUES // schema.output_width)
    return max(1, min(max(season, forecast_steps, _MIN_RECENT_STEPS), room))


def fit_forecasts(
    network: Network, split: Split, outcome: FitResult, arguments: Arguments
) -> FitResult:
    """Fit the forecast decoder to the autoencoder of each phase, and return the new result."""
    packed, season = inference_with(network), _season(split.source, split.rows["validated"])
    options = {
        "season": season,
        "further": split.further is not None,
        "seed": split.seed,
    }
    budget = arguments.time_budget
    seconds = None if budget is None else SHARE_OF_TIME * budget
    # if the autoencoder was not trained, the linear forecast remains
    untrained = not outcome.history["phase"] or outcome.interrupted
    max_epochs = 0 if untrained else arguments.max_epochs

    def cuts(phase: str, sequences: Sequences) -> Cuts:
        return cut(split.scaler(phase).transform(sequences), packed, split.seed)

    values = max(1.0, float(split.lengths.mean())) * split.schema.output_width
    most = max(1, int(_MAX_VALUES / values))
    with holding(network, outcome.validated):
        training = cuts("validated", split.sample("validated", most))
        if len(split.held_out):
            held_out = cuts("validated", split.held_out_sequences)
        else:
            apart = training.sequence % _EVERY == _EVERY - 1
            training, held_out = training.of(~apart), training.of(apart)
        kept = fit_forecast_decoder(
            network, training, held_out, max_epochs=max_epochs, seconds=seconds, **options
        )
        validated = weights_of(network)
    if outcome.validated is None:
        return outcome
    training = cuts("refit", split.sample("refit", most))
    fit_forecast_decoder(network, training, kept=kept, **options)
    return replace(outcome, validated=validated)


def _season(source: Source, rows: np.ndarray) -> int | None:
    """Return the season length of the data in steps; None if there is none."""
    return pick_season(source.sample(rows, _SEASON_SEQUENCES, 0))


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
    codes, recent = network.encode(before), recent_values(before, specification)
    variation = np.square(recent[:, specification.num_outputs :]).sum(axis=1)
    weight = 1.0 / (variation + max(np.median(variation), 1e-6)) if len(recent) else variation
    weight = (weight / max(weight.mean(), 1e-30)).astype(np.float32) if len(weight) else weight
    return Cuts(np.tile(rows, len(places)), codes, recent, future, weight)


class Kept(NamedTuple):
    """What a fit of the forecast decoder keeps."""

    epoch: int  # of the weights; 0 for the start
    improved: np.ndarray  # bool (forecast_steps, n_columns); the others keep the start


def fit_forecast_decoder(
    network: Network,
    training: Cuts,
    held_out: Cuts | None = None,  # decide what is kept; without them, it is the last epoch
    *,
    season: int | None,  # length in steps, of which the last one is a naive forecast
    further: bool,  # whether the decoder is fitted already: its weights are the start
    seed: int,
    max_epochs: int | None = None,  # 0 keeps the start
    seconds: float | None = None,  # after which training stops
    kept: Kept | None = None,  # by an earlier fit on fewer sequences; kept of this one, too
) -> Kept:
    """Fit the forecast decoder of a network whose autoencoder is trained."""
    specification = network.specification
    if not further:
        _set_start(network, training, season)
    epochs = _MAX_STEPS * _BATCH_SIZE // max(1, len(training.codes))
    epochs = int(np.clip(epochs, _MIN_EPOCHS, _MAX_EPOCHS))
    epochs = epochs if max_epochs is None else min(epochs, max_epochs)
    epochs = epochs if kept is None else kept.epoch
    shape = specification.forecast_steps, len(specification.column_types)
    if not epochs or not len(training.codes):
        return Kept(0, np.zeros(shape, bool))
    keep_compiled()
    model: Any = network.forecaster
    num_steps = epochs * -(-len(training.codes) // _BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, num_steps)
    optimizer = AdamW(rate, weight_decay=1e-4, global_clipnorm=1.0)
    model.compile(optimizer, loss=_relative_loss(network, training))
    measured = held_out if held_out is not None and len(held_out.codes) else None
    errors = measured and functools.partial(_errors, network, measured)
    with seeded(seed), Interrupt() as interrupt:
        best = _Best(errors, round(_PATIENCE * epochs), seconds, interrupt)
        model.fit(
            _inputs(model, training),
            training.future,
            sample_weight=training.weight,
            batch_size=_BATCH_SIZE,
            epochs=epochs,
            callbacks=[best],
            verbose=0,
        )
    epoch, improved = best.restore()
    improved = improved if kept is None else kept.improved
    if not further:
        _keep_start(network, ~improved, best.start)
    return Kept(epoch, improved)


def _inputs(model: Any, cuts: Cuts) -> list[np.ndarray]:
    return [cuts.codes, cuts.recent][: len(model.inputs)]


def _losses(network: Network, future: Any, outputs: Any) -> tuple[Any, Any]:
    """Return the error of each value, 0 where nothing was observed, and what was observed."""
    types, categories = network.specification.column_types, network.specification.num_categories
    observed = ops.logical_not(ops.isnan(future))
    values = ops.where(observed, future, 0.0)
    observed = ops.cast(observed, outputs.dtype)
    return column_errors(values, outputs, types, categories) * observed, observed


def _errors(network: Network, cuts: Cuts) -> np.ndarray:
    """Return the weighted mean error of each step and column."""
    model: Any = network.forecaster
    outputs = model.predict(_inputs(model, cuts), batch_size=1024, verbose=0)
    error, observed = (np.asarray(part) for part in _losses(network, cuts.future, outputs))
    return np.tensordot(cuts.weight, error, 1) / np.maximum(observed.sum(axis=0), 1.0)


def _relative_loss(network: Network, training: Cuts) -> Any:
    """Return the loss: the error of each step and column, divided by that of the start."""
    # without the division, the last steps, whose errors are the largest, would be all that is
    # learned
    power = np.nan_to_num(np.nanmean(np.square(training.future), axis=0), nan=0.0)
    of_start = np.maximum(_errors(network, training), _MIN_SHARE * np.maximum(power, _MIN_SHARE))

    def loss(future: Any, outputs: Any) -> Any:
        error, observed = _losses(network, future, outputs)
        total = ops.sum(error / of_start, axis=(1, 2))
        return total / ops.maximum(ops.sum(observed, axis=(1, 2)), 1.0)

    return loss


class _Best(keras.callbacks.Callback):
    """Keep the weights with the smallest errors on held-out cuts, and stop in time."""

    def __init__(
        self,
        errors: Callable[[], np.ndarray] | None,
        patience: int,
        seconds: float | None,
        interrupt: Interrupt,
    ) -> None:
        super().__init__()
        self.start: list[np.ndarray] = []
        self._errors, self._patience, self._interrupt = errors, max(1, patience), interrupt
        self._end = None if seconds is None else time.perf_counter() + seconds
        self._epoch, self._best, self._ratios = 0, 1.0, np.ones(1)
        self._of_start: Any = None
        self._weights: list[np.ndarray] = []

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        self.start = self._weights = self.model.get_weights()
        self._of_start = None if self._errors is None else self._errors()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        if self._is_over:
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        ratios, mean = np.zeros(1), -float(epoch)
        if self._errors is not None:
            ratios = self._errors() / np.maximum(self._of_start, 1e-30)
            # an output that got worse counts 1, because it will keep the start
            mean = float(np.minimum(np.nan_to_num(ratios, nan=1.0), 1.0).mean())
        if mean < self._best:
            self._epoch, self._best, self._ratios = epoch + 1, mean, ratios
            self._weights = self.model.get_weights()
        if self._is_over or epoch + 1 >= self._epoch + self._patience:
            self.model.stop_training = True

    def restore(self) -> tuple[int, np.ndarray]:
        """Give the model the best weights; return their epoch, and which outputs improved."""
        self.model.set_weights(self._weights)
        return self._epoch, self._ratios < 1.0

    @property
    def _is_over(self) -> bool:
        late = self._end is not None and time.perf_counter() > self._end
        return late or self._interrupt.asked


def _keep_start(network: Network, places: np.ndarray, start: list[np.ndarray]) -> None:
    """Give steps and columns the linear start, to which the LSTMs add nothing."""
    model: Any = network.forecaster
    linear_layer, head = model.get_layer("linear_steps_ahead"), model.get_layer("head_ahead")
    shape = network.specification.forecast_steps, len(network.specification.num_categories)
    widths = [count or 1 for count in network.specification.num_categories]
    places = np.repeat(np.broadcast_to(places, shape), widths, axis=1)
    linear = places[: linear_layer.num_steps]
    paths = [variable.path for variable in model.weights]
    before = dict(zip(paths, start, strict=True))
    for variable, chosen in (
        (linear_layer.change, linear[None]),
        (linear_layer.bias, linear),
        (head.scale, places),
    ):
        value = before[variable.path] if variable is not head.scale else 0.0
        variable.assign(np.where(chosen, value, np.asarray(variable.value)))


def _set_start(network: Network, training: Cuts, season: int | None) -> None:
    """Set the linear path to the start; the LSTMs initially add nothing to it."""
    specification, model = network.specification, cast(Any, network.forecaster)
    linear_layer: Any = model.get_layer("linear_steps_ahead")
    head: Any = model.get_layer("head_ahead")
    start, bias = np.zeros(linear_layer.start.shape), np.zeros(linear_layer.bias.shape)
    scale, num_steps = np.ones(head.scale.shape), linear_layer.num_steps
    numeric, columns, share, first = [], [], 1.0, 0
    for i, count in enumerate(specification.num_categories):
        if COLUMN_TYPES[specification.column_types[i]].is_number:
            numeric.append(i)
            columns.append(first)
        else:
            block = slice(first, first + (count or 1))
            rows = slice(*(specification.latent_dim + k for k in (block.start, block.stop)))
            last = training.recent[:, block]
            weights, constant = _log_frequencies(last, training.future[:, :, i], count)
            start[rows, :, block], bias[:, block] = weights[:, :num_steps], constant[:num_steps]
        first += count or 1
    if numeric and len(training.codes):
        future = training.future[:, :, numeric]
        naive = _naive_forecasts(specification, columns, season)
        weights, constant, error = _regressed(training, future, naive)
        count = np.maximum((~np.isnan(future)).sum(axis=0), 1)
        power = np.nansum(np.square(future, dtype=float), axis=0)
        error = np.maximum(error, _MIN_SHARE * power)
        scale[:, columns] = np.sqrt(error / count)
        types = [COLUMN_TYPES[specification.column_types[i]] for i in numeric]
        for k, type_ in enumerate(types):
            if type_.link != "identity":
                written = training.inputs @ weights[..., k] + constant[:, k]
                mean, deviation = written.mean(axis=0), written.std(axis=0)
                level, slope = type_.before_link(mean, deviation)
                weights[..., k] *= slope
                constant[:, k] = level + slope * (constant[:, k] - mean)
                scale[..., columns[k]] *= slope if scale.ndim > 1 else slope.mean()
        start[..., columns], bias[:, columns] = weights[:, :num_steps], constant[:num_steps]
        share = float(np.clip(error.sum() / max(power.sum(), 1e-12), _MIN_SHARE, 1.0))
    linear_layer.start.assign(start.astype(np.float32))
    linear_layer.bias.assign(bias.astype(np.float32))
    linear_layer.unit.assign(float(np.sqrt(share / len(start))))
    head.scale.assign(scale.astype(np.float32))
    head.dense.kernel.assign(np.zeros(head.dense.kernel.shape, np.float32))


def _naive_forecasts(specification: Any, columns: list[int], season: int | None) -> np.ndarray:
    """Return naive forecasts as weights (n, latent_dim + recent_dim, steps, n_columns)."""
    # the mean, the last value, the continuation of the last step, and the last season
    steps, recent = specification.forecast_steps, specification.recent_steps
    possible = [True, True, recent > 1, season is not None and recent >= season]
    naive = np.zeros((4, recent, specification.num_outputs, steps, len(columns)))
    _, last, line, same = naive
    ahead, period = np.arange(steps), season or 1
    lag = period - 1 - ahead % period
    for k, column in enumerate(columns):
        # the recent values are the last one, and its differences from those before it
        for values in (last, line, same):
            values[0, column, :, k] = 1.0
        if possible[2]:
            line[1, column, :, k] = -(1.0 + ahead)
        if possible[3]:
            same[lag[lag > 0], column, ahead[lag > 0], k] = 1.0
    weights = np.zeros(
        (sum(possible), specification.latent_dim + specification.recent_dim, steps, len(columns))
    )
    weights[:, specification.latent_dim :] = naive[possible].reshape(
        len(weights), specification.recent_dim, steps, len(columns)
    )
    return weights


def _regressed(
    training: Cuts, future: np.ndarray, naive: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Correct naive forecasts by ridge regression, and choose the best for each step and column."""
    # Returns weights (latent_dim + recent_dim, forecast_steps, n_columns), and the constant and the
    # sum of the squared errors on sequences that were left out, (forecast_steps, n_columns) each.
    num_forecasts, dims, *shape = naive.shape
    x, y = training.inputs.astype(float), future.reshape(len(future), -1).astype(float)
    naive = naive.reshape(num_forecasts, dims, -1)
    center, spread = x.mean(axis=0), x.std(axis=0)
    # a value that hardly varies must not get a large weight
    spread = np.where(spread > 1e-6 * spread.max(initial=0), spread, np.inf)
    standard = (x - center) / spread
    fold = training.sequence % _FOLDS
    weights, (constant, error) = np.zeros((dims, y.shape[1])), np.zeros((2, y.shape[1]))
    for outputs, observed in _groups(~np.isnan(y)):
        inputs, here, weight = standard[observed], fold[observed], training.weight[observed]
        missed = y[observed][:, outputs] - np.einsum(
            "nd,fdm->fnm", x[observed], naive[:, :, outputs], optimize=True
        )
        # the last candidate corrects nothing
        errors = np.full((num_forecasts, len(_PENALTIES) + 1, len(outputs)), np.inf)
        errors[:, -1] = weight @ missed**2
        if len(np.unique(here)) > 1:
            errors[:, :-1] = 0.0
            for number in np.unique(here):
                inside, outside = here != number, here == number
                slope, level = _ridge_path(inputs[inside], missed[:, inside], weight[inside])
                predicted = np.einsum("nd,fpdm->fpnm", inputs[outside], slope, optimize=True)
                away = missed[:, None, outside] - predicted - level
                errors[:, :-1] += weight[outside] @ away**2
        forecast, penalty = np.divmod(
            errors.reshape(-1, len(outputs)).argmin(axis=0), len(_PENALTIES) + 1
        )
        column = np.arange(len(outputs))
        error[outputs] = errors[forecast, penalty, column]
        weights[:, outputs] = naive[forecast, :, outputs].T
        corrected = penalty < len(_PENALTIES)
        if corrected.any():
            slope, level = _ridge_path(inputs, missed, weight)
            forecast, penalty, column = (part[corrected] for part in (forecast, penalty, column))
            slope = slope[forecast, penalty, :, column].T / spread[:, None]
            weights[:, outputs[corrected]] += slope
            constant[outputs[corrected]] = level[forecast, penalty, 0, column] - center @ slope
    return weights.reshape(dims, *shape), constant.reshape(shape), error.reshape(shape)


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
    """Regress targets (f, n, m) on x (n, d) with each penalty; the constant has none."""
    # returns slopes (f, n_penalties, d, m) and levels (f, n_penalties, 1, m)
    share = weight / weight.sum()
    center, level = share @ x, (share @ targets)[:, None]
    centered = x - center
    weighted = centered * weight[:, None]
    values, vectors = np.linalg.eigh(weighted.T @ centered)
    products = np.einsum("dk,nd,fnm->fkm", vectors, weighted, targets - level, optimize=True)
    shrunk = np.maximum(values, 0) + len(x) * np.array(_PENALTIES)[:, None]
    slope = np.einsum("dk,pk,fkm->fpdm", vectors, 1 / shrunk, products, optimize=True)
    return slope, level[:, None] - np.einsum("d,fpdm->fpm", center, slope)[:, :, None]


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
