"""The network of a fit and the settings of its training, with defaults that suit the data."""

from dataclasses import replace

import numpy as np

from refold._support.output import warn
from refold.arguments import Arguments, Corruption
from refold.errors import DataError, ParameterError, argument
from refold.model import Model, check_fits, check_latent_steps
from refold.network.keras.build import Network, build
from refold.network.keras.decoder import DECODERS
from refold.network.keras.layer import seeded
from refold.network.keras.network import inference_with, with_weights_of
from refold.network.specification import Specification, most_linear_steps
from refold.sequences import Batches, Scaler, Schema, Sequences
from refold.training._choose_settings import Choice, rocket_features_cost_nothing
from refold.training._data_sources import Source
from refold.training._forecasts import autoencoder_seconds, pick_recent_steps
from refold.training._settings import Settings, pick_batch_size, pick_patch
from refold.training._split import Split
from refold.training.loop._early_stopping import pick_patience
from refold.training.loop._schedule import pick_max_epochs

_DROPOUT = 0.2
# Steps of latent optimization, and the number of sequences from which there is none by default.
_LATENT_STEPS, _MANY_SEQUENCES = 10, 2000
# Up to this number of tokens, autoregressive decoding without a linear path reconstructs more
# sequences exactly. Longer ones are rarely exact, and parallel decoding gets more tokens right.
_FEW_TOKENS = 32
# Smallest code with ROCKET features by default, and their number: with smaller codes or more
# features the error would be larger than that of PCA of the same size.
_LARGE_CODE, _ROCKET_DIM = 32, 8
# Smallest code in which a dimension holds the length by default.
_LENGTH_CODE = 8
# Most weights of a linear path that depends on the length, 16 MB.
_MOST_OF_MAPS = 1 << 22

# Cap on the values that a model writes at each step: a step of training takes time and memory in
# proportion (docs/how-to/sequences.md).
_MOST_OUTPUTS = 50_000


def check_columns(sequences: Sequences, further: Model | None = None) -> None:
    """Refuse columns without a value, and too many categories of all columns together."""
    if further is not None:
        return  # the model has checked the columns
    Scaler.fit(sequences, None)  # refuses columns without values
    schema = sequences.schema
    if schema.output_width <= _MOST_OUTPUTS:
        return
    column = max(schema.columns, key=lambda one: one.width)
    raise DataError(
        f"Column {column.name!r} has {column.width} categories, and a model can have "
        f"{_MOST_OUTPUTS} in all columns, because each takes time and memory at every step. Keep "
        "the most frequent categories and replace the others by one, such as 'other', or hash "
        "them: zlib.crc32(text) % 10000."
    )


def specify(source: Source, arguments: Arguments, chosen: np.ndarray) -> Specification:
    """Return the specification of a network to train on the chosen sequences (n,)."""
    schema, lengths = source.sequences.schema, source.sequences.lengths
    architecture, typical = arguments.architecture, _typical(lengths)
    only_tokens = architecture == "default" and not schema.numeric.any()
    room = most_linear_steps(schema.output_width, int(arguments.latent_dim))
    parallel_tokens = _FEW_TOKENS < typical <= room
    decoder = _pick_decoder(arguments, stepwise=only_tokens and not parallel_tokens)
    drops_steps = arguments.corruption.steps > 0
    if drops_steps and isinstance(architecture, str) and architecture != "default":
        raise ParameterError(
            f"{argument(architecture=architecture)} knows no missing values, which "
            f"{argument(denoise=arguments.denoise)} creates. Use "
            f"{argument(architecture='default')}, or noise alone."
        )
    check_forecast(arguments.forecast_steps, arguments.scale, int(lengths.max()))
    length_dim = _pick_length_dim(arguments, lengths)
    ahead = int(arguments.forecast_steps)
    return Specification(
        architecture=architecture if isinstance(architecture, str) else "custom",
        column_types=[column.type for column in schema.columns],
        num_categories=[len(column.categories) for column in schema.columns],
        observed_flags=source.has_gaps or drops_steps,
        latent_dim=int(arguments.latent_dim),
        max_steps=max(1, int(lengths.max())),
        units=int(arguments.units),
        depth=int(arguments.depth),
        cell=arguments.cell,
        dropout=_DROPOUT,
        length_mean=float(lengths[chosen].mean()),
        length_deviation=float(lengths[chosen].std()),
        decoder=decoder,
        variational=bool(arguments.variational),
        patch=_pick_patch(arguments, decoder, typical),
        linear_path=(
            parallel_tokens and not DECODERS[decoder].reads_previous if only_tokens else None
        ),
        rocket_dim=_pick_rocket_dim(arguments, len(chosen), int(lengths.max()), schema),
        forecast_steps=ahead,
        recent_steps=pick_recent_steps(source, chosen, ahead) if ahead else 0,
        length_dim=length_dim,
        by_length=_may_depend_on_length(arguments, source, length_dim),
    )


def warn_of_spare_dimensions(arguments: Arguments, source: Source) -> None:
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


def _typical(lengths: np.ndarray) -> float:
    """Return the length of the sequence that an average step belongs to."""
    # a few long sequences among many short ones hardly change it
    steps = lengths.astype(float)
    return float((steps**2).sum() / max(1.0, steps.sum()))


def _pick_decoder(arguments: Arguments, *, stepwise: bool) -> str:
    """Pick the more accurate decoder: autoregressive for short token sequences, else parallel."""
    if arguments.decoder != "auto":
        return arguments.decoder
    return "autoregressive" if stepwise and arguments.patch in ("auto", 1) else "parallel"


def _pick_patch(arguments: Arguments, decoder: str, length: float) -> int:
    if arguments.patch != "auto":
        return int(arguments.patch)
    if arguments.architecture != "default" or not DECODERS[decoder].takes_patches:
        return 1
    return pick_patch(length)


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


def _pick_length_dim(arguments: Arguments, lengths: np.ndarray) -> int:
    """Pick whether a dimension holds the length: in a code of at least 8, if they differ."""
    wanted, varied = arguments.length_dim, lengths.min() < lengths.max()
    architecture, size = arguments.architecture, int(arguments.latent_dim)
    # dropped steps could be the last ones, which would change the length that the encoder reads
    drops_steps = arguments.corruption.steps > 0
    possible = architecture == "default" and not arguments.variational and not drops_steps
    if wanted == "auto":
        return int(possible and varied and size >= _LENGTH_CODE)
    if wanted and not possible:
        raise ParameterError(
            f"{argument(length_dim=wanted)} needs the default model, not variational and without "
            f"dropped steps. Use {argument(length_dim=0)}."
        )
    if wanted and size < 2:
        raise ParameterError(
            f"{argument(length_dim=wanted)} needs at least 2 latent dimensions. Got {size}."
        )
    return int(wanted)


def _may_depend_on_length(arguments: Arguments, source: Source, length_dim: int) -> bool:
    """Return whether the linear path may depend on the length, which the decoder must know."""
    schema, lengths = source.sequences.schema, source.sequences.lengths
    size = (int(lengths.max()) + 1) * int(arguments.latent_dim) ** 2
    corrupted = arguments.corruption
    possible = length_dim and schema.numeric.all() and not corrupted and size <= _MOST_OF_MAPS
    return bool(possible and not source.has_gaps)


def rocket_dim_within(rocket_dim: int | str, size: int) -> int:
    """Return the number of ROCKET features in a code whose size is chosen by its error."""
    # One dimension is left for reconstruction. "auto" gives none, so that errors fall with the
    # size.
    return 0 if isinstance(rocket_dim, str) else min(rocket_dim, size - 1)


def new_network(split: Split, arguments: Arguments) -> tuple[Network, Choice]:
    """Build a network for the data, and return the settings that the data suggests."""
    specification = specify(split.source, arguments, split.rows["validated"])
    warn_of_spare_dimensions(arguments, split.source)
    if specification.rocket_dim and arguments.rocket_dim == "auto":
        sizes = specification.latent_dim, specification.rocket_dim
        if not rocket_features_cost_nothing(split.comparison(specification.latent_dim), *sizes):
            specification = replace(specification, rocket_dim=0)
    default = pick_latent_steps(specification, split.source)
    latent_steps = _latent_steps(arguments, specification, default)
    architecture = arguments.architecture
    with seeded(split.seed):
        network = build(specification, architecture if callable(architecture) else None)
    return network, Choice(latent_steps, default)


def copied_network(split: Split, arguments: Arguments) -> tuple[Network, Choice]:
    """Copy the network of the model that is trained further, and return its settings."""
    model = split.further
    if model is None:
        raise TypeError("there is no model to train further")
    specification, default = model.specification, model.default_latent_steps
    latent_steps = _latent_steps(arguments, specification, default)
    check_forecast(specification.forecast_steps, None, int(split.lengths.max()))
    _check_readable(specification, arguments.corruption)
    with seeded(split.seed):
        network = with_weights_of(model.network)
    return network, Choice(latent_steps, default)


def settings_for(split: Split, network: Network, arguments: Arguments) -> tuple[Batches, Settings]:
    """Return the batches of a fit, and the settings of its training; check the data first."""
    packed = inference_with(network)
    for lengths in (
        split.lengths,
        None if split.calibration is None else split.calibration.lengths,
    ):
        if lengths is not None:
            check_fits(lengths, packed)
    source, chosen = split.source, split.rows["validated"]
    batch_size = min(arguments.batch_size or pick_batch_size(len(chosen)), len(chosen))
    batches = source.batches(batch_size, network.fixed_steps)
    steps_an_epoch = source.num_batches(batches, chosen, split.seed)
    parts = source.epochs_in_a_pass
    max_epochs = arguments.max_epochs or parts * pick_max_epochs(parts * steps_an_epoch)
    wait = pick_patience(max_epochs, variational=network.specification.variational)
    split.error_scaler()  # refuses columns without values before the training begins
    return batches, Settings(
        max_epochs=max_epochs,
        batch_size=batch_size,
        steps_an_epoch=steps_an_epoch,
        learning_rate=arguments.learning_rate,
        seed=split.seed,
        patience=arguments.patience or wait,
        optimizer=arguments.optimizer,
        time_budget=autoencoder_seconds(arguments),
        corruption=arguments.corruption,
        verbose=arguments.verbose,
    )


def pick_latent_steps(specification: Specification, source: Source) -> int:
    """Pick the number of steps of latent optimization."""
    default = specification.architecture == "default" and specification.cell == "lstm"
    if not default or specification.variational or not source.in_memory:
        return 0  # data from files has none, for speed
    # With few training sequences, the encoder is furthest from the best code. If no column is
    # numeric, one wrong step makes a sequence wrong.
    few = len(source.sequences) < _MANY_SEQUENCES
    return _LATENT_STEPS if few or not source.sequences.schema.numeric.any() else 0


def _latent_steps(arguments: Arguments, specification: Specification, default: int) -> int:
    if arguments.latent_steps == "auto":
        return default
    return check_latent_steps(
        arguments.latent_steps,
        specification.architecture,
        variational=specification.variational,
        cell=specification.cell,
    )


def _check_readable(specification: Specification, corruption: Corruption) -> None:
    """Refuse time-step dropout if the network does not read missing values."""
    if corruption.steps and not specification.observed_flags:
        raise ParameterError(
            "Time-step dropout needs a model that reads missing values, and this one was fitted on "
            f"data without any. Leave {argument('denoise')} out, or train a new model."
        )
