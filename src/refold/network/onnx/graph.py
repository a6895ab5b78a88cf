"""Build ONNX graphs, with the layers and masks that encoder and decoder share.

A function with a `Graph` as its first argument adds nodes to it, and returns values of the graph.
The letter n in a shape is the number of sequences.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from refold._support.optional_imports import import_optional

Operand = Any
"""A value of a graph, or a number, list or array, which becomes a constant of the graph."""


@functools.cache
def import_onnx_package(package_name: str) -> Any:
    """Import a package of Refold's extra ``onnx``; if it is missing, an error names the extra."""
    return import_optional(package_name, extra="onnx", purpose="refold.export")


class Graph:
    """A graph to which nodes are added; a call adds a node."""

    def __init__(
        self, weights: Mapping[str, np.ndarray], outer_graph: "Graph | None" = None
    ) -> None:
        self._ir = import_onnx_package("onnx_ir")
        self.weights = weights  # weights of the network by name
        # For the body of a loop, the graph around the loop, which also has the constants of the
        # body. None if this graph is not a body.
        self._outer_graph = outer_graph
        self._tape = self._ir.tape.Tape()
        self._inputs: list[Any] = []
        self._outputs: list[Any] = []
        self._num_body_values = 0  # number of values that were named, if this graph is a body
        self._constants: dict[Any, Any] = {}  # by type, shape and content

    def __call__(self, op_type: str, *inputs: Any, num_results: int = 1, **attributes: Any) -> Any:
        """Add a node, and return its output, or the list of its outputs."""
        # An input is an `Operand`, or None for an optional input that is left out. Integers and
        # lists of integers become int64.
        values = [self.to_value(value) for value in inputs]
        # all ONNX operators used here are in the standard domain "", except LabelEncoder
        domain = "ai.onnx.ml" if op_type == "LabelEncoder" else ""
        results = self._tape.op_multi_out(
            op_type, values, attributes, num_outputs=num_results, domain=domain
        )
        if self._outer_graph is not None:
            # names in a body must differ from those of the graph around it
            for value in results:
                self._num_body_values += 1
                value.name = f"inner_{self._num_body_values}"
        return results[0] if num_results == 1 else results

    def weight(self, name: str, array: np.ndarray | None = None) -> Any:
        """Return a named float32 constant: an array, or by default the weight of this name."""
        if self._outer_graph is not None:
            return self._outer_graph.weight(name, array)
        array = self.weights[name] if array is None else array
        return self._add_initializer(name, np.asarray(array, np.float32))

    def concat(self, values: list[Any], axis: int) -> Any:
        """Concatenate values; a single value needs no node."""
        return self("Concat", *values, axis=axis) if len(values) > 1 else values[0]

    def cast(self, value: Operand, dtype: DTypeLike) -> Any:
        """Convert a value to a NumPy type."""
        return self("Cast", value, to=_to_onnx_type(dtype))

    def add_input(self, name: str, dtype: DTypeLike, shape: Iterable[int | str] | None) -> Any:
        """Add an input; the type ``object`` stands for strings, and the shape None for any."""
        value = self._ir.Value(name=name, type=self._ir.TensorType(_to_onnx_type(dtype)))
        if shape is not None:
            value.shape = self._ir.Shape(list(shape))
        self._inputs.append(value)
        return value

    def add_output(
        self, name: str, value: Operand, dtype: DTypeLike, shape: Iterable[int | str] | None
    ) -> Any:
        """Add an output."""
        value = self("Identity", value)  # a copy, so that only the copy is renamed
        value.name, value.type = name, self._ir.TensorType(_to_onnx_type(dtype))
        if shape is not None:
            value.shape = self._ir.Shape(list(shape))
        self._outputs.append(value)
        return value

    def build_graph(self, name: str, opsets: Mapping[str, int] | None = None) -> Any:
        """Return the graph as an ``onnx_ir.Graph``."""
        return self._ir.Graph(
            self._inputs,
            self._outputs,
            nodes=self._tape.nodes,
            initializers=self._tape.initializers,
            opset_imports=opsets,
            name=name,
        )

    def to_value(self, constant: Any) -> Any:
        """Return a number, list or array as a constant; values of the graph and None stay."""
        if constant is None or isinstance(constant, self._ir.Value):
            return constant
        if self._outer_graph is not None:
            return self._outer_graph.to_value(constant)
        # a NumPy array or scalar keeps its type
        array = np.asarray(constant, np.int64 if isinstance(constant, list | int) else None)
        # Equal constants are stored once. The key has the repr, which differs for -0.0 and 0.0, and
        # is equal for NaN.
        key = array.dtype.str, array.shape, repr(array.tolist())
        if key not in self._constants:
            self._constants[key] = self._add_initializer(f"constant_{len(self._constants)}", array)
        return self._constants[key]

    def _add_initializer(self, name: str, array: np.ndarray) -> Any:
        """Add an array as a named constant, which ONNX calls an initializer."""
        if array.dtype.kind in "OU":  # strings
            encoded = [text.encode() for text in array.ravel().tolist()]
            tensor = self._ir.StringTensor(encoded, shape=self._ir.Shape(array.shape), name=name)
        else:
            tensor = self._ir.tensor(np.asarray(array, order="C"), name=name)
        return self._tape.initializer(tensor)


def _to_onnx_type(dtype: DTypeLike) -> Any:
    """Return the type of ONNX for a NumPy type; ``object`` stands for strings."""
    if dtype in (object, str):
        return import_onnx_package("onnx_ir").DataType.STRING
    return import_onnx_package("onnx_ir").DataType.from_numpy(np.dtype(dtype))


# Layers


def add_dense(graph: Graph, layer_name: str, x: Operand) -> Any:
    """Add a dense layer, x @ kernel + bias."""
    kernel_and_bias = (graph.weight(f"{layer_name}/{name}") for name in ("kernel", "bias"))
    return graph("Gemm", x, *kernel_and_bias)


def add_lstm(
    graph: Graph,
    direction_layer_names: list[str],
    x: Operand,
    lengths: Operand = None,
    initial_states: list[Any] | None = None,
) -> tuple[Any, Any]:
    """Add an LSTM over x (steps, n, features); return all outputs and the last output."""
    # ``direction_layer_names`` has the name of the forward layer and, in the encoder, also that of
    # the backward layer. ``lengths`` (n,) are int32, and ``initial_states`` are h and c, both (n,
    # units). The outputs have the shapes (steps, directions, n, units) and (directions, n, units).
    first_layer = direction_layer_names[0]
    arrays: list[Any] = []
    for name in ("kernel", "recurrent_kernel", "bias"):
        directions = [graph.weights[f"{layer}/lstm_cell/{name}"] for layer in direction_layer_names]
        directions = [_reorder_gates(array.T) for array in directions]
        if name == "bias":  # ONNX has a second bias, which Keras does not have, so it is zero
            directions = [np.concatenate([bias, 0 * bias]) for bias in directions]
        arrays.append(graph.weight(f"{first_layer}/{name}", np.stack(directions)))
    states = [graph("Unsqueeze", state, [0]) for state in initial_states or ()]
    outputs, last_output = graph(
        "LSTM",
        *(x, *arrays, lengths, *states),  # lengths None: all sequences have all steps
        num_results=2,
        hidden_size=len(graph.weights[f"{first_layer}/lstm_cell/recurrent_kernel"]),
        direction="bidirectional" if len(direction_layer_names) == 2 else "forward",
    )
    return outputs, last_output


def _reorder_gates(array: np.ndarray) -> np.ndarray:
    """Reorder the gates along the first axis, from Keras's order to input, output, forget, cell."""
    i, f, g, o = np.split(array, 4)
    return np.concatenate([i, o, f, g])


# Sequences of unequal lengths


def add_real_step_mask(graph: Graph, lengths: Operand, num_padded_steps: Operand) -> Any:
    """Return whether a step is before the end of its sequence, (n, steps)."""
    # ``num_padded_steps`` has the shape (1,)
    indices = graph("Range", np.int64(0), graph("Squeeze", num_padded_steps), np.int64(1))
    return graph("Less", graph("Unsqueeze", indices, [0]), graph("Unsqueeze", lengths, [1]))


def add_max_length_or_one(graph: Graph, lengths: Operand) -> Any:
    """Return the maximum length, or 1 if it is 0, of shape (1,)."""
    return graph("ReduceMax", graph("Concat", lengths, [1], axis=0), [0], keepdims=1)
