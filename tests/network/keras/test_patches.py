"""Patches: steps are grouped for the LSTMs and separated again afterwards."""

import keras
import numpy as np
import pytest

from refold.layers import ColumnHead, FoldSteps, PaddingMask, RealSteps, StatePooling
from refold.network.keras.patches import num_patches


def normal(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def test_steps_are_folded_in_order_with_the_share_of_real_steps():
    x = normal(2, 7, 2)
    folded = np.asarray(FoldSteps(3)(x))
    assert folded.shape == (2, 3, 7)
    assert np.array_equal(folded[:, 1, :6], x[:, 3:6].reshape(2, 6))
    assert np.array_equal(folded[:, 2, :2], x[:, 6])
    assert not folded[:, 2, 2:6].any()
    assert np.allclose(folded[:, :, 6], [1, 1, 1 / 3])


@pytest.mark.parametrize("padding", range(6))
def test_padding_with_any_values_is_folded_to_zeros(padding):
    x = normal(1, 4 + padding, 2)
    real = np.arange(4 + padding) < 4
    folded = np.asarray(FoldSteps(3)(x, mask=real[None]))
    assert np.array_equal(folded[:, :2], np.asarray(FoldSteps(3)(x[:, :4])))
    assert not folded[:, 2:].any()


def test_a_patch_is_real_if_its_first_step_is():
    x = normal(3, 7, 1)
    x[0, 4:], x[1, 3:], x[2] = np.nan, np.nan, np.nan
    wanted = [[True, True, False], [True, False, False], [False] * 3]
    assert np.asarray(RealSteps(patch=3)(x)).tolist() == wanted
    mask = FoldSteps(3).compute_mask(x, PaddingMask().compute_mask(x))
    assert np.asarray(mask).tolist() == wanted


def test_a_patch_that_begins_with_a_gap_is_real():
    x = normal(1, 6, 1)
    x[0, 3] = np.nan
    assert np.asarray(RealSteps(patch=3)(x)).tolist() == [[True, True]]


def test_pooling_counts_steps_and_averages_patches():
    states = normal(2, 3, 4)
    real = np.arange(8) < np.array([[5], [0]])
    pooled = np.asarray(StatePooling(8, patch=3)(states, real_steps=real))
    assert np.allclose(pooled[0, 4:8], states[0, :2].mean(axis=0), atol=1e-6)
    assert np.array_equal(pooled[0, :2], states[0, 1, :2])
    assert np.allclose(pooled[0, 12:], [0, 5 / 8, np.log(6) / np.log(9)])
    assert pooled[1, 12:].tolist() == [1, 0, 0]


def test_each_step_of_a_patch_has_its_own_head():
    head = ColumnHead(["numeric", "categorical"], [0, 3], patch=3, max_steps=5)
    x = normal(2, 2, 6)
    y, patches = np.asarray(head(x)), np.asarray(head.dense(x))
    assert y.shape == head.compute_output_shape(x.shape) == (2, 5, 4)
    logits = patches.reshape(2, 6, 4)[:, :5]
    assert np.array_equal(y[..., 0], logits[..., 0])
    shares = np.exp(logits[..., 1:])
    assert np.allclose(y[..., 1:], shares / shares.sum(-1, keepdims=True), atol=1e-6)
    assert np.array_equal(np.asarray(head(x, like=normal(2, 4, 1))), y[:, :4])


def test_the_head_adds_patches_to_steps():
    head = ColumnHead(["numeric"] * 2, patch=3, max_steps=5)
    x, beside = normal(2, 2, 6), normal(2, 5, 2)
    y = np.asarray(head(x, beside))
    head.scale.assign([0.5, 0.0])
    scaled = np.asarray(head(x, beside))
    assert np.allclose(scaled[..., 0], (y + beside)[..., 0] / 2, atol=1e-6)
    assert np.array_equal(scaled[..., 1], beside[..., 1])


@pytest.mark.parametrize(
    "layer",
    [FoldSteps(3), RealSteps(3), StatePooling(5, 3), ColumnHead(["binary"], patch=3, max_steps=4)],
    ids=lambda layer: type(layer).__name__,
)
def test_layers_for_patches_can_be_copied(layer):
    config = keras.saving.serialize_keras_object(layer)
    again = keras.saving.deserialize_keras_object(config)
    assert again.patch == 3
    assert again.get_config() == layer.get_config()


def test_the_last_patch_can_be_incomplete():
    assert [num_patches(steps, 4) for steps in (0, 1, 4, 5)] == [0, 1, 1, 2]
