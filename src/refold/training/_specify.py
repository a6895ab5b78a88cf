"""The network of a fit and the settings of its training.

Where the arguments of the fit say "auto", the functions `pick_...` choose a value for the data.
"""

import math
from dataclasses import replace

import numpy as np

from refold._support.messages import pluralize, warn
from refold.arguments import Arguments
from refold.errors import DataError, ParameterError, argument
from refold.model import check_encodable_lengths, check_latent_steps
from refold.network.keras.build import Network, build, build_trainable_copy, to_inference_network
from refold.network.keras.layer import seeded
from refold.network.specification import Specification, compute_max_linear_path_steps
from refold.sequences import BucketedBatches, Scaler, Schema, Sequences
from refold.training._forecast_decoder import FORECAST_TIME_SHARE, pick_recent_steps
from refold.training._held_out_error import HeldOutEvaluator, InferenceSettings, total_error
from refold.training._shards import FitBlocks
from refold.training._split import Split
from refold.training._time_warps import MIN_SERIES_WITHOUT_WARPS, choose_warp_std
from refold.training.loop._training import Settings

# benchmarks/results/ablation.md has the measurements behind the defaults. "Without a mechanism, the
# error was 1.4 times as large" compares the held-out error of a fit without it to that of a default
# fit. The sets for choosing are the data sets by which the defaults were chosen
# (docs/explanation/search.md names them).

# Dropout rate of the network.
_DROPOUT_RATE = 0.2
# Data with this number of sequences or more is large. Then training takes larger batches and no
# refit, and the codes get no latent optimization if a column is numeric.
_LARGE_DATA_SEQUENCES = 2000
# Steps of latent optimization by default. Without latent optimization, the error was 1.4 times as
# large.
_DEFAULT_LATENT_STEPS = 10
# Sequences of tokens get an autoregressive decoder up to this typical length. It has no linear
# path, which is a linear map from the code to all steps beside the LSTMs. For short sequences, this
# decoder reconstructs more sequences exactly: without it, the error on German words was 2.1 times
# as large. Longer sequences are rarely reconstructed exactly, and a parallel decoder gets more of
# their tokens right.
_MAX_AUTOREGRESSIVE_TOKENS = 32
# Cap on the typical length of a sequence that is not divided into patches. An LSTM on a thousand
# single steps is slow, and its gradient has to pass through all of them. Without patches, the error
# was 1.5 times as large. In 20 s of training on sequences of 1460 steps, an LSTM on patches of 16
# steps improved on its initialization, and an LSTM on single steps did not.
_MAX_STEPS_WITHOUT_PATCHES = 100
# Cap on the number of patches in a sequence of typical length, for the same reason.
_MAX_PATCHES = 64
# Minimum number of latent dimensions for ROCKET features by default. They are pooled random
# convolutions, by which linear classifiers tell sequences apart. In a smaller code, the error
# would be larger than that of PCA of the same size.
_MIN_DIM_FOR_ROCKET = 32
# Number of ROCKET features by default. More of them would make the error larger than that of PCA.
# With 8 of 32 dimensions, a linear classifier had an accuracy of 0.962 instead of 0.861 on four
# sets, and the NMSE was 8 to 80 % larger.
_DEFAULT_ROCKET_DIM = 8
# If a code has at least this number of latent dimensions, one of them holds the length by default.
# A smaller code needs this dimension for the values: with 2 to 6 dimensions, the error with a
# dimension for the length was 0.98 to 1.11 times the error without such a dimension. It was smaller
# in only two of ten cases.
_MIN_DIM_FOR_LENGTH = 8
# Cap on the weights of the maps by length, which are one matrix for each length (see
# `_allows_maps_by_length`). So many float32 weights take 16 MB of memory.
_MAX_LENGTH_MAP_WEIGHTS = 1 << 22
# Minimum number of updates (training steps) in a schedule, because a loss may stay on a plateau for
# long before it falls.
_MIN_SCHEDULED_UPDATES = 4000
# Minimum number of epochs in a schedule, for the same reason.
_MIN_SCHEDULED_EPOCHS = 30
# Minimum patience in epochs, for the same reason.
_MIN_PATIENCE = 50
# Cap on the outputs of a model at each step. The time and the memory of training are proportional
# to their number (docs/reference/data.md).
_MAX_OUTPUT_WIDTH = 50_000


def check_columns(sequences: Sequences) -> None:
    """Raise an error for a column without a value, or for too many categories in all columns."""
    Scaler.fit(sequences, None)  # raises an error for columns without values
    schema = sequences.schema
    if schema.output_width <= _MAX_OUTPUT_WIDTH:
        return
    column = max(schema.columns, key=lambda column: column.output_width)
    raise DataError(
        f"Column {column.name!r} has {column.output_width} categories, and a model can have "
        f"{_MAX_OUTPUT_WIDTH} in all columns, because each takes time and memory at every "
        "step. Keep the most frequent categories and replace the others by one, such as 'other', "
        "or hash them: zlib.crc32(text) % 10000."
    )


def build_network(
    evaluator: HeldOutEvaluator, arguments: Arguments
) -> tuple[Network, InferenceSettings]:
    """Build a network, or copy that of the base model, and choose steps of latent optimization."""
    split = evaluator.split
    model, fit_data = split.base_model, split.fit_data
    if model is None:
        specification = make_specification(fit_data, arguments, split.training_indices)
        # warn if a code has more dimensions than the longest sequence can fill
        lengths, latent_dim = fit_data.sequences.lengths, int(arguments.latent_dim)
        num_values = int(lengths.max()) * fit_data.sequences.schema.output_width
        lengths_differ, rocket_dim = bool(lengths.min() < lengths.max()), arguments.rocket_dim
        # one dimension for the length, if lengths differ
        max_dim = num_values + lengths_differ + (0 if rocket_dim == "auto" else int(rocket_dim))
        needed = pluralize(num_values, "dimension")
        length_part = ", and the length takes 1" if lengths_differ else ""
        if latent_dim > max_dim:
            warn(
                f"{argument(latent_dim=latent_dim)} is more than the data can fill: the values of "
                f"the longest sequence take at most {needed}{length_part}. "
                "The others add nothing to the reconstruction, so "
                f"{argument(latent_dim=max_dim)} is enough."
            )
        # ROCKET features do not reconstruct. So the default has them only if PCA without the
        # dimensions that they take reconstructs held-out sequences as well as PCA with them.
        if specification.rocket_dim and arguments.rocket_dim == "auto":
            costs_nothing = False  # also if there are no held-out sequences to measure with
            if len(evaluator.sequences):
                # without and with the dimensions of the ROCKET features
                pca_dims = (latent_dim - specification.rocket_dim, latent_dim)
                error, full_error = (total_error(evaluator.pca_errors(dim)) for dim in pca_dims)
                costs_nothing = error <= full_error
            if not costs_nothing:
                specification = replace(specification, rocket_dim=0)
        default_latent_steps = pick_latent_steps(specification, fit_data)
    else:
        specification, default_latent_steps = model.specification, model.default_latent_steps
        # the scale was checked when the base model was fitted
        max_length = int(split.lengths.max())
        check_forecast(specification.forecast_steps, scale=None, max_length=max_length)
        if arguments.corruption.dropped_share and not specification.observed_flags:
            raise ParameterError(
                "Time-step dropout needs a model that reads missing values, and this one was "
                f"fitted on data without any. Leave {argument('denoise')} out, or train a new "
                "model."
            )
    latent_steps = default_latent_steps
    if arguments.latent_steps != "auto":
        latent_steps = check_latent_steps(arguments.latent_steps, specification)
    make_custom = arguments.architecture if callable(arguments.architecture) else None
    with seeded(split.seed):
        if model is None:
            network = build(specification, make_custom)
        else:
            network = build_trainable_copy(model.network)
    return network, InferenceSettings(latent_steps, default_latent_steps)


def make_specification(
    fit_data: FitBlocks, arguments: Arguments, training_indices: np.ndarray
) -> Specification:
    """Return the specification of a network to train on the sequences with these indices (n,)."""
    schema, lengths = fit_data.sequences.schema, fit_data.sequences.lengths
    # Each step of the data counts with the length of its sequence, and this is the mean over all
    # steps. Long sequences have more steps, so it is larger than the mean length of a sequence.
    float_lengths = lengths.astype(float)
    typical_length = float((float_lengths**2).sum() / max(1.0, float_lengths.sum()))
    architecture, latent_dim = arguments.architecture, int(arguments.latent_dim)
    # A parallel decoder writes all steps at once. By default, data with a numeric column gets it.
    # Long sequences of tokens get it, too: after one wrong token, an autoregressive decoder would
    # shift all later ones. But sequences of tokens that are too long for a linear path do not.
    is_token_model = architecture == "default" and not schema.numeric.any()
    max_linear_length = compute_max_linear_path_steps(schema.output_width, latent_dim)
    # long, but not too long for a linear path
    is_long = _MAX_AUTOREGRESSIVE_TOKENS < typical_length <= max_linear_length
    decoder = _pick_allowed_decoder(arguments, prefer_autoregressive=is_token_model and not is_long)
    drops_steps = arguments.corruption.dropped_share > 0  # time-step dropout
    if drops_steps and isinstance(architecture, str) and architecture != "default":
        raise ParameterError(
            f"{argument(architecture=architecture)} cannot read missing values, which "
            f"{argument(denoise=arguments.denoise)} creates. Use "
            f"{argument(architecture='default')}, or noise alone."
        )
    max_length, forecast_steps = int(lengths.max()), int(arguments.forecast_steps)
    check_forecast(forecast_steps, arguments.scale, max_length)
    length_dim = _pick_length_dim(arguments, lengths)
    if arguments.nested and (architecture != "default" or arguments.variational):
        raise ParameterError(
            f"{argument(nested=True)} needs the default architecture that is not variational. "
            "Leave it out."
        )
    patch = 1
    if arguments.patch != "auto":
        patch = int(arguments.patch)
    elif architecture == "default" and decoder == "parallel":
        patch = pick_patch(typical_length)
    recent_steps = 0
    if forecast_steps:
        recent_steps = pick_recent_steps(fit_data, training_indices, forecast_steps)
    return Specification(
        architecture=architecture if isinstance(architecture, str) else "custom",
        column_types=[column.type for column in schema.columns],
        num_categories=[len(column.categories) for column in schema.columns],
        observed_flags=fit_data.has_missing or drops_steps,
        latent_dim=latent_dim,
        max_steps=max(1, max_length),
        units=int(arguments.units),
        depth=int(arguments.depth),
        cell=arguments.cell,
        dropout=_DROPOUT_RATE,
        length_mean=float(lengths[training_indices].mean()),
        length_deviation=float(lengths[training_indices].std()),
        decoder=decoder,
        variational=bool(arguments.variational),
        patch=patch,
        # None stands for the default: data with a numeric column has a linear path
        linear_path=(is_long and decoder == "parallel") if is_token_model else None,
        rocket_dim=_pick_rocket_dim(arguments, len(training_indices), max_length, schema),
        forecast_steps=forecast_steps,
        recent_steps=recent_steps,
        length_dim=length_dim,
        nested=bool(arguments.nested),
        by_length=_allows_maps_by_length(arguments, fit_data, length_dim),
    )


def check_forecast(forecast_steps: int, scale: str | None, max_length: int) -> None:
    """Raise an error if the longest sequence or the scale does not allow such forecasts."""
    if not forecast_steps:
        return
    if forecast_steps >= max_length:
        raise ParameterError(
            f"{argument(forecast_steps=forecast_steps)} needs a longer sequence, and the longest "
            f"has {max_length} step{'' if max_length == 1 else 's'}. Ask for fewer steps."
        )
    if scale == "sequence":
        raise ParameterError(
            f"{argument(scale='sequence')} uses the level of the whole sequence, including the "
            f"steps to forecast. Use {argument(scale='features')} with forecast_steps."
        )


# On numeric data, the parallel decoder is better. On JapaneseVowels with 16 dimensions, it explains
# 0.870 of the variance, and the autoregressive decoder explains 0.864.
def _pick_allowed_decoder(arguments: Arguments, *, prefer_autoregressive: bool) -> str:
    """Pick the decoder: the preferred one, if the other arguments allow it."""
    if arguments.decoder != "auto":
        return arguments.decoder
    # the autoregressive decoder has LSTMs, and writes single steps
    is_possible = arguments.patch in ("auto", 1) and arguments.cell == "lstm"
    return "autoregressive" if prefer_autoregressive and is_possible else "parallel"


def pick_patch(typical_length: float) -> int:
    """Pick the steps per patch: 1 up to length 100, else a power of two for at most 64 patches."""
    if typical_length <= _MAX_STEPS_WITHOUT_PATCHES:
        return 1
    return 1 << math.ceil(math.log2(typical_length / _MAX_PATCHES))


def _pick_rocket_dim(
    arguments: Arguments, num_training: int, max_length: int, schema: Schema
) -> int:
    """Pick the number of ROCKET features: eight in a large code, else none."""
    latent_dim, rocket_dim = int(arguments.latent_dim), arguments.rocket_dim
    if rocket_dim != "auto":
        return int(rocket_dim)
    is_possible = schema.numeric.any() and arguments.architecture == "default"
    is_possible = is_possible and not arguments.variational
    # corruption of the input changes the features
    if not is_possible or latent_dim < _MIN_DIM_FOR_ROCKET or arguments.corruption:
        return 0
    num_values = max_length * schema.output_width
    # if a code can hold every value, features only get the dimensions that are left over
    num_spare = latent_dim - num_values if latent_dim >= num_values else latent_dim
    # the features are principal components, of which n sequences have n - 1
    return min(_DEFAULT_ROCKET_DIM, num_spare, max(0, num_training - 1))


# The errors of linear codes on held-out sequences do not help this choice. On German words and
# PLAID, they speak for a dimension for the length, but only because least squares predicts lengths
# much worse than the trained network does.
def _pick_length_dim(arguments: Arguments, lengths: np.ndarray) -> int:
    """Pick 1 if a dimension of the code should hold the length of a sequence, else 0."""
    length_dim, lengths_differ = arguments.length_dim, lengths.min() < lengths.max()
    architecture, latent_dim = arguments.architecture, int(arguments.latent_dim)
    # dropped steps could be the last ones, which would change the length that the encoder reads
    drops_steps = arguments.corruption.dropped_share > 0
    is_possible = architecture == "default" and not arguments.variational and not drops_steps
    if length_dim == "auto":
        return int(is_possible and lengths_differ and latent_dim >= _MIN_DIM_FOR_LENGTH)
    if length_dim and (not is_possible or latent_dim < 2):
        raise ParameterError(
            f"{argument(length_dim=length_dim)} needs the default model with at least 2 latent "
            "dimensions, not variational and without dropped steps. Use "
            f"{argument(length_dim=0)}."
        )
    return int(length_dim)


def _allows_maps_by_length(arguments: Arguments, fit_data: FitBlocks, length_dim: int) -> bool:
    """Return whether the linear path may depend on the length: only if the code holds it."""
    schema, lengths = fit_data.sequences.schema, fit_data.sequences.lengths
    # a map (latent_dim, latent_dim) for each length from 0
    num_weights = (int(lengths.max()) + 1) * int(arguments.latent_dim) ** 2
    is_small = num_weights <= _MAX_LENGTH_MAP_WEIGHTS
    is_possible = length_dim and schema.numeric.all() and not arguments.corruption and is_small
    # a map by length mixes the dimensions, so the first dimensions alone would be no nested code
    return bool(is_possible and not fit_data.has_missing and not arguments.nested)


def pick_latent_steps(specification: Specification, fit_data: FitBlocks) -> int:
    """Pick the number of steps of latent optimization."""
    is_default = specification.architecture == "default" and specification.cell == "lstm"
    if not is_default or specification.variational or not fit_data.in_memory:
        return 0  # data from files has none, for speed
    # Latent optimization improves the codes of the encoder when sequences are encoded. With few
    # training sequences, these codes are furthest from the best codes. With thousands, they are
    # closer, and speed matters more. But tokens always need exact codes, because one wrong token
    # makes a sequence wrong.
    is_few = len(fit_data.sequences) < _LARGE_DATA_SEQUENCES
    return _DEFAULT_LATENT_STEPS if is_few or not fit_data.sequences.schema.numeric.any() else 0


def make_settings(
    split: Split, network: Network, arguments: Arguments
) -> tuple[BucketedBatches, Settings]:
    """Return the batches of a fit, and the settings of its training; check the lengths first."""
    packed = to_inference_network(network)
    check_encodable_lengths(split.lengths, packed)
    if split.calibration_sequences is not None:
        check_encodable_lengths(split.calibration_sequences.lengths, packed)
    fit_data, num_training = split.fit_data, len(split.training_indices)
    batch_size = min(arguments.batch_size or pick_batch_size(num_training), num_training)
    batches = fit_data.plan_batches(batch_size, network.fixed_steps)
    updates_per_epoch = fit_data.batches_per_epoch(batches, split.training_indices, split.seed)
    # With large data, several epochs together visit all sequences once, which is a pass. The
    # default number of epochs is chosen for complete passes.
    epochs_per_pass = fit_data.epochs_per_pass
    max_epochs = epochs_per_pass * pick_max_epochs(epochs_per_pass * updates_per_epoch)
    max_epochs = arguments.max_epochs or max_epochs
    time_budget = arguments.time_budget
    if time_budget is not None and arguments.forecast_steps:
        time_budget *= 1.0 - FORECAST_TIME_SHARE  # the forecast decoder is trained afterwards
    return batches, Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        updates_per_epoch=updates_per_epoch,
        learning_rate=arguments.learning_rate,
        seed=split.seed,
        patience=arguments.patience or pick_patience(max_epochs),
        optimizer=arguments.optimizer,
        time_budget=time_budget,
        warp_std=_pick_warp_std(split, network.specification, arguments),
        corruption=arguments.corruption,
        refit=should_refit(split) if arguments.refit == "auto" else bool(arguments.refit),
        verbose=arguments.verbose,
    )


# With batches of 32 on 2000 sequences or more, the error on German words was 1.06 to 1.71 times as
# large.
def pick_batch_size(num_sequences: int) -> int:
    """Pick the batch size: 32, or 64 for 2000 training sequences or more; at most their number."""
    return max(1, min(num_sequences, 64 if num_sequences >= _LARGE_DATA_SEQUENCES else 32))


def pick_max_epochs(batches_per_epoch: int) -> int:
    """Pick the number of epochs: at least 30, and enough for 4000 updates, one for each batch."""
    return max(_MIN_SCHEDULED_EPOCHS, math.ceil(_MIN_SCHEDULED_UPDATES / max(1, batches_per_epoch)))


def pick_patience(max_epochs: int) -> int:
    """Pick the patience: a quarter of the epochs, and at least 50."""
    # While the learning rate is high, the validation loss varies, and one lucky epoch may be the
    # best one for a long time. On the sets for choosing, a patience of an eighth of the epochs is
    # as good, and some fits take only two thirds of the time. But on damped
    # oscillations (450 sequences, 6 dimensions), whose loss varies by 10 % from epoch to epoch, the
    # error with an eighth was 5 times as large in one of two versions of JAX. The loss of a
    # variational model may rise until its KL divergence has its full weight, after a quarter of the
    # schedule. A patience that depends on the validation loss was tried as well. It changed the
    # error by a factor of 1.001, so it gained nothing.
    return max(_MIN_PATIENCE, max_epochs // 4)


def should_refit(split: Split) -> bool:
    """Pick whether to refit on all sequences: only if there are few and some were held out."""
    # A model that is trained further gets no refit, because a refit could end with a larger
    # validation loss. On the sets for choosing, the error without a refit was 0.996 times as large.
    # The refit stays for data such as countries with a binary column, where the error of 16
    # dimensions without a refit was 1.17 times that of PCA.
    is_few = len(split.lengths) < _LARGE_DATA_SEQUENCES
    return split.base_model is None and len(split.held_out_indices) > 0 and is_few


def _pick_warp_std(split: Split, specification: Specification, arguments: Arguments) -> float:
    """Pick the standard deviation of the time warps to train with, in steps; 0 for none."""
    time_warp, schema = arguments.time_warp, split.schema
    if time_warp != "auto":
        if time_warp and not schema.numeric.all():
            tokens = next(column for column in schema.columns if not column.column_type.is_number)
            raise ParameterError(
                f"{argument(time_warp=time_warp)} needs numeric columns, but column "
                f"{tokens.name!r} is {tokens.type}. Use {argument(time_warp=0)}."
            )
        return float(time_warp)
    is_default = specification.architecture == "default"
    # many series show shifted patterns by themselves
    shows_shifts = len(split.lengths) >= MIN_SERIES_WITHOUT_WARPS
    if split.base_model is not None or not is_default or shows_shifts:
        return 0.0
    # the phase "validated" trains without the held-out sequences
    sample = split.scaler("validated").transform(split.fit_data.sequences[split.training_indices])
    return choose_warp_std(sample, specification.latent_dim, seed=split.seed)
