"""Inputs and targets of forecasts in training."""

import jax
import numpy as np
import pytest

from refold.models import Specification, build
from refold.sequences import as_sequences, split_at
from refold.training import cut_sequences, next_steps, set_forecast_initialization, to_device
from refold.training.data._forecast_targets import cut_batch
from refold.training.data._padded_batches import Layout, take

SIZES = {"latent_dim": 3, "max_steps": 9, "units": 8, "depth": 1, "dropout": 0.0}
LENGTHS = {"length_mean": 6.0, "length_deviation": 2.0, "forecast_steps": 2}


@pytest.fixture(scope="module")
def network():
    return build(Specification("default", ["numeric", "binary"], [0, 0], False, **SIZES, **LENGTHS))


def some(n=200):
    rng = np.random.default_rng(0)
    return as_sequences(
        [np.stack([rng.normal(size=k), rng.integers(0, 2, k)], 1) for k in rng.integers(0, 10, n)],
        column_types=["numeric", "binary"],
    )


def test_a_batch_is_split_into_input_and_forecast(network):
    sequences = some()
    layout = Layout.of(network)
    rows = np.append(np.arange(200), -1)
    batch = take(to_device([sequences], 9), rows, 9, layout)
    cut = cut_batch(batch, jax.random.PRNGKey(0), 2)
    lengths, whole = np.asarray(cut.lengths, int), np.asarray(batch.lengths, int)
    for row in range(200):
        at = lengths[row]
        assert (at == 0) == (whole[row] == 0)
        assert np.array_equal(cut.y[row, :at], batch.y[row, :at])
        assert np.isnan(np.asarray(cut.x[row, at:])).all()
        assert np.isnan(np.asarray(cut.y[row, at:])).all()
        there = min(2, whole[row] - at)
        assert np.array_equal(cut.future[row, :there], batch.y[row, at : at + there])
        assert np.isnan(np.asarray(cut.future[row, there:])).all()
    assert np.isnan(np.asarray(cut.future[-1])).all()
    long = whole[:-1] > 4
    last = np.mean((whole - lengths)[:-1][long] == 2)
    assert 0.4 < last < 0.75
    assert np.mean((whole == lengths)[:-1][long]) > 0.15


def test_sequences_are_cut_as_batches_are():
    before, after = cut_sequences(some(), 2, seed=1)
    assert np.array_equal(before.lengths + after.lengths, some().lengths)
    again, _ = cut_sequences(some(), 2, seed=1)
    assert np.array_equal(before.lengths, again.lengths)


def test_next_steps_stop_where_a_sequence_does():
    _, after = split_at(as_sequences([[1.0, 2.0, 3.0, 4.0], [5.0]]), [1, 1])
    found = next_steps(after, 2)[:, :, 0]
    assert np.array_equal(found, [[2.0, 3.0], [np.nan, np.nan]], equal_nan=True)


def test_the_initialization_is_a_regression(network):
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(300, 3)).astype(np.float32)
    future = np.full((300, 2, 2), np.nan)
    future[:, 0, 0] = codes @ [1.0, -2.0, 0.5] + 3.0
    future[:200, 1, 0] = codes[:200, 0]
    future[:, :, 1] = 1.0
    set_forecast_initialization(network, codes, future, np.arange(300))
    found = network.forecaster.predict(codes, verbose=0)
    assert np.abs(found[:, 0, 0] - future[:, 0, 0]).max() < 0.01
    assert np.abs(found[:, 1, 0] - codes[:, 0]).max() < 0.01
    assert ((found[..., 1] > 0) & (found[..., 1] < 1)).all()  # a probability that is not set


def test_the_initialization_without_targets_is_the_mean(network):
    rng = np.random.default_rng(0)
    codes, noise = rng.normal(size=(40, 3)), rng.normal(size=(40, 2, 2)) + 5.0
    set_forecast_initialization(network, codes.astype(np.float32), noise, np.arange(40))
    found = network.forecaster.predict(codes.astype(np.float32), verbose=0)[..., 0]
    assert np.abs(found - noise[..., 0].mean(axis=0)).max() < 1.0
