"""Variational training, active dimensions and samples."""

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.training.loop._compiled_steps import kl_divergence, kl_warmup, negative_elbo
from training.script import SETTINGS, data
from training.small import fit_and_resume, same_weights

pytestmark = pytest.mark.filterwarnings("ignore:1 of 370 sequences is longer")  # of JapaneseVowels

SHORT = SETTINGS | {"max_epochs": 3, "variational": True, "denoise": "0.3,steps:0.2"}
SHORT |= {"calibration_fraction": 0.2}


@pytest.fixture(scope="module")
def vowels():
    return refold.datasets.japanese_vowels()


@pytest.fixture(scope="module")
def fitted(vowels):
    ae = SequenceAutoencoder(
        8, units=16, max_epochs=12, variational=True, refit=False, random_state=0
    )
    return ae.fit(vowels.train)


def test_no_dimension_collapses(fitted, vowels):
    assert fitted.active_dimensions_ == 8
    codes = fitted.transform(vowels.train)
    assert (codes.var(axis=0) > 0.3).all()
    assert fitted.score(vowels.test) > 0.7


def test_samples_resemble_the_data(fitted, vowels):
    draws = np.random.default_rng(0).standard_normal((300, 8))
    drawn = fitted.decode(draws, clip=True)
    lengths = np.array([len(sample) for sample in drawn])
    assert abs(lengths.mean() - vowels.train.lengths.mean()) < 2
    assert lengths.std() > 1
    values, training_values = np.concatenate(drawn), vowels.train.values
    shift = np.abs(values.mean(axis=0) - training_values.mean(axis=0))
    assert (shift < 0.5 * training_values.std(axis=0)).all()
    share = values.std(axis=0) / training_values.std(axis=0)
    assert ((share > 0.5) & (share < 1.3)).all()


def test_resumed_training_gives_the_same_bits(tmp_path):
    """Noise, dropped steps, samples and warm-up depend only on the step."""
    uninterrupted, other = fit_and_resume(SHORT, data(), tmp_path, epoch=2)
    assert same_weights(uninterrupted, other)
    np.testing.assert_equal(other.model_.calibration, uninterrupted.model_.calibration)
    for name in ("loss", "val_loss"):
        assert other.history_[name] == uninterrupted.history_[name]


def test_posterior_collapse_gives_a_warning():
    ae = SequenceAutoencoder(3, units=8, max_epochs=1, variational=True, random_state=0)
    with pytest.warns(UserWarning, match="onstant|posterior collapse") as caught:
        ae.fit([np.full((4, 1), 1.0)] * 20)  # the code has no information
    assert ae.active_dimensions_ == 0
    assert any("Only 0 of 3 latent dimensions are active" in str(one.message) for one in caught)


def test_kl_divergence_of_two_normal_distributions():
    rng = np.random.default_rng(0)
    mean, log_variance = 3 * rng.normal(size=(5, 2)), rng.normal(size=(5, 2))
    draws = mean + np.exp(log_variance / 2) * rng.normal(size=(200_000, 5, 2))
    log_density = -0.5 * ((draws - mean) ** 2 / np.exp(log_variance) + log_variance)
    expected = (log_density + 0.5 * draws**2).mean(axis=0).sum()
    assert abs(float(kl_divergence(mean, log_variance, np.ones(5))) - expected) < 0.1


def test_the_loss_has_the_order_of_the_bound_and_its_weight_rises():
    rng = np.random.default_rng(0)
    errors, nats = rng.uniform(0.01, 1, 200), rng.uniform(0, 2, 200)
    ours = [negative_elbo(error, d, 2.0) for error, d in zip(errors, nats, strict=True)]
    assert np.array_equal(np.argsort(ours), np.argsort(0.5 * np.log(errors) + nats))
    shares = [float(kl_warmup(step, 400)) for step in (0, 50, 100, 399)]
    assert 0 < shares[0] < shares[1] < shares[2] == shares[3] == 1.0
