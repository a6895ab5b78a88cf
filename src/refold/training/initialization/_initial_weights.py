"""Initial weights of a network from training sequences: the linear path and ROCKET features."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.arrays import evenly_spaced
from refold._support.native_libraries import one_blas_thread
from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.network.packed.encoder import RocketFeatures
from refold.network.specification import Specification
from refold.sequences import Sequences
from refold.sequences.types import number_mask, outputs_of
from refold.training._split import Split
from refold.training.initialization._numeric_columns import (
    LengthwiseCodec,
    LinearInitialization,
    linear_initialization,
)
from refold.training.initialization._token_columns import mixed_initialization, token_initialization

# Cap on padded values for the principal components.
_MAX_PADDED_VALUES = 1 << 22
# Cap on one-hot values per sequence for joint components of numeric and token columns. With more,
# only the LSTM models the categorical columns. Without joint components, the error on mixed columns
# was 5.7 times as large.
_MAX_JOINT_VALUES = 1 << 14
# Cap on sequences for the components of ROCKET features.
_MAX_ROCKET_SEQUENCES = 4096
# Standard deviations below these shares count as rounding errors: of a feature relative to its
# mean, and of a component relative to the first. Scaled up, rounding would encode the padding.
_MIN_FEATURE, _MIN_COMPONENT = 1e-4, 1e-2


# Principal components reconstruct smooth series far better than a trained LSTM, and on other data
# it is the other way round. So the model adds up both: a linear path, which starts as the best
# linear code, and LSTMs, which add nothing at first.
class InitialWeights:
    """Set the initial weights of each phase, and remember those that are worth keeping."""

    def __init__(
        self,
        network: Network,
        split: Split,
        corruption: Corruption,
        *,
        init: str,
        resumed: bool,  # whether an earlier process may have set the initial weights of a phase
    ) -> None:
        self._network, self._split, self.corruption = network, split, corruption
        self._init = init
        self._untrained = weights_of(network) if resumed else None
        self._known: dict[str, list[np.ndarray] | None] = {}

    def set(self, phase: str) -> bool:
        """Initialize the network for a phase; return whether its weights are worth keeping."""
        good = self._split.further is not None or self._initialize(phase)
        self._known[phase] = weights_of(self._network) if good else None
        return good

    def of(self, phase: str) -> list[np.ndarray] | None:
        """Return the initial weights of a phase; None if they are not worth keeping."""
        if phase not in self._known:  # it was set before a checkpoint that this fit resumes
            with holding(self._network, self._untrained):
                self.set(phase)
        return self._known[phase]

    def _initialize(self, phase: str) -> bool:
        network, split = self._network, self._split
        linear = has_linear_path(network)
        if not linear and not network.specification.rocket_dim:
            return False
        scaled = split.scaler(phase).transform(split.sample(phase, sample_size(network)))
        if network.specification.rocket_dim:
            set_rocket_initialization(network, scaled)
        return linear and set_linear_initialization(
            network, scaled, seed=split.seed, corruption=self.corruption, init=self._init
        )


def has_linear_path(network: Network) -> bool:
    """Return whether a network has a linear path."""
    return any(layer.name == "linear_code" for layer in network.models.encoder.layers)


def sample_size(network: Network) -> int:
    """Return the number of sequences to initialize from; more would need too much memory."""
    specification, num_steps = network.specification, network.specification.max_steps
    if has_linear_path(network):
        read: Any = network.models.encoder.get_layer("linear_code")
        num_steps = read.num_steps
    width = len(specification.column_types)
    if _initialize_jointly(specification, num_steps):
        width = int(_widths(specification).sum())
    return max(4 * specification.latent_dim, _MAX_PADDED_VALUES // (num_steps * width))


def set_linear_initialization(
    network: Network,
    scaled: Sequences,  # sample of the training sequences
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    init: str = "pca",  # "series" also tries curves of the pretrained model
) -> bool:
    """Set the linear path to principal components; return whether they explain anything."""
    specification, models = network.specification, network.models
    read: Any = models.encoder.get_layer("linear_code")
    added: Any = models.encoder.get_layer("code")  # what the LSTMs add to it
    write: Any = models.decoder.get_layer("linear_steps")
    head: Any = models.decoder.get_layer("head")
    numeric = np.flatnonzero(number_mask(specification.column_types)).tolist()
    widths, num_columns = _widths(specification), len(specification.column_types)
    sizes = read.latent_dim, read.num_steps
    options: Any = {"seed": seed, "corruption": corruption}
    # columns that are initialized, and the places of their outputs: by default all
    num_initialized, places = num_columns, np.arange(widths.sum())
    if _initialize_jointly(specification, read.num_steps):
        linear = mixed_initialization(scaled, *sizes, **options)
    elif numeric:
        options |= {"by_length": read.by_length, "init": init}
        linear = linear_initialization(scaled, numeric, *sizes, **options)
        num_initialized, places = len(numeric), (np.cumsum(widths) - widths)[numeric]
    else:
        linear = token_initialization(scaled, *sizes, **options, may_store=models.posterior is None)
    linear = _before_links(linear, specification, places)

    # `values` for the outputs that are initialized, and `others` elsewhere
    def filled(shape: Any, values: Any, others: Any = 0.0) -> np.ndarray:
        whole = np.broadcast_to(np.asarray(others, np.float32), shape).copy()
        whole[..., places] = values
        return whole

    # other inputs, as flags of observed values, have no weights
    kernel = np.zeros(read.start.shape, np.float32)
    kernel[:, places] = linear.encoder
    read.start.assign(kernel)
    read.bias.assign(np.asarray(linear.encoder_bias, np.float32))
    # the length and ROCKET features, which follow the learned dimensions, have no linear weights:
    # the LSTM learns what they say about the steps
    back = np.zeros(write.start.shape, np.float32)
    back[: read.latent_dim, :, places] = linear.decoder
    write.start.assign(back)
    write.bias.assign(filled(write.bias.shape, linear.decoder_bias))
    # The LSTMs count in units of what the linear path leaves over, and so do the steps of the
    # optimizer on the linear path: the update is small when the residual is small. Without an
    # initialization, all is residual.
    unit = float(np.sqrt(linear.share))
    residual = (num_initialized * linear.share + num_columns - num_initialized) / num_columns
    read.scale.assign(float(np.sqrt(residual)))
    change = unit / np.sqrt(read.num_steps * num_columns)
    if read.by_length:
        change *= _set_maps(read, linear.lengthwise)
    read.unit.assign(float(change))
    write.unit.assign(float(unit / np.sqrt(specification.latent_dim)))
    head.scale.assign(filled(head.scale.shape, linear.residual, 1.0))
    added.kernel.assign(np.zeros(added.kernel.shape, np.float32))
    # a head of patches has one set of outputs for each step of a patch
    by_step = np.reshape(head.dense.kernel, (-1, head.scale.shape[0]))
    head.dense.kernel.assign(filled(by_step.shape, 0.0, by_step).reshape(head.dense.kernel.shape))
    if models.posterior is not None:
        wide: Any = models.posterior.get_layer("log_variance")
        wide.bias.assign(np.asarray(linear.log_variance, np.float32))
    return linear.share < 1.0


def _before_links(
    init: LinearInitialization, specification: Specification, places: np.ndarray
) -> LinearInitialization:
    """Return the initialization with a decoder that writes numbers as they are before the link."""
    outputs = outputs_of(specification.column_types, specification.num_categories)
    types = {one.block.start: one.type for one in outputs if one.type.is_number}
    at = [k for k, place in enumerate(places) if place in types]
    at = [k for k in at if types[places[k]].link != "identity"]
    if not at:
        return init
    decoder, bias, residual = init.decoder.copy(), init.decoder_bias.copy(), init.residual.copy()
    for k in at:
        # codes have a mean square of 1, so this is the spread of what the decoder writes
        deviation = np.sqrt(np.square(decoder[..., k]).sum(axis=0))
        bias[:, k], slope = types[places[k]].before_link(bias[:, k], deviation)
        decoder[..., k] *= slope
        residual[k] *= slope.mean()
    return replace(init, decoder=decoder, decoder_bias=bias, residual=residual)


def _set_maps(read: Any, codec: LengthwiseCodec | None) -> float:
    """Set the maps by length, and return the factor by which they shorten a change of a weight."""
    if codec is None:
        maps = np.broadcast_to(np.eye(read.latent_dim), read.maps.shape)
        offsets, shorter = np.zeros(read.offsets.shape), 1.0
    else:
        maps, offsets = codec.maps, codec.offsets
        mapped = np.tensordot(codec.encoder, maps[len(maps) // 2], axes=1)
        shorter = float(np.sqrt((codec.encoder**2).mean() / max((mapped**2).mean(), 1e-30)))
    read.maps.assign(np.asarray(maps, np.float32))
    read.offsets.assign(np.asarray(offsets, np.float32))
    return shorter


def _widths(specification: Specification) -> np.ndarray:
    """Return the width of each column: the number of categories, or 1."""
    return np.array([n or 1 for n in specification.num_categories])


def _initialize_jointly(specification: Specification, num_steps: int) -> bool:
    """Return whether there are numeric and token columns, with few enough categories for both."""
    is_numeric = number_mask(specification.column_types)
    together = bool(is_numeric.any() and not is_numeric.all())
    return together and num_steps * int(_widths(specification).sum()) <= _MAX_JOINT_VALUES


def set_rocket_initialization(network: Network, scaled: Sequences) -> None:
    """Set the ROCKET features of the code to principal components of the pooled convolutions."""
    # A code says where a series is at each time. If the same happens a little later, the code
    # differs, and a linear classifier cannot find the label. These features say what happens,
    # whenever it does. Training does not change them, because a code trained to reconstruct loses
    # what reconstruction does not need.
    sample = scaled[evenly_spaced(len(scaled), _MAX_ROCKET_SEQUENCES)]
    features = RocketFeatures(network.specification).of(sample).astype(float)
    mean, deviation = features.mean(axis=0), features.std(axis=0)
    varies = deviation > _MIN_FEATURE * np.maximum(1.0, np.abs(mean))
    inverse = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
    with one_blas_thread(*features.shape):
        _, values, directions = np.linalg.svd((features - mean) * inverse, full_matrices=False)
    # the largest weight of a direction is positive, so that signs are deterministic
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    spread = values / np.sqrt(len(features))
    weights = np.zeros((network.specification.rocket_dim, features.shape[1]))
    rank = min(len(weights), int((spread > _MIN_COMPONENT * max(spread[0], 1.0)).sum()))
    weights[:rank] = directions[:rank] / spread[:rank, None] * inverse
    layer: Any = network.models.encoder.get_layer("rocket_dim")
    layer.center.assign(np.asarray(mean, np.float32))
    layer.kernel.assign(weights.T.astype(np.float32))


@contextlib.contextmanager
def holding(network: Network, weights: list[np.ndarray] | None) -> Iterator[None]:
    """Give a network other weights for the duration of the context; None keeps its own."""
    if weights is None:
        yield
        return
    own = weights_of(network)
    try:
        assign_weights(network, weights)
        yield
    finally:
        assign_weights(network, own)


def weights_of(network: Network) -> list[np.ndarray]:
    """Return a network's weights."""
    return [np.asarray(variable.value) for variable in network.variables]


def assign_weights(network: Network, weights: list[np.ndarray]) -> None:
    """Give a network other weights."""
    for variable, value in zip(network.variables, weights, strict=True):
        variable.assign(value)
