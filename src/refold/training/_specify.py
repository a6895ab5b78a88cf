"""The network of a fit and the settings of its training, with defaults that suit the data."""

import math
from dataclasses import replace

import numpy as np

from refold._support.output import warn
from refold.arguments import Arguments
from refold.errors import DataError, ParameterError, argument
from refold.model import check_fits, check_latent_steps
from refold.network.keras.build import Network, build, inference_with, with_weights_of
from refold.network.keras.layer import seeded
from refold.network.specification import Specification, most_linear_steps
from refold.sequences import Batches, Scaler, Schema, Sequences
from refold.training._forecasts import SHARE_OF_TIME, pick_recent_steps
from refold.training._held_out_error import Choice, HeldOut, rocket_features_cost_nothing
from refold.training._shards import Source
from refold.training._split import Split
from refold.training._time_warps import MAX_WARPED, choose_time_warp
from refold.training.loop._training import Settings

# The numbers behind the defaults are those of benchmarks/results/ablation.md. Ratios are the
# held-out error without a mechanism divided by that of the default.

_DROPOUT = 0.2
# Steps of latent optimization by default, with fewer than this number of sequences. Without latent
# optimization, the error was 1.4 times as large.
_LATENT_STEPS, _MANY_SEQUENCES = 10, 2000
# Up to this number of tokens, autoregressive decoding without a linear path reconstructs more
# sequences exactly. Longer ones are rarely exact, and parallel decoding gets more tokens right.
# Without the autoregressive decoder, the error on German words was 2.1 times as large.
_FEW_TOKENS = 32
# Longest typical sequence whose patches are single steps; largest number of patches otherwise. An
# LSTM on single steps is slow on a thousand of them, and its gradient has to travel as far. Without
# patches, the error was 1.5 times as large. In 20 s on 1460 steps, patches of 16 let the LSTM
# improve on its initialization, and single steps did not.
_SHORT, _MAX_PATCHES = 100, 64
# Smallest code with ROCKET features by default, and their number: with smaller codes or more
# features the error would be larger than that of PCA of the same size. With 8 of 32 dimensions, a
# linear classifier had an accuracy of 0.962 instead of 0.861 on four sets, and the NMSE was 8 to
# 80 % larger.
_LARGE_CODE, _ROCKET_DIM = 32, 8
# Smallest code in which a dimension holds the length by default. In a code below 8 dimensions, one
# costs too much: with 2 to 6 dimensions, the error was 0.98 to 1.11 times that without, and lower
# in two of ten cases.
_LENGTH_CODE = 8
# Cap on the weights of a linear path that depends on the length, 16 MB.
_MAX_MAPS = 1 << 22
# Smallest numbers of steps and of epochs in a schedule, and smallest patience in epochs, because a
# loss may stay on a plateau for long before it falls.
_MIN_STEPS, _MIN_EPOCHS, _MIN_PATIENCE = 4000, 30, 50
# Cap on the values that a model writes at each step: a step of training takes time and memory in
# proportion (docs/reference/data.md).
_MAX_OUTPUTS = 50_000


def check_columns(sequences: Sequences) -> None:
    """Refuse columns without a value, and too many categories of all columns together."""
    Scaler.fit(sequences, None)  # refuses columns without values
    schema = sequences.schema
    if schema.output_width <= _MAX_OUTPUTS:
        return
    column = max(schema.columns, key=lambda one: one.width)
    raise DataError(
        f"Column {column.name!r} has {column.width} categories, and a model can have "
        f"{_MAX_OUTPUTS} in all columns, because each takes time and memory at every step. Keep "
        "the most frequent categories and replace the others by one, such as 'other', or hash "
        "them: zlib.crc32(text) % 10000."
    )


def prepare(split: Split, held_out: HeldOut, arguments: Arguments) -> tuple[Network, Choice]:
    """Build a network for the data, or copy that of a model, and suggest how to use it."""
    model, source = split.further, split.source
    if model is None:
        specification = specify(source, arguments, split.rows["validated"])
        _warn_of_spare_dimensions(arguments, source)
        if specification.rocket_dim and arguments.rocket_dim == "auto":
            sizes = specification.latent_dim, specification.rocket_dim
            if not rocket_features_cost_nothing(held_out, *sizes):
                specification = replace(specification, rocket_dim=0)
        default = pick_latent_steps(specification, source)
    else:
        specification, default = model.specification, model.default_latent_steps
        check_forecast(specification.forecast_steps, None, int(split.lengths.max()))
        if arguments.corruption.steps and not specification.observed_flags:
            raise ParameterError(
                "Time-step dropout needs a model that reads missing values, and this one was "
                f"fitted on data without any. Leave {argument('denoise')} out, or train a new "
                "model."
            )
    latent_steps = default
    if arguments.latent_steps != "auto":
        latent_steps = check_latent_steps(arguments.latent_steps, specification)
    own = arguments.architecture if callable(arguments.architecture) else None
    with seeded(split.seed):
        network = build(specification, own) if model is None else with_weights_of(model.network)
    return network, Choice(latent_steps, default)


def specify(source: Source, arguments: Arguments, chosen: np.ndarray) -> Specification:
    """Return the specification of a network to train on the chosen sequences (n,)."""
    schema, lengths = source.sequences.schema, source.sequences.lengths
    # the length of the sequence that an average step belongs to, which a few long sequences among
    # many short ones hardly change
    steps = lengths.astype(float)
    typical = float((steps**2).sum() / max(1.0, steps.sum()))
    architecture, latent_dim = arguments.architecture, int(arguments.latent_dim)
    # With a numeric column, every step is written at once. Without one, a long sequence is, too, if
    # a linear path has room for it: one wrong token would shift all that follow.
    only_tokens = architecture == "default" and not schema.numeric.any()
    room = most_linear_steps(schema.output_width, latent_dim)
    parallel_tokens = _FEW_TOKENS < typical <= room
    decoder = _pick_decoder(arguments, stepwise=only_tokens and not parallel_tokens)
    drops_steps = arguments.corruption.steps > 0
    if drops_steps and isinstance(architecture, str) and architecture != "default":
        raise ParameterError(
            f"{argument(architecture=architecture)} knows no missing values, which "
            f"{argument(denoise=arguments.denoise)} creates. Use "
            f"{argument(architecture='default')}, or noise alone."
        )
    longest, ahead = int(lengths.max()), int(arguments.forecast_steps)
    check_forecast(ahead, arguments.scale, longest)
    length_dim = _pick_length_dim(arguments, lengths)
    patch = 1
    if arguments.patch != "auto":
        patch = int(arguments.patch)
    elif architecture == "default" and decoder == "parallel":
        patch = pick_patch(typical)
    return Specification(
        architecture=architecture if isinstance(architecture, str) else "custom",
        column_types=[column.type for column in schema.columns],
        num_categories=[len(column.categories) for column in schema.columns],
        observed_flags=source.has_gaps or drops_steps,
        latent_dim=latent_dim,
        max_steps=max(1, longest),
        units=int(arguments.units),
        depth=int(arguments.depth),
        cell=arguments.cell,
        dropout=_DROPOUT,
        length_mean=float(lengths[chosen].mean()),
        length_deviation=float(lengths[chosen].std()),
        decoder=decoder,
        variational=bool(arguments.variational),
        patch=patch,
        linear_path=parallel_tokens and decoder == "parallel" if only_tokens else None,
        rocket_dim=_pick_rocket_dim(arguments, len(chosen), longest, schema),
        forecast_steps=ahead,
        recent_steps=pick_recent_steps(source, chosen, ahead) if ahead else 0,
        length_dim=length_dim,
        nested=_nested(arguments),
        by_length=_may_depend_on_length(arguments, source, length_dim),
    )


def check_forecast(steps: int, scale: str | None, longest: int) -> None:
    """Refuse forecasts that the data or the scale do not allow."""
    if not steps:
        return
    if steps >= longest:
        raise ParameterError(
            f"{argument(forecast_steps=steps)} needs a longer sequence, and the longest has "
            f"{longest} step{'' if longest == 1 else 's'}. Ask for fewer steps."
        )
    if scale == "sequence":
        raise ParameterError(
            f"{argument(scale='sequence')} uses the level of the whole sequence, including the "
            f"steps to forecast. Use {argument(scale='features')} with forecast_steps."
        )


def _warn_of_spare_dimensions(arguments: Arguments, source: Source) -> None:
    """Warn if a code has more dimensions than the longest sequence can fill."""
    lengths, size = source.sequences.lengths, int(arguments.latent_dim)
    num_values = int(lengths.max()) * source.sequences.schema.output_width
    varied, features = int(lengths.min() < lengths.max()), arguments.rocket_dim
    enough = num_values + varied + (0 if features == "auto" else int(features))
    if size > enough:
        warn(
            f"{argument(latent_dim=size)} is more than the data can fill: the values of the "
            f"longest sequence take at most {num_values} dimension{'s' * (num_values > 1)}"
            f"{', and the length takes 1' * varied}. The others add nothing to the "
            f"reconstruction, so {argument(latent_dim=enough)} is enough."
        )


# On numeric data, the parallel decoder is better: on JapaneseVowels with 16 dimensions, it explains
# 0.870 of the variance, and the autoregressive one 0.864.
def _pick_decoder(arguments: Arguments, *, stepwise: bool) -> str:
    """Pick the more accurate decoder: autoregressive for short token sequences, else parallel."""
    if arguments.decoder != "auto":
        return arguments.decoder
    possible = arguments.patch in ("auto", 1) and arguments.cell == "lstm"
    return "autoregressive" if stepwise and possible else "parallel"


def pick_patch(length: float) -> int:
    """Pick the steps per patch: 1 up to length 100, else a power of two for at most 64 patches."""
    return 1 if length <= _SHORT else 1 << math.ceil(math.log2(length / _MAX_PATCHES))


def _pick_rocket_dim(arguments: Arguments, chosen: int, longest: int, schema: Schema) -> int:
    """Pick the number of ROCKET features: eight in a large code."""
    size, wanted = int(arguments.latent_dim), arguments.rocket_dim
    if wanted != "auto":
        return int(wanted)
    possible = schema.numeric.any() and arguments.architecture == "default"
    possible = possible and not arguments.variational
    # corruption of the input changes the features
    if not possible or size < _LARGE_CODE or arguments.corruption:
        return 0
    num_values = longest * schema.output_width
    # If the code has room for every value, only the dimensions to spare are taken. The sequences
    # allow no more components than there are of them.
    room = size - num_values if size >= num_values else size
    return min(_ROCKET_DIM, room, max(0, chosen - 1))


# A rule that compared linear codes on held-out sequences would have taken the dimension on German
# words and PLAID: least squares predicts lengths much worse than the trained network.
def _pick_length_dim(arguments: Arguments, lengths: np.ndarray) -> int:
    """Pick whether a dimension holds the length: in a code of at least 8, if they differ."""
    wanted, varied = arguments.length_dim, lengths.min() < lengths.max()
    architecture, size = arguments.architecture, int(arguments.latent_dim)
    # dropped steps could be the last ones, which would change the length that the encoder reads
    drops_steps = arguments.corruption.steps > 0
    possible = architecture == "default" and not arguments.variational and not drops_steps
    if wanted == "auto":
        return int(possible and varied and size >= _LENGTH_CODE)
    if wanted and (not possible or size < 2):
        raise ParameterError(
            f"{argument(length_dim=wanted)} needs the default model with at least 2 latent "
            "dimensions, not variational and without dropped steps. Use "
            f"{argument(length_dim=0)}."
        )
    return int(wanted)


def _nested(arguments: Arguments) -> bool:
    """Return whether to train nested codes; refuse it for models that cannot have them."""
    possible = arguments.architecture == "default" and not arguments.variational
    if arguments.nested and not possible:
        raise ParameterError(
            f"{argument(nested=True)} needs the default architecture that is not variational. "
            "Leave it out."
        )
    return bool(arguments.nested)


def _may_depend_on_length(arguments: Arguments, source: Source, length_dim: int) -> bool:
    """Return whether the linear path may depend on the length, which the decoder must know."""
    schema, lengths = source.sequences.schema, source.sequences.lengths
    size = (int(lengths.max()) + 1) * int(arguments.latent_dim) ** 2
    corrupted = arguments.corruption
    possible = length_dim and schema.numeric.all() and not corrupted and size <= _MAX_MAPS
    # a map by length mixes the dimensions, so that the first ones would need all others
    return bool(possible and not source.has_gaps and not arguments.nested)


def pick_latent_steps(specification: Specification, source: Source) -> int:
    """Pick the number of steps of latent optimization."""
    default = specification.architecture == "default" and specification.cell == "lstm"
    if not default or specification.variational or not source.in_memory:
        return 0  # data from files has none, for speed
    # With few training sequences, the encoder is furthest from the best code. If no column is
    # numeric, one wrong step makes a sequence wrong.
    few = len(source.sequences) < _MANY_SEQUENCES
    # With thousands of numeric sequences, the encoder is closer to the best code, and speed matters
    # more.
    return _LATENT_STEPS if few or not source.sequences.schema.numeric.any() else 0


def settings_for(split: Split, network: Network, arguments: Arguments) -> tuple[Batches, Settings]:
    """Return the batches of a fit, and the settings of its training; check the lengths first."""
    packed = inference_with(network)
    check_fits(split.lengths, packed)
    if split.calibration is not None:
        check_fits(split.calibration.lengths, packed)
    source, chosen = split.source, split.rows["validated"]
    batch_size = min(arguments.batch_size or pick_batch_size(len(chosen)), len(chosen))
    batches = source.batches(batch_size, network.fixed_steps)
    steps_an_epoch = source.num_batches(batches, chosen, split.seed)
    parts = source.epochs_in_a_pass
    max_epochs = arguments.max_epochs or parts * pick_max_epochs(parts * steps_an_epoch)
    patience = pick_patience(max_epochs)
    time_budget = arguments.time_budget
    if time_budget is not None and arguments.forecast_steps:
        time_budget *= 1.0 - SHARE_OF_TIME
    refit = arguments.refit
    return batches, Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        steps_an_epoch=steps_an_epoch,
        learning_rate=arguments.learning_rate,
        seed=split.seed,
        patience=arguments.patience or patience,
        optimizer=arguments.optimizer,
        time_budget=time_budget,
        time_warp=_time_warp(split, network.specification, arguments),
        corruption=arguments.corruption,
        refit=pick_refit(split) if refit == "auto" else bool(refit),
        verbose=arguments.verbose,
    )


# With batches of 32 on 2000 sequences or more, the error on German words was 1.06 to 1.71 times as
# large.
def pick_batch_size(num_sequences: int) -> int:
    """Pick the batch size: 32, or 64 for 2000 training sequences or more; at most their number."""
    return max(1, min(num_sequences, 64 if num_sequences >= _MANY_SEQUENCES else 32))


def pick_max_epochs(num_batches: int) -> int:
    """Pick the number of epochs of this many steps: at least 30, and at least 4000 steps."""
    return max(_MIN_EPOCHS, math.ceil(_MIN_STEPS / max(1, num_batches)))


def pick_patience(max_epochs: int) -> int:
    """Pick the patience: a quarter of the epochs, and at least 50."""
    # While the learning rate is high, the validation loss varies, and one lucky epoch may be the
    # best for long. An eighth is as good on the sets for choosing, and takes two thirds of the time
    # on the quickest of them. But damped oscillations (450 sequences, 6 dimensions), whose loss
    # varies by 10 % from epoch to epoch, then had 5 times the error in one of two versions of JAX.
    # The loss of a variational model may rise until its KL divergence has its full weight, after a
    # quarter of the schedule. A patience that followed the validation loss gained nothing (without
    # it, the error was 1.001 times as large) and was removed.
    return max(_MIN_PATIENCE, max_epochs // 4)


def pick_refit(split: Split) -> bool:
    """Pick whether to refit on all sequences: only if there are few and some were held out."""
    # A refit of a fitted model could end with a larger validation loss. The refit has no measured
    # gain on the sets for choosing (a ratio of 0.996). It stays because without it, 16 dimensions
    # of countries with a binary column had 1.17 times the error of PCA.
    few = len(split.lengths) < _MANY_SEQUENCES
    return split.further is None and len(split.held_out_rows) > 0 and few


def _time_warp(split: Split, specification: Specification, arguments: Arguments) -> float:
    """Return the standard deviation of the time warps to train with; 0 for none."""
    warp, schema = arguments.time_warp, split.schema
    if warp != "auto":
        if warp and not schema.numeric.all():
            other = next(column for column in schema.columns if not column.column_type.is_number)
            raise ParameterError(
                f"{argument(time_warp=warp)} needs numeric columns, but column {other.name!r} is "
                f"{other.type}. Use {argument(time_warp=0)}."
            )
        return float(warp)
    default = specification.architecture == "default"
    if split.further is not None or not default or len(split.lengths) >= MAX_WARPED:
        return 0.0
    sample = split.scaler("validated").transform(split.sample("validated", MAX_WARPED))
    return choose_time_warp(sample, specification.latent_dim, seed=split.seed)
