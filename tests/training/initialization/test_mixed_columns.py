"""The linear initialization for numeric and categorical columns together."""

import warnings

import numpy as np
import pytest

from refold.arguments import Corruption
from refold.evaluation import PCABaseline, accuracy, nmse
from refold.models import Specification, build
from refold.sequences import Column, Scaler, Schema, Sequences, positions
from refold.training.initialization._initial_weights import sample_size, set_linear_initialization
from refold.training.initialization._mixed_columns import mixed_initialization
from refold.training.initialization._numeric_columns import linear_initialization

STEPS = 16
SCHEMA = Schema(
    (
        Column("level", "numeric"),
        Column("phase", "categorical", ("up", "down", "flat")),
        Column("on", "binary"),
    )
)


def mixed(n, *, seed=0, ragged=True):
    """Draw a level that rises, falls or stays, the name of its phase, and a binary column."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(STEPS // 2, STEPS + 1, n) if ragged else np.full(n, STEPS)
    rows = []
    for length in lengths:
        phase = rng.integers(0, 3, STEPS // 4).repeat(4)[:length]
        level = np.cumsum(np.array([1.0, -1.0, 0.0])[phase]) + rng.normal(0, 0.3, length)
        rows.append(np.column_stack([level, phase, level > 0]))
    return Sequences(np.concatenate(rows), np.cumsum([0, *lengths]), schema=SCHEMA)


def decoded(start, scaled):
    """Encode and decode with an initialization that is told the lengths."""
    ones = scaled.values[:, [1]] == np.arange(3)
    values = np.hstack([scaled.values[:, [0]], ones, scaled.values[:, [2]]])
    row, step = positions(scaled)
    padded = np.zeros((len(scaled), STEPS, 5))
    padded[row, step] = np.nan_to_num(values)
    codes = np.einsum("ntc,tcd->nd", padded, start.encoder) + start.encoder_bias
    back = np.einsum("nd,dtc->ntc", codes, start.decoder) + start.decoder_bias
    return codes, back, back[row, step]


@pytest.mark.parametrize("n", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_held_out_errors_of_both_types_are_at_most_those_of_pca(n):
    errors, right = [], []
    for seed in range(5):
        given, held = mixed(n, seed=seed), mixed(200, seed=1000 + seed)
        scaler = Scaler.fit(given)
        start = mixed_initialization(scaler.transform(given), 6, STEPS, seed=0)
        _, _, written = decoded(start, scaler.transform(held))
        values = [written[:, 0], written[:, 1:4].argmax(axis=1), written[:, 4] > 0]
        back = scaler.inverse_transform(held.with_values(np.column_stack(values)))
        theirs = PCABaseline(6).fit(given).reconstruct(held)
        errors.append(nmse(held, back, scaler) / nmse(held, theirs, scaler))
        right.append(accuracy(held, back) - accuracy(held, theirs))
    assert np.median(errors) < 1.0
    assert np.median(right) > 0.0
    assert 0 < start.share < 1


def test_random_categories_are_decoded_to_their_frequencies():
    rng = np.random.default_rng(0)
    given = mixed(200, ragged=False)
    values = given.values.copy()
    values[:, 1], values[:, 2] = rng.choice(3, len(values), p=[0.5, 0.3, 0.2]), 1.0
    start = mixed_initialization(given.with_values(values), 2, STEPS, seed=0)
    chances = np.exp(start.decoder_bias[:, 1:4])
    np.testing.assert_allclose(chances, np.tile([0.5, 0.3, 0.2], (STEPS, 1)), atol=0.12)
    assert np.abs(start.decoder[..., 1:4]).max() < 0.3
    assert (start.decoder_bias[:, 4] > 2).all()
    np.testing.assert_array_equal(start.residual[1:], 1.0)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_and_unusual_sequences_give_finite_weights(n):
    given = mixed(n)
    values = given.values.copy()
    values[::3, 0], values[1::3, 1], values[::2, 2] = np.nan, 3, np.nan  # 3: an unknown category
    empty = Sequences(values, np.append(given.offsets, given.offsets[-1]), schema=SCHEMA)
    for data in (given, empty, empty.with_values(np.full_like(values, np.nan))):
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            start = mixed_initialization(data, 3, STEPS, seed=0)
        for array in [*vars(start).values()][:7]:
            assert np.isfinite(array).all()


def test_noise_affects_only_numeric_columns():
    scaled = Scaler.fit(mixed(200)).transform(mixed(200))
    clean, noisy = (
        mixed_initialization(scaled, 6, STEPS, seed=0, corruption=Corruption(noise))
        for noise in (0.0, 3.0)
    )
    right = [
        (decoded(start, scaled)[2][:, 1:4].argmax(axis=1) == scaled.values[:, 1]).mean()
        for start in (clean, noisy)
    ]
    assert right[1] > 0.9 * right[0]
    given = scaled.values[:, [0]]
    level = Sequences(given, scaled.offsets, schema=Schema(SCHEMA.columns[:1]))
    settings = {"seed": 0, "corruption": Corruption(3.0)}
    whole, spared = (
        linear_initialization(level, [0], 2, STEPS, noiseless=columns, **settings)
        for columns in ([], [0])
    )
    assert spared.share < 0.7 * whole.share


# In a network


def network(num_categories=3, steps=STEPS):
    column_types = ["numeric", "categorical", "binary"]
    sizes = {"latent_dim": 4, "max_steps": steps, "units": 8, "depth": 1, "dropout": 0.0}
    lengths = {"length_mean": 12.0, "length_deviation": 3.0}
    return build(
        Specification("default", column_types, [0, num_categories, 0], False, **sizes, **lengths)
    )


def test_an_initialized_network_agrees_with_its_linear_path():
    given = mixed(60)
    net = network(steps=int(given.lengths.max()))
    assert set_linear_initialization(net, given, seed=0)
    start = mixed_initialization(given, 4, STEPS, seed=0)
    _, expected, _ = decoded(start, given)
    x = given.to_padded().astype("float32")
    got = np.asarray(net.models.autoencoder.predict(x, verbose=0))
    for row, wanted, length in zip(got, expected, given.lengths, strict=True):
        chances = np.exp(wanted[:length, 1:4] - wanted[:length, 1:4].max(axis=1, keepdims=True))
        chances /= chances.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(row[:length, 0], wanted[:length, 0], atol=1e-4)
        np.testing.assert_allclose(row[:length, 1:4], chances, atol=1e-4)
        np.testing.assert_allclose(
            row[:length, 4], 1 / (1 + np.exp(-wanted[:length, 4])), atol=1e-4
        )


def test_columns_with_too_many_categories_are_left_to_the_lstm():
    labels = tuple(f"w{i}" for i in range(3000))
    schema = Schema((SCHEMA.columns[0], Column("word", "categorical", labels), SCHEMA.columns[2]))
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [1e-3 * rng.normal(size=160), rng.integers(0, 3000, 160), np.ones(160)]
    )
    values[:, 0] += np.tile(np.sin(np.arange(16)), 10)
    data = Sequences(values, np.arange(0, 161, 16), schema=schema)
    net = network(3000)
    set_linear_initialization(net, data, seed=0)
    write = net.models.decoder.get_layer("linear_steps")
    assert not np.asarray(write.start)[..., 1:].any()
    assert np.asarray(write.start)[..., 0].any()
    # The LSTM also encodes the words, so its part of the code is not as small as for levels alone.
    assert float(net.models.encoder.get_layer("linear_code").scale) > 0.5
    assert sample_size(net) > 10_000
    assert sample_size(network()) == (1 << 22) // (16 * 5)
