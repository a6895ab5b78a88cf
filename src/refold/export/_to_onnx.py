"""`to_onnx`: a part of a fitted model as an ONNX file."""

import json
import os
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np

import refold
from refold._support.argument_checks import check_whole
from refold._support.optional_imports import is_installed
from refold.errors import ParameterError, argument
from refold.export._columns import Columns, columns_of
from refold.export._decoder import add_decoder, add_forecaster
from refold.export._encoder import add_encoder
from refold.export._graph import Graph, package
from refold.export._runtime import comparison
from refold.export._small_weights import Kind, choose_stored
from refold.inference import DECODERS, Specification
from refold.model import Model, model_of
from refold.sequences import atomic_writer

Part = Literal["encoder", "decoder", "forecaster"]
_PARTS = {"encoder": add_encoder, "decoder": add_decoder, "forecaster": add_forecaster}
_KINDS = ("float32", "float16", "int8")
LEAST_OPSET = 18
"""Oldest version of ONNX's operators that has all that a graph needs."""
# Version of the set of operators that has LabelEncoder, of the same release of ONNX.
_OTHER_OPSETS = {"ai.onnx.ml": 3}


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
        errors_of = comparison(model, columns, part)

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
