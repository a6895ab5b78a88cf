"""Columns of sequences as curves of a fixed number of points, and back; see `CurveNetwork`."""

from typing import Any

import numpy as np

from refold.network.onnx.columns import Channels
from refold.network.onnx.graph import Graph, Value, real_steps
from refold.network.specification import Specification


def read_curves(graph: Graph, specification: Specification, channels: Channels) -> Channels:
    """Return the channels of curves (n * columns, points, 1), from those of sequences."""
    grid = specification.grid
    steps = graph("Shape", channels.x, start=1, end=2)
    waves = _waves(graph, grid, channels.lengths, steps)
    cosines = graph("MatMul", waves, graph.cast(channels.x, np.float64))
    size = graph("Sqrt", graph("Div", np.float64(grid), _at_least_one(graph, channels.lengths)))
    cosines = graph("Mul", cosines, graph("Unsqueeze", size, [1, 2]))
    curves = graph("MatMul", graph("Transpose", cosines, perm=[0, 2, 1]), _points(grid))
    curves = graph("Reshape", graph.cast(curves, np.float32), [-1, grid, 1])
    lengths = graph("Expand", np.int64(grid), graph("Shape", curves, start=0, end=1))
    real = real_steps(graph, lengths, [grid])
    return Channels(curves, real, lengths, None)


def write_curves(
    graph: Graph, specification: Specification, curves: Value, lengths: Value, steps: Value
) -> Any:
    """Return the values (n, steps, columns) of curves (n * columns, points, 1)."""
    grid, columns = specification.grid, specification.num_outputs
    curves = graph("Reshape", graph.cast(curves, np.float64), [-1, columns, grid])
    cosines = graph("MatMul", curves, _points(grid).T)
    size = graph("Sqrt", graph("Div", _at_least_one(graph, lengths), np.float64(grid)))
    cosines = graph("Mul", cosines, graph("Unsqueeze", size, [1, 2]))
    values = graph("MatMul", cosines, _waves(graph, grid, lengths, steps))
    return graph.cast(graph("Transpose", values, perm=[0, 2, 1]), np.float32)


def are_long(graph: Graph, specification: Specification, lengths: Value) -> Any:
    """Return whether training added something to the curves of sequences, (n * columns,)."""
    is_long = graph("Greater", lengths, np.int64(specification.grid // 2))
    lead = graph("Concat", graph("Shape", is_long), [specification.num_outputs], axis=0)
    return graph("Reshape", graph("Expand", graph("Unsqueeze", is_long, [1]), lead), [-1])


def _points(grid: int) -> np.ndarray:
    """Return the orthonormal cosines at the points of a curve, (grid, grid)."""
    turned = np.pi * np.arange(grid)[:, None] * (np.arange(grid) + 0.5) / grid
    return np.cos(turned) * np.sqrt(np.where(np.arange(grid) == 0, 1.0, 2.0) / grid)[:, None]


def _waves(graph: Graph, grid: int, lengths: Value, steps: Value) -> Any:
    """Return the orthonormal cosines at the steps of sequences (n, grid, steps), 0 past the end."""
    each = _at_least_one(graph, lengths)
    step = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
    place = graph("Add", graph.cast(step, np.float64), np.float64(0.5))
    place = graph("Div", graph("Unsqueeze", place, [0]), graph("Unsqueeze", each, [1]))
    number = np.arange(grid)
    turned = graph("Mul", graph("Unsqueeze", place, [1]), np.pi * number[:, None].astype(float))
    norm = np.sqrt(np.where(number == 0, 1.0, 2.0))[:, None]
    norm = graph("Div", norm, graph("Unsqueeze", graph("Sqrt", each), [1, 2]))
    waves = graph("Mul", graph("Cos", turned), norm)
    exists = graph("Less", number[:, None], graph("Unsqueeze", lengths, [1, 2]))
    inside = graph("Unsqueeze", real_steps(graph, lengths, steps), [1])
    return graph("Where", graph("And", exists, inside), waves, np.float64(0))


def _at_least_one(graph: Graph, lengths: Value) -> Any:
    return graph.cast(graph("Max", lengths, np.int64(1)), np.float64)
