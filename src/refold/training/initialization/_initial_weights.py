"""`InitialWeights` sets the initial weights of a network at the start of each phase of training.

They are fitted to sequences: the weights of the linear path (a linear encoder and a linear decoder,
to which the LSTMs add) and those of ROCKET features (pooled random convolutions).
"""

import contextlib
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import numpy as np

from refold._support.arrays import linspace_indices
from refold._support.native_libraries import one_blas_thread
from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.network.packed.encoder import RocketFeatures
from refold.network.specification import Specification
from refold.sequences import Sequences
from refold.sequences.types import make_quantity_mask, output_slices
from refold.training._split import Split
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    fit_linear_initialization,
)
from refold.training.initialization._token_columns import (
    fit_mixed_initialization,
    fit_token_initialization,
)

# Cap on the padded values of the sequences for principal components, because they are in memory.
_MAX_PADDED_SAMPLE_VALUES = 1 << 22
# Cap on the values of a sequence, with one-hot tokens, for joint components of numeric and token
# columns. With more values, only the LSTM models the categorical columns. Without joint components,
# the error on mixed columns was 5.7 times as large.
_MAX_SEQUENCE_VALUES_TO_FIT_JOINTLY = 1 << 14
# Cap on the sequences for the components of ROCKET features. More would take longer.
_MAX_ROCKET_SEQUENCES = 4096
# A feature with a smaller standard deviation, relative to its mean, is constant up to rounding
# errors. If these errors were scaled up, the features would encode the padding.
_MIN_ROCKET_FEATURE_STD = 1e-4
# A component with a smaller standard deviation, relative to the first one, is left out for the same
# reason.
_MIN_ROCKET_COMPONENT_STD = 1e-2


# Principal components reconstruct smooth series far better than a trained LSTM, and on other data,
# the LSTM is better. So the model adds up both: a linear path, which is initialized to the best
# linear code, and LSTMs, which add nothing at first.
class InitialWeights:
    """Set the initial weights of each phase, and remember weights that are worth keeping."""

    def __init__(
        self,
        network: Network,
        split: Split,
        corruption: Corruption,
        *,
        is_resumed: bool,  # whether training continues from a checkpoint
    ) -> None:
        self._network, self._split, self.corruption = network, split, corruption
        # a resumed training computes the initial weights of earlier phases again, from these
        self._untrained_weights = list_network_weights(network) if is_resumed else None
        # by phase, weights that are worth keeping, or None
        self._weights_by_phase: dict[str, list[np.ndarray] | None] = {}

    def initialize(self, phase: str) -> bool:
        """Initialize the network for a phase; return whether its weights are worth keeping."""
        network, split = self._network, self._split
        # the weights of a base model are worth keeping; it is trained further
        worth_keeping = split.base_model is not None
        has_linear = any(layer.name == "linear_code" for layer in network.models.encoder.layers)
        has_rocket = network.specification.rocket_dim > 0
        if split.base_model is None and (has_linear or has_rocket):
            specification = network.specification
            # of a padded sequence in memory: steps, and values of a step
            num_steps, width = specification.max_steps, len(specification.column_types)
            if has_linear:
                encoder_layer: Any = network.models.encoder.get_layer("linear_code")
                num_steps = encoder_layer.num_steps
            if _may_fit_mixed_columns(specification, num_steps):
                width = int(_count_outputs_by_column(specification).sum())
            # more sequences would need too much memory, but each component needs some of them
            max_sequences = _MAX_PADDED_SAMPLE_VALUES // (num_steps * width)
            sample = split.sample(phase, max(4 * specification.latent_dim, max_sequences))
            sequences = split.scaler(phase).transform(sample)
            if has_rocket:
                set_rocket_initialization(network, sequences)
            if has_linear:  # worth keeping if the linear codes explain anything
                worth_keeping = set_linear_initialization(
                    network, sequences, seed=split.seed, corruption=self.corruption
                )
        self._weights_by_phase[phase] = list_network_weights(network) if worth_keeping else None
        return worth_keeping

    def of_phase(self, phase: str) -> list[np.ndarray] | None:
        """Return the initial weights of a phase; None if they are not worth keeping."""
        if phase not in self._weights_by_phase:  # the phase began before the checkpoint was written
            with temporary_weights(self._network, self._untrained_weights):
                self.initialize(phase)
        return self._weights_by_phase[phase]


def set_linear_initialization(
    network: Network,
    sequences: Sequences,  # sample of the training sequences
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> bool:
    """Set the linear path to principal components; return whether they explain anything."""
    specification, models = network.specification, network.models
    encoder_layer: Any = models.encoder.get_layer("linear_code")
    lstm_code: Any = models.encoder.get_layer("code")  # what the LSTMs add to the linear code
    decoder_layer: Any = models.decoder.get_layer("linear_steps")
    head: Any = models.decoder.get_layer("head")
    numeric = np.flatnonzero(make_quantity_mask(specification.column_types)).tolist()
    widths, num_columns = _count_outputs_by_column(specification), len(specification.column_types)
    dim_and_steps = encoder_layer.latent_dim, encoder_layer.num_steps  # arguments of the fits
    options: Any = {"seed": seed, "corruption": corruption}
    # number of columns that are initialized, and the indices of their outputs
    num_initialized, output_indices = num_columns, np.arange(widths.sum())
    if _may_fit_mixed_columns(specification, encoder_layer.num_steps):
        linear = fit_mixed_initialization(sequences, *dim_and_steps, **options)
    elif numeric:
        options |= {"may_adjust_to_length": encoder_layer.by_length}
        linear = fit_linear_initialization(sequences, numeric, *dim_and_steps, **options)
        num_initialized, output_indices = len(numeric), (np.cumsum(widths) - widths)[numeric]
    else:
        options |= {"may_store_tokens": models.posterior is None}
        linear = fit_token_initialization(sequences, *dim_and_steps, **options)
    linear = _adapt_decoder_to_links(linear, specification, output_indices)

    def fill_initialized_outputs(weight_shape: Any, values: Any, default: Any = 0.0) -> np.ndarray:
        """Return an array with values for the outputs that are initialized, else a default."""
        array = np.broadcast_to(np.asarray(default, np.float32), weight_shape).copy()
        array[..., output_indices] = values
        return array

    # the inputs after those that have an output are flags of observed values, with weights of zero
    encoder_kernel = np.zeros(encoder_layer.initial_map.shape, np.float32)
    encoder_kernel[:, output_indices] = linear.encoder
    encoder_layer.initial_map.assign(encoder_kernel)
    encoder_layer.bias.assign(np.asarray(linear.encoder_bias, np.float32))
    # The length and the ROCKET features follow the other dimensions of a code. They have weights of
    # zero, and the LSTM learns what they say about the steps.
    decoder_kernel = np.zeros(decoder_layer.initial_map.shape, np.float32)
    decoder_kernel[: encoder_layer.latent_dim, :, output_indices] = linear.decoder
    decoder_layer.initial_map.assign(decoder_kernel)
    decoder_layer.bias.assign(
        fill_initialized_outputs(decoder_layer.bias.shape, linear.decoder_bias)
    )
    # The residual of the linear path scales what the LSTMs add. It also scales the changes that the
    # optimizer makes to the weights of the linear path, `initial_map + change_factor * map_change`.
    # So these changes are small if the residual is small. They are also divided by the square root
    # of the number of inputs, so that many inputs do not change an output much more than a few.
    # Columns without an initialization have a residual share of 1.
    share, residual_scale = linear.residual_share, float(np.sqrt(linear.residual_share))
    mean_share = (num_initialized * share + num_columns - num_initialized) / num_columns
    encoder_layer.scale.assign(float(np.sqrt(mean_share)))
    encoder_change_factor = residual_scale / np.sqrt(encoder_layer.num_steps * num_columns)
    if encoder_layer.by_length:
        maps = np.broadcast_to(np.eye(encoder_layer.latent_dim), encoder_layer.maps.shape)
        offsets = np.zeros(encoder_layer.offsets.shape)
        if (codec := linear.length_adjusted_codec) is not None:
            maps, offsets = codec.maps_by_length, codec.offsets_by_length
            # Maps shrink or enlarge the effect of a weight on the code. The factor undoes this for
            # the map of a medium length. 1e-30 prevents a division by 0.
            mapped = np.tensordot(codec.encoder, maps[len(maps) // 2], axes=1)
            factor = np.sqrt((codec.encoder**2).mean() / max((mapped**2).mean(), 1e-30))
            encoder_change_factor *= float(factor)
        encoder_layer.maps.assign(np.asarray(maps, np.float32))
        encoder_layer.offsets.assign(np.asarray(offsets, np.float32))
    encoder_layer.change_factor.assign(float(encoder_change_factor))
    decoder_layer.change_factor.assign(float(residual_scale / np.sqrt(specification.latent_dim)))
    head.scale.assign(fill_initialized_outputs(head.scale.shape, linear.residual_std, 1.0))
    lstm_code.kernel.assign(np.zeros(lstm_code.kernel.shape, np.float32))
    # with patches, the kernel has columns for all outputs of the first step, then of the second one
    by_step = np.reshape(head.dense.kernel, (-1, head.scale.shape[0]))
    kernel = fill_initialized_outputs(by_step.shape, 0.0, by_step).reshape(head.dense.kernel.shape)
    head.dense.kernel.assign(kernel)
    if models.posterior is not None:
        variance_layer: Any = models.posterior.get_layer("log_variance")
        variance_layer.bias.assign(np.asarray(linear.log_variance, np.float32))
    return share < 1.0


def _adapt_decoder_to_links(
    initialization: LinearInitialization, specification: Specification, output_indices: np.ndarray
) -> LinearInitialization:
    """Return an initialization whose decoder predicts the inputs of the link functions."""
    # for example, logarithms of counts, which the link function maps to counts
    columns = output_slices(specification.column_types, specification.num_categories)
    # by the index of their only output, the types of numeric columns with a link function
    types = {
        column.output_slice.start: column.type
        for column in columns
        if column.type.is_number and column.type.link != "identity"
    }
    # the positions of these columns in the arrays of the initialization
    indices = [k for k, i in enumerate(output_indices) if i in types]
    if not indices:
        return initialization
    arrays = initialization.decoder, initialization.decoder_bias, initialization.residual_std
    decoder, bias, residual_std = (array.copy() for array in arrays)
    for k in indices:
        # codes have a mean square of 1, so this is the standard deviation of the decoded values
        std = np.sqrt(np.square(decoder[..., k]).sum(axis=0))
        bias[:, k], slope = types[output_indices[k]].linearize_inverse(bias[:, k], std)
        decoder[..., k] *= slope
        residual_std[k] *= slope.mean()
    return replace(initialization, decoder=decoder, decoder_bias=bias, residual_std=residual_std)


def _count_outputs_by_column(specification: Specification) -> np.ndarray:
    """Return the number of outputs of each column: its number of categories, else 1."""
    return np.array([n or 1 for n in specification.num_categories])


def _may_fit_mixed_columns(specification: Specification, num_steps: int) -> bool:
    """Return whether to fit joint components of numeric and token columns."""
    is_numeric = make_quantity_mask(specification.column_types)
    is_mixed = bool(is_numeric.any() and not is_numeric.all())
    num_values = num_steps * int(_count_outputs_by_column(specification).sum())
    return is_mixed and num_values <= _MAX_SEQUENCE_VALUES_TO_FIT_JOINTLY


def set_rocket_initialization(network: Network, sequences: Sequences) -> None:
    """Set the ROCKET features of a code to standardized components of pooled convolutions."""
    # The other dimensions of a code say which value a series has at each time. They differ if the
    # same event happens a little later, so a linear classifier cannot find the label. ROCKET
    # features say which events happen, no matter when. Training does not change them, because
    # training for reconstruction would lose what reconstruction does not need.
    sample = sequences[linspace_indices(len(sequences), _MAX_ROCKET_SEQUENCES)]
    # (n, num_features)
    features = RocketFeatures(network.specification).compute_in_batches(sample).astype(float)
    mean, std = features.mean(axis=0), features.std(axis=0)
    is_varying = std > _MIN_ROCKET_FEATURE_STD * np.maximum(1.0, np.abs(mean))
    inverse_std = np.where(is_varying, 1.0 / np.where(is_varying, std, 1.0), 0.0)
    standardized = (features - mean) * inverse_std
    with one_blas_thread(*features.shape):
        _, singular_values, directions = np.linalg.svd(standardized, full_matrices=False)
    # SVD does not define the sign of a direction: make its largest weight positive
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    directions = directions * np.where(largest < 0, -1.0, 1.0)
    component_std = singular_values / np.sqrt(len(features))
    weights = np.zeros((network.specification.rocket_dim, features.shape[1]))
    # relative to the first component, or to 1 if its standard deviation is smaller than 1
    min_std = _MIN_ROCKET_COMPONENT_STD * max(component_std[0], 1.0)
    rank = min(len(weights), int((component_std > min_std).sum()))
    weights[:rank] = directions[:rank] / component_std[:rank, None] * inverse_std
    layer: Any = network.models.encoder.get_layer("rocket_dim")
    layer.center.assign(np.asarray(mean, np.float32))
    layer.kernel.assign(weights.T.astype(np.float32))


@contextlib.contextmanager
def temporary_weights(network: Network, weights: list[np.ndarray] | None) -> Generator[None]:
    """Give a network other weights within the context; None changes nothing."""
    if weights is None:
        yield
        return
    original = list_network_weights(network)
    try:
        assign_weights(network, weights)
        yield
    finally:
        assign_weights(network, original)


def list_network_weights(network: Network) -> list[np.ndarray]:
    """Return the current weights of a network, in the order of its variables."""
    return [np.asarray(variable.value) for variable in network.variables]


def assign_weights(network: Network, weights: list[np.ndarray]) -> None:
    """Replace the weights of a network."""
    for variable, value in zip(network.variables, weights, strict=True):
        variable.assign(value)
