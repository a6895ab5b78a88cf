"""Columns of sequences as curves of a fixed number of points, and back, by cosine transforms.

See `refold.network.packed.resampling`, which computes the same with Fourier transforms.
"""

from typing import Any

import numpy as np

from refold.network.onnx.columns import EncoderInputs
from refold.network.onnx.graph import Graph, Value, real_step_mask
from refold.network.specification import Specification


def resample_to_curves(
    graph: Graph, specification: Specification, channels: EncoderInputs
) -> EncoderInputs:
    """Return curves (n * columns, points, 1) as inputs of an encoder, from those of sequences."""
    num_points = specification.grid
    steps = graph("Shape", channels.x, start=1, end=2)
    at_steps = _cosines_at_steps(graph, num_points, channels.lengths, steps)
    cosines = graph("MatMul", at_steps, graph.cast(channels.x, np.float64))
    # the orthonormal transform of a curve grows with the root of its number of points
    num_steps = _positive_lengths(graph, channels.lengths)
    factor = graph("Sqrt", graph("Div", np.float64(num_points), num_steps))
    cosines = graph("Mul", cosines, graph("Unsqueeze", factor, [1, 2]))
    cosines = graph("Transpose", cosines, perm=[0, 2, 1])
    curves = graph("MatMul", cosines, _cosines_at_points(num_points))
    curves = graph("Reshape", graph.cast(curves, np.float32), [-1, num_points, 1])
    lengths = graph("Expand", np.int64(num_points), graph("Shape", curves, start=0, end=1))
    is_real = real_step_mask(graph, lengths, [num_points])
    return EncoderInputs(curves, is_real, lengths, None)


def resample_from_curves(
    graph: Graph, specification: Specification, curves: Value, lengths: Value, steps: Value
) -> Any:
    """Return the values (n, steps, columns) of curves (n * columns, points, 1)."""
    num_points, num_columns = specification.grid, specification.num_outputs
    curves = graph("Reshape", graph.cast(curves, np.float64), [-1, num_columns, num_points])
    cosines = graph("MatMul", curves, _cosines_at_points(num_points).T)
    factor = graph("Sqrt", graph("Div", _positive_lengths(graph, lengths), np.float64(num_points)))
    cosines = graph("Mul", cosines, graph("Unsqueeze", factor, [1, 2]))
    values = graph("MatMul", cosines, _cosines_at_steps(graph, num_points, lengths, steps))
    return graph.cast(graph("Transpose", values, perm=[0, 2, 1]), np.float32)


def trained_network_mask(graph: Graph, specification: Specification, lengths: Value) -> Any:
    """Return whether a sequence uses the trained network, for each curve, (n * columns,)."""
    # only sequences with more than half as many steps as a curve has points do
    is_long = graph("Greater", lengths, np.int64(specification.grid // 2))
    shape = graph("Concat", graph("Shape", is_long), [specification.num_outputs], axis=0)
    return graph("Reshape", graph("Expand", graph("Unsqueeze", is_long, [1]), shape), [-1])


def _cosines_at_points(num_points: int) -> np.ndarray:
    """Return the orthonormal cosines at the points of a curve, (cosines, points)."""
    frequency = np.arange(num_points)
    angles = np.pi * frequency[:, None] * (np.arange(num_points) + 0.5) / num_points
    return np.cos(angles) * np.sqrt(np.where(frequency == 0, 1.0, 2.0) / num_points)[:, None]


def _cosines_at_steps(graph: Graph, num_points: int, lengths: Value, steps: Value) -> Any:
    """Return the orthonormal cosines at the steps of sequences, (n, cosines, steps)."""
    # A sequence has as many cosines as steps. Others are 0, and so are steps after the end.
    num_steps = _positive_lengths(graph, lengths)
    step = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
    position = graph("Add", graph.cast(step, np.float64), np.float64(0.5))
    position = graph("Unsqueeze", position, [0])
    position = graph("Div", position, graph("Unsqueeze", num_steps, [1]))
    frequency = np.arange(num_points)
    factors = np.pi * frequency[:, None].astype(float)
    angles = graph("Mul", graph("Unsqueeze", position, [1]), factors)
    norm = np.sqrt(np.where(frequency == 0, 1.0, 2.0))[:, None]
    norm = graph("Div", norm, graph("Unsqueeze", graph("Sqrt", num_steps), [1, 2]))
    cosines = graph("Mul", graph("Cos", angles), norm)
    exists = graph("Less", frequency[:, None], graph("Unsqueeze", lengths, [1, 2]))
    inside = graph("Unsqueeze", real_step_mask(graph, lengths, steps), [1])
    return graph("Where", graph("And", exists, inside), cosines, np.float64(0))


def _positive_lengths(graph: Graph, lengths: Value) -> Any:
    """Return lengths as float64, and 1 for 0, by which nothing can be divided."""
    return graph.cast(graph("Max", lengths, np.int64(1)), np.float64)
