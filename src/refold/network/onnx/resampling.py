"""Columns of sequences as curves of a fixed number of points, and back, by cosine transforms.

See `refold.network.packed.resampling`, which computes the same with Fourier transforms.
"""

from typing import Any

import numpy as np

from refold.network.onnx.columns import EncoderInputs
from refold.network.onnx.graph import Graph, Value, real_step_mask
from refold.network.specification import Specification


def resample_to_curves(
    graph: Graph, specification: Specification, inputs: EncoderInputs
) -> EncoderInputs:
    """Return curves (n * columns, points, 1) as inputs of an encoder, from those of sequences."""
    num_points = specification.grid
    steps = graph("Shape", inputs.x, start=1, end=2)
    at_steps = _cosines_at_steps(graph, num_points, inputs.lengths, steps)
    coefficients = graph("MatMul", at_steps, graph.cast(inputs.x, np.float64))
    # Coefficients of the same function grow with the square root of the number of its points. So
    # the coefficients of the steps are scaled to the number of points of a curve.
    num_steps = _positive_lengths(graph, inputs.lengths)
    factor = graph("Sqrt", graph("Div", np.float64(num_points), num_steps))
    coefficients = graph("Mul", coefficients, graph("Unsqueeze", factor, [1, 2]))
    coefficients = graph("Transpose", coefficients, perm=[0, 2, 1])
    curves = graph("MatMul", coefficients, _cosines_at_points(num_points))
    curves = graph("Reshape", graph.cast(curves, np.float32), [-1, num_points, 1])
    lengths = graph("Expand", np.int64(num_points), graph("Shape", curves, start=0, end=1))
    is_real = real_step_mask(graph, lengths, [num_points])
    return EncoderInputs(curves, is_real, lengths, None)


def resample_from_curves(
    graph: Graph, specification: Specification, curves: Value, lengths: Value, max_length: Value
) -> Any:
    """Return the values (n, steps, columns) of curves (n * columns, points, 1)."""
    num_points, num_columns = specification.grid, specification.num_outputs
    curves = graph("Reshape", graph.cast(curves, np.float64), [-1, num_columns, num_points])
    coefficients = graph("MatMul", curves, _cosines_at_points(num_points).T)
    factor = graph("Sqrt", graph("Div", _positive_lengths(graph, lengths), np.float64(num_points)))
    coefficients = graph("Mul", coefficients, graph("Unsqueeze", factor, [1, 2]))
    cosines = _cosines_at_steps(graph, num_points, lengths, max_length)
    values = graph("MatMul", coefficients, cosines)
    return graph.cast(graph("Transpose", values, perm=[0, 2, 1]), np.float32)


def trained_network_mask(graph: Graph, specification: Specification, lengths: Value) -> Any:
    """Return whether a sequence uses the trained network, for each curve, (n * columns,)."""
    # Shorter sequences use the initial network, as in `CurveNetwork`.
    is_long = graph("Greater", lengths, np.int64(specification.grid // 2))
    shape = graph("Concat", graph("Shape", is_long), [specification.num_outputs], axis=0)
    return graph("Reshape", graph("Expand", graph("Unsqueeze", is_long, [1]), shape), [-1])


def _cosines_at_points(num_points: int) -> np.ndarray:
    """Return the orthonormal cosines at the points of a curve, (cosines, points)."""
    frequency = np.arange(num_points)
    angles = np.pi * frequency[:, None] * (np.arange(num_points) + 0.5) / num_points
    return np.cos(angles) * np.sqrt(np.where(frequency == 0, 1.0, 2.0) / num_points)[:, None]


def _cosines_at_steps(graph: Graph, num_points: int, lengths: Value, max_length: Value) -> Any:
    """Return the orthonormal cosines at the steps of sequences, (n, cosines, steps)."""
    # A sequence of n steps has the first n cosines. The other cosines are 0, and all cosines are 0
    # after the end of the sequence.
    num_steps = _positive_lengths(graph, lengths)
    index = graph("Range", np.int64(0), graph("Squeeze", max_length), np.int64(1))
    position = graph("Add", graph.cast(index, np.float64), np.float64(0.5))
    position = graph("Unsqueeze", position, [0])
    position = graph("Div", position, graph("Unsqueeze", num_steps, [1]))
    frequency = np.arange(num_points)
    factors = np.pi * frequency[:, None].astype(float)
    angles = graph("Mul", graph("Unsqueeze", position, [1]), factors)
    norm = np.sqrt(np.where(frequency == 0, 1.0, 2.0))[:, None]
    norm = graph("Div", norm, graph("Unsqueeze", graph("Sqrt", num_steps), [1, 2]))
    cosines = graph("Mul", graph("Cos", angles), norm)
    exists = graph("Less", frequency[:, None], graph("Unsqueeze", lengths, [1, 2]))
    is_inside = graph("Unsqueeze", real_step_mask(graph, lengths, max_length), [1])
    return graph("Where", graph("And", exists, is_inside), cosines, np.float64(0))


def _positive_lengths(graph: Graph, lengths: Value) -> Any:
    """Return lengths as float64, and 1 for 0, by which nothing can be divided."""
    return graph.cast(graph("Max", lengths, np.int64(1)), np.float64)
