"""From the outputs of a decoder to likeliest values in the data's units, and categories."""

from collections.abc import Callable
from typing import Any

import numpy as np

from refold.network.onnx.columns import Columns, sequence_units
from refold.network.onnx.graph import Graph, Value, longest, packed_rows, real_steps
from refold.sequences.types import MAX_EXPONENT, outputs_of


def _is_likely(graph: Graph, logits: Value) -> Any:
    return graph.cast(graph("Greater", graph("Sigmoid", logits), np.float32(0.5)), np.float32)


def _index(graph: Graph, logits: Value) -> Any:
    return graph("ArgMax", logits, axis=-1, keepdims=1)


def _mean(graph: Graph, logits: Value) -> Any:
    return graph("Exp", graph("Min", logits, np.float32(MAX_EXPONENT)))


# From the outputs (..., width) of the last layer to values (..., 1): numbers, or indices.
LINKS: dict[str, Callable[[Graph, Any], Any]] = {
    "identity": lambda _, logits: logits,
    "sigmoid": _is_likely,
    "softmax": _index,
    "exponential": _mean,
}


def write_outputs(
    graph: Graph, columns: Columns, outputs: Any, lengths: Value, statistics: Value
) -> None:
    """Add the outputs of a decoder, whose logits are ``outputs`` (n, steps, outputs)."""
    # ``statistics`` (n, statistics) are None unless values are scaled by sequence
    steps = longest(graph, lengths)
    outputs = graph("Slice", outputs, [0], steps, [1])
    real = real_steps(graph, lengths, steps)
    values, categories = [], []
    specification = columns.specification
    for i, type_, block in outputs_of(specification.column_types, specification.num_categories):
        logits = graph("Slice", outputs, [block.start], [block.stop], [2])
        likeliest = LINKS[type_.link](graph, logits)
        if not type_.has_categories:
            values.append(likeliest)
            continue
        if not columns.indices:
            likeliest = graph("Gather", columns.categories(i), likeliest)
        categories.append(likeliest)
    if values:
        together = graph("Concat", *values, axis=2) if len(values) > 1 else values[0]
        together = _in_units(graph, together, columns, statistics)
        _write(graph, "values", together, real, columns, np.asarray(np.nan, columns.dtype))
    if categories:
        together = graph("Concat", *categories, axis=2) if len(categories) > 1 else categories[0]
        missing = np.asarray(columns.missing_category, columns.category_type)
        _write(graph, "categories", together, real, columns, missing)
    if not columns.packed:
        graph.output("lengths", graph("Identity", lengths), np.int64, ["n"])
        return
    width = len(columns.values) or len(columns.categorical)
    counts = graph.cast(graph("Mul", lengths, np.int64(width)), np.int32)
    graph.output("counts", counts, np.int32, ["n"])


def _in_units(graph: Graph, values: Value, columns: Columns, statistics: Value) -> Any:
    """Return scaled values to the units of the training data."""
    if statistics is not None:
        mean, scale = sequence_units(graph, graph("Unsqueeze", statistics, [1]), columns)
        wide = graph("Mul", graph.cast(values, np.float64), scale)
        return _whole(graph, graph.cast(graph("Add", wide, mean), columns.dtype), columns)
    mean, scale = columns.units()
    if columns.dtype == np.float64:
        values = graph.cast(values, np.float64)
    scaled = graph("Mul", values, scale.astype(columns.dtype))
    return _whole(graph, graph("Add", scaled, mean.astype(columns.dtype)), columns)


def _whole(graph: Graph, values: Value, columns: Columns) -> Any:
    """Round the columns that hold whole numbers."""
    whole = np.array([columns.schema.columns[i].column_type.is_whole for i in columns.values])
    return graph("Where", whole, graph("Round", values), values) if whole.any() else values


def _write(
    graph: Graph, name: str, padded: Value, real: Value, columns: Columns, missing: np.ndarray
) -> None:
    width = len(columns.values if name == "values" else columns.categorical)
    if columns.packed:
        packed = packed_rows(graph, padded, real)
        graph.output(name, packed, missing.dtype, [f"{name}_elements"])
        return
    padded = graph("Where", graph("Unsqueeze", real, [2]), padded, missing)
    graph.output(name, padded, missing.dtype, ["n", "steps", width])
