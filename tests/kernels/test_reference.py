"""The NumPy reference agrees with finite differences and with Keras's layer."""

import itertools

import keras
import numpy as np
import pytest

from kernels import reference

NAMES = ("tanh", "sigmoid", "relu", "linear")
PAIRS = [*itertools.product(NAMES, NAMES)]
B, T, F, H = 3, 4, 2, 3
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 0, 0]], bool)


def arguments(seed=0):
    rng = np.random.default_rng(seed)
    shapes = [(B, T, F), (F, 4 * H), (H, 4 * H), (4 * H,), (B, H), (B, H)]
    return [rng.normal(size=shape) * 0.5 for shape in shapes]


def cotangents(seed=1):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(B, T, H)), rng.normal(size=(B, H)), rng.normal(size=(B, H))


def loss(given, mask, weights, **options):
    results = reference.lstm(*given, mask, **options)
    pairs = zip(results, weights, strict=True)
    return sum((result * weight).sum() for result, weight in pairs if weight is not None)


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize(("activation", "recurrent_activation"), PAIRS)
def test_gradients_are_finite_differences(activation, recurrent_activation, mask, go_backwards):
    options = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "go_backwards": go_backwards,
    }
    given, weights = arguments(), cotangents()
    found = reference.gradients(*given, mask, cotangents=weights, **options)
    for array, gradient in zip(given, found, strict=True):
        assert gradient.shape == array.shape
        by_hand = np.zeros_like(array)
        for index in np.ndindex(*array.shape):
            kept, values = array[index], []
            for change in (1e-6, -1e-6):
                array[index] = kept + change
                values.append(loss(given, mask, weights, **options))
            array[index] = kept
            by_hand[index] = (values[0] - values[1]) / 2e-6
        np.testing.assert_allclose(gradient, by_hand, atol=1e-7 * max(1, abs(by_hand).max()))


def test_gradients_without_a_cotangent_of_outputs():
    given, (outputs, h, c) = arguments(), cotangents()
    found = reference.gradients(*given, MASK, cotangents=(None, h, c))
    zeros = reference.gradients(*given, MASK, cotangents=(np.zeros_like(outputs), h, c))
    for a, b in zip(found, zeros, strict=True):
        np.testing.assert_array_equal(a, b)
    assert reference.lstm(*given, return_sequences=False)[0] is None


@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("mask", [None, MASK], ids=["full", "masked"])
@pytest.mark.parametrize(("activation", "recurrent_activation"), PAIRS)
def test_outputs_are_those_of_keras(activation, recurrent_activation, mask, go_backwards):
    options = {
        "activation": activation,
        "recurrent_activation": recurrent_activation,
        "go_backwards": go_backwards,
        "return_sequences": True,
    }
    x, *weights, h, c = arguments()
    layer = keras.layers.LSTM(H, return_state=True, **options)
    layer.build(x.shape)
    layer.set_weights(weights)
    states = [h.astype("float32"), c.astype("float32")]
    theirs = layer(x.astype("float32"), initial_state=states, mask=mask)
    for a, b in zip(reference.lstm(x, *weights, h, c, mask, **options), theirs, strict=True):
        np.testing.assert_allclose(a, np.asarray(b), atol=1e-6 * max(1, abs(a).max()))


def test_masked_steps_are_not_read():
    given, weights = arguments(), cotangents()
    expected = reference.lstm(*given, MASK)
    expected_gradients = reference.gradients(*given, MASK, cotangents=weights)
    given[0][~MASK] = np.nan
    for a, b in zip(reference.lstm(*given, MASK), expected, strict=True):
        np.testing.assert_array_equal(a, b)
    found = reference.gradients(*given, MASK, cotangents=weights)
    for a, b in zip(found, expected_gradients, strict=True):
        np.testing.assert_array_equal(a, b)


def test_no_steps_do_not_change_the_state():
    x, *weights, h, c = arguments()
    outputs, last_h, last_c = reference.lstm(x[:, :0], *weights, h, c)
    assert outputs.shape == (B, 0, H)
    np.testing.assert_array_equal(last_h, h)
    np.testing.assert_array_equal(last_c, c)
