"""Denoising: the corruption of inputs, and its effect on the model."""

import jax
import numpy as np
import pytest

from refold import SequenceAutoencoder, Sequences
from refold.arguments import Corruption
from refold.errors import ParameterError
from refold.evaluation import nmse
from refold.models import Specification, build
from refold.training.data._padded_batches import Layout, corrupt, take, to_device
from refold.training.initialization._initial_weights import sample_size
from refold.training.initialization._numeric_columns import linear_initialization
from training.small import CASES, STEPS, network, sequences

BOTH = Corruption(0.5, 0.4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, (0.0, 0.0)),
        (1, (1.0, 0.0)),
        ("0.3", (0.3, 0.0)),
        ("steps:0.2", (0.0, 0.2)),
        (" steps:0.2 , 0.3", (0.3, 0.2)),
    ],
)
def test_formats_of_the_argument(value, expected):
    corruption = Corruption.of(value)
    assert corruption == expected
    assert bool(corruption) == (expected != (0.0, 0.0))


@pytest.mark.parametrize(
    "value", [-0.1, float("nan"), True, None, "", "much", "steps:1", "steps:", "0.3,0.4", [0.3]]
)
def test_bad_arguments_give_one_line(value):
    with pytest.raises(ParameterError, match=r"^denoise must be the standard deviation.*Got .*\.$"):
        SequenceAutoencoder(denoise=value).fit([[1.0, 2.0]])


def batches(case, corruption, *, flags=True, seed=0):
    """Return a batch of all lengths with an empty row, before and after corruption."""
    data = sequences(case)
    layout = Layout.of(network(case, observed_flags=flags or case.flags))
    rows = np.append(np.arange(len(data)), -1).astype(np.int32)
    before = take(to_device([data], STEPS), rows, STEPS, layout)
    return before, corrupt(before, jax.random.key(seed), corruption, layout), layout


@pytest.mark.parametrize("name", [name for name in CASES if name != "own"])
def test_padding_targets_and_lengths_are_unchanged(name):
    before, after, _ = batches(CASES[name], BOTH)
    for field in ("y", "lengths", "valid"):
        np.testing.assert_array_equal(getattr(after, field), getattr(before, field))
    np.testing.assert_array_equal(np.isnan(after.x), np.isnan(before.x))
    padded = np.arange(STEPS) >= np.asarray(before.lengths)[:, None]
    assert np.isnan(np.asarray(after.x)[padded]).all()
    assert np.isfinite(np.asarray(after.x)[~padded]).all()


@pytest.mark.parametrize("name", ["mixed", "patches, ROCKET"])
def test_noise_is_added_only_to_observed_numeric_values(name):
    case = CASES[name]
    before, after, layout = batches(case, Corruption(0.5), flags=False)
    x, y = np.asarray(before.x), np.asarray(before.y)
    changed = np.asarray(after.x) - np.where(np.isnan(x), 0, x) != 0
    changed &= ~np.isnan(x)
    expected = np.zeros_like(changed)
    expected[..., : y.shape[-1]] = np.asarray(layout.numeric) & ~np.isnan(y)
    np.testing.assert_array_equal(changed, expected)


@pytest.mark.parametrize("name", ["numeric", "mixed", "patches, ROCKET"])
def test_dropped_steps_look_like_missing_values(name):
    case = CASES[name]
    before, after, layout = batches(case, Corruption(0.0, 0.4))
    changed = np.asarray(after.x)[(np.asarray(before.x) != np.asarray(after.x)).any(axis=-1)]
    changed = changed[np.isfinite(changed).all(axis=1)]
    nothing = [*np.nan_to_num(layout.unknown), *[0.0] * len(layout.unknown)]
    assert len(changed) > 10
    np.testing.assert_array_equal(changed, np.broadcast_to(nothing, changed.shape))
    real = int(np.sum(before.lengths))
    gone = int((np.asarray(after.x) == np.array(nothing)).all(axis=-1).sum())
    assert 0.25 < gone / real < 0.6


def test_dropped_steps_turn_observed_flags_on():
    data = [np.random.default_rng(i).normal(size=(6, 2)) for i in range(20)]
    options = {"latent_dim": 2, "units": 8, "max_epochs": 1, "random_state": 0}
    options |= {"validation_fraction": 0, "latent_steps": 0}
    ae = SequenceAutoencoder(**options, denoise="steps:0.3").fit(data)
    assert ae.encoder_.input_shape == (None, None, 4)  # noise alone does not, see below
    gap = data[0].copy()
    gap[2:4] = np.nan
    assert np.isfinite(ae.transform([gap])).all()  # without a warning, which would be an error here


def test_steps_of_categorical_data_can_be_dropped():
    words = ["abba", "cabs"] * 12
    options = {"units": 8, "max_epochs": 1, "validation_fraction": 0, "latent_steps": 0}
    ae = SequenceAutoencoder(3, denoise="0.3,steps:0.5", random_state=0, **options)
    assert len(ae.fit(words).reconstruct(words)) == 24


def test_a_classic_model_accepts_noise_but_not_dropped_steps():
    data = [np.random.default_rng(i).normal(size=(6, 2)) for i in range(20)]
    options = {"latent_dim": 2, "architecture": "repeat", "max_epochs": 1}
    options |= {"validation_fraction": 0}
    assert SequenceAutoencoder(**options, denoise=0.3).fit(data).transform(data).shape == (20, 2)
    with pytest.raises(ParameterError, match=r"'repeat' knows no missing values, which denoise="):
        SequenceAutoencoder(**options, denoise="steps:0.1").fit(data)


def test_the_initialization_corrects_for_the_variance_of_the_noise():
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(400, 1)) * [2.0, 2, 2, 2]).reshape(400, 4, 1)
    data = Sequences.from_list(list(values))
    sizes = {"latent_dim": 1, "max_steps": 4, "units": 8, "depth": 1, "dropout": 0.0}
    lengths = {"length_mean": 4.0, "length_deviation": 0.0}
    net = build(Specification("default", ["numeric"], [0], False, **sizes, **lengths))
    assert sample_size(net) > 400
    start = linear_initialization(data, [0], 1, 4, seed=0, corruption=Corruption(2.0))
    noisy = values + 2.0 * rng.normal(size=values.shape)
    code = np.einsum("ntc,tcd->nd", noisy, start.encoder) + start.encoder_bias
    back = np.einsum("nd,dtc->ntc", code, start.decoder) + start.decoder_bias
    assert abs(code.std() - 1) < 0.1
    # The error of the best linear estimate is 1 / (1 / 4 + 4 / 4) of a variance of 4.
    assert abs(((back - values) ** 2).mean() - 0.8) < 0.1


def smooth(n, seed):
    """Return smooth series of 24 steps, and the same series with noise."""
    rng, k = np.random.default_rng(seed), np.arange(1, 9)
    waves = np.sqrt(2 / 24) * np.cos(np.pi * k[:, None] * (np.arange(24) + 0.5) / 24)
    clean = (4 / k * rng.normal(size=(n, 8))) @ waves
    noisy = clean + rng.normal(size=clean.shape)
    return [Sequences.from_list(list(values[..., None])) for values in (clean, noisy)]


def test_a_model_trained_with_noise_removes_noise():
    train, _ = smooth(300, 0)
    test, noisy = smooth(200, 1)
    errors = []
    for denoise in (0.0, 1.0):
        given = {"units": 8, "max_epochs": 4, "refit": False, "latent_steps": 0, "random_state": 0}
        ae = SequenceAutoencoder(6, denoise=denoise, **given).fit(train)
        errors.append(nmse(test, ae.reconstruct(noisy), ae.scaler_))
        assert ae.encoder_.input_shape[-1] == 1
    assert errors[1] < 0.75 * errors[0]
