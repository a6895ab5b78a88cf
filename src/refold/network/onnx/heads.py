"""Links as operators of a graph: from the outputs of the last layer to the likeliest values."""

from collections.abc import Callable
from typing import Any

import numpy as np

from refold.network.onnx.graph import Graph, Value
from refold.sequences.types import MAX_EXPONENT


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
