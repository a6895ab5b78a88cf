"""ONNX Runtime: what it computes of a graph, next to what Refold computes."""

from typing import Any

import numpy as np

from refold._support.arrays import positions_of
from refold.errors import ParameterError
from refold.network.onnx.columns import Columns
from refold.network.onnx.graph import package
from refold.sequences import Sequences


def session(proto: Any) -> Any:
    """Load a graph; a ParameterError if the installed runtime does not have its operators."""
    runtime = package("onnxruntime")
    try:
        return runtime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # its exceptions have no common class
        opset = next(one.version for one in proto.opset_import if one.domain == "")
        reason = str(error).strip().splitlines()[0]
        raise ParameterError(
            f"onnxruntime {runtime.__version__} cannot load a graph with opset {opset}: {reason}"
        ) from error


def encoder_feeds(columns: Columns, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the inputs of an encoder's graph for sequences with the columns of the model."""
    parts = {}
    if columns.values:
        parts["values"] = sequences.values[:, columns.values].astype(columns.dtype)
    if columns.categorical:
        index = sequences.values[:, columns.categorical]
        index = np.where(np.isnan(index), -1, index).astype(np.int64)
        if not columns.indices:
            forms = [_forms(columns, i) for i in columns.categorical]
            shown = [form[column] for form, column in zip(forms, index.T, strict=True)]
            index = np.stack(shown, axis=1)
        parts["categories"] = index
    width = next(iter(parts.values())).shape[1]
    if columns.packed:
        counts = (sequences.lengths * width).astype(np.int32)
        return {name: part.ravel() for name, part in parts.items()} | {"counts": counts}
    steps = int(sequences.lengths.max(initial=0))
    rows = positions_of(np.arange(len(sequences)) * steps, sequences.lengths)
    for name, part in parts.items():
        padded = np.zeros((len(sequences) * steps, part.shape[1]), part.dtype)
        padded[rows] = part
        parts[name] = padded.reshape(len(sequences), steps, part.shape[1])
    return parts | {"lengths": sequences.lengths.astype(np.int64)}


def _forms(columns: Columns, i: int) -> np.ndarray:
    """Return the form of each index of a category, then of an unknown and a missing one."""
    known = columns.categories(i)
    unknown: Any = "<unknown>" if known.dtype == object else np.int64(2**62)
    return np.array([*known, unknown, columns.missing_category], known.dtype)


def run(proto: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph; return its outputs by name."""
    loaded = session(proto)
    names = [one.name for one in loaded.get_outputs()]
    return dict(zip(names, loaded.run(names, feeds), strict=True))
