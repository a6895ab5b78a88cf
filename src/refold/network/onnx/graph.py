"""A builder of ONNX graphs, and what encoder and decoder share: layers, masks, padding."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from refold._support.optional_imports import optional

Value = Any
"""A value of a graph, or a number or an array that becomes a constant of it."""


@functools.cache
def package(name: str) -> Any:
    """Return a package of the extra, or raise an error that names it."""
    return optional(name, extra="onnx", purpose="refold.export")


class Graph:
    """Nodes and constants of a graph; a call adds a node."""

    def __init__(self, weights: Mapping[str, np.ndarray], outer: "Graph | None" = None) -> None:
        self._ir = package("onnx_ir")
        self.weights = weights  # those of the network, by name
        # the graph whose operator has this one as its body, and all its constants
        self._outer = outer
        self._tape = self._ir.tape.Tape()
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._named = 0
        self._constants: dict[Any, Any] = {}

    def __call__(self, op_type: str, *inputs: Any, outputs: int = 1, **attributes: Any) -> Any:
        """Add a node, and return its output, or the list of its outputs."""
        # values, NumPy arrays and scalars, lists of integers for int64 vectors, and None
        values = [self._value(value) for value in inputs]
        domain = "ai.onnx.ml" if op_type == "LabelEncoder" else ""
        results = self._tape.op_multi_out(
            op_type, values, attributes, num_outputs=outputs, domain=domain
        )
        if self._outer is not None:
            # a body shares the names of the values around it
            for value in results:
                self._named += 1
                value.name = f"inner_{self._named}"
        return results[0] if outputs == 1 else results

    def weight(self, name: str, array: np.ndarray | None = None) -> Any:
        """Return a named constant of float32: a weight of the network, or an array made of some."""
        if self._outer is not None:
            return self._outer.weight(name, array)
        array = self.weights[name] if array is None else array
        return self._initializer(name, np.asarray(array, np.float32))

    def concat(self, parts: list[Any], axis: int) -> Any:
        """Concatenate values; one alone needs no node."""
        return self("Concat", *parts, axis=axis) if len(parts) > 1 else parts[0]

    def cast(self, value: Value, dtype: DTypeLike) -> Any:
        """Convert values to a NumPy type."""
        return self("Cast", value, to=_data_type(dtype))

    def input(self, name: str, dtype: DTypeLike, shape: Iterable[int | str] | None) -> Any:
        """Add an input; ``object`` stands for strings."""
        value = self._ir.Value(name=name, type=self._ir.TensorType(_data_type(dtype)))
        if shape is not None:
            value.shape = self._ir.Shape(list(shape))
        self._inputs.append(value)
        return value

    def output(
        self, name: str, value: Value, dtype: DTypeLike, shape: Iterable[int | str] | None
    ) -> Any:
        """Add an output."""
        value = self("Identity", value)
        value.name, value.type = name, self._ir.TensorType(_data_type(dtype))
        if shape is not None:
            value.shape = self._ir.Shape(list(shape))
        self._outputs.append(value)
        return value

    def finished(self, name: str, opsets: Mapping[str, int] | None = None) -> Any:
        """Return the graph as an ``onnx_ir.Graph``."""
        return self._ir.Graph(
            self._inputs,
            self._outputs,
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports=opsets,
            name=name,
        )

    def _value(self, constant: Any) -> Any:
        if constant is None or isinstance(constant, self._ir.Value):
            return constant
        if self._outer is not None:
            return self._outer._value(constant)
        array = np.asarray(constant, np.int64 if isinstance(constant, list | int) else None)
        key = array.dtype.str, array.shape, repr(array.tolist())
        if key not in self._constants:
            self._constants[key] = self._initializer(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def _initializer(self, name: str, array: np.ndarray) -> Any:
        if array.dtype.kind in "OU":
            encoded = [text.encode() for text in array.ravel().tolist()]
            tensor = self._ir.StringTensor(encoded, shape=self._ir.Shape(array.shape), name=name)
        else:
            tensor = self._ir.tensor(np.asarray(array, order="C"), name=name)
        return self._tape.initializer(tensor)


def _data_type(dtype: DTypeLike) -> Any:
    if dtype in (object, str):
        return package("onnx_ir").DataType.STRING
    return package("onnx_ir").DataType.from_numpy(np.dtype(dtype))


# Layers


def dense(graph: Graph, name: str, x: Value) -> Any:
    """Add a dense layer."""
    return graph("Gemm", x, graph.weight(f"{name}/kernel"), graph.weight(f"{name}/bias"))


class Layer(NamedTuple):
    """Weights of one direction of an LSTM, in Keras's layout."""

    name: str
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray


def find_layer(graph: Graph, name: str) -> Layer:
    """Return the weights of a layer of the default model."""
    parts = ("kernel", "recurrent_kernel", "bias")
    return Layer(name, *(graph.weights[f"{name}/lstm_cell/{part}"] for part in parts))


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
        stacked = [_gates(getattr(layer, part).T) for layer in layers]
        arrays.append(graph.weight(f"{first.name}/{part}", np.stack(stacked)))
    # of the inputs, and of the states, which have none
    biases = [np.concatenate([_gates(layer.bias), 0 * layer.bias]) for layer in layers]
    arrays.append(graph.weight(f"{first.name}/bias", np.stack(biases)))
    initial = [graph("Unsqueeze", state, [0]) for state in states or ()]
    outputs, last = graph(
        "LSTM",
        *(x, *arrays, lengths, *initial),
        outputs=2,
        hidden_size=len(first.recurrent_kernel),
        direction="bidirectional" if len(layers) == 2 else "forward",
    )
    return outputs, last


def step(graph: Graph, layer: Layer, sums: Value, h: Value, c: Value) -> tuple[Any, Any]:
    """Compute one step from the states (n, units), and return the new ones."""
    # ``sums`` (n, 4 * units) are the products of the inputs with the kernel, plus the bias
    recurrent_kernel = graph.weight(f"{layer.name}/recurrent_kernel", layer.recurrent_kernel)
    gates = graph("Add", sums, graph("MatMul", h, recurrent_kernel))
    i, f, g, o = graph("Split", gates, outputs=4, axis=1, num_outputs=4)
    i, f, o = (graph("Sigmoid", gate) for gate in (i, f, o))
    c = graph("Add", graph("Mul", f, c), graph("Mul", i, graph("Tanh", g)))
    return graph("Mul", o, graph("Tanh", c)), c


def _gates(array: np.ndarray) -> np.ndarray:
    """Reorder the gates along the first axis: those of ONNX are input, output, forget, cell."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


# Sequences of unequal lengths


def real_steps(graph: Graph, lengths: Value, steps: Value) -> Any:
    """Return whether each of ``steps``, shape (1,), is within its sequence, shape (n, steps)."""
    step = graph("Range", np.int64(0), graph("Squeeze", steps), np.int64(1))
    return graph("Less", graph("Unsqueeze", step, [0]), graph("Unsqueeze", lengths, [1]))


def longest(graph: Graph, lengths: Value) -> Any:
    """Return the greatest length, at least 1, of shape (1,)."""
    return graph("ReduceMax", graph("Concat", lengths, [1], axis=0), [0], keepdims=1)
