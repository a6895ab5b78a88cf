"""Settings that depend on the data: the split and the schedule, and what a fit chooses."""

from types import SimpleNamespace

import jax
import keras
import numpy as np
import pytest

from outside_data import employment
from refold import Checkpoint, SequenceAutoencoder, Sequences, load
from refold.errors import DataError, ParameterError
from refold.evaluation import Fidelity, PCABaseline, nmse
from refold.sequences import as_sequences
from refold.training import _held_out_error
from refold.training._held_out_error import InferenceSettings, choose_inference_settings
from refold.training._specify import pick_batch_size, pick_max_epochs, pick_patience, should_refit
from refold.training._split import split_validation
from refold.training.loop._compiled_steps import Schedule
from small_data import TINY


@pytest.mark.parametrize("n", [2, 30, 1000])
def test_split_is_a_partition_spread_over_lengths(n):
    lengths = np.random.default_rng(0).integers(0, 300, n)
    training, validation = split_validation(lengths, 0.2, seed=1)
    assert sorted([*training, *validation]) == list(range(n))
    assert len(validation) == max(1, round(0.2 * n))
    if n == 1000:
        quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
        assert np.allclose(np.quantile(lengths[validation], [0.25, 0.5, 0.75]), quartiles, atol=4)
    assert len(split_validation(lengths, 0, seed=0)[1]) == 0
    with pytest.raises(ParameterError, match=f"validation_fraction=0.9999 of {n} sequences leaves"):
        split_validation(lengths, 0.9999, seed=0)


def test_sizes_depend_on_the_data():
    assert [pick_batch_size(n) for n in (1, 100, 1999, 2000)] == [1, 32, 32, 64]
    assert [pick_max_epochs(n) for n in (1, 50, 10**5)] == [4000, 80, 30]
    assert [pick_patience(n) for n in (30, 4000)] == [50, 1000]
    splits = [
        SimpleNamespace(lengths=np.zeros(n), held_out_indices=np.zeros(held), base_model=None)
        for n, held in ((1999, 200), (2000, 200), (10, 0))
    ]
    assert [should_refit(split) for split in splits] == [True, False, False]


@pytest.mark.parametrize("num_steps", [1, 50, 4000])
def test_the_rate_rises_to_its_peak_and_falls_to_a_hundredth(num_steps):
    rates = np.asarray(Schedule(0.1, num_steps).learning_rate(np.arange(num_steps)))
    top = rates.argmax()
    assert rates[top] == pytest.approx(0.1)
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) <= 0)
    if num_steps > 10:
        assert rates[-1] == pytest.approx(0.001, rel=0.2)
    assert float(Schedule(0.1, num_steps).learning_rate(10 * num_steps)) == pytest.approx(0.001)


def test_fits_that_are_refused_at_once():
    jax.config.update("jax_enable_x64", True)
    try:
        with pytest.raises(ParameterError, match=r"64-bit floats \(jax_enable_x64\)"):
            SequenceAutoencoder().fit([[1.0, 2.0]])
    finally:
        jax.config.update("jax_enable_x64", False)
    words = as_sequences([np.array([[str(i)] for i in range(60_000)], dtype=object)])
    message = "Column 'x0' has 60000 categories, and a model can have 50000 in all columns"
    with pytest.raises(DataError, match=message):
        SequenceAutoencoder(2).fit(words)


BAD_DENOISE = r"^denoise must be the standard deviation.*Got .*\.$"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cell": "gru", "architecture": "repeat"}, "cell='gru' needs architecture='default'"),
        ({"cell": "gru", "latent_steps": 3}, "^latent_steps=3 needs LSTMs, and the .* cell='gru'"),
        ({"decoder": "autoregressive", "architecture": "dense"}, "needs architecture='default'"),
        ({"variational": True, "architecture": "repeat"}, "variational=True needs architecture"),
        ({"patch": 4, "decoder": "autoregressive"}, "an autoregressive decoder needs patch=1"),
        ({"cell": "gru", "decoder": "autoregressive"}, "needs patch=1 and cell='lstm'. Got .*gru"),
        ({"length_dim": 1, "denoise": "steps:0.2"}, "length_dim=1 needs the default model"),
        ({"length_dim": 2}, "length_dim must be 'auto' or an integer from 0 to 1. Got 2"),
        ({"length_dim": 1, "rocket_dim": 2}, "rocket_dim must be from 0 to 1"),
        ({"rocket_dim": 3}, "from 0 to 2, because a latent dimension must be left to learn"),
        ({"rocket_dim": 2, "variational": True}, "with variational=True all are learned"),
        ({"rocket_dim": 2, "architecture": "repeat"}, "rocket_dim=2 needs architecture="),
        *(({"denoise": value}, BAD_DENOISE) for value in (-0.1, None, "steps:1", "0.3,0.4")),
    ],
)
def test_options_that_are_not_possible_are_refused_with_one_line(options, message):
    with pytest.raises(ParameterError, match=message) as error:
        SequenceAutoencoder(**TINY | options).fit([np.ones((5, 1))] * 8)
    assert "\n" not in str(error.value)


def choose(monkeypatch, errors, may_skip_optimization=True):
    """Choose settings for given errors, by weights (0: trained, 1: initial) and latent steps."""
    weights, specification = keras.Variable(0), SimpleNamespace(latent_dim=4)
    network = SimpleNamespace(variables=[weights], specification=specification)
    monkeypatch.setattr(_held_out_error, "to_inference_network", lambda _: int(weights.value))

    def network_errors(packed, _scaler, latent_steps):
        return Fidelity(errors[packed, latent_steps], None, 0.0)

    evaluator = SimpleNamespace(
        network_errors=network_errors, pca_errors=lambda _: Fidelity(0.5, None, 0.0)
    )
    choice = choose_inference_settings(
        evaluator,
        network,
        None,
        trained_weights=None,
        get_initial_weights=lambda: [np.array(1)],
        provisional_settings=InferenceSettings(8, 10),
        may_skip_optimization=may_skip_optimization,
    )
    assert int(weights.value) == 0
    return choice


@pytest.mark.parametrize(
    ("errors", "steps", "initial"),
    [
        ({(0, 8): 0.3, (0, 0): 0.4}, 8, False),  # latent optimization helps
        ({(0, 8): 0.3995, (0, 0): 0.4}, 0, False),  # the improvement is too small
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): 0.4, (1, 0): 0.6}, 8, True),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): 0.7, (1, 0): 0.9}, 8, False),
        ({(0, 8): 0.7, (0, 0): 0.8, (1, 8): np.nan, (1, 0): np.nan}, 8, False),
    ],
)
def test_the_settings_with_the_smallest_error_are_chosen(monkeypatch, errors, steps, initial):
    choice = choose(monkeypatch, errors)
    assert (choice.latent_steps, choice.default_latent_steps) == (steps, steps)
    assert choice.uses_initial_weights == initial
    fixed = choose(monkeypatch, errors, may_skip_optimization=False)
    assert (fixed.latent_steps, fixed.default_latent_steps) == (8, 10)


def test_a_kept_initialization_is_that_of_the_model_also_after_resuming(monkeypatch, tmp_path):
    given = Sequences.from_list([np.sin(np.arange(6 + i % 3) + i)[:, None] for i in range(40)])
    settings = TINY | {"max_epochs": 2, "latent_steps": "auto", "refit": True}

    def choose(*_, get_initial_weights, **options):
        assert get_initial_weights() is not None
        assert options["provisional_settings"].latent_steps > 0
        return InferenceSettings(3, 3, uses_initial_weights=True)

    checkpoint = Checkpoint(tmp_path / "checkpoint", seconds=0.0)
    with monkeypatch.context() as patch:
        patch.setattr(_held_out_error, "choose_inference_settings", choose)
        first, again = (
            SequenceAutoencoder(**settings).fit(given, checkpoint=checkpoint, resume=resume)
            for resume in (False, True)
        )
    trained = SequenceAutoencoder(**settings).fit(given).transform(given)
    assert (first.best_epoch_, first.latent_steps_) == (0, 3)
    first.save(tmp_path / "model.refold")
    for model in (first.model_, again.model_, load(tmp_path / "model.refold")):
        assert (model.history.best_epoch, model.latent_steps) == (0, 3)
        np.testing.assert_array_equal(model.encode(given), first.transform(given))
        assert np.abs(model.encode(given) - trained).max() > 1e-3


def test_a_fit_is_never_worse_than_pca_where_it_is_almost_exact():
    windows = employment(seed=1)
    order = np.random.default_rng(1).permutation(len(windows))
    new, training = (
        Sequences.from_list([windows[i] for i in part]) for part in np.split(order, [73])
    )
    settings = {"units": 32, "max_epochs": 3, "latent_steps": 0}
    ae = SequenceAutoencoder(latent_dim=4, random_state=1, **settings).fit(training)
    pca = PCABaseline(latent_dim=4).fit(training)
    for sequences in (training, new):
        error = nmse(sequences, ae.reconstruct(sequences), ae.error_scaler_)
        assert error <= 1.01 * nmse(sequences, pca.reconstruct(sequences), ae.error_scaler_)
