"""Exported files: padding, forecasts, categories, missing values, metadata, and errors."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from network import model_cases
from network.model_cases import IDS, MODEL_CASES, NUMBERS, WORDS, mixed
from refold.errors import MissingExtraError, ParameterError
from refold.export import to_onnx
from refold.network.onnx.graph import import_onnx_package
from refold.sequences import as_sequences

# Standard deviations.
TOLERANCE = 1e-5


def columns_of(session):
    return json.loads(session.get_modelmeta().custom_metadata_map["columns"])


def export_and_load(model, tmp_path, part, **options):
    """Export a part of a model, and load it."""
    path = tmp_path / f"{part}.onnx"
    to_onnx(model, path, part, **options)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session, **feeds):
    names = [entry.name for entry in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def make_feeds(sequences, session, num_padding=2):
    """Return the inputs of an encoder, with arbitrary values after the end of each sequence.

    Categories are indices.
    """
    columns, lengths = columns_of(session), sequences.lengths
    steps = np.full((len(lengths), lengths.max() + num_padding, len(columns)), 3.0)
    steps[np.arange(steps.shape[1]) < lengths[:, None]] = sequences.values
    feeds = {"lengths": lengths}
    for graph_input in session.get_inputs():
        name, is_float32 = graph_input.name, graph_input.type == "tensor(float)"
        array = steps[..., [column["tensor"] == name for column in columns]]
        if name == "values":
            feeds[name] = array.astype(np.float32 if is_float32 else np.float64)
        if name == "categories":
            feeds[name] = np.nan_to_num(array, nan=-1).astype(np.int64)
    return feeds


@pytest.mark.parametrize("case", ["mixed", "scaled by sequence", "far from 0"])
def test_padding_has_no_influence_and_lengths_are_predicted(case, tmp_path):
    data, options = MODEL_CASES[case]
    model = model_cases.fitted(data, **options)
    sequences = as_sequences(data).convert_to_schema(model.schema)
    codes = model.encode(sequences)
    encoder = export_and_load(model, tmp_path, "encoder", category_indices=True)
    results = run(encoder, **make_feeds(sequences, encoder))["codes"]
    assert np.abs(results - codes).max() < TOLERANCE * codes.std(axis=0).min()
    decoder = export_and_load(model, tmp_path, "decoder", category_indices=True)
    results = run(decoder, codes=codes, wanted_lengths=np.array([-1]))
    lengths = model.predict_lengths(codes)
    assert results["lengths"].tolist() == lengths.tolist()
    decoded = model.decode_to_sequences(codes, lengths)
    is_real = np.arange(lengths.max()) < lengths[:, None]
    for name in set(results) - {"lengths"}:
        is_column = [column["tensor"] == name for column in columns_of(decoder)]
        difference = results[name][is_real] - decoded.values[:, is_column]
        assert np.abs(difference / model.error_scaler.scale_[is_column]).max() < 1e-4
        padding = results[name][~is_real]
        assert np.isnan(padding).all() if name == "values" else (padding == -1).all()


@pytest.mark.parametrize(
    ("case", "recent_steps"), [("length dimension", 0), ("gaps", 4), ("mixed", 3)]
)
def test_forecasts_are_those_of_refold(case, recent_steps, tmp_path):
    data, options = MODEL_CASES[case]
    model = model_cases.fitted(data, forecast_steps=3, recent_steps=recent_steps, **options)
    for category_indices in (False, True):
        path = tmp_path / "forecaster.onnx"
        exported = to_onnx(model, path, "forecaster", category_indices=category_indices)
        assert exported.largest_difference < TOLERANCE
    metadata = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert (metadata["forecast_steps"], metadata["recent_steps"]) == ("3", str(recent_steps))


def test_empty_sequences(tmp_path):
    model = model_cases.fitted(mixed(), rocket_dim=1, patch=2)
    empty = model.encode([np.zeros((0, 6))])
    session = export_and_load(model, tmp_path, "encoder", category_indices=True)
    feeds = {"values": np.zeros((3, 1, 4)), "categories": np.zeros((3, 1, 2), np.int64)}
    codes = run(session, **feeds, lengths=np.zeros(3, np.int64))["codes"]
    np.testing.assert_allclose(codes, empty.repeat(3, axis=0), atol=TOLERANCE)
    session = export_and_load(model, tmp_path, "decoder")
    results = run(session, codes=empty, wanted_lengths=np.array([0]))
    assert results["lengths"].tolist() == [0]


def test_categories_are_exported(tmp_path):
    for data, missing in ((WORDS, "<missing>"), (IDS, -(2**63))):
        model = model_cases.fitted(data)
        codes = model.encode(data)
        session = export_and_load(model, tmp_path, "decoder")
        results = run(session, codes=codes, wanted_lengths=as_sequences(data).lengths)
        decoded = model.decode(codes, results["lengths"])
        for row, tokens in zip(results["categories"], decoded, strict=True):
            assert row[: len(tokens), 0].tolist() == list(tokens)
            assert (row[len(tokens) :] == missing).all()


def test_unknown_categories_and_markers_of_missing_values(tmp_path):
    model = model_cases.fitted(WORDS, observed_flags=True)
    session = export_and_load(model, tmp_path, "encoder")
    tokens = np.array([["a", "new", "<missing>"]], object)[..., None]
    codes = run(session, categories=tokens, lengths=np.array([3]))["codes"]
    with pytest.warns(UserWarning, match="treated as unknown"):
        expected = model.encode([["a", "new", None]])
    np.testing.assert_allclose(codes, expected, atol=TOLERANCE)
    model = model_cases.fitted([[1.5, 0.5, 2.5], [3.0]], missing=(-99.0,), observed_flags=True)
    session = export_and_load(model, tmp_path, "encoder")
    for marker in (-99, np.nan):
        values = np.array([[1.5, marker, 2.5]], np.float32)[..., None]
        codes = run(session, values=values, lengths=np.array([3]))["codes"]
        np.testing.assert_allclose(codes, model.encode([[1.5, np.nan, 2.5]]), atol=TOLERANCE)


def test_metadata_and_operators(tmp_path):
    fitted = model_cases.fitted(mixed(), rocket_dim=1)
    to_onnx(fitted, tmp_path / "encoder.onnx")
    model = onnx.load(tmp_path / "encoder.onnx")
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    assert len(metadata["refold_model"]) == 64
    columns = json.loads(metadata["columns"])
    assert [column["name"] for column in columns] == ["a", "word", "on", "b", "c", "code"]
    word = {"name": "word", "type": "categorical", "tensor": "categories", "index": 0}
    assert columns[1] == word | {"categories": ["x", "y", "z"]}
    assert (columns[3]["index"], columns[3]["mean"]) == (2, fitted.scaler.mean_[3])
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    assert opsets == {"": 18, "ai.onnx.ml": 3}
    assert {node.domain for node in model.graph.node} == set(opsets)


@pytest.mark.parametrize(
    ("changes", "part", "message"),
    [
        ({}, "middle", "part must be one of 'encoder', 'decoder', 'forecaster'. Got"),
        ({}, "forecaster", "This model was fitted to reconstruct.*Fit one with forecast_steps"),
        ({"architecture": "repeat"}, "encoder", "Only the default .* has .*architecture='repeat'"),
        ({"cell": "gru"}, "encoder", "Only the default model.* has .*cell='gru'"),
    ],
)
def test_bad_arguments_and_models_that_have_no_graph(changes, part, message, tmp_path):
    model = model_cases.fitted(NUMBERS)
    model.network.specification = replace(model.network.specification, **changes)
    with pytest.raises(ParameterError, match=message):
        to_onnx(model, tmp_path / "model.onnx", part)
    assert list(tmp_path.iterdir()) == []


def test_the_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    import_onnx_package.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[onnx\]'"):
        to_onnx(model_cases.fitted(NUMBERS), tmp_path / "model.onnx")
    import_onnx_package.cache_clear()
