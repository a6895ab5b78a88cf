"""Batches that are cut from flat data on the device, and the corruption of their inputs."""

import jax
import numpy as np
import pytest

from network.keras.ragged import CASES, STEPS
from refold import SequenceAutoencoder, Sequences
from refold.arguments import Corruption
from refold.errors import ParameterError
from refold.evaluation import nmse
from refold.sequences import pad
from refold.training import _shards
from training.small import network, sequences

SMALL = {"units": 8, "max_epochs": 1, "validation_fraction": 0, "latent_steps": 0}


@pytest.mark.parametrize("name", ["mixed", "autoregressive"])
def test_a_batch_is_that_of_pad(name):
    case = CASES[name]
    scaled = sequences(case)
    if name == "mixed":
        scaled.values[4:9, 1] = 3  # the index of the unknown category, which is no target
    layout = _shards.InputLayout.of_network(network(case))
    rows = np.array([3, 23, 0, 8, 7], np.int32)
    x, y = pad(scaled, rows, 7, has_flags=case.flags)
    cut = jax.jit(lambda data, rows: _shards.make_padded_batch(data, rows, 7, layout))
    batch = cut(_shards.copy_blocks_to_device([scaled], 7), np.append(rows, -1))
    np.testing.assert_array_equal(batch.x[:5], x)
    np.testing.assert_array_equal(batch.y[:5], y)
    assert batch.lengths[:5].tolist() == scaled.lengths[rows].tolist()
    assert _shards.count_observed_values(scaled, rows) == np.sum(~np.isnan(y))
    # a row that completes a batch is empty
    assert batch.is_sequence.tolist() == [1.0] * 5 + [0.0]
    assert np.isnan(batch.y[5]).all()
    assert np.isnan(batch.x[5]).all()


def corrupted(case, corruption, *, flags=True):
    """Return a batch of all lengths with an empty row, before and after corruption."""
    data = sequences(case)
    layout = _shards.InputLayout.of_network(network(case, observed_flags=flags or case.flags))
    rows = np.append(np.arange(len(data)), -1).astype(np.int32)
    on_device = _shards.copy_blocks_to_device([data], STEPS)
    before = _shards.make_padded_batch(on_device, rows, STEPS, layout)
    return before, _shards.corrupt_batch(before, jax.random.key(0), corruption, layout), layout


def test_noise_is_added_only_to_observed_numeric_values():
    before, after, layout = corrupted(CASES["mixed"], Corruption(0.5), flags=False)
    x, y = np.asarray(before.x), np.asarray(before.y)
    np.testing.assert_array_equal(np.isnan(after.x), np.isnan(x))
    changed = ~np.isnan(x) & (np.asarray(after.x) != x)
    expected = np.zeros_like(changed)
    expected[..., : y.shape[-1]] = np.asarray(layout.is_numeric) & ~np.isnan(y)
    np.testing.assert_array_equal(changed, expected)
    assert np.std((np.asarray(after.x) - x)[changed]) == pytest.approx(0.5, rel=0.2)
    for field in ("y", "lengths", "is_sequence"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))


def test_dropped_steps_look_like_missing_values():
    before, after, layout = corrupted(CASES["mixed"], Corruption(0.0, 0.4))
    np.testing.assert_array_equal(after.y, before.y)
    changed = np.asarray(after.x)[(np.asarray(before.x) != np.asarray(after.x)).any(axis=-1)]
    changed = changed[np.isfinite(changed).all(axis=1)]
    nothing = [*np.nan_to_num(layout.index_of_unknown), *[0.0] * len(layout.index_of_unknown)]
    np.testing.assert_array_equal(changed, np.broadcast_to(nothing, changed.shape))
    gone = int((np.asarray(after.x) == np.array(nothing)).all(axis=-1).sum())
    assert 0.25 < gone / int(np.sum(before.lengths)) < 0.6


def test_dropped_steps_need_a_model_that_reads_missing_values():
    data = [np.random.default_rng(i).normal(size=(6, 2)) for i in range(20)]
    ae = SequenceAutoencoder(2, **SMALL, random_state=0, denoise="steps:0.3").fit(data)
    assert ae.encoder_.input_shape == (None, None, 4)  # noise alone does not, see below
    gap = data[0].copy()
    gap[2:4] = np.nan
    assert np.isfinite(ae.transform([gap])).all()  # without a warning, which would be an error here
    classic = {"architecture": "repeat", "max_epochs": 1, "validation_fraction": 0}
    assert SequenceAutoencoder(2, **classic, denoise=0.3).fit(data).transform(data).shape == (20, 2)
    with pytest.raises(ParameterError, match=r"'repeat' cannot read missing values, which denoise"):
        SequenceAutoencoder(2, **classic, denoise="steps:0.1").fit(data)


def smooth(n, seed):
    """Return smooth series of 24 steps, and the same series with noise."""
    rng, k = np.random.default_rng(seed), np.arange(1, 9)
    waves = np.sqrt(2 / 24) * np.cos(np.pi * k[:, None] * (np.arange(24) + 0.5) / 24)
    clean = (4 / k * rng.normal(size=(n, 8))) @ waves
    noisy = clean + rng.normal(size=clean.shape)
    return [Sequences.from_list(list(values[..., None])) for values in (clean, noisy)]


def test_a_model_trained_with_noise_removes_noise():
    train, _ = smooth(120, 0)
    test, noisy = smooth(200, 1)
    errors = []
    for denoise in (0.0, 1.0):
        given = {"units": 8, "max_epochs": 2, "refit": False, "latent_steps": 0, "random_state": 0}
        ae = SequenceAutoencoder(6, denoise=denoise, **given).fit(train)
        errors.append(nmse(test, ae.reconstruct(noisy), ae.scaler_))
        assert ae.encoder_.input_shape[-1] == 1
    assert errors[1] < 0.75 * errors[0]
