"""Keras, ONNX and the decoder of an exported page compute what packed rows do, for all models."""

from dataclasses import replace

import numpy as np
import onnxruntime
import pytest

from explore.test_exported_models import opened
from network.kinds import KINDS, fitted
from network.onnx.test_to_onnx import columns_of, padded, run
from refold.explore import Atlas
from refold.export import to_onnx
from refold.network.keras.network import KerasNetwork, keras_models
from refold.network.packed.network import PackedNetwork
from refold.sequences import Sequences, as_sequences

# Kinds that together use every part. Keras compiles for seconds, so others are slow there.
FEW = ("patches, ROCKET", "mixed, autoregressive", "counts, scaled by sequence")
IN_PAGE = """codes => codes.map((code) => {
    const whole = Float32Array.from(code);
    return atlas.model.lists(atlas.model.decode(whole, atlas.model.lengthOf(whole)));
})"""


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    "kind", [pytest.param(k, marks=[] if k in FEW else pytest.mark.slow, id=k) for k in KINDS]
)
def test_keras(kind):
    model, sequences = of_kind(kind)
    network = PackedNetwork(model.specification, model.network.weights)
    keras = replace(model, network=KerasNetwork(keras_models(network)))
    codes = model.encode(sequences)
    check_codes(keras.encode(sequences), codes)
    check_decoded(keras.decode(codes), model, codes)


@pytest.mark.parametrize("kind", KINDS)
def test_onnx(kind, tmp_path):
    model, sequences = of_kind(kind)
    sessions = {}
    for part in ("encoder", "decoder"):
        to_onnx(model, tmp_path / part, part, category_indices=part == "decoder")
        sessions[part] = onnxruntime.InferenceSession(tmp_path / part)
    codes = model.encode(sequences)
    check_codes(run(sessions["encoder"], **padded(sequences, sessions["encoder"]))["codes"], codes)
    decoded = run(sessions["decoder"], codes=codes, wanted_lengths=np.array([-1]))
    lengths = decoded["lengths"]
    real = np.arange(lengths.max()) < lengths[:, None]
    tensors = [column["tensor"] for column in columns_of(sessions["decoder"])]
    values = np.empty((real.sum(), len(tensors)))
    for name in set(tensors):
        values[:, [one == name for one in tensors]] = decoded[name][real]
    offsets = np.append(0, np.cumsum(lengths))
    check_decoded(Sequences(values, offsets, schema=model.schema), model, codes)


@pytest.mark.parametrize("kind", KINDS)
def test_page(kind, page):
    model, sequences = of_kind(kind)
    codes = model.encode(sequences)
    opened(page, Atlas(model, sequences))
    columns = page.evaluate(IN_PAGE, codes.tolist())
    schema = model.schema
    names = [column.name for column in schema.columns]
    types = {column.name: column.type for column in schema.columns}
    rows = [list(zip(*one, strict=True)) for one in columns]
    decoded = Sequences.from_list(rows, names=names, column_types=types)
    # a page writes no sequence that is longer than its longest
    check_decoded(decoded, model, codes, longest=sequences.lengths.max())


def of_kind(kind):
    data, options = KINDS[kind]
    model = fitted(data, **options)
    return model, as_sequences(data).align(model.schema)


def check_codes(codes, expected):
    assert np.abs(codes - expected).max() < 1e-5 * expected.std(axis=0).min()


def check_decoded(decoded, model, codes, longest=99):
    """Compare decoded sequences, of predicted lengths, with those of packed rows."""
    decoded = as_sequences(decoded).align(model.schema)
    expected = model.to_sequences(codes, np.minimum(model.predict_lengths(codes), longest))
    assert decoded.lengths.tolist() == expected.lengths.tolist()
    away = (decoded.values - expected.values) / model.error_scaler.scale_
    assert np.abs(away).max() < 1e-4
