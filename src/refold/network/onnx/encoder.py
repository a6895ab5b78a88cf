"""The encoder as a graph."""

import math
from typing import Any

import numpy as np

from refold.kernels import DILATIONS, STEEPNESS
from refold.network.onnx.columns import Channels, Columns, read_inputs
from refold.network.onnx.curves import are_long, read_curves
from refold.network.onnx.graph import Graph, Value, dense, find_layer, real_steps, run_layer
from refold.network.specification import Specification, linear_map

# Below all outputs of an LSTM.
_BELOW = np.float32(-2)
# Below all convolutions.
_LEAST = np.float32(-3e38)


def add_encoder(graph: Graph, columns: Columns) -> None:
    """Add the encoder, from the user's values to codes."""
    specification = columns.specification
    channels = read_inputs(graph, columns)
    encode = _encode_curves if specification.grid else _encode
    parts = [encode(graph, specification, channels)]
    if specification.length_dim and not specification.grid:
        parts.append(_encode_lengths(graph, specification, channels.lengths))
    if specification.rocket_dim:
        parts.append(_rocket(graph, specification, channels))
    if channels.statistics is not None:
        parts.append(channels.statistics)
    width = specification.latent_dim + columns.scaler.num_statistics
    graph.output("codes", graph.concat(parts, axis=1), np.float32, ["n", width])


def _encode(
    graph: Graph,
    specification: Specification,
    channels: Channels,
    trained: Value = None,  # (n,), 0 for the first linear path alone; by default 1
) -> Any:
    """Return the learned dimensions (n, learned_dim)."""
    code = dense(graph, "code", _pooled(graph, specification, channels))
    if specification.linear_steps is None:
        return code
    code = graph("Mul", graph.weight("linear_code/scale"), code)
    code = graph("Add", _linear(graph, specification, channels), code)
    if trained is None:
        return code
    rows = graph("Flatten", channels.x, axis=1)
    start = graph.weights["linear_code/start"]
    first = graph("MatMul", rows, graph.weight("first_code", np.concatenate(start)))
    return graph("Where", graph("Unsqueeze", trained, [1]), code, first)


def _encode_curves(graph: Graph, specification: Specification, channels: Channels) -> Any:
    """Return the codes and the lengths of all columns, (n, latent_dim)."""
    curves = read_curves(graph, specification, channels)
    trained = are_long(graph, specification, channels.lengths)
    code = _encode(graph, specification.inner, curves, trained)
    code = graph("Reshape", code, [-1, specification.num_outputs, specification.curve_dim])
    length = graph("Unsqueeze", _encode_lengths(graph, specification, channels.lengths), [1])
    lead = graph("Concat", graph("Shape", code, start=0, end=2), [1], axis=0)
    both = graph("Concat", code, graph("Expand", length, lead), axis=2)
    return graph("Flatten", both, axis=1)


def _pooled(graph: Graph, specification: Specification, channels: Channels) -> Any:
    """Run the layers, and pool their states to (n, 6 * units + 3)."""
    lengths, patch = channels.lengths, specification.patch
    x, real, count = channels.x, channels.real, lengths
    if patch > 1:
        x = _folded(graph, channels, patch)
        count = graph("Div", graph("Add", lengths, np.int64(patch - 1)), np.int64(patch))
        real = real_steps(graph, count, graph("Shape", x, start=1, end=2))
    empty = graph("Equal", lengths, np.int64(0))
    # runtimes differ in what they return for a length of 0
    read = graph.cast(graph("Where", empty, np.int64(1), count), np.int32)
    inside = graph("Unsqueeze", graph("Transpose", real, perm=[1, 0]), [1, 3])
    hidden = graph("Transpose", x, perm=[1, 0, 2])
    units = specification.units
    outputs = last = None
    for i in range(1, specification.depth + 1):
        if outputs is not None:
            hidden = graph("Transpose", outputs, perm=[0, 2, 1, 3])
            hidden = graph("Reshape", hidden, [0, 0, 2 * units])
        ways = (f"encoder_{i}/{way}_lstm_{i}" for way in ("forward", "backward"))
        layers = [find_layer(graph, name) for name in ways]
        outputs, last = run_layer(graph, layers, hidden, read)
    # Products and sums are faster than Where.  Past the end, a runtime may write zeros or more
    # steps, and neither may be a maximum.
    inside = graph.cast(inside, np.float32)
    outputs = graph("Mul", outputs, inside)
    total = graph("ReduceSum", outputs, [0], keepdims=0)
    lower = graph("Mul", graph("Sub", np.float32(1), inside), _BELOW)
    steps = graph.cast(graph("Max", count, np.int64(1)), np.float32)
    mean = graph("Div", total, graph("Unsqueeze", steps, [0, 2]))
    highest = graph("ReduceMax", graph("Add", outputs, lower), [0], keepdims=0)
    pooled = graph("Concat", last, mean, highest, axis=0)
    pooled = graph("Where", graph("Unsqueeze", empty, [0, 2]), np.float32(0), pooled)
    pooled = graph("Transpose", pooled, perm=[1, 0, 2])
    pooled = graph("Reshape", pooled, [0, 6 * units])
    most = specification.max_steps
    steps = graph.cast(graph("Unsqueeze", lengths, [1]), np.float32)
    logarithm = graph("Log", graph("Add", steps, np.float32(1)))
    about = [
        graph.cast(graph("Unsqueeze", empty, [1]), np.float32),
        graph("Div", steps, np.float32(most)),
        graph("Div", logarithm, np.float32(math.log1p(most))),
    ]
    return graph("Concat", pooled, *about, axis=1)


def _folded(graph: Graph, channels: Channels, patch: int) -> Any:
    """Put the steps of each patch side by side, with the share of real steps."""
    real = graph.cast(graph("Unsqueeze", channels.real, [2]), np.float32)
    both = graph("Concat", channels.x, real, axis=2)
    steps = graph("Shape", both, start=1, end=2)
    patches = graph("Div", graph("Add", steps, [patch - 1]), [patch])
    more = graph("Sub", graph("Mul", patches, [patch]), steps)
    ends = graph("Concat", [0, 0, 0, 0], more, [0], axis=0)
    both = graph("Pad", both, ends, np.float32(0))
    width = graph("Shape", both, start=2, end=3)
    shape = graph("Concat", [0], patches, [patch], width, axis=0)
    both = graph("Reshape", both, shape)
    x = graph("Slice", both, [0], [-1], [3])
    share = graph("ReduceMean", graph("Slice", both, [-1], [2**31], [3]), [2], keepdims=0)
    wide = graph("Mul", graph("Sub", width, [1]), [patch])
    x = graph("Reshape", x, graph("Concat", [0, 0], wide, axis=0))
    return graph("Concat", x, share, axis=2)


def _linear(graph: Graph, specification: Specification, channels: Channels) -> Any:
    """Return the linear path: a sum over steps and channels, each with its own weights."""
    map_ = linear_map(graph.weights, "linear_code")
    steps, width, dims = map_.shape
    start = graph.weights["linear_code/bias"]
    rows = graph("Flatten", graph("Slice", channels.x, [0], [steps], [1]), axis=1)
    kernel = graph.weight("linear_code/map", map_.reshape(steps * width, dims))
    count = graph("Shape", rows, start=1, end=2)
    code = graph("Gemm", rows, graph("Slice", kernel, [0], count, [0]), start)
    if not specification.by_length:
        return code
    within = graph("Min", channels.lengths, np.int64(steps))
    offset = graph("Gather", graph.weight("linear_code/offsets"), within)
    map_of = graph("Gather", graph.weight("linear_code/maps"), within)
    code = graph("Unsqueeze", graph("Sub", code, offset), [1])
    return graph("Squeeze", graph("MatMul", code, map_of), [1])


def _encode_lengths(graph: Graph, specification: Specification, lengths: Value) -> Any:
    """Return the latent dimension (n, 1) of the lengths (n,): their standardized logarithm."""
    center, scale = specification.length_scale
    steps = graph.cast(graph("Unsqueeze", lengths, [1]), np.float64)
    logarithm = graph("Log", graph("Add", steps, np.float64(1)))
    length = graph("Div", graph("Sub", logarithm, np.float64(center)), np.float64(scale))
    return graph.cast(length, np.float32)


def _rocket(graph: Graph, specification: Specification, channels: Channels) -> Any:
    """Return the latent dimensions that are ROCKET features."""
    stride = specification.convolution_stride
    taps, bias = graph.weights["convolutions/taps"], graph.weights["convolutions/bias"]
    mixed = graph("MatMul", channels.x, graph.weight("convolutions/channels"))
    mixed = graph("Transpose", mixed, perm=[0, 2, 1])
    count = graph("Div", graph("Add", channels.lengths, np.int64(stride - 1)), np.int64(stride))
    ends = np.linspace(0, len(bias), len(DILATIONS) + 1).round().astype(int)
    positive, highest = [], []
    inside: Any = None
    for dilation, first, end in zip(DILATIONS, ends[:-1], ends[1:], strict=True):
        kernels = np.ascontiguousarray(taps[:, first:end].T[:, None])
        reach = dilation * (len(taps) // 2)
        convolved = graph(
            "Conv",
            graph("Slice", mixed, [int(first)], [int(end)], [1]),
            graph.weight(f"convolutions/taps/{dilation}", kernels),
            bias[first:end],
            dilations=[dilation],
            group=int(end - first),
            kernel_shape=[len(taps)],
            pads=[reach, reach],
            strides=[stride],
        )
        if inside is None:
            real = real_steps(graph, count, graph("Shape", convolved, start=2, end=3))
            inside = graph("Unsqueeze", real, [1])
        share = graph("Sigmoid", graph("Mul", convolved, np.float32(STEEPNESS)))
        share = graph("Where", inside, share, np.float32(0))
        positive.append(graph("ReduceSum", share, [2], keepdims=0))
        highest.append(
            graph("ReduceMax", graph("Where", inside, convolved, _LEAST), [2], keepdims=0)
        )
    steps = graph.cast(graph("Max", graph("Unsqueeze", count, [1]), np.int64(1)), np.float32)
    shares = [graph("Div", total, steps) for total in positive]
    features = graph("Concat", *shares, *highest, axis=1)
    empty = graph("Unsqueeze", graph("Equal", channels.lengths, np.int64(0)), [1])
    features = graph("Where", empty, np.float32(0), features)
    centred = graph("Sub", features, graph.weights["rocket_dim/center"])
    return graph("MatMul", centred, graph.weight("rocket_dim/kernel"))
