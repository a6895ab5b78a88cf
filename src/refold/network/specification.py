"""`Specification` holds the sizes and options of a network; `list_weights` derives its weights.

A network has three implementations: Keras models, operations on packed rows (steps of all sequences
one after another, without padding), and ONNX graphs. They agree because they read their sizes, and
the names and shapes of their weights, here.
"""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from refold.kernels import draw_convolutions
from refold.sequences.types import make_quantity_mask

# Minimum standard deviation of the training lengths, in steps. If all lengths are equal, their
# standard deviation is 0. Numbers are divided by it, so this minimum replaces it.
_MIN_LENGTH_STD = 0.1
MIN_PREDICTED_LENGTH_SCALE = 0.05
"""Minimum scale of the logistic distribution of a predicted length, in steps."""
LENGTH_HIDDEN_WIDTH = 64
"""Width of the hidden layer that predicts the length from a code."""
MAX_ROCKET_STRIDE = 4
"""Maximum stride of the random convolutions, in steps."""
# Maximum number of weights of a linear path, to limit the memory. In long sequences, only the first
# steps have such weights. The later steps have LSTMs alone. (The code of the default model is the
# sum of two paths: LSTMs, and a linear map of all values, which is called the linear path. A
# decoded sequence is the sum of two such paths, too.)
_MAX_LINEAR_PATH_WEIGHTS = 1 << 22
DECODERS = ("parallel", "autoregressive")
"""Names of the decoders."""


@dataclass(frozen=True)
class Specification:
    """Sizes and options that a network is built from, as plain JSON values.

    Attributes
    ----------
    architecture : str
        One of ``ARCHITECTURES`` in `network.keras.build`, or ``"custom"`` for a user's own models.
    column_types, num_categories : list
        Type of each column, and its number of categories (0 if it is not categorical).
    observed_flags : bool
        Whether the input has an observed-flag channel for each feature.
    latent_dim, max_steps : int
        Number of latent dimensions, and longest training length in steps.
    units, depth : int
        Units of each recurrent layer in each direction, and number of recurrent layers in the
        encoder and in the decoder.
    dropout : float
        Dropout rate of the states of the default model.
    length_mean, length_deviation : float
        Mean and standard deviation of the training lengths, in steps.
    custom : list of str, optional
        The user's encoder and decoder as Keras JSON.
    decoder : {"parallel", "autoregressive"}
        A parallel decoder computes each step from the code and the position. An autoregressive
        decoder also reads the previous step: in training that of the sequence (teacher forcing),
        and in `decode_autoregressively` its own output. It needs LSTMs, and no patches.
    variational : bool
        Whether to add the model ``posterior``, which returns the mean and log-variance of a code.
        The training of Refold uses it; ``compile`` and ``fit`` of Keras do not.
    patch : int
        Number of steps that the LSTMs read and write at once; the linear path has no patches.
    linear_path : bool, optional
        Whether to add the linear path; by default, it is added if a column is numeric or a count.
    rocket_dim : int
        Number of latent dimensions, at the end of the code, that are an untrained linear map of
        ROCKET features.
    forecast_steps : int
        Number of steps that the forecast decoder of the default model writes; 0 for none.
    cell : {"lstm", "gru"}
        Type of the recurrent layers: `refold.layers.LSTM` or ``keras.layers.GRU``.
    length_dim : int
        1 if a latent dimension, after the learned ones, holds the length of a sequence, else 0.
    by_length : bool
        Whether the linear path of the default model's encoder depends on the length.
    nested : bool
        Whether the first half of the learned dimensions is trained to decode alone, too, and the
        first quarter, and so on.
    grid : int
        Number of points to which each column is resampled; 0 if columns are not resampled. A
        resampled column is called a curve. One network of one column turns each curve into a code
        of its own. Only pretrained models do this.
    recent_steps : int
        Number of last steps that the forecast decoder reads beside the code.

    Examples
    --------
    >>> columns = {"column_types": ["numeric", "categorical"], "num_categories": [0, 4]}
    >>> sizes = {"latent_dim": 8, "max_steps": 50}
    >>> Specification("default", **columns, **sizes, observed_flags=False).num_outputs
    5
    """

    architecture: str
    column_types: list[str]
    num_categories: list[int]
    observed_flags: bool
    latent_dim: int
    max_steps: int
    units: int = 96
    depth: int = 1
    dropout: float = 0.0
    length_mean: float = 0.0
    length_deviation: float = 0.0
    custom: list[str] | None = None
    decoder: str = "parallel"
    variational: bool = False
    patch: int = 1
    linear_path: bool | None = None
    rocket_dim: int = 0
    forecast_steps: int = 0
    cell: str = "lstm"
    length_dim: int = 0
    by_length: bool = False
    recent_steps: int = 0
    nested: bool = False
    grid: int = 0

    @property
    def learned_dim(self) -> int:
        """Number of learned latent dimensions, which come first."""
        return self.latent_dim - self.length_dim - self.rocket_dim

    @property
    def is_curve_network(self) -> bool:
        """Whether each column is resampled to a curve, as only pretrained models do."""
        return self.grid > 0

    @property
    def num_dims_per_curve(self) -> int:
        """Number of learned dimensions in the code of a curve; 0 without curves."""
        # all columns have the same number of latent dimensions, and the last of them is the length
        return self.latent_dim // len(self.column_types) - 1 if self.is_curve_network else 0

    @functools.cached_property
    def for_single_curve(self) -> "Specification":
        """Specification of the network of one curve; without curves, this specification."""
        if not self.is_curve_network:
            return self
        return replace(
            self,
            column_types=["numeric"],
            num_categories=[0],
            latent_dim=self.num_dims_per_curve,
            max_steps=self.grid,
            length_mean=float(self.grid),
            length_deviation=0.0,
            length_dim=0,
            grid=0,
        )

    @property
    def length_index(self) -> int | None:
        """Index of the latent dimension that holds the length; None if there is none."""
        return self.learned_dim if self.length_dim else None

    @property
    def log_length_moments(self) -> tuple[float, float]:
        """Approximate mean and standard deviation of log(1 + training length)."""
        # The delta method: a small deviation d of a length n changes log(1 + n) by d / (1 + n).
        mean_plus_one = 1.0 + self.length_mean
        return math.log(mean_plus_one), clip_length_std(self.length_deviation) / mean_plus_one

    @property
    def max_log_length(self) -> float:
        """Upper limit of log(1 + decoded length); it keeps the length finite for any code."""
        # Predicted lengths are clipped to 2 * max_steps afterwards. This limit is higher, so it
        # does not change them.
        return math.log1p(2.0 * self.max_steps) + 1.0

    @property
    def num_channels(self) -> int:
        """Number of input channels: the features, and their observed flags if there are any."""
        return len(self.column_types) * (2 if self.observed_flags else 1)

    @functools.cached_property
    def input_width(self) -> int:
        """Number of input channels after categorical columns are one-hot encoded."""
        return self.num_channels + sum(n - 1 for n in self.num_categories if n)

    @property
    def num_outputs(self) -> int:
        """Number of outputs at each step: one for each category, and one for each other column."""
        return sum(n or 1 for n in self.num_categories)

    @property
    def num_recent_values(self) -> int:
        """Number of recent values that the forecast decoder reads with the code."""
        return self.recent_steps * self.num_outputs

    @functools.cached_property
    def num_linear_path_steps(self) -> int | None:
        """Number of steps that the linear path has weights for; None without a linear path."""
        linear_path = self.linear_path
        if linear_path is None:
            linear_path = bool(make_quantity_mask(self.column_types).any())
        limit = compute_max_linear_path_steps(self.input_width, self.latent_dim)
        return min(self.max_steps, limit) if linear_path else None

    @property
    def rocket_stride(self) -> int:
        """Stride of the convolutions of the ROCKET features, in steps."""
        # Convolutions at each step would be slower than LSTMs that read patches. A longer stride
        # than the maximum would miss short patterns.
        return min(self.patch, MAX_ROCKET_STRIDE)

    def make_decoder_settings(self, *, is_forecast: bool = False) -> "DecoderSettings":
        """Return the settings of the decoder, or of the forecast decoder."""
        if not is_forecast:
            sizes = self.latent_dim, self.max_steps, self.patch, self.num_linear_path_steps
            return DecoderSettings("", *sizes, reads_previous_step=self.decoder == "autoregressive")
        num_inputs, linear_steps = self.latent_dim + self.num_recent_values, None
        # The option ``linear_path`` does not apply here. The forecast decoder has a linear path if
        # it reads recent values or if a column is numeric or a count.
        if self.recent_steps or make_quantity_mask(self.column_types).any():
            limit = compute_max_linear_path_steps(self.num_outputs, num_inputs)
            linear_steps = min(self.forecast_steps, limit)
        sizes = num_inputs, self.forecast_steps, 1, linear_steps  # without patches
        return DecoderSettings("_ahead", *sizes, has_step_scales=self.recent_steps > 0)


class DecoderSettings(NamedTuple):
    """Settings in which the decoder and the forecast decoder of a network differ."""

    suffix: str  # end of the names of the layers, which differs between the two decoders
    num_inputs: int  # width of the code; in the forecast decoder, plus that of the recent values
    max_steps: int
    patch: int
    num_linear_path_steps: int | None  # steps that have weights; None without a linear path
    # whether each step has its own factors for the outputs of the LSTMs; else all have the same
    has_step_scales: bool = False
    reads_previous_step: bool = False  # whether each step reads the outputs of the previous step

    @property
    def max_patches(self) -> int:
        """Number of patches of ``max_steps`` steps."""
        return -(-self.max_steps // self.patch)

    @property
    def num_position_features(self) -> int:
        """Number of features of a patch's position; see `RepeatCode`."""
        # i / max_patches and 1 / (1 + i) of patch i, and a sine and a cosine for each period
        return 2 + 2 * len(list_position_periods(self.max_patches))


def clip_length_std(training_length_std: float) -> float:
    """Return the standard deviation of the training lengths, in steps, with a minimum above 0."""
    return max(training_length_std, _MIN_LENGTH_STD)


def get_length_spread_limits(training_length_std: float) -> tuple[float, float, float]:
    """Return the initial, minimum and maximum log-scale of a predicted length's distribution."""
    # A logistic distribution of scale s has the standard deviation pi / sqrt(3) * s = 1.81 s. So
    # the factor 0.55 = 1 / 1.81 gives the initial distribution the standard deviation
    # ``training_length_std``.
    limits = math.log(MIN_PREDICTED_LENGTH_SCALE), math.log(2.0 * training_length_std)
    return math.log(0.55 * training_length_std), *limits


def list_position_periods(num_positions: int) -> list[float]:
    """Return the periods 2, 4, 8, ... in positions; the last exceeds ``num_positions``."""
    num_periods = 1 + max(1, math.ceil(math.log2(num_positions + 1)))
    return [2.0**exponent for exponent in range(1, num_periods + 1)]


def compute_max_linear_path_steps(step_width: int, code_width: int) -> int:
    """Return how many steps of a linear path may have weights, within the memory limit."""
    return max(1, _MAX_LINEAR_PATH_WEIGHTS // (step_width * code_width))


def list_truncated_dims(specification: Specification, num_kept_dims: int) -> np.ndarray:
    """Return the indices, in a code, of all learned dimensions but the first ``num_kept_dims``."""
    if not specification.is_curve_network:
        return np.arange(num_kept_dims, specification.learned_dim)
    # The code has a part for each column: the learned dimensions of its curve, and then the length.
    # The first ``num_kept_dims`` dimensions of each part stay.
    num_columns, learned_dim = len(specification.column_types), specification.num_dims_per_curve
    dropped = np.arange(num_kept_dims, learned_dim)
    return (np.arange(num_columns)[:, None] * (learned_dim + 1) + dropped).ravel()


def truncate_latent_dim(
    specification: Specification, weights: Mapping[str, np.ndarray], num_kept_dims: int
) -> tuple[Specification, dict[str, np.ndarray]]:
    """Keep the first ``num_kept_dims`` learned dimensions (of each column) of a nested network."""
    # the smaller network computes what the nested network does if the other dimensions are zero
    latent_dim = specification.latent_dim - len(list_truncated_dims(specification, num_kept_dims))
    new_specification = replace(specification, latent_dim=latent_dim)
    dropped = np.arange(num_kept_dims, specification.for_single_curve.learned_dim)
    new_weights = {}
    for old, new in zip(list_weights(specification), list_weights(new_specification), strict=True):
        array = weights[old.name]
        # an axis whose size changes begins with the learned dimensions of the code
        for axis, (old_size, new_size) in enumerate(zip(old.shape, new.shape, strict=True)):
            if old_size != new_size:
                array = np.delete(array, dropped, axis)
        new_weights[old.name] = np.asarray(array, order="C")  # `ascontiguousarray` changes shape ()
    return new_specification, new_weights


def is_default_lstm(specification: Specification) -> bool:
    """Return whether a network is the default model with LSTMs, which runs without Keras."""
    # A damaged file may name a decoder that does not exist. Then the result is False, so the caller
    # builds Keras models, and this raises an error that names the possible decoders.
    has_lstms = specification.architecture == "default" and specification.cell == "lstm"
    return has_lstms and specification.decoder in DECODERS


class WeightSpec(NamedTuple):
    """Name and shape of a weight of the default model."""

    name: str  # path of the Keras variable
    shape: tuple[int, ...]
    is_trained: bool = True


# The file of a model stores the specification of its network, and these weights by name.
def list_weights(specification: Specification) -> list[WeightSpec]:
    """List the weights of the default model, in the order in which Keras creates them."""
    specification = specification.for_single_curve
    latent_dim, units, patch = specification.latent_dim, specification.units, specification.patch
    learned_dim, width = specification.learned_dim, specification.input_width
    # the last, the mean and the maximum state in two directions, and three features of the length
    num_pooled = 6 * units + 3
    weights: list[WeightSpec] = []
    # an input has the steps of a patch side by side, and the share of them that are not padding
    num_inputs = patch * width + 1 if patch > 1 else width
    for i in range(1, specification.depth + 1):
        for direction in ("forward", "backward"):
            weights += _list_lstm_weights(f"encoder_{i}/{direction}_lstm_{i}", num_inputs, units)
        num_inputs = 2 * units
    weights += _list_dense_weights("code", num_pooled, learned_dim)
    if (linear_steps := specification.num_linear_path_steps) is not None:
        shape = (linear_steps, width, learned_dim)
        weights += _list_linear_weights("linear_code", shape, (learned_dim,))
        weights.append(WeightSpec("linear_code/scale", (), is_trained=False))
        if specification.by_length:  # a matrix and an offset for each length from 0
            shape = (linear_steps + 1, learned_dim, learned_dim)
            weights.append(WeightSpec("linear_code/maps", shape, is_trained=False))
            weights.append(WeightSpec("linear_code/offsets", shape[:2], is_trained=False))
    if specification.rocket_dim:
        arrays = draw_convolutions(width).arrays()
        for name, array in arrays.items():
            weights.append(WeightSpec(f"convolutions/{name}", array.shape, is_trained=False))
        # each convolution has two features: the share of positive values, and the maximum
        num_features = 2 * len(arrays["bias"])
        weights.append(WeightSpec("rocket_dim/center", (num_features,), is_trained=False))
        shape = (num_features, specification.rocket_dim)
        weights.append(WeightSpec("rocket_dim/kernel", shape, is_trained=False))
    weights += _list_decoder_weights(specification, specification.make_decoder_settings())
    if not specification.length_dim:
        weights += _list_dense_weights("hidden", latent_dim, LENGTH_HIDDEN_WIDTH)
        weights += _list_dense_weights("length/dense", LENGTH_HIDDEN_WIDTH, 2)
    if specification.variational:
        weights += _list_dense_weights("log_variance", num_pooled, latent_dim)
    if specification.forecast_steps:
        settings = specification.make_decoder_settings(is_forecast=True)
        weights += _list_decoder_weights(specification, settings)
    return weights


def _list_decoder_weights(
    specification: Specification, settings: DecoderSettings
) -> list[WeightSpec]:
    """List the weights of a decoder in the order in which Keras creates them."""
    units, num_outputs, suffix = specification.units, specification.num_outputs, settings.suffix
    weights: list[WeightSpec] = []
    for i in range(1, specification.depth + 1):
        weights += _list_dense_weights(f"start{suffix}_{i}", settings.num_inputs, 2 * units)
    num_inputs = settings.num_inputs + settings.num_position_features
    if settings.reads_previous_step:  # the outputs of the previous step, and a flag that it exists
        num_inputs += num_outputs + 1
    for i in range(1, specification.depth + 1):
        weights += _list_lstm_weights(f"decoder{suffix}_{i}", num_inputs, units)
        num_inputs = units  # of the next layer
    if settings.num_linear_path_steps is not None:
        shape = (settings.num_linear_path_steps, num_outputs)
        map_shape = (settings.num_inputs, *shape)
        weights += _list_linear_weights(f"linear_steps{suffix}", map_shape, shape)
        shape = (settings.max_steps, num_outputs) if settings.has_step_scales else (num_outputs,)
        weights.append(WeightSpec(f"head{suffix}/scale", shape, is_trained=False))
    return weights + _list_dense_weights(f"head{suffix}/dense", units, settings.patch * num_outputs)


def _list_dense_weights(layer_name: str, num_inputs: int, num_outputs: int) -> list[WeightSpec]:
    kernel = WeightSpec(f"{layer_name}/kernel", (num_inputs, num_outputs))
    return [kernel, WeightSpec(f"{layer_name}/bias", (num_outputs,))]


def _list_lstm_weights(layer_name: str, num_inputs: int, units: int) -> list[WeightSpec]:
    """List the weights of an LSTM, with four gates for each unit."""
    cell = f"{layer_name}/lstm_cell"
    return [
        WeightSpec(f"{cell}/kernel", (num_inputs, 4 * units)),
        WeightSpec(f"{cell}/recurrent_kernel", (units, 4 * units)),
        WeightSpec(f"{cell}/bias", (4 * units,)),
    ]


def _list_linear_weights(
    layer_name: str, shape: tuple[int, ...], bias_shape: tuple[int, ...]
) -> list[WeightSpec]:
    """List the weights of a linear path; see `get_linear_path_map`."""
    return [
        WeightSpec(f"{layer_name}/change", shape),
        WeightSpec(f"{layer_name}/bias", bias_shape),
        WeightSpec(f"{layer_name}/start", shape, is_trained=False),
        WeightSpec(f"{layer_name}/unit", (), is_trained=False),  # the factor of the change
    ]


def get_linear_path_map(weights: Mapping[str, np.ndarray], layer_name: str) -> np.ndarray:
    """Return the matrices of a linear path: initial values plus a factor times their change."""
    # A factor below 1 makes the updates of training smaller. The initial values may have errors of
    # only a thousandth, and full updates would ruin them.
    factor = weights[f"{layer_name}/unit"]
    return weights[f"{layer_name}/start"] + factor * weights[f"{layer_name}/change"]
