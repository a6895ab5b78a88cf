"""The results of each layer, by hand, and layers that are saved and loaded."""

import jax
import keras
import numpy as np
import pytest

from refold import layers
from refold.layers import (
    ColumnEncoding,
    ColumnHead,
    FitSteps,
    FixedMap,
    FoldSteps,
    LengthDecoding,
    LengthEncoding,
    LengthHead,
    LinearDecoding,
    LinearEncoding,
    PaddingMask,
    PooledConvolutions,
    RealSteps,
    RepeatCode,
    StatePooling,
    TeacherForcing,
)

NAN = np.nan
RNG = np.random.default_rng(0)


def normal(*shape):
    return RNG.normal(size=shape).astype("float32")


def randomized(layer, *inputs):
    """Build a layer and set random weights."""
    layer(*inputs)
    for weight in layer.weights:
        weight.assign(RNG.normal(size=weight.shape))
    return layer


def softmax(logits):
    return np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)


def sigmoid(logits):
    return 1 / (1 + np.exp(-logits))


# Masks and numbers of steps


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


@pytest.mark.parametrize("steps", [3, 5, 8])
def test_steps_are_cut_or_filled(steps):
    like, x = keras.Input((None, 1)), keras.Input((None, 3))
    model = keras.Model([x, like], FitSteps()(x, like=like))
    given, template = normal(2, 5, 3), np.zeros((2, steps, 1))
    for y in (FitSteps()(given, like=template), model.predict([given, template], verbose=0)):
        assert y.shape == (2, steps, 3)
        assert np.array_equal(y[:, :5], given[:, :steps])
        assert not np.asarray(y[:, 5:]).any()


def test_position_features_differ_at_every_step_and_not_by_the_number_of_steps():
    y = np.asarray(RepeatCode(max_steps=500)(normal(1, 3)))[0]
    distances = np.linalg.norm(y[:, None, 3:] - y[None, :, 3:], axis=-1)
    assert (distances + np.eye(500)).min() > 0.05
    assert np.ptp(y[:, :3], axis=0).max() == 0
    layer, code = RepeatCode(max_steps=6), normal(2, 3)
    whole = np.asarray(layer(code))
    assert np.array_equal(layer(code, like=np.zeros((2, 4, 1))), whole[:, :4])
    assert np.array_equal(layer(code, like=np.zeros((2, 9, 1)))[:, :6], whole)


# Patches


def test_steps_are_folded_in_order_with_the_share_of_real_steps():
    x = normal(2, 7, 2)
    folded = np.asarray(FoldSteps(3)(x))
    assert folded.shape == (2, 3, 7)
    assert np.array_equal(folded[:, 1, :6], x[:, 3:6].reshape(2, 6))
    assert np.array_equal(folded[:, 2, :2], x[:, 6])
    assert not folded[:, 2, 2:6].any()
    assert np.allclose(folded[:, :, 6], [1, 1, 1 / 3])
    for padding in range(6):
        wider = np.concatenate([x[:, :4], np.ones((2, padding, 2), "float32")], axis=1)
        real = np.broadcast_to(np.arange(4 + padding) < 4, (2, 4 + padding))
        padded = np.asarray(FoldSteps(3)(wider, mask=real))
        assert np.array_equal(padded[:, :2], np.asarray(FoldSteps(3)(x[:, :4])))
        assert not padded[:, 2:].any()


def test_a_patch_is_real_if_its_first_step_is():
    x = normal(4, 7, 1)
    x[0, 4:], x[1, 3:], x[2], x[3, 3] = NAN, NAN, NAN, NAN
    expected = [[True, True, False], [True, False, False], [False] * 3, [True] * 3]
    assert np.asarray(RealSteps(patch=3)(x)).tolist() == expected
    mask = FoldSteps(3).compute_mask(x, PaddingMask().compute_mask(x))
    assert np.asarray(mask).tolist() == expected


def test_each_step_of_a_patch_has_its_own_head():
    head = ColumnHead(["numeric", "categorical"], [0, 3], patch=3, max_steps=5)
    x = normal(2, 2, 6)
    y, patches = np.asarray(head(x)), np.asarray(head.dense(x))
    assert y.shape == head.compute_output_shape(x.shape) == (2, 5, 4)
    logits = patches.reshape(2, 6, 4)[:, :5]
    assert np.array_equal(y[..., 0], logits[..., 0])
    assert np.allclose(y[..., 1:], softmax(logits[..., 1:]), atol=1e-6)
    assert np.array_equal(np.asarray(head(x, like=normal(2, 4, 1))), y[:, :4])


# Pooling


@pytest.mark.parametrize("patch", [1, 3])
def test_pooling_by_hand(patch):
    states, lengths = normal(3, 5, 4), np.array([2 * patch + 1, 0, 5 * patch])
    real = np.arange(5 * patch) < lengths[:, None]
    layer = StatePooling(max_steps=15, patch=patch)
    given = {"real_steps": real} if patch > 1 else {"mask": real}
    pooled = np.asarray(layer(states, **given))
    count = [-(-int(length) // patch) for length in lengths]
    assert np.allclose(pooled[0, :2], states[0, count[0] - 1, :2])
    assert np.allclose(pooled[0, 2:4], states[0, 0, 2:])
    for row in (0, 2):
        assert np.allclose(pooled[row, 4:8], states[row, : count[row]].mean(axis=0), atol=1e-6)
        assert np.allclose(pooled[row, 8:12], states[row, : count[row]].max(axis=0))
        about = [0, lengths[row] / 15, np.log1p(lengths[row]) / np.log(16)]
        assert np.allclose(pooled[row, 12:], about)
    assert not pooled[1, :12].any()
    assert pooled[1, 12:].tolist() == [1, 0, 0]


# Columns


def test_categories_become_one_hot_and_unknown_ones_zeros():
    x = np.array([[[0.5, 2, 1], [0.1, 3, 0], [0.2, 0, 1]]], "float32")
    y = np.asarray(ColumnEncoding([0, 3])(x))[0]
    assert np.allclose(y, [[0.5, 0, 0, 1, 1], [0.1, 0, 0, 0, 0], [0.2, 1, 0, 0, 1]])


@pytest.mark.parametrize("with_categories", [False, True])
def test_the_head_for_each_column_type(with_categories):
    head = ColumnHead(["binary", "numeric"])
    if with_categories:
        head = ColumnHead(["binary", "numeric", "categorical"], [0, 0, 3])
    x = normal(2, 4, 6)
    y, z = np.asarray(head(x)), np.asarray(head.dense(x))
    assert np.allclose(y[..., 0], sigmoid(z[..., 0]), atol=1e-6)
    assert np.array_equal(y[..., 1], z[..., 1])
    if with_categories:
        assert np.allclose(y[..., 2:], softmax(z[..., 2:]), atol=1e-6)


@pytest.mark.parametrize("patch", [1, 3])
def test_a_head_adds_the_linear_path_before_the_activation(patch):
    head = ColumnHead(["numeric", "binary"], patch=patch, max_steps=5)
    steps = 5 if patch == 1 else 2
    inputs, beside = normal(2, steps, 4), normal(2, 5, 2)
    randomized(head, inputs, beside)
    written = np.asarray(head.dense(inputs)).reshape(2, -1, 2)[:, :5]
    logits = beside + np.array(head.scale) * written
    y = np.asarray(head(inputs, beside))
    assert np.allclose(y[..., 0], logits[..., 0], atol=1e-5)
    assert np.allclose(y[..., 1], sigmoid(logits[..., 1]), atol=1e-5)
    alone = ColumnHead(["numeric", "binary"])
    alone(inputs)
    assert len(alone.weights) == 2, "nothing beside it, no scale"


def test_the_length_layer_starts_with_the_training_lengths():
    y = np.asarray(LengthHead(mean=12.0, deviation=4.0)(normal(5, 3)))
    assert np.allclose(y[:, 0], 12.0)
    assert np.allclose(np.exp(y[:, 1]) * np.pi / np.sqrt(3), 4.0, rtol=0.01)


# The linear path


@pytest.mark.parametrize("steps", [1, 4, 6])
def test_linear_encoding_by_hand(steps):
    x, beside = normal(3, steps, 2), normal(3, 5)
    layer = randomized(LinearEncoding(5, num_steps=4), x, beside)
    weights = np.array(layer.start) + float(layer.unit) * np.array(layer.change)
    expected = np.array(layer.bias) + float(layer.scale) * beside
    for step in range(min(steps, 4)):
        expected = expected + x[:, step] @ weights[step]
    assert np.allclose(layer(x, beside), expected, atol=1e-5)
    mask = np.arange(steps) < np.array([[1], [0], [steps]])
    masked = layer(x, beside, inputs_mask=mask)
    assert np.allclose(masked[0], layer(x[:1, :1], beside[:1])[0], atol=1e-6)
    assert np.allclose(masked[1], layer.bias + float(layer.scale) * beside[1], atol=1e-6)


@pytest.mark.parametrize("steps", [None, 2, 4, 9])
def test_linear_decoding_by_hand(steps):
    code = normal(3, 5)
    layer = randomized(LinearDecoding(2, num_steps=4, max_steps=6), code)
    y = np.asarray(layer(code) if steps is None else layer(code, like=normal(3, steps, 1)))
    assert y.shape == (3, steps or 6, 2)
    weights = np.array(layer.start) + float(layer.unit) * np.array(layer.change)
    for step in range(y.shape[1]):
        expected = np.zeros((3, 2))
        if step < 4:
            expected = np.tensordot(code, weights[:, step], 1) + np.array(layer.bias)[step]
        assert np.allclose(y[:, step], expected, atol=1e-5)


def test_the_linear_path_in_a_graph_of_unknown_length():
    x, code = keras.Input((None, 2)), keras.Input((3,))
    encoded = LinearEncoding(3, num_steps=4)(x, code)
    decoded = LinearDecoding(2, num_steps=4, max_steps=6)(code, like=x)
    assert (encoded.shape, decoded.shape) == ((None, 3), (None, None, 2))
    model = keras.Model([x, code], [encoded, decoded])
    for steps in (3, 4, 7):
        first, second = model([normal(2, steps, 2), normal(2, 3)])
        assert (first.shape, second.shape) == ((2, 3), (2, steps, 2))


# Teacher forcing


def test_each_step_gets_the_previous_one():
    steps = np.array([[[0.5, 2], [-1, 0], [NAN, 1], [3, 3], [NAN, NAN], [7, 0]]], "float32")
    layer = TeacherForcing([0, 3])
    previous = np.asarray(layer(steps))
    assert previous[0].tolist() == [
        [0, 0, 0, 0, 0],  # no step before the first
        [0.5, 0, 0, 1, 1],
        [-1, 1, 0, 0, 1],
        [0, 0, 1, 0, 1],  # a missing value
        [3, 0, 0, 0, 1],  # an unknown category
        [0, 0, 0, 0, 0],  # nothing was observed
    ]
    flags = np.ones_like(steps)
    assert np.array_equal(layer(np.concatenate([steps, flags], axis=-1)), previous)


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


# ROCKET features


def by_hand(layer, series):
    """Compute the features of one series (steps, channels) with plain loops."""
    channels, taps, bias = (np.asarray(w, float) for w in (layer.channels, layer.taps, layer.bias))
    mixed, convolved = series @ channels, np.zeros((len(series), taps.shape[1]))
    for kernel in range(taps.shape[1]):
        dilation = (1, 2, 4, 8)[kernel // layer.num_kernels]
        for step in range(len(series)):
            places = [(step + (tap - 4) * dilation, tap) for tap in range(9)]
            convolved[step, kernel] = bias[kernel] + sum(
                mixed[at, kernel] * taps[tap, kernel] for at, tap in places if 0 <= at < len(series)
            )
    convolved = convolved[:: layer.stride]
    return np.concatenate([sigmoid(4 * convolved).mean(axis=0), convolved.max(axis=0)])


@pytest.mark.parametrize(("steps", "stride"), [(1, 1), (5, 1), (30, 1), (31, 4)])
def test_rocket_features_by_hand(steps, stride):
    x = normal(2, steps, 3)
    layer = PooledConvolutions(num_kernels=3, stride=stride)
    found = layer(x)
    assert np.allclose(found, [by_hand(layer, series) for series in x], atol=1e-5)
    longer = np.concatenate([x, np.ones((2, 4, 3), "float32")], axis=1)
    real = np.broadcast_to(np.arange(steps + 4) < steps, (2, steps + 4))
    assert np.allclose(layer(longer, mask=real), found, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_bits_of_rocket_features_do_not_depend_on_padding_and_batch_size(channels):
    x = keras.Input((None, channels))
    model = keras.Model(x, PooledConvolutions()(PaddingMask()(x)))
    given = 3 * normal(40, 60, channels)
    given[np.arange(60) >= RNG.integers(0, 61, 40)[:, None]] = NAN
    given[0] = NAN
    wider = np.pad(given, ((0, 0), (0, 77), (0, 0)), constant_values=NAN)
    features = model.predict(given, verbose=0)
    for other, batch_size in ((given, 1), (wider, 7)):
        assert np.array_equal(model.predict(other, batch_size=batch_size, verbose=0), features)
    assert not features[0].any(), "a sequence without steps"


def test_rocket_features_have_gradients():
    layer, given = PooledConvolutions(num_kernels=1), normal(2, 20, 1)
    layer(given)
    gradient = jax.jit(jax.grad(lambda x: layer(x)[:, : layer.num_kernels * 4].sum()))(given)
    assert np.abs(gradient).min() > 0


def test_kernels_are_always_the_same():
    """The file of a model without ROCKET features does not contain them."""
    layer = PooledConvolutions()
    layer.build((None, None, 2))
    drawn = [float(np.asarray(w).ravel()[0]) for w in (layer.channels, layer.taps, layer.bias)]
    assert drawn == pytest.approx([0.99498004, 0.53168702, -0.20416278], abs=1e-6)
    assert not layer.trainable_variables
    x = normal(2, 9, 1)
    first, other = (np.asarray(PooledConvolutions(seed=seed)(x)) for seed in (3, 4))
    assert not np.allclose(first, other)


def test_a_kernel_reads_up_to_three_channels_and_its_taps_sum_to_zero():
    layer = PooledConvolutions()
    layer.build((None, None, 8))
    assert set((np.asarray(layer.channels) != 0).sum(axis=0)) == {1, 2, 3}
    assert np.allclose(np.asarray(layer.taps).sum(axis=0), 0, atol=1e-5)


@pytest.mark.parametrize(("stride", "later", "off"), [(1, 30, 1e-5), (4, 32, 1e-5), (4, 30, 0.5)])
def test_the_time_of_an_event_hardly_matters(stride, later, off):
    bump = np.zeros((2, 120, 1), "float32")
    bump[0, 40:45] = bump[1, 40 + later : 45 + later] = 1.0
    early, late = np.asarray(PooledConvolutions(stride=stride)(bump))
    difference = np.abs(early - late)
    assert difference[:64].mean() < 0.1 * off
    assert difference[64:].mean() < off


def test_a_fixed_map_stays_fixed():
    x = keras.Input((3,))
    model = keras.Model(x, FixedMap(2)(x))
    model.trainable = False
    model.trainable = True
    assert not model.trainable_variables
    center, kernel = normal(3), normal(3, 2)
    model.layers[-1].center.assign(center)
    model.layers[-1].kernel.assign(kernel)
    given = normal(4, 3)
    assert np.allclose(model.predict(given, verbose=0), (given - center) @ kernel, atol=1e-5)


# Saving


STEPS = (normal(2, 4, 2),)
CODE = (normal(2, 3),)


@pytest.mark.parametrize(
    ("layer", "inputs"),
    [
        (PaddingMask(), STEPS),
        (RealSteps(3), STEPS),
        (FoldSteps(3), STEPS),
        (StatePooling(5, patch=1), STEPS),
        (RepeatCode(5), CODE),
        (FitSteps(), (*STEPS, normal(2, 3, 1))),
        (ColumnEncoding([0, 3]), STEPS),
        (ColumnHead(["numeric", "categorical"], [0, 3]), STEPS),
        (ColumnHead(["binary"], patch=3, max_steps=4), STEPS),
        (LengthHead(3.0, 1.0), CODE),
        (LengthEncoding(1.0, 0.5), (np.array([[True, True, False]]),)),
        (LengthDecoding(1.0, 0.5, 2), CODE),
        (LinearEncoding(3, 2, by_length=True), (*STEPS, *CODE)),
        (LinearDecoding(2, 3, 4), CODE),
        (PooledConvolutions(2, stride=2, seed=4), STEPS),
        (FixedMap(2), CODE),
        (TeacherForcing([0, 3], 0.2, seed=1), STEPS),
        (layers.LSTM(4, return_sequences=True), STEPS),
    ],
    ids=lambda value: type(value).__name__,
)
def test_layers_can_be_copied_from_their_configuration(layer, inputs):
    randomized(layer, *inputs)
    y = np.asarray(layer(*inputs))
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.get_config() == layer.get_config()
    again(*inputs)
    again.set_weights(layer.get_weights())
    assert np.array_equal(np.asarray(again(*inputs)), y)
    symbolic = [keras.Input(x.shape[1:], dtype=x.dtype.name) for x in inputs]
    assert again(*symbolic).shape == (None, *y.shape[1:])
