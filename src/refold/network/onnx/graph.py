"""A builder of ONNX graphs, and what encoder and decoder share: layers, masks, padding."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import DTypeLike

from refold._support.optional_imports import optional

# Largest integers of int8 weights; -128 is not used.
_MOST_INT8 = 127

Value = Any
"""A value of a graph, or a number or an array that becomes a constant of it."""


@functools.cache
def package(name: str) -> Any:
    """Return a package of the extra, or raise an error that names it."""
    return optional(name, extra="onnx", purpose="refold.export")


class Graph:
    """Nodes and constants of a graph; a call adds a node."""

    def __init__(
        self,
        weights: Mapping[str, np.ndarray],
        stored: Mapping[str, str],
        outer: "Graph | None" = None,
    ) -> None:
        self._ir = package("onnx_ir")
        self.weights = weights  # those of the network, by name
        # "float16" or "int8" by the name of a weight; all others are float32
        self._stored = stored
        self.sizes: dict[str, int] = {}  # number of entries of each weight
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

    def weight(self, name: str, array: np.ndarray | None = None, axis: int = 0) -> Any:
        """Return a named constant of float32, which may be stored with fewer bits."""
        if self._outer is not None:
            return self._outer.weight(name, array, axis)
        array = self.weights[name] if array is None else array
        self.sizes[name] = array.size
        kind = self._stored.get(name)
        if kind is None:
            return self._initializer(name, np.asarray(array, np.float32))
        # ``axis`` is the summed one: int8 weights have a scale for each index of all others
        parts = _quantized(array, kind, axis)
        value = self("Cast", self._initializer(name, parts[0]), to=self._ir.DataType.FLOAT)
        if len(parts) == 1:
            return value
        return self("Mul", value, self._initializer(f"{name}/int8_scale", parts[1]))

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


def _quantized(array: np.ndarray, kind: str, axis: int) -> list[np.ndarray]:
    """Return weights in float16, or in int8 with their scales."""
    if kind == "float16":
        most = np.finfo(np.float16).max
        return [np.clip(array, -most, most).astype(np.float16)]
    scale = np.abs(array).max(axis=axis, keepdims=True, initial=0) / _MOST_INT8
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    return [np.rint(array / scale).astype(np.int8), scale]


def _data_type(dtype: DTypeLike) -> Any:
    if dtype in (object, str):
        return package("onnx_ir").DataType.STRING
    return package("onnx_ir").DataType.from_numpy(np.dtype(dtype))


# Layers


def dense(graph: Graph, name: str, x: Value) -> Any:
    """Add a dense layer."""
    return graph("Gemm", x, graph.weight(f"{name}/kernel"), graph.weight(f"{name}/bias"))


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


def find_layer(graph: Graph, name: str, cell: str) -> Layer:
    """Return the weights of a layer of the default model."""
    parts = ("kernel", "recurrent_kernel", "bias")
    return Layer(name, cell, *(graph.weights[f"{name}/{cell}_cell/{part}"] for part in parts))


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
    arrays.append(
        graph.weight(f"{first.name}/bias", np.stack([_biases(layer) for layer in layers]))
    )
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


# Sequences of unequal lengths


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
