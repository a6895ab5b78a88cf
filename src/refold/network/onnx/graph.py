"""A builder of ONNX graphs, whose operators take values and NumPy arrays."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from refold._support.optional_imports import optional

__all__ = ["Graph", "package"]

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

    def __init__(self, stored: Mapping[str, str], outer: "Graph | None" = None) -> None:
        self._ir = package("onnx_ir")
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
        values = [self._value(one) for one in inputs]
        domain = "ai.onnx.ml" if op_type == "LabelEncoder" else ""
        found = self._tape.op_multi_out(
            op_type, values, attributes, num_outputs=outputs, domain=domain
        )
        if self._outer is not None:
            # a body shares the names of the values around it
            for value in found:
                self._named += 1
                value.name = f"inner_{self._named}"
        return found[0] if outputs == 1 else found

    def weight(self, name: str, array: np.ndarray, axis: int = 0) -> Any:
        """Return a named constant of float32, which may be stored with fewer bits."""
        if self._outer is not None:
            return self._outer.weight(name, array, axis)
        self.sizes[name] = array.size
        kind = self._stored.get(name)
        if kind is None:
            return self._initializer(name, np.asarray(array, np.float32))
        # ``axis`` is the summed one: int8 weights have a scale for each index of all others
        parts = quantized(array, kind, axis)
        value = self("Cast", self._initializer(name, parts[0]), to=self._ir.DataType.FLOAT)
        if len(parts) == 1:
            return value
        return self("Mul", value, self._initializer(f"{name}/int8_scale", parts[1]))

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

    def _value(self, given: Any) -> Any:
        if given is None or isinstance(given, self._ir.Value):
            return given
        if self._outer is not None:
            return self._outer._value(given)
        array = np.asarray(given, np.int64 if isinstance(given, list | int) else None)
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


def dense(graph: Graph, weights: Mapping[str, np.ndarray], name: str, x: Value) -> Any:
    """Add a dense layer."""
    kernel, bias = (
        graph.weight(f"{name}/{part}", weights[f"{name}/{part}"]) for part in ("kernel", "bias")
    )
    return graph("Gemm", x, kernel, bias)


def quantized(array: np.ndarray, kind: str, axis: int) -> list[np.ndarray]:
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
