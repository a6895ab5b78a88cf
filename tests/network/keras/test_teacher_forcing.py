"""The input of an autoregressive decoder from previous steps."""

import jax
import numpy as np
import pytest

from refold.layers import TeacherForcing

NAN = np.nan


def test_each_step_gets_the_previous_one():
    steps = np.array([[[0.5, 2], [-1, 0], [NAN, 1], [3, 3], [7, 0]]], "float32")
    previous = np.asarray(TeacherForcing([0, 3])(steps))[0]
    assert previous.tolist() == [
        [0, 0, 0, 0, 0],  # no step before the first
        [0.5, 0, 0, 1, 1],
        [-1, 1, 0, 0, 1],
        [0, 0, 1, 0, 1],  # a missing value
        [3, 0, 0, 0, 1],  # an unknown category
    ]


def test_padding_and_flags_are_not_read():
    steps = np.array([[[1.0], [NAN], [NAN]], [[NAN], [NAN], [NAN]]], "float32")
    layer = TeacherForcing([0])
    previous = np.asarray(layer(steps))
    assert previous.tolist() == [[[0, 0], [1, 1], [0, 0]], [[0, 0]] * 3]
    flags = np.ones_like(steps)
    assert np.array_equal(layer(np.concatenate([steps, flags], axis=-1)), previous)


def test_only_previous_steps_are_given():
    steps = np.random.default_rng(0).normal(size=(1, 6, 2)).astype("float32")
    layer = TeacherForcing([0, 0])
    slope = jax.jacobian(lambda x: layer(x)[0, :, :2].sum(axis=-1))(steps)[:, 0].sum(axis=-1)
    assert np.array_equal(np.asarray(slope) != 0, np.eye(6, k=-1, dtype=bool))


@pytest.mark.parametrize("rate", [0.0, 0.3, 1.0])
def test_whole_steps_are_dropped_and_only_in_training(rate):
    steps = np.ones((200, 51, 2), "float32")
    layer = TeacherForcing([0, 0], rate, seed=1)
    assert np.asarray(layer(steps))[:, 1:].min() == 1
    previous = np.asarray(layer(steps, training=True))[:, 1:]
    assert set(np.unique(previous.sum(axis=-1))) <= {0.0, 3.0}
    assert (previous == 0).mean() == pytest.approx(rate, abs=0.02)
    again = np.asarray(layer(steps, training=True))[:, 1:]
    assert np.array_equal(previous, again) == (rate in {0.0, 1.0})
