"""ONNX Runtime: what it computes of a graph, next to what Refold computes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from refold._support.offsets import positions_of
from refold.errors import ParameterError
from refold.export._columns import Columns
from refold.export._graph import package
from refold.inference import continued, last_steps
from refold.model import Model
from refold.sequences import Sequences

# Number of sequences that a graph is tried on.
_MOST_SEQUENCES = 64
# Fraction of values that are missing in them, if the model knows missing values.
_MISSING = 0.1


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


def reference_sequences(model: Model) -> Sequences:
    """Return some sequences as the model decodes them, in the units of the data."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((_MOST_SEQUENCES, model.code_size)).astype(np.float32)
    if model.reference is not None:
        codes = np.asarray(model.reference.codes[:_MOST_SEQUENCES], np.float32)
    lengths = np.minimum(model.predict_lengths(codes), model.max_steps)
    lengths[:2] = [0, 1][: len(lengths)]
    decoded = model.to_sequences(codes, lengths)
    if not model.specification.observed_flags:
        return decoded
    gone = rng.random(decoded.values.shape) < _MISSING
    return decoded.with_values(np.where(gone, np.nan, decoded.values))


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


def _last_step_feeds(columns: Columns, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the last steps of sequences as inputs of a forecaster's graph."""
    steps = columns.specification.recent_steps
    if not steps:
        return {}
    values = last_steps(sequences, steps).reshape(-1, sequences.schema.num_columns)
    offsets = np.arange(len(sequences) + 1) * steps
    feeds = encoder_feeds(columns, Sequences(values, offsets, schema=sequences.schema))
    return {f"recent_{name}": feeds[name] for name in ("values", "categories") if name in feeds}


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


def comparison(model: Model, columns: Columns, part: str) -> Callable[[Any], np.ndarray]:
    """Return what computes the differences of a graph's results from Refold's, standardized."""
    # in standard deviations; a category counts 0 if it is the same, and else 1
    sequences = reference_sequences(model)
    # a graph has no latent optimization
    codes = model.with_latent_steps(0).codes_of(sequences)
    if part == "encoder":
        deviation = codes.std(axis=0)
        deviation = np.where(deviation == 0, 1, deviation)
        feeds = encoder_feeds(columns, sequences)
        return lambda proto: (run(proto, feeds)["codes"] - codes) / deviation
    feeds = {"codes": codes}
    if part == "decoder":
        lengths = feeds["wanted_lengths"] = model.predict_lengths(codes)
        written = model.to_sequences(codes, lengths)
    else:
        feeds |= _last_step_feeds(columns, sequences)
        written = continued(sequences, model.network, model.scaler)
    expected = encoder_feeds(columns, written)

    def real(padded: np.ndarray) -> np.ndarray:
        if columns.packed:
            return padded
        return padded[np.arange(padded.shape[1]) < written.lengths[:, None]]

    def errors(proto: Any) -> np.ndarray:
        found, parts = run(proto, feeds), []
        if columns.values:
            away = real(found["values"]) - real(expected["values"])
            away = away.reshape(-1, len(columns.values))
            parts.append((away / model.error_scaler.scale_[columns.values]).ravel())
        if columns.categorical:
            same = real(found["categories"]) == real(expected["categories"])
            parts.append(1.0 - same.ravel())
        return np.concatenate(parts)

    return errors
