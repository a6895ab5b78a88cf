"""The linear path: sums by hand, masks, and steps without weights."""

import keras
import numpy as np
import pytest

from refold.layers import ColumnHead, LinearDecoding, LinearEncoding

RNG = np.random.default_rng(0)


def randomised(layer, *inputs):
    """Build a layer and set random weights."""
    layer(*inputs)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return layer


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_encoding_by_hand(steps):
    x, beside = floats(3, steps, 2), floats(3, 5)
    layer = randomised(LinearEncoding(5, num_steps=4), x, beside)
    weights = np.array(layer.start) + float(layer.unit) * np.array(layer.change)
    expected = np.array(layer.bias) + float(layer.scale) * beside
    for step in range(min(steps, 4)):
        expected = expected + x[:, step] @ weights[step]
    np.testing.assert_allclose(layer(x, beside), expected, atol=1e-5)


def test_masked_steps_add_nothing():
    x, beside = floats(2, 4, 3), np.zeros((2, 5), "float32")
    layer = randomised(LinearEncoding(5, num_steps=4), x, beside)
    mask = np.array([[True, True, False, False], [False] * 4])
    short = layer(x[:1, :2], beside[:1])
    np.testing.assert_allclose(layer(x, beside, inputs_mask=mask)[:1], short, atol=1e-6)
    np.testing.assert_allclose(layer(x, beside, inputs_mask=mask)[1], layer.bias, atol=1e-6)


@pytest.mark.parametrize("steps", [None, 2, 4, 9])
def test_decoding_by_hand(steps):
    code = floats(3, 5)
    layer = randomised(LinearDecoding(2, num_steps=4, max_steps=6), code)
    like = None if steps is None else floats(3, steps, 1)
    y = np.asarray(layer(code) if like is None else layer(code, like=like))
    assert y.shape == (3, steps or 6, 2)
    weights = np.array(layer.start) + float(layer.unit) * np.array(layer.change)
    for step in range(y.shape[1]):
        expected = 0.0
        if step < 4:
            expected = np.tensordot(code, weights[:, step], 1) + np.array(layer.bias)[step]
        np.testing.assert_allclose(y[:, step], np.broadcast_to(expected, (3, 2)), atol=1e-5)


def test_in_a_graph_of_unknown_length():
    x, code = keras.Input((None, 2)), keras.Input((3,))
    encoded = LinearEncoding(3, num_steps=4)(x, code)
    decoded = LinearDecoding(2, num_steps=4, max_steps=6)(code, like=x)
    assert encoded.shape == (None, 3)
    assert decoded.shape == (None, None, 2)
    model = keras.Model([x, code], [encoded, decoded])
    for steps in (3, 4, 7):
        first, second = model([floats(2, steps, 2), floats(2, 3)])
        assert first.shape == (2, 3)
        assert second.shape == (2, steps, 2)


def test_a_head_adds_the_linear_path_before_the_activation():
    column_types, inputs, beside = ["numeric", "binary"], floats(2, 3, 4), floats(2, 3, 2)
    head = ColumnHead(column_types)
    randomised(head, inputs, beside)
    logits = beside + np.array(head.scale) * np.asarray(head.dense(inputs))
    y = np.asarray(head(inputs, beside))
    np.testing.assert_allclose(y[..., 0], logits[..., 0], atol=1e-5)
    np.testing.assert_allclose(y[..., 1], 1 / (1 + np.exp(-logits[..., 1])), atol=1e-5)
    assert len(ColumnHead(column_types).weights) == 0
    alone = ColumnHead(column_types)
    alone(inputs)
    assert len(alone.weights) == 2, "nothing beside it, no scale"
