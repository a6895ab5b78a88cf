"""Names and shapes of the weights of the default model, without building it."""

import math
from collections.abc import Mapping

import numpy as np

from refold.inference._specification import Specification
from refold.kernels import packed, random_convolutions
from refold.sequences.types import number_mask

MOST_STRIDE = 4
"""Cap on the stride of the pooled convolutions."""

# Cap on the weights of the linear path, in the encoder and in the decoder.
_MOST_WEIGHTS = 1 << 22
# Width of the hidden layer of the length model.
_LENGTH_UNITS = 64
DECODERS = ("parallel", "autoregressive")
"""Decoders that `refold.inference` has."""
# Last parts of the names of weights that are not trained.
_FIXED = ("start", "unit", "scale", "center", "maps", "offsets")
_FIXED_LAYERS = ("convolutions", "rocket_dim")


def are_default(specification: Specification) -> bool:
    """Return whether a network is the default model with LSTMs, which needs no Keras."""
    default = specification.architecture == "default" and specification.cell == "lstm"
    # a decoder that was added to `refold.models.decoders` runs in Keras
    return default and specification.decoder in DECODERS


def has_linear_path(specification: Specification) -> bool:
    """Return whether the default model has a linear path."""
    if specification.linear_path is None:
        return bool(number_mask(specification.column_types).any())
    return specification.linear_path


def input_width(specification: Specification) -> int:
    """Return the number of input channels with categorical columns as one-hot."""
    return specification.num_channels + sum(n - 1 for n in specification.num_categories if n)


def most_linear_steps(width: int, latent_dim: int) -> int:
    """Return the most steps that a linear path has weights for."""
    return max(1, _MOST_WEIGHTS // (width * latent_dim))


def weight_names(specification: Specification) -> list[str]:
    """Return the names of the weights of the default model: the paths of Keras's variables."""
    return list(weight_shapes(specification))


def weight_shapes(specification: Specification) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of the default model, by the path of Keras's variable."""
    linear, rocket_dim = has_linear_path(specification), specification.rocket_dim
    latent_dim, units, patch = specification.latent_dim, specification.units, specification.patch
    learned = specification.learned_dim
    width = input_width(specification)
    shapes: dict[str, tuple[int, ...]] = {}
    inputs = patch * width + 1 if patch > 1 else width
    for i in range(1, specification.depth + 1):
        for direction in ("forward", "backward"):
            shapes |= _lstm(f"encoder_{i}/{direction}_lstm_{i}", inputs, units)
        inputs = 2 * units
    code = _dense("code", 6 * units + 3, learned)
    convolutions: dict[str, tuple[int, ...]] = {}
    if rocket_dim:
        parts = random_convolutions(width)._asdict()
        convolutions = {f"convolutions/{part}": array.shape for part, array in parts.items()}
    # the order of Keras's variables, by which earlier model files numbered them
    shapes |= code | convolutions if linear else convolutions | code
    if linear:
        steps = min(specification.max_steps, most_linear_steps(width, latent_dim))
        shapes |= _linear("linear_code", (steps, width, learned), (learned,))
        shapes["linear_code/scale"] = ()
        if specification.by_length:
            shapes["linear_code/maps"] = (steps + 1, learned, learned)
            shapes["linear_code/offsets"] = (steps + 1, learned)
    if rocket_dim:
        (num_kernels,) = convolutions["convolutions/bias"]
        shapes["rocket_dim/center"] = (2 * num_kernels,)
        shapes["rocket_dim/kernel"] = (2 * num_kernels, rocket_dim)
    shapes |= _decoder(specification, "", specification.max_steps, patch, linear=linear)
    if not specification.length_dim:
        shapes |= _dense("hidden", latent_dim, _LENGTH_UNITS)
        shapes |= _dense("length/dense", _LENGTH_UNITS, 2)
    if specification.variational:
        shapes |= _dense("log_variance", 6 * units + 3, latent_dim)
    if specification.forecast_steps:
        # the forecast decoder has a linear path whatever the option says
        linear = specification.forecasts_linearly
        shapes |= _decoder(specification, "_ahead", specification.forecast_steps, 1, linear=linear)
    return shapes


def _decoder(
    specification: Specification, suffix: str, max_steps: int, patch: int, *, linear: bool
) -> dict[str, tuple[int, ...]]:
    latent_dim, units, outputs = (
        specification.latent_dim + (specification.recent_dim if suffix else 0),
        specification.units,
        specification.num_outputs,
    )
    inputs = latent_dim + 2 + 2 * num_periods(-(-max_steps // patch))
    if specification.decoder == "autoregressive" and not suffix:
        inputs += outputs + 1
    layers = range(1, specification.depth + 1)
    shapes: dict[str, tuple[int, ...]] = {}
    for i in layers:
        shapes |= _dense(f"start{suffix}_{i}", latent_dim, 2 * units)
    for i in layers:
        shapes |= _lstm(f"decoder{suffix}_{i}", inputs if i == 1 else units, units)
    if linear:
        steps = min(max_steps, most_linear_steps(outputs, latent_dim))
        if not suffix:
            steps = min(max_steps, most_linear_steps(input_width(specification), latent_dim))
        shapes |= _linear(f"linear_steps{suffix}", (latent_dim, steps, outputs), (steps, outputs))
        steps = (max_steps,) if suffix and specification.recent_steps else ()
        shapes[f"head{suffix}/scale"] = (*steps, outputs)
    return shapes | _dense(f"head{suffix}/dense", units, patch * outputs)


def num_periods(max_steps: int) -> int:
    """Return the number of periods of the position features; see `refold.layers.RepeatCode`."""
    return 1 + max(1, math.ceil(math.log2(max_steps + 1)))


def _dense(layer: str, inputs: int, outputs: int) -> dict[str, tuple[int, ...]]:
    return {f"{layer}/kernel": (inputs, outputs), f"{layer}/bias": (outputs,)}


def _lstm(layer: str, inputs: int, units: int) -> dict[str, tuple[int, ...]]:
    return {
        f"{layer}/lstm_cell/kernel": (inputs, 4 * units),
        f"{layer}/lstm_cell/recurrent_kernel": (units, 4 * units),
        f"{layer}/lstm_cell/bias": (4 * units,),
    }


def _linear(
    layer: str, shape: tuple[int, ...], bias: tuple[int, ...]
) -> dict[str, tuple[int, ...]]:
    names = ("change", "bias", "start", "unit")
    return {f"{layer}/{name}": of for name, of in zip(names, (shape, bias, shape, ()), strict=True)}


def trainable(name: str) -> bool:
    """Return whether training changes the weight with a name."""
    layer, *_, part = name.split("/")
    return layer not in _FIXED_LAYERS and part not in _FIXED


def linear_map(weights: Mapping[str, np.ndarray], layer: str) -> np.ndarray:
    """Return the weights of a linear path: the initial ones plus the learned change."""
    start, unit, change = (weights[f"{layer}/{part}"] for part in ("start", "unit", "change"))
    return start + unit * change


def lstm_weights(weights: Mapping[str, np.ndarray], layer: str) -> packed.LstmWeights:
    """Return the weights of an LSTM layer."""
    kernel, recurrent_kernel, bias = (
        weights[f"{layer}/lstm_cell/{name}"] for name in ("kernel", "recurrent_kernel", "bias")
    )
    return packed.LstmWeights(kernel, recurrent_kernel, bias)
