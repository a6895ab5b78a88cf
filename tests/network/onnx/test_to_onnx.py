"""Exported files: forecasts, empty batches, categories, smaller weights, metadata, and errors."""

import json
import sys
from dataclasses import replace

import numpy as np
import onnx
import onnxruntime
import pytest

from network import kinds
from network.kinds import IDS, KINDS, NUMBERS, WORDS, mixed
from refold.errors import MissingExtraError, ParameterError
from refold.export import to_onnx
from refold.network.onnx.graph import package
from refold.sequences import Sequences, as_sequences

# Standard deviations.
CLOSE = 1e-5


def columns_of(session):
    return json.loads(session.get_modelmeta().custom_metadata_map["columns"])


def loaded(model, tmp_path, part, **options):
    """Export a part of a model, and load it."""
    path = tmp_path / f"{part}.onnx"
    to_onnx(model, path, part, **options)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(session, **feeds):
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(names, feeds), strict=True))


def padded(sequences, session, junk=2):
    """Return the inputs of an encoder, with arbitrary values after the end of each sequence."""
    columns, lengths = columns_of(session), sequences.lengths
    types = {one.name: one.type for one in session.get_inputs()}
    missing = session.get_modelmeta().custom_metadata_map["missing_category"]
    feeds = {"lengths": lengths}
    for name in ("values", "categories"):
        chosen = [i for i, column in enumerate(columns) if column["tensor"] == name]
        if not chosen:
            continue
        strings = types[name] == "tensor(string)"
        dtype = {"tensor(float)": np.float32, "tensor(string)": object, "tensor(int64)": np.int64}
        dtype = dtype.get(types[name], np.float64)
        made = np.full((len(lengths), lengths.max() + junk, len(chosen)), 3, dtype)
        if strings:
            made[:] = "junk"
        for row, (begin, n) in enumerate(zip(sequences.offsets, lengths, strict=False)):
            steps = sequences.values[begin : begin + n][:, chosen]
            if name == "categories":
                forms = [[*columns[i]["categories"], None] for i in chosen]
                steps = [
                    [
                        missing if np.isnan(value) else form[int(value)]
                        for value, form in zip(step, forms, strict=True)
                    ]
                    for step in steps
                ]
                steps = np.array(steps, object).reshape(n, len(chosen))
                steps = steps.astype(str) if strings else steps
            made[row, :n] = steps
        feeds[name] = made
    return feeds


def last_steps(sequences, session):
    """Return the last steps as inputs of a forecaster; missing values stand before the first."""
    columns = columns_of(session)
    steps = int(session.get_modelmeta().custom_metadata_map["recent_steps"])
    made = np.full((len(sequences), steps, len(columns)), np.nan)
    for row, values in enumerate(sequences[i].values for i in np.arange(len(sequences))[:, None]):
        count = min(steps, len(values))
        made[row, steps - count :] = values[len(values) - count :]
    feeds = {}
    for given in session.get_inputs():
        chosen = [
            i for i, column in enumerate(columns) if f"recent_{column['tensor']}" == given.name
        ]
        if given.name == "recent_values":
            dtype = np.float32 if given.type == "tensor(float)" else np.float64
            feeds[given.name] = made[:, :, chosen].astype(dtype)
        if given.name == "recent_categories":
            feeds[given.name] = np.nan_to_num(made[:, :, chosen], nan=-1).astype(np.int64)
    return feeds


@pytest.mark.parametrize(
    ("kind", "recent_steps"),
    [
        ("two layers", 0),  # as models of earlier versions
        ("two layers", 1),
        ("gaps", 4),
        ("words, autoregressive", 2),
        ("mixed", 3),
        ("patches, ROCKET", 7),
    ],
)
def test_forecasts_are_those_of_refold(kind, recent_steps, tmp_path):
    data, options = KINDS[kind]
    model = kinds.fitted(data, forecast_steps=3, recent_steps=recent_steps, **options)
    codes = model.encode(data)
    expected = model.forecast(data, context=99).sequences
    session = loaded(model, tmp_path, "forecaster", category_indices=True)
    assert session.get_modelmeta().custom_metadata_map["forecast_steps"] == "3"
    recent = last_steps(as_sequences(data).align(model.schema), session)
    found = run(session, codes=codes, **recent)
    assert found["lengths"].tolist() == [3] * len(codes)
    packed = loaded(model, tmp_path, "forecaster", category_indices=True, packed=True)
    flat = run(packed, codes=codes, **{name: steps.ravel() for name, steps in recent.items()})
    tensors = [column["tensor"] for column in columns_of(session)]
    for name in set(tensors):
        columns = [one == name for one in tensors]
        away = found[name].reshape(-1, sum(columns)) - expected.values[:, columns]
        assert np.abs(away / model.error_scaler.scale_[columns]).max() < CLOSE
        assert (flat[name] == found[name].ravel()).all()
    nothing = {name: steps[:0] for name, steps in recent.items()}
    found = run(session, codes=codes[:0], **nothing)
    assert [len(tensor) for tensor in found.values()] == [0] * len(found)


def test_batches_without_sequences_or_steps(tmp_path):
    model = kinds.fitted(mixed(), rocket_dim=1, patch=2)
    empty = model.encode([np.zeros((0, 6))])
    session = loaded(model, tmp_path, "encoder", category_indices=True)
    shapes = {"values": 4, "categories": 2}
    for n, steps in ((3, 0), (0, 0), (0, 4)):
        feeds = {name: np.zeros((n, steps, k)) for name, k in shapes.items()}
        feeds["categories"] = feeds["categories"].astype(np.int64)
        codes = run(session, **feeds, lengths=np.zeros(n, np.int64))["codes"]
        np.testing.assert_allclose(codes, empty.repeat(n, axis=0), atol=CLOSE)
    flat = loaded(model, tmp_path, "encoder", category_indices=True, packed=True)
    nothing = {"values": np.zeros(0), "categories": np.zeros(0, np.int64)}
    for n in (0, 2):
        codes = run(flat, **nothing, counts=np.zeros(n, np.int32))["codes"]
        np.testing.assert_allclose(codes, empty.repeat(n, axis=0), atol=CLOSE)
    session = loaded(model, tmp_path, "decoder")
    found = run(session, codes=empty, wanted_lengths=np.array([0]))
    assert found["lengths"].tolist() == [0]
    found = run(session, codes=empty[:0], wanted_lengths=np.array([-1]))
    assert [len(tensor) for tensor in found.values()] == [0, 0, 0]


def test_categories_are_exported(tmp_path):
    for data, missing in ((WORDS, "<missing>"), (IDS, -(2**63))):
        model = kinds.fitted(data)
        codes = model.encode(data)
        session = loaded(model, tmp_path, "decoder")
        found = run(session, codes=codes, wanted_lengths=as_sequences(data).lengths)
        for row, n, tokens in zip(
            found["categories"],
            found["lengths"],
            model.decode(codes, found["lengths"]),
            strict=True,
        ):
            assert row[:n, 0].tolist() == list(tokens)
            assert (row[n:] == missing).all()


def test_a_category_that_was_not_in_training_is_unknown(tmp_path):
    model = kinds.fitted(WORDS, observed_flags=True)
    session = loaded(model, tmp_path, "encoder")
    tokens = np.array([["a", "new", "<missing>"]], object)[..., None]
    codes = run(session, categories=tokens, lengths=np.array([3]))["codes"]
    with pytest.warns(UserWarning, match="treated as unknown"):
        expected = model.encode([["a", "new", None]])
    np.testing.assert_allclose(codes, expected, atol=CLOSE)


def test_markers_of_missing_values(tmp_path):
    data = as_sequences([[1.5, 0.5, 2.5], [3.0]])
    model = kinds.fitted(
        Sequences(data.values, data.offsets, schema=data.schema),
        missing=(-99.0,),
        observed_flags=True,
    )
    session = loaded(model, tmp_path, "encoder")
    for marker in (-99, np.nan):
        values = np.array([[1.5, marker, 2.5]], np.float32)[..., None]
        codes = run(session, values=values, lengths=np.array([3]))["codes"]
        np.testing.assert_allclose(codes, model.encode([[1.5, np.nan, 2.5]]), atol=CLOSE)


@pytest.mark.parametrize("weights", ["float16", "int8"])
def test_errors_of_smaller_weights_are_below_a_hundredth(weights, tmp_path):
    model = kinds.fitted(NUMBERS, length_dim=1, by_length=True, units=32)
    codes = model.encode(NUMBERS)
    whole = to_onnx(model, tmp_path / "whole.onnx")
    exported = to_onnx(model, tmp_path / "small.onnx", weights=weights)
    assert exported.num_bytes < 0.75 * whole.num_bytes
    assert set(exported.stored.values()) == {weights}
    session = onnxruntime.InferenceSession(tmp_path / "small.onnx")
    away = run(session, **padded(as_sequences(NUMBERS), session))["codes"] - codes
    assert 1e-5 < np.sqrt(np.mean((away / codes.std(axis=0)) ** 2)) < 0.01


def test_weights_that_would_err_too_much_take_more_bits(tmp_path):
    exported = to_onnx(kinds.fitted(WORDS, units=32), tmp_path / "small.onnx", weights="int8")
    assert set(exported.stored.values()) == {"int8", "float16"}


def test_metadata_and_operators(tmp_path):
    fitted = kinds.fitted(mixed(), rocket_dim=1)
    to_onnx(fitted, tmp_path / "encoder.onnx")
    model = onnx.load(tmp_path / "encoder.onnx")
    about = {one.key: one.value for one in model.metadata_props}
    assert len(about["refold_model"]) == 64
    columns = json.loads(about["columns"])
    assert [column["name"] for column in columns] == ["a", "word", "on", "b", "c", "code"]
    assert columns[1] == {
        "name": "word",
        "type": "categorical",
        "tensor": "categories",
        "index": 0,
        "categories": ["x", "y", "z"],
    }
    assert columns[3]["index"] == 2
    assert columns[3]["mean"] == fitted.scaler.mean_[3]
    assert {one.domain: one.version for one in model.opset_import} == {"": 18, "ai.onnx.ml": 3}
    assert [node.op_type for node in model.graph.node].count("LSTM") == 1
    assert {node.domain for node in model.graph.node} == {"", "ai.onnx.ml"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"part": "middle"},
            "part must be one of 'encoder', 'decoder', 'forecaster'. Got 'middle'",
        ),
        ({"part": "forecaster"}, "This model was fitted to reconstruct.*Fit one with forecast_st"),
        ({"weights": "int4"}, "weights must be one of 'float32', 'float16', 'int8'. Got 'int4'"),
        ({"opset": 17}, "opset must be an integer from 18 to .*Got 17"),
        ({"opset": 10**6}, "opset must be an integer from 18 to .*Got 1000000"),
    ],
)
def test_bad_arguments(options, message, tmp_path):
    with pytest.raises(ParameterError, match=message):
        to_onnx(kinds.fitted(NUMBERS), tmp_path / "model.onnx", **options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"architecture": "repeat"}, "architecture='repeat'"),
        ({"architecture": "custom"}, "architecture='custom'"),
        ({"decoder": "pointwise"}, "decoder='pointwise'"),
    ],
)
def test_models_that_have_no_graph(changes, said, tmp_path):
    model = kinds.fitted(NUMBERS)
    network = model.network
    network.specification = replace(network.specification, **changes)
    with pytest.raises(ParameterError, match=f"A model with {said} cannot be exported"):
        to_onnx(model, tmp_path / "model.onnx")


def test_a_runtime_without_the_opset(monkeypatch, tmp_path):
    def refuse(*_, **__):
        raise RuntimeError("ONNX Runtime only *guarantees* support up to opset 15\nSee the page")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    said = r"cannot load a graph with opset 18: ONNX Runtime only .* opset 15$"
    with pytest.raises(ParameterError, match=said):
        to_onnx(kinds.fitted(NUMBERS), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_missing_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "onnx_ir", None)
    package.cache_clear()
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[onnx\]'"):
        to_onnx(kinds.fitted(NUMBERS), tmp_path / "model.onnx")
    package.cache_clear()
