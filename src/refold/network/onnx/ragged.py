"""Sequences of unequal lengths in a graph: masks, padding and packing."""

from typing import Any

import numpy as np

from refold.network.onnx.graph import Graph, Value


def real_steps(graph: Graph, lengths: Value, steps: Value) -> Any:
    """Return whether each of ``steps``, shape (1,), is within its sequence, shape (n, steps)."""
    step = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
    return graph("Less", graph("Unsqueeze", step, [0]), graph("Unsqueeze", lengths, [1]))


def longest(graph: Graph, lengths: Value) -> Any:
    """Return the greatest length, at least 1, of shape (1,)."""
    return graph("ReduceMax", graph("Concat", lengths, [1], axis=0), [0], keepdims=1)


def at_least_one(graph: Graph, value: Value, axes: int, fill: Value) -> Any:
    """Append an entry to each of the first ``axes`` axes that has none."""
    more = graph("Max", graph("Sub", [1], graph("Shape", value, start=0, end=axes)), [0])
    begin = np.zeros(axes, np.int64)
    ends = graph("Concat", begin, more, axis=0)
    return graph("Pad", value, ends, fill, np.arange(axes))


def padded_rows(graph: Graph, rows: Value, lengths: Value) -> Any:
    """Pad rows, one sequence after another, to (n, steps, columns); there is at least one row."""
    steps = longest(graph, lengths)
    start = graph("CumSum", lengths, np.int64(0), exclusive=1)
    step = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
    row = graph("Add", graph("Unsqueeze", start, [1]), graph("Unsqueeze", step, [0]))
    row = graph("Where", real_steps(graph, lengths, steps), row, np.int64(0))
    return graph("Gather", rows, row, axis=0)


def packed_rows(graph: Graph, padded: Value, real: Value) -> Any:
    """Return the real steps of (n, steps, columns) as one dimension of all elements."""
    flat = graph("Reshape", real, [-1])
    width = graph("Slice", graph("Shape", padded), [2], [3])
    rows = graph("Reshape", padded, graph("Concat", [-1], width, axis=0))
    return graph("Reshape", graph("Compress", rows, flat, axis=0), [-1])
