"""Linear codes that depend on the length, which are better for ragged series."""

import numpy as np
import pytest

from refold.models import Specification, build
from refold.network.keras.network import inference_with
from refold.sequences import Scaler
from refold.training.initialization._decoding_map import decode as decode_linear
from refold.training.initialization._linear_weights import set_linear_initialization
from refold.training.initialization._numeric_columns import linear_initialization
from refold.training.initialization._stationary_components import stationary_components
from training.initialization.test_linear_weights import reconstructed, walks


def scaled_walks(seed=0, **changes):
    """Return training and test series of 3 to 20 steps, standardized."""
    rng = np.random.default_rng(seed)
    given = [walks(150, seed=k, lengths=rng.integers(3, 21, 150), **changes) for k in (0, 1)]
    scaler = Scaler.fit(given[0], mode="features")
    return [scaler.transform(one) for one in given]


def of_codec(start, data):
    """Encode and decode with a codec that is told the lengths; return flat values."""
    values = np.zeros((len(data), 20, 2))
    real = np.arange(20) < data.lengths[:, None]
    values[real] = data.values
    codes = start.lengthwise.encode(values, data.lengths)
    return codes, decode_linear(codes, start.lengthwise.decoder)[real]


def test_components_of_a_stationary_process():
    rng = np.random.default_rng(0)
    lengths = rng.integers(10, 30, 200)
    waves = np.sin(0.5 * np.arange(30) + rng.uniform(0, 6, (200, 1)))[..., None]
    waves *= (np.arange(30) < lengths[:, None])[..., None]
    loadings = stationary_components(waves, lengths, 2).loadings
    wave = np.sin(0.5 * np.arange(30) + 1)
    assert np.abs(wave @ loadings.T @ loadings - wave).max() < 0.1


def test_codes_by_length_are_better_on_ragged_series():
    given, others = scaled_walks()
    start = linear_initialization(given, [0, 1], 6, 20, seed=0, by_length=True)
    plain = linear_initialization(given, [0, 1], 6, 20, seed=0)
    assert start.lengthwise is not None
    assert plain.lengthwise is None
    ours = ((of_codec(start, others)[1] - others.values) ** 2).mean()
    theirs = ((reconstructed(plain, others).values - others.values) ** 2).mean()
    assert ours < 0.9 * theirs
    assert start.share < plain.share


def test_codes_have_a_mean_square_of_one():
    given, _ = scaled_walks()
    start = linear_initialization(given, [0, 1], 6, 20, seed=0, by_length=True)
    codes, _ = of_codec(start, given)
    np.testing.assert_allclose((codes**2).mean(axis=0), 1, rtol=1e-3)


@pytest.mark.parametrize("n", [150, 12])
def test_equal_lengths_and_few_series_have_no_codes_by_length(n):
    rng = np.random.default_rng(0)
    data = walks(n, lengths=None if n > 20 else rng.integers(3, 21, n))
    scaled = Scaler.fit(data, mode="features").transform(data)
    start = linear_initialization(scaled, [0, 1], 6, 20, seed=0, by_length=True)
    assert start.lengthwise is None


@pytest.mark.parametrize("ragged", [True, False])
def test_a_network_is_initialized_with_codes_by_length(ragged):
    data = scaled_walks()[0] if ragged else Scaler.fit(walks(60)).transform(walks(60))
    sizes = {"latent_dim": 7, "max_steps": 20, "units": 8, "depth": 1, "dropout": 0.0}
    lengths = {"length_mean": 11.0, "length_deviation": 5.0, "length_dim": 1, "by_length": True}
    net = build(Specification("default", ["numeric"] * 2, [0, 0], False, **sizes, **lengths))
    assert set_linear_initialization(net, data, seed=0)
    start = linear_initialization(data, [0, 1], 6, 20, seed=0, by_length=True)
    assert (start.lengthwise is not None) == ragged
    packed = inference_with(net)
    codes = packed.encode(data)
    expected = of_codec(start, data)[1] if ragged else reconstructed(start, data).values
    np.testing.assert_allclose(
        packed.head.values(packed.decode(codes, data.offsets)), expected, atol=1e-3
    )
    assert np.rint(packed.predict_lengths(codes)).tolist() == data.lengths.tolist()
