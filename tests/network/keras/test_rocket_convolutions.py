"""Pooled random convolutions: results by hand, padding, and information in the features."""

import keras
import numpy as np
import pytest

from refold.layers import FixedMap, PaddingMask, PooledConvolutions

RNG = np.random.default_rng(0)
DILATIONS = (1, 2, 4, 8)
KERNELS = [0.99498004, 0.53168702, -0.20416278]


def floats(*shape):
    return RNG.normal(size=shape).astype("float32")


def by_hand(layer, series):
    """Compute the features of one series (steps, channels) with plain loops."""
    channels, taps, bias = (np.asarray(w, float) for w in (layer.channels, layer.taps, layer.bias))
    found = np.zeros((len(series), taps.shape[1]))
    mixed = series @ channels
    for kernel in range(taps.shape[1]):
        dilation = DILATIONS[kernel // layer.num_kernels]
        for step in range(len(series)):
            places = [(step + (tap - 4) * dilation, tap) for tap in range(9)]
            found[step, kernel] = bias[kernel] + sum(
                mixed[at, kernel] * taps[tap, kernel] for at, tap in places if 0 <= at < len(series)
            )
    found = found[:: layer.stride]
    share = (1 / (1 + np.exp(-4 * found))).mean(axis=0)
    return np.concatenate([share, found.max(axis=0)])


@pytest.mark.parametrize(("steps", "stride"), [(1, 1), (5, 1), (30, 1), (30, 4), (31, 4)])
def test_by_hand(steps, stride):
    x = floats(2, steps, 3)
    layer = PooledConvolutions(num_kernels=3, stride=stride)
    expected = [by_hand(layer, series) for series in x] if layer(x) is not None else None
    np.testing.assert_allclose(layer(x), expected, atol=1e-5)


@pytest.mark.parametrize("stride", [1, 3])
def test_padding_with_any_values_makes_no_difference(stride):
    layer = PooledConvolutions(num_kernels=3, stride=stride)
    x = floats(4, 11, 2)
    alone = layer(x[:, :7])
    real = np.broadcast_to(np.arange(11) < 7, (4, 11))
    np.testing.assert_allclose(layer(x, mask=real), alone, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 5])
def test_bits_do_not_depend_on_padding_and_batch_size(channels):
    x = keras.Input((None, channels))
    model = keras.Model(x, PooledConvolutions()(PaddingMask()(x)))
    given = 3 * floats(40, 60, channels)
    given[np.arange(60) >= RNG.integers(1, 61, 40)[:, None]] = np.nan
    wider = np.pad(given, ((0, 0), (0, 77), (0, 0)), constant_values=np.nan)
    found = model.predict(given, verbose=0)
    for other, batch_size in ((given, 1), (given, 7), (wider, 3), (wider, 40)):
        assert np.array_equal(model.predict(other, batch_size=batch_size, verbose=0), found)


def test_gradients_reach_the_input():
    import jax

    layer = PooledConvolutions(num_kernels=1)
    given = floats(2, 20, 1)
    layer(given)
    gradient = jax.jit(jax.grad(lambda x: layer(x)[:, : layer.num_kernels * 4].sum()))(given)
    assert np.abs(gradient).min() > 0


def test_sequences_without_steps_give_zeros():
    layer = PooledConvolutions()
    found = np.asarray(layer(floats(2, 5, 2), mask=np.array([[False] * 5, [True] * 5])))
    assert not found[0].any()
    assert found[1].all()


def test_a_kernel_reads_up_to_three_channels_and_its_taps_sum_to_zero():
    layer = PooledConvolutions()
    layer.build((None, None, 8))
    read = (np.asarray(layer.channels) != 0).sum(axis=0)
    assert set(read) == {1, 2, 3}
    np.testing.assert_allclose(np.asarray(layer.taps).sum(axis=0), 0, atol=1e-5)
    assert not layer.trainable_variables


def test_the_kernels_are_always_the_same():
    """The file of a model without ROCKET features does not contain them."""
    layer = PooledConvolutions()
    layer.build((None, None, 2))
    drawn = [float(np.asarray(w).ravel()[0]) for w in (layer.channels, layer.taps, layer.bias)]
    assert drawn == pytest.approx(KERNELS, abs=1e-6)


def test_the_seed_determines_the_kernels():
    x = floats(2, 9, 1)
    first, again, other = (np.asarray(PooledConvolutions(seed=seed)(x)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_saved_layer_is_the_same(tmp_path):
    x = keras.Input((None, 2))
    model = keras.Model(x, PooledConvolutions(num_kernels=2, stride=2)(PaddingMask()(x)))
    model.save(tmp_path / "model.keras")
    given = floats(3, 8, 2)
    given[0, 5:] = np.nan
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.array_equal(loaded.predict(given, verbose=0), model.predict(given, verbose=0))


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
    center, kernel = RNG.normal(size=3), RNG.normal(size=(3, 2))
    model.layers[-1].center.assign(center)
    model.layers[-1].kernel.assign(kernel)
    given = floats(4, 3)
    expected = (given - center) @ kernel
    np.testing.assert_allclose(model.predict(given, verbose=0), expected, atol=1e-5)
