"""The linear initialization of numeric columns: as good as PCA, also for little or ragged data."""

import warnings

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, nmse
from refold.models import Specification, build
from refold.network.keras.build import inference_with
from refold.sequences import Scaler, Sequences
from refold.training.initialization._initial_weights import (
    has_linear_path,
    set_linear_initialization,
)
from refold.training.initialization._numeric_columns import (
    decode,
    linear_codec,
    linear_initialization,
    needs_no_regression,
    stationary_components,
)
from refold.training.initialization._principal_components import principal_components
from training.small import (
    CASES,
    batches,
    network,
    part,
    same,
    sequences,
    settings,
    train,
    weights,
)


def walks(n, steps=20, columns=2, seed=0, lengths=None):
    """Draw smooth random series as sums of sines and noise."""
    rng = np.random.default_rng(seed)
    time = np.arange(steps)[None, :, None, None] / steps
    waves = np.sin(2 * np.pi * (1 + np.arange(6)) * time + np.arange(columns)[:, None])
    amplitudes = rng.normal(size=(n, 1, 1, 6)) / (1 + np.arange(6))
    values = (waves * amplitudes).sum(axis=-1) + 0.1 * rng.normal(size=(n, steps, columns))
    if lengths is None:
        return Sequences.from_list(list(values))
    return Sequences.from_list([row[:length] for row, length in zip(values, lengths, strict=True)])


def reconstructed(start, scaled, columns=(0, 1)):
    """Encode and decode standardized values with an initialization that is told the lengths."""
    steps = len(start.decoder_bias)
    rows = []
    for one in scaled.to_list():
        filled = np.zeros((steps, len(columns)))
        filled[: len(one)] = np.nan_to_num(np.asarray(one).reshape(-1, len(columns)))[:steps]
        code = np.einsum("tc,tcd->d", filled, start.encoder) + start.encoder_bias
        rows.append((np.einsum("d,dtc->tc", code, start.decoder) + start.decoder_bias)[: len(one)])
    return Sequences.from_list(rows)


def errors(train_split, test_split, latent_dim):
    """Return the held-out error of an initialization, and of principal components."""
    scaler = Scaler.fit(train_split, mode="features")
    columns = list(range(train_split.schema.num_columns))
    scaled, steps = scaler.transform(train_split), int(train_split.lengths.max())
    start = linear_initialization(scaled, columns, latent_dim, steps, seed=0)
    back = scaler.inverse_transform(
        reconstructed(start, scaler.transform(test_split), columns).align(test_split.schema)
    )
    baseline = PCABaseline(latent_dim).fit(train_split)
    return nmse(test_split, back, scaler), nmse(
        test_split, baseline.reconstruct(test_split), scaler
    )


@pytest.mark.parametrize("latent_dim", [1, 8])
def test_for_equal_lengths_the_initialization_is_that_of_principal_components(latent_dim):
    ours, theirs = errors(walks(200), walks(100, seed=1), latent_dim)
    assert ours == pytest.approx(theirs, rel=0.01)


def test_for_ragged_data_it_is_at_least_as_good_as_principal_components():
    n, ratios = 12, []
    for seed in range(9):
        rng = np.random.default_rng(seed)
        given = [walks(k, seed=k + 1000 * seed, lengths=rng.integers(3, 21, k)) for k in (n, 200)]
        ours, theirs = errors(*given, latent_dim=6)
        ratios.append(ours / theirs)
    assert np.median(ratios) < 1.02
    assert np.mean(ratios) < 1.05


def test_codes_with_more_dimensions_than_sequences():
    scaled = Scaler.fit(walks(12), mode="features").transform(walks(12))
    start = linear_initialization(scaled, [0, 1], 16, 20, seed=0)
    assert start.share < 1
    ours, theirs = errors(walks(12), walks(200, seed=1), 11)
    assert ours < 1.05 * theirs


def test_missing_values_do_not_count_as_zeros():
    rng = np.random.default_rng(0)
    given = []
    for full in (walks(300), walks(100, seed=1)):
        holes = full.values.copy()
        holes[rng.random(holes.shape) < 0.3] = np.nan
        given.append(full.with_values(holes))
    ours, theirs = errors(*given, latent_dim=6)
    assert ours < 0.9 * theirs


@pytest.mark.parametrize(
    "values",
    [
        [np.zeros((4, 1))] * 3,
        [np.ones((1, 1))],
        [np.ones((5, 1)), np.zeros((0, 1))],
        [np.full((3, 1), np.nan), np.ones((2, 1))],
        [np.arange(4.0)[:, None], 1e6 * np.arange(4.0)[:, None]],
    ],
    ids=["constant", "one", "empty", "missing", "large"],
)
def test_few_and_unusual_sequences_give_finite_weights(values):
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        start = linear_initialization(Sequences.from_list(values), [0], 3, 5, seed=0)
    for array in [*vars(start).values()][:7]:
        assert np.isfinite(array).all()


def test_constant_data_explains_no_share():
    for value in (0.0, 0.1, 1013.0):
        constant = Sequences.from_list([np.full((n, 1), value) for n in (3, 5, 5, 4)])
        assert linear_initialization(constant, [0], 2, 5, seed=0).share == 1.0


# In a network


def test_an_initialized_network_agrees_with_its_linear_path():
    case = CASES["numeric"]
    net, data = network(case), sequences(case)
    assert has_linear_path(net)
    assert set_linear_initialization(net, data, seed=0)
    columns = list(range(data.schema.num_columns))
    start = linear_initialization(data, columns, 4, 7, seed=0)
    expected = reconstructed(start, data, columns)
    x, _ = case.data(24)
    got = np.asarray(net.models.autoencoder.predict(x, verbose=0))
    for row, (one, length) in enumerate(zip(expected.to_list(), data.lengths, strict=True)):
        np.testing.assert_allclose(
            got[row, :length], np.asarray(one).reshape(length, len(columns)), atol=1e-4
        )


def trained(*, refit, **changes):
    case, held_out = CASES["numeric"], [2, 5, 11]
    data, net = sequences(case), network(case)
    rows = np.setdiff1d(np.arange(24), held_out)

    def part_of(phase):
        return part(data, rows, held_out) if phase == "validated" else part(data)

    def begin(phase):
        return set_linear_initialization(net, data[rows] if phase == "validated" else data, seed=0)

    given = settings(**changes)
    outcome = train(net, part_of, batches(data), given, initialize=begin, refit=refit)
    return net, outcome, data, rows


@pytest.mark.parametrize("refit", [False, True])
def test_an_initialization_that_training_does_not_improve_is_kept(refit):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        net, outcome, data, rows = trained(refit=refit, learning_rate=1e3, max_epochs=4)
    assert outcome.epoch == 0
    alone = network(CASES["numeric"])
    set_linear_initialization(alone, data if refit else data[rows], seed=0)
    assert same(weights(net), weights(alone))


def test_training_improves_on_the_initialization():
    """Components need many dimensions for varying frequencies."""
    rng = np.random.default_rng(0)
    frequencies = rng.uniform(0.1, 0.6, (250, 1))
    waves = np.sin(frequencies * np.arange(30) + rng.uniform(-1, 1, (250, 1)))
    data = Sequences.from_list(list(waves))
    options = {"units": 16, "max_epochs": 40, "refit": False, "latent_steps": 0, "random_state": 0}
    ae = SequenceAutoencoder(2, **options)
    ae.fit(data[:200])
    ours = nmse(data[200:], ae.reconstruct(data[200:]), ae.scaler_)
    baseline = PCABaseline(2).fit(data[:200])
    assert ours < 0.6 * nmse(data[200:], baseline.reconstruct(data[200:]), ae.scaler_)


# The decoding map


def pulses(n, *, seed=0, num_steps=60):
    """Return noisy pulses of one shape at random times."""
    rng = np.random.default_rng(seed)
    middle = rng.uniform(10, num_steps - 10, (n, 1))
    pulse = np.exp(-(((np.arange(num_steps) - middle) / 4) ** 2))
    return (pulse + 0.1 * rng.standard_normal(pulse.shape))[..., None]


def found_in(values, observed, n_components=12):
    full = np.full(len(values), values.shape[1])
    found = principal_components(values, full, n_components, seed=0, observed=observed)
    return found, needs_no_regression(values, full, observed, found, seed=0)


def error_of(codec, way, held, wanted=None):
    return float(
        ((decode(codec.encode(held), way) - (held if wanted is None else wanted)) ** 2).sum()
    )


def test_a_regression_overfits_few_series_without_gaps():
    values, held = pulses(24), pulses(300, seed=1)
    seen = np.full(values.shape, True)
    found, by_themselves = found_in(values, seen)
    codec = linear_codec(values, seen, found)
    assert by_themselves
    assert error_of(codec, codec.by_components, held) < 0.95 * error_of(
        codec, codec.by_regression, held
    )


def test_a_regression_is_better_with_gaps():
    rng = np.random.default_rng(2)
    whole, wanted = pulses(60), pulses(300, seed=1)
    seen, held = rng.random(whole.shape) < 0.6, wanted * (rng.random(wanted.shape) < 0.6)
    found, by_themselves = found_in(whole * seen, seen)
    codec = linear_codec(whole * seen, seen, found)
    assert not by_themselves
    assert error_of(codec, codec.by_regression, held, wanted) < error_of(
        codec, codec.by_components, held, wanted
    )


@pytest.mark.parametrize("gaps", [False, True])
def test_the_initialization_uses_the_better_map(gaps):
    values = pulses(24 if not gaps else 60)
    seen = np.random.default_rng(2).random(values.shape) < (0.6 if gaps else 1.0)
    start = linear_initialization(
        Sequences.from_list(list(np.where(seen, values, np.nan))), [0], 12, 60, seed=0
    )
    filled = np.where(seen, values, 0.0)
    codec = linear_codec(filled, seen, found_in(filled, seen)[0])
    taken = codec.by_regression if gaps else codec.by_components
    np.testing.assert_allclose(start.decoder, taken[:-1], atol=1e-5)
    np.testing.assert_allclose(start.decoder_bias, taken[-1], atol=1e-5)


# Codes by length


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
    return codes, decode(codes, start.lengthwise.decoder)[real]


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
