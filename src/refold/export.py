"""`to_onnx` writes the encoder, decoder or forecaster of a fitted model to an ONNX file.

Then ONNX Runtime runs the graph on test sequences, and the results are compared with Refold's.
"""

import json
import os
from typing import Any, Literal, NamedTuple

import numpy as np

import refold
from refold._support.arrays import concatenated_ranges
from refold._support.atomic_files import atomic_writer
from refold._support.optional_imports import is_installed
from refold._support.rules import check, one_of
from refold.errors import ParameterError, argument
from refold.model import Model, forecast_next_steps, last_steps, model_of
from refold.network.onnx.columns import ColumnGroups
from refold.network.onnx.decoder import add_decoder, add_forecaster
from refold.network.onnx.encoder import add_encoder
from refold.network.onnx.graph import Graph, import_onnx_package
from refold.network.specification import is_default_lstm
from refold.sequences import Sequences

ModelPart = Literal["encoder", "decoder", "forecaster"]
# For each part of a model, the function that adds it to a graph.
_PART_BUILDERS = {"encoder": add_encoder, "decoder": add_decoder, "forecaster": add_forecaster}
# Versions of the operator sets, by domain; "" is the domain of the standard operators. ONNX Runtime
# supports them since its version 1.14.
_OPSETS = {"": 18, "ai.onnx.ml": 3}
# Maximum number of sequences on which a graph is compared with Refold.
_MAX_GRAPH_TEST_SEQUENCES = 64
# Fraction of the values of test sequences that are set to NaN, if the model reads missing values.
_MISSING_FRACTION_IN_GRAPH_TEST = 0.1


class Exported(NamedTuple):
    """What `to_onnx` wrote.

    Attributes
    ----------
    num_bytes : int
        Size of the file.
    largest_difference : float or None
        Largest difference of codes or values from those of Refold, in standard deviations, on 64
        sequences that the model decodes; None if ONNX Runtime is not installed.
    """

    num_bytes: int
    largest_difference: float | None


def to_onnx(
    model: Any,
    path: str | os.PathLike[str],
    part: ModelPart = "encoder",
    *,
    category_indices: bool = False,
) -> Exported:
    """Write the encoder, the decoder or the forecast decoder of a fitted model as an ONNX file.

    The graph has standard operators of opset 18. Values are in the units of the data, and codes
    are those without latent optimization. A batch has at least one sequence and one step.

    Parameters
    ----------
    model : Model or SequenceAutoencoder
        A fitted model of the default architecture with LSTMs.
    path : path
        File to write.
    part : {"encoder", "decoder", "forecaster"}, default="encoder"
        The encoder reads sequences, as ``values`` and ``categories`` of shape (n, steps, columns)
        and ``lengths`` of shape (n,), and returns ``codes``. The decoder reads ``codes``, and
        ``wanted_lengths`` of shape (n,) or (1,), where a negative number asks for the length that
        the code stands for. It returns sequences. The forecaster reads ``codes`` and the last
        ``recent_steps`` steps of their sequences, as ``recent_values`` and ``recent_categories`` of
        shape (n, recent_steps, columns); shorter sequences begin with missing values. It returns
        the next ``forecast_steps`` steps.
    category_indices : bool, default=False
        Whether categories are indices (int64) in the order of the metadata, -1 where missing. If
        not, they are strings, or integers if the categories are integers.

    Raises
    ------
    ParameterError
        If the model is of another architecture or was not fitted to forecast.
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
    check("part", part, one_of(*_PART_BUILDERS))
    model = model_of(model)
    specification = model.specification
    network: Any = model.network
    if not is_default_lstm(specification):
        raise ParameterError(
            "Only the default model with LSTMs can be exported to ONNX. This one has "
            f"{argument(architecture=specification.architecture)} and "
            f"{argument(cell=specification.cell)}. Fit one without them."
        )
    if part == "forecaster" and not specification.forecast_steps:
        raise ParameterError(
            "This model was fitted to reconstruct, not to forecast, so it has no forecaster. Fit "
            f"one with {argument(forecast_steps=10)}, for ten steps."
        )
    onnx, ir = import_onnx_package("onnx"), import_onnx_package("onnx_ir")
    column_groups = ColumnGroups(
        specification, model.schema, model.scaler, categories_as_indices=category_indices
    )
    graph = Graph(network.weights)
    _PART_BUILDERS[part](graph, column_groups)
    # with the metadata, a program can read and write the tensors of the graph
    metadata = {
        "refold_version": refold.__version__,
        "refold_model": model.hash,
        "part": part,
        "columns": json.dumps(column_groups.to_json()),
        "missing_category": str(column_groups.missing_category),
        "max_steps": str(specification.max_steps),
        "forecast_steps": str(specification.forecast_steps),
        "recent_steps": str(specification.recent_steps),
    }
    opset_ids = [onnx.helper.make_opsetid(domain, version) for domain, version in _OPSETS.items()]
    ir_model = ir.Model(
        graph.build_graph(part, _OPSETS),
        ir_version=onnx.helper.find_min_ir_version_for(opset_ids),
        producer_name="refold",
        producer_version=refold.__version__,
        metadata_props=metadata,
    )
    proto = ir.serde.serialize_model(ir_model)
    onnx.checker.check_model(proto, full_check=True)
    largest_difference = None
    if is_installed("onnxruntime"):
        differences = _compute_graph_differences(proto, model, column_groups, part)
        largest_difference = float(np.abs(differences).max(initial=0))
    content = proto.SerializeToString()
    with atomic_writer(path) as file:
        file.write(content)
    return Exported(len(content), largest_difference)


def _compute_graph_differences(
    proto: Any, model: Model, column_groups: ColumnGroups, part: str
) -> np.ndarray:
    """Return how far each result of a graph is from Refold's, in standard deviations.

    For an encoder, the shape is (n, code size). For a decoder, the array has one axis, with the
    differences of all numbers, and then 0 for each category that is equal and 1 for each other one.
    """
    # The test sequences are decoded from codes of the training data. If the model has stored none,
    # they are decoded from random codes.
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((_MAX_GRAPH_TEST_SEQUENCES, model.code_size)).astype(np.float32)
    if model.reference is not None:
        codes = np.asarray(model.reference.codes[:_MAX_GRAPH_TEST_SEQUENCES], np.float32)
    lengths = np.minimum(model.predict_lengths(codes), model.max_training_length)
    lengths[:2] = [0, 1][: len(lengths)]  # the comparison includes the shortest lengths
    sequences = model.decode_to_sequences(codes, lengths)
    if model.specification.observed_flags:
        is_missing = rng.random(sequences.values.shape) < _MISSING_FRACTION_IN_GRAPH_TEST
        sequences = sequences.with_values(np.where(is_missing, np.nan, sequences.values))
    # without latent optimization, which a graph does not have
    codes = model.with_latent_steps(0).encode_checked(sequences)
    if part == "encoder":
        std = codes.std(axis=0)
        difference = _run_graph(proto, _to_graph_inputs(column_groups, sequences))["codes"] - codes
        return difference / np.where(std == 0, 1, std)  # a constant dimension is not divided
    inputs = {"codes": codes}
    if part == "decoder":
        lengths = inputs["wanted_lengths"] = model.predict_lengths(codes)
        decoded = model.decode_to_sequences(codes, lengths)
    else:
        if recent_steps := model.specification.recent_steps:
            recent = last_steps(sequences, recent_steps).reshape(-1, sequences.schema.num_columns)
            offsets = np.arange(len(sequences) + 1) * recent_steps
            recent_sequences = Sequences(recent, offsets, schema=model.schema)
            recent_inputs = _to_graph_inputs(column_groups, recent_sequences)
            del recent_inputs["lengths"]  # the graph knows that all lengths are `recent_steps`
            inputs |= {f"recent_{name}": array for name, array in recent_inputs.items()}
        decoded = forecast_next_steps(sequences, model.network, model.scaler)
    # The graph of a decoder returns the tensors that the graph of an encoder reads. So the same
    # function makes the expected tensors from what Refold decodes.
    results, expected = _run_graph(proto, inputs), _to_graph_inputs(column_groups, decoded)
    differences = []
    # (n, longest), False in the padding of shorter sequences
    is_step = np.arange(decoded.lengths.max(initial=1)) < decoded.lengths[:, None]
    if column_groups.value_columns:
        difference = (results["values"] - expected["values"])[is_step]
        scale = model.error_scaler.scale_[column_groups.value_columns]
        differences.append((difference / scale).ravel())
    if column_groups.categorical_columns:
        is_equal = results["categories"] == expected["categories"]
        differences.append(1.0 - is_equal[is_step].ravel())
    return np.concatenate(differences)


def _to_graph_inputs(column_groups: ColumnGroups, sequences: Sequences) -> dict[str, np.ndarray]:
    """Return sequences with the columns of the model as inputs of the graph of an encoder.

    ``values`` and ``categories`` are padded, (n, longest, columns), and ``lengths`` are (n,).
    """
    inputs = {}
    if column_groups.value_columns:
        values = sequences.values[:, column_groups.value_columns]
        inputs["values"] = values.astype(column_groups.value_dtype)
    if column_groups.categorical_columns:
        indices = sequences.values[:, column_groups.categorical_columns]
        indices = inputs["categories"] = np.where(np.isnan(indices), -1, indices).astype(np.int64)
        if not column_groups.categories_as_indices:
            category_columns = []
            missing = column_groups.missing_category
            for i, column_indices in zip(column_groups.categorical_columns, indices.T, strict=True):
                categories = column_groups.category_array(i)
                # a missing category has the index -1, which is the last entry of this array
                with_missing = np.array([*categories, missing], categories.dtype)
                category_columns.append(with_missing[column_indices])
            inputs["categories"] = np.stack(category_columns, axis=1)
    longest = int(sequences.lengths.max(initial=1))  # a graph needs at least one step
    # the row of each step among the padded steps of all sequences
    rows = concatenated_ranges(np.arange(len(sequences)) * longest, sequences.lengths)
    for name, array in inputs.items():
        padded = np.zeros((len(sequences) * longest, array.shape[1]), array.dtype)
        padded[rows] = array
        inputs[name] = padded.reshape(len(sequences), longest, array.shape[1])
    return inputs | {"lengths": sequences.lengths.astype(np.int64)}


def _run_graph(proto: Any, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run a graph in ONNX Runtime; return its outputs by name."""
    session = import_onnx_package("onnxruntime").InferenceSession(
        proto.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))
