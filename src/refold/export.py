"""`to_onnx`: a part of a fitted model as an ONNX file."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

import refold
from refold._support.argument_checks import check_whole
from refold._support.optional_imports import is_installed
from refold.errors import ParameterError, argument
from refold.model import Model, continued, last_steps, model_of
from refold.network.onnx.columns import Columns, columns_of
from refold.network.onnx.decoder import add_decoder, add_forecaster
from refold.network.onnx.encoder import add_encoder
from refold.network.onnx.graph import Graph, package
from refold.network.onnx.runtime import encoder_feeds, run
from refold.network.onnx.small_weights import Kind, choose_stored
from refold.network.specification import Specification
from refold.network.weights import DECODERS
from refold.sequences import Sequences, atomic_writer

Part = Literal["encoder", "decoder", "forecaster"]
_PARTS = {"encoder": add_encoder, "decoder": add_decoder, "forecaster": add_forecaster}
_KINDS = ("float32", "float16", "int8")
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

    Returns
    -------
    Exported

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
    for name, value, known in (("part", part, _PARTS), ("weights", weights, _KINDS)):
        if value not in known:
            choices = " or ".join(map(repr, known))
            raise ParameterError(f"{argument(name)} must be {choices}. Got {value!r}.")
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

        def error_of(chosen: Mapping[str, str]) -> float:
            smaller, _, _ = build(model, part, stored=chosen, **options)
            return float(np.sqrt(np.mean(np.square(errors_of(smaller)))))

        if weights != "float32":
            stored = choose_stored(weights, sizes, error_of)
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
    _check_architecture(specification)
    if part == "forecaster":
        _check_forecasts(specification)
    onnx, ir = package("onnx"), package("onnx_ir")
    _check_opset(opset, onnx)
    columns = columns_of(
        specification, model.schema, model.scaler, indices=category_indices, packed=packed
    )
    graph = Graph(stored or {})
    _PARTS[part](graph, columns, _current_weights(model.network))
    opsets = {"": opset} | _OTHER_OPSETS
    known = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    made = ir.Model(
        graph.finished(part, opsets),
        ir_version=onnx.helper.find_min_ir_version_for(known),
        producer_name="refold",
        producer_version=refold.__version__,
        metadata_props=_metadata(model, part, columns),
    )
    proto = ir.serde.serialize_model(made)
    onnx.checker.check_model(proto, full_check=True)
    return proto, graph.sizes, columns


def _current_weights(network: Any) -> Mapping[str, np.ndarray]:
    """Return the weights of a default model by name, also of a model that runs in Keras."""
    if hasattr(network, "weights"):
        return network.weights
    return {variable.path: np.asarray(variable.value) for variable in network.network.weights}


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


def _check_opset(opset: Any, onnx: Any) -> None:
    newest = onnx.defs.onnx_opset_version()
    if not LEAST_OPSET <= check_whole("opset", opset) <= newest:
        raise ParameterError(
            f"{argument('opset')} must be from {LEAST_OPSET} to {newest}, the newest that onnx "
            f"{onnx.__version__} knows. Got {opset}."
        )


def _check_architecture(specification: Specification) -> None:
    """Refuse models that have no graph."""
    name, decoder = specification.architecture, specification.decoder
    if name == "default" and decoder in DECODERS:
        return
    what = argument(decoder=decoder) if name == "default" else argument(architecture=name)
    raise ParameterError(
        f"A model with {what} cannot be exported to ONNX. Fit one with "
        f"{argument(architecture='default')} and one of Refold's own decoders."
    )


def _check_forecasts(specification: Specification) -> None:
    """Refuse models that have no forecast decoder."""
    if not specification.forecast_steps:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast, so it has no forecaster. Fit "
            f"one with {argument(forecast_steps=10)}, for ten steps."
        )


def _comparison(model: Model, columns: Columns, part: str) -> Callable[[Any], np.ndarray]:
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


def _last_step_feeds(columns: Columns, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return the last steps of sequences as inputs of a forecaster's graph."""
    steps = columns.specification.recent_steps
    if not steps:
        return {}
    values = last_steps(sequences, steps).reshape(-1, sequences.schema.num_columns)
    offsets = np.arange(len(sequences) + 1) * steps
    feeds = encoder_feeds(columns, Sequences(values, offsets, schema=sequences.schema))
    return {f"recent_{name}": feeds[name] for name in ("values", "categories") if name in feeds}
