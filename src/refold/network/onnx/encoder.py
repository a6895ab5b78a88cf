"""Add the encoder to a graph, from values, categories and lengths to codes."""

import math
from itertools import pairwise
from typing import Any

import numpy as np

from refold.kernels import DILATIONS, POSITIVITY_STEEPNESS
from refold.network.onnx.columns import ColumnGroups, EncoderTensors, add_encoder_inputs
from refold.network.onnx.graph import Graph, Operand, add_dense, add_lstm, add_real_step_mask
from refold.network.specification import Specification, get_linear_path_map

# Value of states at padding. States of an LSTM are from -1 to 1, so it is never their maximum.
_MASKED_STATE_VALUE = np.float32(-2)
# Value of convolutions at padding, near the smallest float32, so that it is never their maximum.
_MASKED_CONVOLUTION_VALUE = np.float32(-3e38)
# End of a slice that reaches to the end of any axis.
_AXIS_END = 2**31


def add_encoder(graph: Graph, columns: ColumnGroups) -> None:
    """Add the encoder, from values and categories to codes."""
    specification = columns.specification
    inputs = add_encoder_inputs(graph, columns)
    if specification.is_curve_network:  # these codes include the length
        parts = [_encode_resampled(graph, specification, inputs)]
    else:
        parts = [_encode_steps(graph, specification, inputs)]
        if specification.length_dim:
            parts.append(_encode_lengths(graph, specification, inputs.lengths))
    if specification.rocket_dim:
        parts.append(_encode_rocket_dims(graph, specification, inputs))
    if inputs.statistics is not None:
        parts.append(inputs.statistics)
    width = specification.latent_dim + columns.scaler.num_statistics
    graph.add_output("codes", graph.concat(parts, axis=1), np.float32, ["n", width])


def _encode_steps(
    graph: Graph,
    specification: Specification,
    tensors: EncoderTensors,
    # (n,): False for curves of short sequences, which use the network as it was before training
    long_curve_mask: Operand = None,
) -> Any:
    """Return the learned dimensions (n, learned_dim)."""
    code = add_dense(graph, "code", _run_lstms_and_pool(graph, specification, tensors))
    if specification.num_linear_path_steps is None:
        return code
    # the scale is that of the code of the LSTMs, to which the linear path is added
    code = graph("Mul", graph.weight("linear_code/scale"), code)
    code = graph("Add", _add_linear_path(graph, specification, tensors), code)
    if long_curve_mask is None:
        return code
    # before training, the code was the linear path alone, with its initial map and no bias
    flat_steps = graph("Flatten", tensors.channels, axis=1)
    start = graph.weights["linear_code/start"]  # (steps, channels, latent_dim)
    # "first_code" is the name of this map in an ONNX file
    initial_map = graph.weight("first_code", start.reshape(-1, start.shape[-1]))
    untrained_code = graph("MatMul", flat_steps, initial_map)
    return graph("Where", graph("Unsqueeze", long_curve_mask, [1]), code, untrained_code)


# The following functions resample columns to curves of a fixed number of points, by cosine
# transforms. `refold.network.packed.resampling` computes the same with Fourier transforms.


def _encode_resampled(graph: Graph, specification: Specification, tensors: EncoderTensors) -> Any:
    """Return the codes and the lengths of all columns, (n, latent_dim)."""
    num_points = specification.grid
    num_steps = graph("Shape", tensors.channels, start=1, end=2)
    cosines = add_cosine_basis(graph, num_points, tensors.lengths, num_steps)
    coefficients = graph("MatMul", cosines, graph.cast(tensors.channels, np.float64))
    # ``coefficients`` have the shape (n, cosines, columns), with as many cosines as points. The
    # coefficients of a function grow with the square root of the number of its steps. A curve has
    # another number of points than the sequence has steps, so a factor corrects the coefficients.
    lengths = add_divisors(graph, tensors.lengths)
    factor = graph("Sqrt", graph("Div", np.float64(num_points), lengths))
    coefficients = graph("Mul", coefficients, graph("Unsqueeze", factor, [1, 2]))
    coefficients = graph("Transpose", coefficients, perm=[0, 2, 1])
    curves = graph("MatMul", coefficients, make_cosine_basis(num_points))  # (n, columns, points)
    curves = graph("Reshape", graph.cast(curves, np.float32), [-1, num_points, 1])
    curve_lengths = graph("Expand", np.int64(num_points), graph("Shape", curves, start=0, end=1))
    is_real = add_real_step_mask(graph, curve_lengths, [num_points])
    curve_inputs = EncoderTensors(curves, is_real, curve_lengths, None)
    long_curve_mask = add_long_curve_mask(graph, specification, tensors.lengths)
    code = _encode_steps(graph, specification.for_single_curve, curve_inputs, long_curve_mask)
    sizes = [-1, len(specification.column_types), specification.num_dims_per_curve]
    code = graph("Reshape", code, sizes)
    length = graph("Unsqueeze", _encode_lengths(graph, specification, tensors.lengths), [1])
    shape = graph("Concat", graph("Shape", code, start=0, end=2), [1], axis=0)
    code = graph("Concat", code, graph("Expand", length, shape), axis=2)
    return graph("Flatten", code, axis=1)


def add_long_curve_mask(graph: Graph, specification: Specification, lengths: Operand) -> Any:
    """Return whether the curves of each sequence use the trained network, (n * columns,)."""
    # as in `ColumnCurveNetwork`, short sequences use the network as it was before training
    is_long = graph("Greater", lengths, np.int64(specification.grid // 2))
    shape = graph("Concat", graph("Shape", is_long), [len(specification.column_types)], axis=0)
    return graph("Reshape", graph("Expand", graph("Unsqueeze", is_long, [1]), shape), [-1])


def make_cosine_basis(num_points: int) -> np.ndarray:
    """Return the orthonormal cosines at the points of a curve, (cosines, points)."""
    frequency = np.arange(num_points)
    angles = np.pi * frequency[:, None] * (np.arange(num_points) + 0.5) / num_points
    return np.cos(angles) * np.sqrt(np.where(frequency == 0, 1.0, 2.0) / num_points)[:, None]


def add_cosine_basis(graph: Graph, num_cosines: int, lengths: Operand, num_steps: Operand) -> Any:
    """Return the orthonormal cosines at the steps of sequences, (n, cosines, steps)."""
    # A sequence of k steps has the first k cosines. The other cosines are 0, and all cosines are 0
    # after the end of the sequence.
    float_lengths = add_divisors(graph, lengths)
    index = graph("Range", np.int64(0), graph("Squeeze", num_steps), np.int64(1))
    position = graph("Add", graph.cast(index, np.float64), np.float64(0.5))
    position = graph("Unsqueeze", position, [0])
    position = graph("Div", position, graph("Unsqueeze", float_lengths, [1]))  # (n, steps)
    frequency = np.arange(num_cosines)[:, None]
    angles = graph("Mul", graph("Unsqueeze", position, [1]), np.pi * frequency.astype(float))
    norm = np.sqrt(np.where(frequency == 0, 1.0, 2.0))
    norm = graph("Div", norm, graph("Unsqueeze", graph("Sqrt", float_lengths), [1, 2]))
    cosines = graph("Mul", graph("Cos", angles), norm)
    exists = graph("Less", frequency, graph("Unsqueeze", lengths, [1, 2]))
    is_inside = graph("Unsqueeze", add_real_step_mask(graph, lengths, num_steps), [1])
    return graph("Where", graph("And", exists, is_inside), cosines, np.float64(0))


def add_divisors(graph: Graph, lengths: Operand) -> Any:
    """Return lengths as float64 divisors, with 1 for the length 0."""
    return graph.cast(graph("Max", lengths, np.int64(1)), np.float64)


# The two paths of a code, and the dimensions of the length and of ROCKET features


def _run_lstms_and_pool(graph: Graph, specification: Specification, tensors: EncoderTensors) -> Any:
    """Add the LSTMs, and pool their states to (n, 6 * units + 3)."""
    # as in `StatePooling`
    lengths, patch, units = tensors.lengths, specification.patch, specification.units
    x, is_real, num_patches = tensors.channels, tensors.is_real_step, lengths
    if patch > 1:
        x = _fold_steps_into_patches(graph, tensors, patch)
        num_patches = graph("Div", graph("Add", lengths, np.int64(patch - 1)), np.int64(patch))
        is_real = add_real_step_mask(graph, num_patches, graph("Shape", x, start=1, end=2))
    is_empty = graph("Equal", lengths, np.int64(0))
    # Runtimes differ in what they return for length 0, so empty sequences get length 1 here.
    lstm_lengths = graph.cast(graph("Where", is_empty, np.int64(1), num_patches), np.int32)
    # (patches, 1, n, 1), like the outputs (patches, directions, n, units)
    is_real = graph("Unsqueeze", graph("Transpose", is_real, perm=[1, 0]), [1, 3])
    hidden = graph("Transpose", x, perm=[1, 0, 2])
    outputs = last = None
    for i in range(1, specification.depth + 1):
        if outputs is not None:
            hidden = graph("Transpose", outputs, perm=[0, 2, 1, 3])
            hidden = graph("Reshape", hidden, [0, 0, 2 * units])
        layer_names = [f"encoder_{i}/{name}_lstm_{i}" for name in ("forward", "backward")]
        outputs, last = add_lstm(graph, layer_names, hidden, lstm_lengths)
    # After the end of a sequence, some runtimes return zeros, and other runtimes compute further
    # steps. Neither may become a maximum. Products and sums replace the operator Where, because
    # they are faster here.
    is_real = graph.cast(is_real, np.float32)
    outputs = graph("Mul", outputs, is_real)
    sums = graph("ReduceSum", outputs, [0], keepdims=0)
    decrease = graph("Mul", graph("Sub", np.float32(1), is_real), _MASKED_STATE_VALUE)  # of padding
    count = graph.cast(graph("Max", num_patches, np.int64(1)), np.float32)
    mean = graph("Div", sums, graph("Unsqueeze", count, [0, 2]))
    maximum = graph("ReduceMax", graph("Add", outputs, decrease), [0], keepdims=0)
    pooled = graph("Concat", last, mean, maximum, axis=0)  # (6, n, units)
    pooled = graph("Where", graph("Unsqueeze", is_empty, [0, 2]), np.float32(0), pooled)
    pooled = graph("Reshape", graph("Transpose", pooled, perm=[1, 0, 2]), [0, 6 * units])
    max_steps = specification.max_steps
    num_steps = graph.cast(graph("Unsqueeze", lengths, [1]), np.float32)
    logarithm = graph("Log", graph("Add", num_steps, np.float32(1)))
    length_features = [
        graph.cast(graph("Unsqueeze", is_empty, [1]), np.float32),
        graph("Div", num_steps, np.float32(max_steps)),
        graph("Div", logarithm, np.float32(math.log1p(max_steps))),
    ]
    return graph("Concat", pooled, *length_features, axis=1)


def _fold_steps_into_patches(graph: Graph, tensors: EncoderTensors, patch_size: int) -> Any:
    """Return patches (n, patches, patch * channels + 1), as `FoldSteps` does."""
    # The last channel says whether a step is real. Its mean is the share of real steps in a patch.
    is_real = graph.cast(graph("Unsqueeze", tensors.is_real_step, [2]), np.float32)
    padded = graph("Concat", tensors.channels, is_real, axis=2)  # (n, steps, channels + 1)
    num_steps = graph("Shape", padded, start=1, end=2)
    num_patches = graph("Div", graph("Add", num_steps, [patch_size - 1]), [patch_size])
    num_added = graph("Sub", graph("Mul", num_patches, [patch_size]), num_steps)
    padding = graph("Concat", [0, 0, 0, 0], num_added, [0], axis=0)
    padded = graph("Pad", padded, padding, np.float32(0))
    width = graph("Shape", padded, start=2, end=3)
    shape = graph("Concat", [0], num_patches, [patch_size], width, axis=0)
    padded = graph("Reshape", padded, shape)  # (n, patches, patch, channels + 1)
    x = graph("Slice", padded, [0], [-1], [3])
    is_real = graph("Slice", padded, [-1], [_AXIS_END], [3])
    real_shares = graph("ReduceMean", is_real, [2], keepdims=0)
    patch_width = graph("Mul", graph("Sub", width, [1]), [patch_size])
    x = graph("Reshape", x, graph("Concat", [0, 0], patch_width, axis=0))
    return graph("Concat", x, real_shares, axis=2)


def _add_linear_path(graph: Graph, specification: Specification, tensors: EncoderTensors) -> Any:
    """Return the linear path (n, learned_dim): a weighted sum over steps and channels."""
    linear_map = get_linear_path_map(graph.weights, "linear_code")
    num_steps, _, latent_dim = linear_map.shape
    bias = graph.weights["linear_code/bias"]
    flat_steps = graph("Flatten", graph("Slice", tensors.channels, [0], [num_steps], [1]), axis=1)
    kernel = graph.weight("linear_code/map", linear_map.reshape(-1, latent_dim))
    num_inputs = graph("Shape", flat_steps, start=1, end=2)
    code = graph("Gemm", flat_steps, graph("Slice", kernel, [0], num_inputs, [0]), bias)
    if not specification.by_length:
        return code
    # longer sequences use the map of the length ``num_steps``
    index = graph("Min", tensors.lengths, np.int64(num_steps))
    offset = graph("Gather", graph.weight("linear_code/offsets"), index)
    length_map = graph("Gather", graph.weight("linear_code/maps"), index)
    code = graph("Unsqueeze", graph("Sub", code, offset), [1])
    return graph("Squeeze", graph("MatMul", code, length_map), [1])


def _encode_lengths(graph: Graph, specification: Specification, lengths: Operand) -> Any:
    """Return the latent dimension (n, 1) of the lengths (n,): their standardized logarithm."""
    center, scale = specification.log_length_moments
    steps = graph.cast(graph("Unsqueeze", lengths, [1]), np.float64)
    logarithm = graph("Log", graph("Add", steps, np.float64(1)))
    length = graph("Div", graph("Sub", logarithm, np.float64(center)), np.float64(scale))
    return graph.cast(length, np.float32)


def _encode_rocket_dims(graph: Graph, specification: Specification, tensors: EncoderTensors) -> Any:
    """Return the latent dimensions (n, rocket_dim) that are a map of ROCKET features."""
    # as `PooledConvolutions` and `FixedMap` do
    stride = specification.rocket_stride
    taps, bias = graph.weights["convolutions/taps"], graph.weights["convolutions/bias"]
    mixed = graph("MatMul", tensors.channels, graph.weight("convolutions/channels"))
    mixed = graph("Transpose", mixed, perm=[0, 2, 1])
    # number (n,) of convolved steps of each sequence
    count = graph("Div", graph("Add", tensors.lengths, np.int64(stride - 1)), np.int64(stride))
    # the kernels are divided among the dilations
    ends = np.linspace(0, len(bias), len(DILATIONS) + 1).round().astype(int).tolist()
    positive_sums, maxima = [], []
    is_inside: Any = None
    for dilation, (begin, end) in zip(DILATIONS, pairwise(ends), strict=True):
        kernels = np.ascontiguousarray(taps[:, begin:end].T[:, None])
        padding = dilation * (len(taps) // 2)
        convolved = graph(
            "Conv",
            graph("Slice", mixed, [begin], [end], [1]),
            graph.weight(f"convolutions/taps/{dilation}", kernels),
            bias[begin:end],
            dilations=[dilation],
            group=end - begin,
            kernel_shape=[len(taps)],
            pads=[padding, padding],
            strides=[stride],
        )  # (n, kernels, convolved steps)
        if is_inside is None:  # the same for all dilations
            is_real = add_real_step_mask(graph, count, graph("Shape", convolved, start=2, end=3))
            is_inside = graph("Unsqueeze", is_real, [1])
        # near 1 where the convolution is positive, near 0 elsewhere
        positive = graph("Sigmoid", graph("Mul", convolved, np.float32(POSITIVITY_STEEPNESS)))
        positive = graph("Where", is_inside, positive, np.float32(0))
        positive_sums.append(graph("ReduceSum", positive, [2], keepdims=0))
        masked = graph("Where", is_inside, convolved, _MASKED_CONVOLUTION_VALUE)
        maxima.append(graph("ReduceMax", masked, [2], keepdims=0))
    count = graph.cast(graph("Max", graph("Unsqueeze", count, [1]), np.int64(1)), np.float32)
    shares = [graph("Div", sums, count) for sums in positive_sums]
    features = graph("Concat", *shares, *maxima, axis=1)
    is_empty = graph("Unsqueeze", graph("Equal", tensors.lengths, np.int64(0)), [1])
    features = graph("Where", is_empty, np.float32(0), features)
    centered = graph("Sub", features, graph.weights["rocket_dim/center"])
    return graph("MatMul", centered, graph.weight("rocket_dim/kernel"))
