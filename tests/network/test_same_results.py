"""Keras, ONNX and the decoder of an exported page compute what packed rows do, for all models."""

from dataclasses import replace

import numpy as np
import pytest

from explore.test_exported_page import load_atlas, page
from network.model_cases import MODEL_CASES, fitted
from refold.explore import Atlas
from refold.export import to_onnx
from refold.network.keras.build import to_keras_network
from refold.network.packed.network import PackedNetwork
from refold.sequences import Sequences, as_sequences

__all__ = ["page"]
# Cases that together use all parts of the model. Keras compiles a case for seconds, so tests of the
# other cases are marked as slow.
FAST_CASES = ("patches, ROCKET", "mixed, autoregressive", "counts, scaled by sequence")
DECODE_IN_PAGE = """codes => codes.map((code) => {
    const whole = Float32Array.from(code);
    return atlas.model.toLists(atlas.model.decode(whole, atlas.model.lengthOf(whole)));
})"""


@pytest.mark.parametrize(
    "case",
    [pytest.param(k, marks=[] if k in FAST_CASES else pytest.mark.slow, id=k) for k in MODEL_CASES],
)
def test_keras(case):
    forecasts = MODEL_CASES[case][1].get("scale") != "sequence"  # which cannot be forecast
    steps = {"forecast_steps": 3, "recent_steps": 2} if forecasts else {}
    model, sequences = make_case(case, **steps)
    network = PackedNetwork(model.specification, model.network.weights)
    keras = replace(model, network=to_keras_network(network))
    codes = model.encode(sequences)
    check_codes(keras.encode(sequences), codes)
    # tests/network/packed compares autoregressive decoding
    if not network.autoregressive:
        check_decoded_finite(keras.decode(codes), model, codes)
    if forecasts:
        forecast, expected = (m.forecast(sequences).sequences for m in (keras, model))
        assert np.abs((forecast.values - expected.values) / model.error_scaler.scale_).max() < 1e-4


@pytest.mark.parametrize("case", MODEL_CASES)
def test_onnx(case, tmp_path):
    model, _ = make_case(case)
    for part in ("encoder", "decoder"):
        exported = to_onnx(
            model, tmp_path / "model.onnx", part, category_indices=case in FAST_CASES
        )
        assert exported.largest_difference < 1e-4


@pytest.mark.parametrize("case", MODEL_CASES)
def test_page(case, page):
    model, sequences = make_case(case)
    codes = model.encode(sequences)
    load_atlas(page, Atlas(model, sequences))
    columns = page.evaluate(DECODE_IN_PAGE, codes.tolist())
    schema = model.schema
    names = [column.name for column in schema.columns]
    types = {column.name: column.type for column in schema.columns}
    rows = [list(zip(*columns_of_sequence, strict=True)) for columns_of_sequence in columns]
    decoded = Sequences.from_list(rows, names=names, column_types=types)
    # a page writes no sequence that is longer than its longest
    lengths = np.minimum(model.predict_lengths(codes), sequences.lengths.max())
    check_decoded_finite(decoded, model, codes, lengths)


def make_case(case, **changes):
    data, options = MODEL_CASES[case]
    model = fitted(data, **options | changes)
    return model, as_sequences(data).convert_to_schema(model.schema)


def check_codes(codes, expected):
    assert np.abs(codes - expected).max() < 1e-5 * expected.std(axis=0).min()


def check_decoded_finite(decoded, model, codes, lengths=None):
    """Compare decoded sequences, of predicted lengths by default, with those of packed rows."""
    decoded = as_sequences(decoded).convert_to_schema(model.schema)
    lengths = model.predict_lengths(codes) if lengths is None else lengths
    expected = model.decode_to_sequences(codes, lengths)
    assert decoded.lengths.tolist() == expected.lengths.tolist()
    difference = (decoded.values - expected.values) / model.error_scaler.scale_
    assert np.abs(difference).max() < 1e-4
