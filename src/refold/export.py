"""`to_onnx`: a part of a fitted model as an ONNX file, compared with what Refold computes."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

import refold
from refold._support.arrays import positions_of
from refold._support.optional_imports import is_installed
from refold._support.rules import check, one_of, whole
from refold.errors import ParameterError, argument
from refold.model import Model, continued, last_steps, model_of
from refold.network.onnx.columns import Columns
from refold.network.onnx.decoder import add_decoder, add_forecaster
from refold.network.onnx.encoder import add_encoder
from refold.network.onnx.graph import Graph, package
from refold.network.packed.network import PackedNetwork
from refold.network.specification import DECODERS, Specification
from refold.sequences import Sequences, atomic_writer

Part = Literal["encoder", "decoder", "forecaster"]
Kind = Literal["float32", "float16", "int8"]
_PARTS = {"encoder": add_encoder, "decoder": add_decoder, "forecaster": add_forecaster}
# Types that weights of each kind are stored in, one after another.
_TYPES: dict[str, tuple[str, ...]] = {
    "float32": (),
    "float16": ("float16",),
    "int8": ("int8", "float16"),
}
# Largest root mean square of the error that smaller weights may cause, in standard deviations.
_MAX_ERROR = 0.01
# Smaller arrays are not worth it.
_MIN_SIZE = 256
LEAST_OPSET = 18
"""Oldest version of ONNX's operators that has all that a graph needs."""
# Version of the set of operators that has LabelEncoder, of the same release of ONNX.
_OTHER_OPSETS = {"ai.onnx.ml": 3}

# Number of sequences that a graph is tried on.
_MOST_SEQUENCES = 64
# Fraction of values that are missing in them, if the model knows missing values.
_MISSING = 0.1


class Exported(NamedTuple):
    """What `to_onnx` wrote.

    Attributes
    ----------
    num_bytes : int
        Size of the file.
    largest_difference : float or None
        Largest difference of codes or values from those of Refold, in standard deviations, on 64
        sequences that the model decodes; None if ONNX Runtime is not installed.
    stored : dict
        ``"float16"`` or ``"int8"`` by the name of each weight that is stored in one of them.
    """

    num_bytes: int
    largest_difference: float | None
    stored: dict[str, str]


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    part: Part = "encoder",
    *,
    packed: bool = False,
    category_indices: bool = False,
    weights: Kind = "float32",
    opset: int = LEAST_OPSET,
) -> Exported:
    """Write the encoder, the decoder or the forecast decoder of a fitted model as an ONNX file.

    The graph has standard operators only. It reads and writes the units of the data, and computes
    without latent optimization.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        A fitted model of the default architecture.
    path : path
        File to write.
    part : {"encoder", "decoder", "forecaster"}, default="encoder"
        The encoder reads sequences and returns ``codes``. The decoder reads ``codes``, and
        ``wanted_lengths`` of shape (n,) or (1,), where a negative number asks for the length that
        the code stands for. It returns sequences. The forecaster reads ``codes`` and the last
        ``recent_steps`` steps of their sequences, as ``recent_values`` and ``recent_categories`` of
        shape (n, recent_steps, columns); shorter sequences begin with missing values. It returns
        the next ``forecast_steps`` steps.
    packed : bool, default=False
        Whether the steps of all sequences are in one dimension, without padding: ``values`` and
        ``categories`` are flat, and ``counts`` (int32) is the number of entries of each sequence.
        If not, they have the shape (n, steps, columns), and ``lengths`` (int64) is the number of
        steps of each.
    category_indices : bool, default=False
        Whether categories are indices (int64) in the order of the metadata, -1 where missing. If
        not, they are strings, or integers if the categories are integers.
    weights : {"float32", "float16", "int8"}, default="float32"
        Type in which weights are stored, as long as the error that this causes is at most 1 % of a
        standard deviation. The computation is in float32.
    opset : int, default=18
        Version of ONNX's operators, at least 18.

    Raises
    ------
    ParameterError
        If the model is of another architecture or was not fitted to forecast, or if the opset is
        too old or too new.
    MissingExtraError
        If the packages of the extra ``onnx`` are not installed.

    Examples
    --------
    >>> import tempfile, numpy as np, onnxruntime, refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... )
    >>> path = tempfile.mkdtemp() + "/sines.onnx"
    >>> exported = to_onnx(ae.fit(sines), path)
    >>> exported.largest_difference < 1e-5
    True
    >>> session = onnxruntime.InferenceSession(path)
    >>> values = np.zeros((2, 20, 1), np.float32)
    >>> codes, = session.run(None, {"values": values, "lengths": np.array([20, 7])})
    >>> codes.shape
    (2, 4)
    """
    check("part", part, one_of(*_PARTS))
    check("weights", weights, one_of(*_TYPES))
    model = model_of(model)
    options: dict[str, Any] = {
        "packed": packed,
        "category_indices": category_indices,
        "opset": opset,
    }
    proto, sizes, columns = build(model, part, **options)
    stored: dict[str, str] = {}
    difference = None
    if weights != "float32" or is_installed("onnxruntime"):
        errors_of = _comparison(model, columns, part)

        def error_of(types: Mapping[str, str]) -> float:
            smaller, _, _ = build(model, part, stored=types, **options)
            return float(np.sqrt(np.mean(np.square(errors_of(smaller)))))

        if weights != "float32":
            stored = _choose_stored(weights, sizes, error_of)
            proto, _, _ = build(model, part, stored=stored, **options)
        difference = float(np.abs(errors_of(proto)).max(initial=0))
    content = proto.SerializeToString()
    with atomic_writer(path) as file:
        file.write(content)
    return Exported(len(content), difference, stored)


def build(
    model: Model,
    part: Part,
    *,
    packed: bool = False,
    category_indices: bool = False,
    opset: int = LEAST_OPSET,
    stored: Mapping[str, str] | None = None,
) -> tuple[Any, dict[str, int], Columns]:
    """Return a part of a model as an ONNX model, with the sizes of its weights, and its columns."""
    specification = model.specification
    network: Any = model.network
    _check_exportable(specification, part)
    onnx, ir = package("onnx"), package("onnx_ir")
    check("opset", opset, whole(LEAST_OPSET, onnx.defs.onnx_opset_version()))
    columns = Columns(
        specification, model.schema, model.scaler, indices=category_indices, packed=packed
    )
    arrays = network.weights
    if not isinstance(network, PackedNetwork):  # a GRU, which runs in Keras
        arrays = {variable.path: np.asarray(variable.value) for variable in arrays}
    graph = Graph(arrays, stored or {})
    _PARTS[part](graph, columns)
    opsets = {"": opset} | _OTHER_OPSETS
    opset_ids = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    made = ir.Model(
        graph.finished(part, opsets),
        ir_version=onnx.helper.find_min_ir_version_for(opset_ids),
        producer_name="refold",
        producer_version=refold.__version__,
        metadata_props=_metadata(model, part, columns),
    )
    proto = ir.serde.serialize_model(made)
    onnx.checker.check_model(proto, full_check=True)
    return proto, graph.sizes, columns


def _choose_stored(
    kind: Kind, sizes: Mapping[str, int], error_of: Callable[[Mapping[str, str]], float]
) -> dict[str, str]:
    """Return the type of each weight that is stored in a smaller type."""
    # Weights take the type in the order of the error that each of them causes, as long as the error
    # of all together is small. With int8, the rest takes float16 in the same way.
    matrices = [name for name, size in sizes.items() if size >= _MIN_SIZE and "bias" not in name]
    stored: dict[str, str] = {}
    for dtype in _TYPES[kind]:
        rest = [name for name in matrices if name not in stored]
        everything = stored | dict.fromkeys(rest, dtype)
        if error_of(everything) <= _MAX_ERROR:
            return everything
        errors = {name: error_of({name: dtype}) for name in rest}
        for name in sorted(rest, key=errors.__getitem__):
            if error_of(stored | {name: dtype}) > _MAX_ERROR:
                break
            stored[name] = dtype
    return stored


def _metadata(model: Model, part: str, columns: Columns) -> dict[str, str]:
    return {
        "refold_version": refold.__version__,
        "refold_model": model.hash,
        "part": part,
        "columns": json.dumps(columns.describe()),
        "missing_category": str(columns.missing_category),
        "max_steps": str(columns.specification.max_steps),
        "forecast_steps": str(columns.specification.forecast_steps),
        "recent_steps": str(columns.specification.recent_steps),
    }


def _check_exportable(specification: Specification, part: str) -> None:
    """Refuse models that have no graph, or no forecast decoder."""
    name, decoder = specification.architecture, specification.decoder
    if name != "default" or decoder not in DECODERS:
        what = argument(decoder=decoder) if name == "default" else argument(architecture=name)
        raise ParameterError(
            f"A model with {what} cannot be exported to ONNX. Fit one with "
            f"{argument(architecture='default')} and one of Refold's own decoders."
        )
    if part == "forecaster" and not specification.forecast_steps:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast, so it has no forecaster. Fit "
            f"one with {argument(forecast_steps=10)}, for ten steps."
        )


def _comparison(model: Model, columns: Columns, part: str) -> Callable[[Any], np.ndarray]:
    """Return what computes the differences of a graph's results from Refold's, standardized."""
    # in standard deviations; a category counts 0 if it is the same, and else 1
    sequences = _reference_sequences(model)
    # a graph has no latent optimization
    codes = model.with_latent_steps(0).codes_of(sequences)
    if part == "encoder":
        deviation = codes.std(axis=0)
        deviation = np.where(deviation == 0, 1, deviation)
        feeds = _encoder_feeds(columns, sequences)
        return lambda proto: (_run(proto, feeds)["codes"] - codes) / deviation
    feeds = {"codes": codes}
    if part == "decoder":
        lengths = feeds["wanted_lengths"] = model.predict_lengths(codes)
        written = model.to_sequences(codes, lengths)
    else:
        feeds |= _last_step_feeds(columns, sequences)
        written = continued(sequences, model.network, model.scaler)
    expected = _encoder_feeds(columns, written)

    def real(padded: np.ndarray) -> np.ndarray:
        if columns.packed:
            return padded
        return padded[np.arange(padded.shape[1]) < written.lengths[:, None]]

    def errors(proto: Any) -> np.ndarray:
        results, parts = _run(proto, feeds), []
        if columns.values:
            away = real(results["values"]) - real(expected["values"])
            away = away.reshape(-1, len(columns.values))
            parts.append((away / model.error_scaler.scale_[columns.values]).ravel())
        if columns.categorical:
            same = real(results["categories"]) == real(expected["categories"])
            parts.append(1.0 - same.ravel())
        return np.concatenate(parts)

    return errors


def _reference_sequences(model: Model) -> Sequences:
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


def _last_step_feeds(columns: Columns, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the last steps of sequences as inputs of a forecaster's graph."""
    steps = columns.specification.recent_steps
    if not steps:
        return {}
    values = last_steps(sequences, steps).reshape(-1, sequences.schema.num_columns)
    offsets = np.arange(len(sequences) + 1) * steps
    feeds = _encoder_feeds(columns, Sequences(values, offsets, schema=sequences.schema))
    return {f"recent_{name}": feeds[name] for name in ("values", "categories") if name in feeds}


def _encoder_feeds(columns: Columns, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the inputs of an encoder's graph for sequences with the columns of the model."""
    parts = {}
    if columns.values:
        parts["values"] = sequences.values[:, columns.values].astype(columns.dtype)
    if columns.categorical:
        index = sequences.values[:, columns.categorical]
        index = np.where(np.isnan(index), -1, index).astype(np.int64)
        if not columns.indices:
            shown = []
            for i, column in zip(columns.categorical, index.T, strict=True):
                names = columns.categories(i)
                # -1 is the last one
                forms = np.array([*names, columns.missing_category], names.dtype)
                shown.append(forms[column])
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


def _run(proto: Any, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph; a ParameterError if the installed runtime does not have its operators."""
    runtime = package("onnxruntime")
    try:
        session = runtime.InferenceSession(
            proto.SerializeToString(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:
        # its exceptions have no common class
        opset = next(entry.version for entry in proto.opset_import if entry.domain == "")
        reason = str(error).strip().splitlines()[0]
        raise ParameterError(
            f"onnxruntime {runtime.__version__} cannot load a graph with opset {opset}: {reason}"
        ) from error
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))
