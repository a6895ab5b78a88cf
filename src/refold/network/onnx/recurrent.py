"""LSTM and GRU layers: the weights of ONNX's operators, and single steps for a loop."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from refold.network.onnx.graph import Graph, Value


class Layer(NamedTuple):
    """Weights of one direction of a layer, in Keras's layout."""

    name: str
    cell: str  # "lstm" or "gru"
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray

    @property
    def units(self) -> int:
        """Number of units."""
        return len(self.recurrent_kernel)


def find_layer(weights: Mapping[str, np.ndarray], name: str, cell: str) -> Layer:
    """Return the weights of a layer of the default model."""
    parts = ("kernel", "recurrent_kernel", "bias")
    return Layer(name, cell, *(weights[f"{name}/{cell}_cell/{part}"] for part in parts))


def run_layer(
    graph: Graph,
    layers: list[Layer],
    x: Value,
    lengths: Value = None,
    states: list[Any] | None = None,
) -> tuple[Any, Any]:
    """Run a layer over x (steps, n, features), in one direction for each of the layers."""
    # ``lengths`` (n,) are int32, and ``states`` the initial ones (n, units). Returns outputs
    # (steps, directions, n, units) and the last states (directions, n, units).
    first = layers[0]
    arrays: list[Any] = []
    for part in ("kernel", "recurrent_kernel"):
        stacked = [_gates(getattr(layer, part).T, layer.cell) for layer in layers]
        arrays.append(graph.weight(f"{first.name}/{part}", np.stack(stacked), axis=2))
    arrays.append(graph.weight(f"{first.name}/bias", np.stack([_biases(one) for one in layers])))
    options: dict[str, Any] = {"linear_before_reset": 1} if first.cell == "gru" else {}
    initial = [graph("Unsqueeze", state, [0]) for state in states or ()]
    outputs, last = graph(
        first.cell.upper(),
        *(x, *arrays, lengths, *initial),
        outputs=2,
        hidden_size=first.units,
        direction="bidirectional" if len(layers) == 2 else "forward",
        **options,
    )
    return outputs, last


def step(graph: Graph, layer: Layer, sums: Value, states: list[Any]) -> list[Any]:
    """Compute one step; return the new states (n, units), of which the first is the output."""
    # ``sums`` (n, gates * units) are the products of the inputs with the kernel, plus `input_bias`
    recurrent_kernel = graph.weight(f"{layer.name}/recurrent_kernel", layer.recurrent_kernel)
    product = graph("MatMul", states[0], recurrent_kernel)
    if layer.cell == "lstm":
        i, f, g, o = _split(graph, graph("Add", sums, product), 4)
        i, f, o = (graph("Sigmoid", gate) for gate in (i, f, o))
        new = graph("Mul", i, graph("Tanh", g))
        c = graph("Add", graph("Mul", f, states[1]), new)
        return [graph("Mul", o, graph("Tanh", c)), c]
    product = graph("Add", product, layer.bias[1])
    (z, r, g), (z_h, r_h, g_h) = _split(graph, sums, 3), _split(graph, product, 3)
    z, r = graph("Sigmoid", graph("Add", z, z_h)), graph("Sigmoid", graph("Add", r, r_h))
    new = graph("Tanh", graph("Add", g, graph("Mul", r, g_h)))
    return [graph("Add", new, graph("Mul", z, graph("Sub", states[0], new)))]


def input_bias(layer: Layer) -> np.ndarray:
    """Return the bias that is added to the products of the inputs."""
    return layer.bias if layer.cell == "lstm" else layer.bias[0]


def _split(graph: Graph, value: Value, parts: int) -> Any:
    return graph("Split", value, outputs=parts, axis=1, num_outputs=parts)


def _gates(array: np.ndarray, cell: str) -> np.ndarray:
    """Reorder the gates along the first axis: ONNX's LSTM has input, output, forget, cell."""
    if cell == "gru":
        return array
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


def _biases(layer: Layer) -> np.ndarray:
    """Return the biases of the inputs and of the states, one after another."""
    if layer.cell == "gru":
        return layer.bias.ravel()
    return np.concatenate([_gates(layer.bias, "lstm"), np.zeros_like(layer.bias)])
