"""The length of a sequence in its code, as operators of a graph."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from refold.network.onnx.graph import Graph, Value, dense
from refold.network.specification import Specification, length_unit


def encode_lengths(graph: Graph, specification: Specification, lengths: Value) -> Any:
    """Return the latent dimension (n, 1) of the lengths (n,): their standardized logarithm."""
    center, scale = specification.length_scale
    steps = graph.cast(graph("Unsqueeze", lengths, [1]), np.float64)
    logarithm = graph("Log", graph("Add", steps, np.float64(1)))
    length = graph("Div", graph("Sub", logarithm, np.float64(center)), np.float64(scale))
    return graph.cast(length, np.float32)


def predicted_lengths(
    graph: Graph, specification: Specification, weights: Mapping[str, np.ndarray], codes: Value
) -> Any:
    """Return the length (n,) that each code stands for."""
    most = 2 * specification.max_steps
    if specification.length_dim:
        center, scale = (np.float64(number) for number in specification.length_scale)
        code = graph("Gather", codes, np.int64(specification.learned_dim), axis=1)
        logarithm = graph("Add", graph("Mul", graph.cast(code, np.float64), scale), center)
        limit = np.float64(specification.max_log_length)
        logarithm = graph("Clip", logarithm, np.float64(0), limit)
        length = graph("Sub", graph("Exp", logarithm), np.float64(1))
    else:
        z = dense(graph, weights, "hidden", codes)
        share = graph(
            "Add", graph("Erf", graph("Mul", z, np.float32(math.sqrt(0.5)))), np.float32(1)
        )
        hidden = graph("Mul", graph("Mul", z, np.float32(0.5)), share)
        kernel, bias = (weights[f"length/dense/{part}"][..., :1] for part in ("kernel", "bias"))
        location = graph("Gemm", hidden, graph.weight("length/kernel", kernel), bias)
        unit = np.float32(length_unit(specification.length_deviation))
        length = graph("Mul", graph("Squeeze", location, [1]), unit)
        length = graph("Add", length, np.float32(specification.length_mean))
    rounded = graph.cast(graph("Round", length), np.int64)
    return graph("Clip", rounded, np.int64(0), np.int64(most))
