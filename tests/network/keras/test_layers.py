"""The results of each layer."""

import keras
import numpy as np
import pytest

from refold.layers import (
    LSTM,
    ColumnEncoding,
    ColumnHead,
    FitSteps,
    LengthHead,
    PaddingMask,
    RepeatCode,
    StatePooling,
)

NAN = np.nan


def rng():
    return np.random.default_rng(0)


def normal(*shape):
    return rng().normal(size=shape).astype("float32")


def test_only_trailing_missing_steps_are_padding():
    x = np.array(
        [
            [[1, 2], [NAN, 3], [NAN, NAN]],  # a missing entry is not padding
            [[NAN, NAN], [0, 0], [0, 0]],  # neither is a leading step, nor zeros
            [[NAN, NAN], [NAN, NAN], [NAN, NAN]],
        ],
        "float32",
    )
    layer = PaddingMask()
    mask = np.asarray(layer.compute_mask(x))
    assert mask.tolist() == [[True, True, False], [True, True, True], [False, False, False]]
    assert np.array_equal(np.asarray(layer(x)), np.nan_to_num(x))


def test_pooling_by_hand():
    states = normal(3, 5, 4)
    mask = np.array([[1, 1, 1, 0, 0], [0, 0, 0, 0, 0], [1, 1, 1, 1, 1]], bool)
    pooled = np.asarray(StatePooling(max_steps=5)(states, mask=mask))
    assert np.allclose(pooled[0, :2], states[0, 2, :2])
    assert np.allclose(pooled[0, 2:4], states[0, 0, 2:])
    assert np.allclose(pooled[0, 4:8], states[0, :3].mean(axis=0), atol=1e-6)
    assert np.allclose(pooled[0, 8:12], states[0, :3].max(axis=0))
    assert np.allclose(pooled[0, 12:], [0, 3 / 5, np.log(4) / np.log(6)])
    assert not pooled[1, :12].any()
    assert pooled[1, 12:].tolist() == [1, 0, 0]
    assert np.allclose(pooled[2, 4:8], states[2].mean(axis=0), atol=1e-6)


def test_position_features_differ_at_every_step():
    y = np.asarray(RepeatCode(max_steps=500)(normal(1, 3)))[0]
    position = y[:, 3:]
    distances = np.linalg.norm(position[:, None] - position[None], axis=-1)
    assert (distances + np.eye(500)).min() > 0.05
    assert np.ptp(y[:, :3], axis=0).max() == 0


def test_position_features_do_not_depend_on_the_number_of_steps():
    layer, code = RepeatCode(max_steps=6), normal(2, 3)
    whole = np.asarray(layer(code))
    shorter = np.asarray(layer(code, like=np.zeros((2, 4, 1))))
    longer = np.asarray(layer(code, like=np.zeros((2, 9, 1))))
    assert np.array_equal(shorter, whole[:, :4])
    assert np.array_equal(longer[:, :6], whole)


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_steps_are_cut_or_filled(steps):
    x = normal(2, 5, 3)
    y = np.asarray(FitSteps()(x, like=np.zeros((2, steps, 1))))
    assert y.shape == (2, steps, 3)
    assert np.array_equal(y[:, :5], x[:, :steps])
    assert not y[:, 5:].any()


def test_steps_are_fitted_in_a_graph_of_unknown_length():
    x, like = keras.Input((None, 3)), keras.Input((None, 1))
    model = keras.Model([x, like], FitSteps()(x, like=like))
    for steps in (3, 5, 8):
        given = normal(2, 5, 3)
        y = model.predict([given, np.zeros((2, steps, 1))], verbose=0)
        assert y.shape == (2, steps, 3)
        assert np.array_equal(y[:, :5], given[:, :steps])


def test_categories_become_one_hot_and_unknown_ones_zeros():
    x = np.array([[[0.5, 2, 1], [0.1, 3, 0], [0.2, 0, 1]]], "float32")
    y = np.asarray(ColumnEncoding([0, 3])(x))[0]
    assert np.allclose(y, [[0.5, 0, 0, 1, 1], [0.1, 0, 0, 0, 0], [0.2, 1, 0, 0, 1]])


def test_the_head_for_each_column_type():
    head = ColumnHead(["binary", "categorical", "numeric"], [0, 3, 0])
    x = normal(2, 4, 6)
    y = np.asarray(head(x))
    z = np.asarray(head.dense(x))
    assert np.allclose(y[..., 0], 1 / (1 + np.exp(-z[..., 0])), atol=1e-6)
    exponentials = np.exp(z[..., 1:4])
    assert np.allclose(y[..., 1:4], exponentials / exponentials.sum(-1, keepdims=True), atol=1e-6)
    assert np.array_equal(y[..., 4], z[..., 4])


def test_the_head_for_numeric_and_binary_columns():
    head = ColumnHead(["numeric", "binary"])
    x = normal(2, 4, 6)
    y, z = np.asarray(head(x)), np.asarray(head.dense(x))
    assert np.array_equal(y[..., 0], z[..., 0])
    assert np.allclose(y[..., 1], 1 / (1 + np.exp(-z[..., 1])), atol=1e-6)


def test_the_length_layer_starts_with_the_training_lengths():
    y = np.asarray(LengthHead(mean=12.0, deviation=4.0)(normal(5, 3)))
    assert np.allclose(y[:, 0], 12.0)
    assert np.allclose(np.exp(y[:, 1]) * np.pi / np.sqrt(3), 4.0, rtol=0.01)


@pytest.mark.parametrize(
    "layer",
    [
        PaddingMask(),
        StatePooling(5),
        RepeatCode(5),
        ColumnEncoding([0, 3]),
        ColumnHead(["numeric", "categorical"], [0, 3]),
        LengthHead(3.0, 1.0),
        LSTM(4, return_sequences=True),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_can_be_copied_from_their_configuration(layer):
    x = normal(2, 4, 2) if not isinstance(layer, RepeatCode | LengthHead) else normal(2, 3)
    y = np.asarray(layer(x))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    again(x)
    again.set_weights(layer.get_weights())
    assert np.array_equal(np.asarray(again(x)), y)
    assert tuple(layer.compute_output_shape(x.shape)) == y.shape
