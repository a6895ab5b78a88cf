"""Latent optimization, and its minimizer."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import rosen

import refold
from refold.errors import ParameterError
from refold.evaluation import nmse
from refold.network.packed.losses import cost_of_length, minimize_rows
from refold.network.specification import Specification
from refold.sequences import as_sequences
from refold.training._specify import pick_latent_steps
from refold.training._split import Source

OPTIONS = {"latent_dim": 8, "units": 32, "max_epochs": 40, "random_state": 0}
OPTIONS |= {"validation_fraction": 0, "length_dim": 0}


def rosenbrock(x):
    """Return the values and gradients of the rows."""
    off = x[:, 1] - x[:, 0] ** 2
    gradient = np.stack([-2 * (1 - x[:, 0]) - 400 * off * x[:, 0], 200 * off], axis=1)
    return (1 - x[:, 0]) ** 2 + 100 * off**2, gradient


def test_a_wrong_length_costs_about_its_steps_and_a_right_one_little():
    away = np.array([-7.0, -2.0, -1.0, -0.45, -0.2, 0.0, 0.3, 0.6, 1.0, 3.0, 40.0])
    cost, slope = cost_of_length(away)
    whole = np.abs(away) >= 1
    np.testing.assert_allclose(cost[whole], np.abs(away[whole]), atol=0.05)
    assert cost[np.abs(away) < 0.5].max() < 0.2
    assert cost[np.abs(away) <= 0.3].max() == 0
    step = 1e-5
    expected = (cost_of_length(away + step)[0] - cost_of_length(away - step)[0]) / (2 * step)
    np.testing.assert_allclose(slope, expected, atol=1e-3)


def test_every_row_finds_its_own_minimum():
    start = np.array([[-1.2, 1.0], [2.0, 2.0], [0.0, 0.0], [1.0, 1.0]], "float32")
    assert np.allclose(rosenbrock(start)[0], [rosen(x) for x in start])
    found = minimize_rows(rosenbrock, start, 80)
    # The loss starts at 24. Rounding makes the valley rough.
    assert float(rosenbrock(found)[0].max()) < 0.01


def test_no_step_increases_the_loss_of_a_row():
    start = (np.random.default_rng(0).normal(size=(50, 2)) * 3).astype("float32")
    losses = [rosenbrock(minimize_rows(rosenbrock, start, k))[0] for k in range(12)]
    assert np.array_equal(losses[0], rosenbrock(start)[0])
    assert all((b <= a).all() for a, b in itertools.pairwise(losses))


def test_rows_are_independent_and_steps_to_nan_are_not_taken():
    def loss(x):  # NaN for negative values
        with np.errstate(invalid="ignore", divide="ignore"):
            root = np.sqrt(x[:, 0])
            values = root + (x[:, 1] - 2) ** 2
            return values, np.stack([0.5 / root, 2 * (x[:, 1] - 2)], axis=1)

    start = np.array([[0.5, 0.0], [4.0, 9.0]], "float32")
    found = minimize_rows(loss, start, 20)
    assert np.isfinite(found).all()
    assert (loss(found)[0] < loss(start)[0]).all()
    assert np.array_equal(minimize_rows(loss, start[1:], 20), found[1:])


def test_a_minimum_that_is_reached_exactly_gives_no_warning():
    def loss(x):
        return (x * x).sum(axis=1), 2 * x

    start = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = minimize_rows(loss, start, 12)
    assert np.abs(found).max() < 1e-6


@pytest.fixture(scope="module")
def vowels():
    data = refold.datasets.japanese_vowels()
    return data.train[:90], data.test[:60]


@pytest.fixture(scope="module")
def fitted(vowels):
    return refold.SequenceAutoencoder(**OPTIONS).fit(vowels[0])


def test_latent_optimization_lowers_the_error(fitted, vowels, tmp_path):
    _, test = vowels
    back = []
    for value in (0, "auto"):
        back.append(fitted.set_params(latent_steps=value).reconstruct(test))
    errors = [nmse(test, sequences, fitted.scaler_) for sequences in back]
    assert errors[1] < 0.95 * errors[0]
    misread = [
        np.mean([len(x) != n for x, n in zip(sequences, test.lengths, strict=True)])
        for sequences in back
    ]
    assert misread[1] < 0.7 * misread[0]
    fitted.save(tmp_path / "model.refold")
    loaded = refold.SequenceAutoencoder.load(tmp_path / "model.refold")
    assert loaded.latent_steps == "auto"
    assert np.array_equal(loaded.encode(test), fitted.encode(test))


def test_latent_steps_can_be_set_after_fit(fitted, vowels):
    """The model was fitted with another number of steps."""
    test = vowels[1][:8]
    by_default = fitted.transform(test)
    own = fitted.model_.network.encode(fitted.scaler_.transform(test))
    try:
        assert fitted.latent_steps_ == 10
        assert np.array_equal(fitted.set_params(latent_steps=0).transform(test), own)
        assert not np.array_equal(by_default, own)
        assert fitted.set_params(latent_steps=np.int64(3)).latent_steps_ == 3
        with pytest.raises(ParameterError, match=r"^latent_steps must be 'auto' or an integer"):
            fitted.set_params(latent_steps=-1).transform(test)
    finally:
        fitted.set_params(latent_steps="auto")
    assert np.array_equal(fitted.transform(test), by_default)


def test_latent_optimization_of_words_does_not_change_the_training():
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("abc"), 1 + i % 5)) for i in range(120)]
    options = {"latent_dim": 6, "units": 16, "max_epochs": 30, "random_state": 0}
    options |= {"validation_fraction": 0}
    ae, plain = (
        refold.SequenceAutoencoder(**options, latent_steps=steps).fit(words) for steps in (30, 0)
    )
    searched = ae.model_.network.arrays()
    assert all(
        np.array_equal(a, searched[name]) for name, a in plain.model_.network.arrays().items()
    )
    assert ae.score(words) > plain.score(words)


def test_few_observed_values_do_not_give_extreme_codes(fitted, vowels):
    _, test = vowels
    gaps = [x.copy() for x in test.to_list()]
    for x in gaps:
        x[2:] = np.nan
    with pytest.warns(UserWarning, match="missing"):
        codes = fitted.transform(gaps)
    assert np.abs(codes).max() < 10


def test_the_default_depends_on_the_number_of_sequences():
    # test_latent_steps_can_be_set_after_fit has `latent_steps_` of a model of few sequences.
    series, words = as_sequences(np.zeros((2000, 3, 1))), as_sequences(["word"] * 2000)
    default = Specification("default", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0)
    for sequences, wanted in ((series[:1999], 10), (series, 0), (words, 10)):
        assert pick_latent_steps(default, Source(sequences)) == wanted
    for other in ({"cell": "gru"}, {"variational": True}, {"architecture": "dense"}):
        assert pick_latent_steps(replace(default, **other), Source(words)) == 0


@pytest.mark.parametrize("value", [-1, 2.5, "much", True, None])
def test_bad_latent_steps(value):
    with pytest.raises(
        ParameterError, match=r"^latent_steps must be 'auto' or an integer of at least 0"
    ):
        refold.SequenceAutoencoder(latent_steps=value).fit([[1.0], [2.0]])


def test_other_architectures_have_no_latent_optimization():
    series = np.random.default_rng(0).normal(size=(8, 5, 1))
    options = {"architecture": "dense", "latent_dim": 5, "max_epochs": 1}
    options |= {"validation_fraction": 0}
    ae = refold.SequenceAutoencoder(**options).fit(series)
    assert ae.latent_steps_ == 0
    with pytest.raises(ParameterError, match="latent_steps=3 needs the default model"):
        ae.set_params(latent_steps=3).transform(series)
    with pytest.raises(ParameterError, match="latent_steps=3 needs the default model"):
        refold.SequenceAutoencoder(**options, latent_steps=3).fit(series)
