"""The validation split, settings that depend on the data, and early stopping."""

from types import SimpleNamespace

import jax
import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import DataError, ParameterError
from refold.sequences import as_sequences
from refold.training._specify import pick_batch_size, pick_max_epochs, pick_refit
from refold.training._split import validation_split
from refold.training.loop._state import Schedule
from refold.training.loop._stopping import out_of_patience, pick_patience


@pytest.mark.parametrize("n", [2, 5, 30, 1000])
def test_split_is_a_partition_spread_over_lengths(n):
    lengths = np.random.default_rng(0).integers(0, 300, n)
    training, validation = validation_split(lengths, 0.2, seed=1)
    assert sorted([*training, *validation]) == list(range(n))
    assert len(validation) == max(1, round(0.2 * n))
    if n == 1000:
        quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
        assert np.allclose(np.quantile(lengths[validation], [0.25, 0.5, 0.75]), quartiles, atol=4)


def test_without_a_fraction_there_is_no_validation():
    training, validation = validation_split(np.arange(4), 0, seed=0)
    assert len(training) == 4
    assert len(validation) == 0


def test_too_few_to_split():
    with pytest.raises(ParameterError, match=r"validation_fraction=0.1 of 1 sequence leaves"):
        validation_split(np.array([5]), 0.1, seed=0)
    with pytest.raises(ParameterError, match=r"validation_fraction=0.9 of 4 sequences leaves"):
        validation_split(np.arange(4), 0.9, seed=0)


def test_sizes_depend_on_the_data():
    assert [pick_batch_size(n) for n in (1, 100, 500, 2000, 10**6)] == sorted(
        pick_batch_size(n) for n in (1, 100, 500, 2000, 10**6)
    )
    assert pick_max_epochs(1) >= pick_max_epochs(50) >= pick_max_epochs(10**5) >= 1
    splits = [
        SimpleNamespace(lengths=np.zeros(n), held_out=np.zeros(held), further=None)
        for n, held in ((10, 1), (1999, 200), (2000, 200), (10, 0))
    ]
    assert [pick_refit(split) for split in splits] == [True, True, False, False]


@pytest.mark.parametrize("num_steps", [1, 7, 50, 4000])
def test_the_rate_rises_to_its_peak_and_falls_to_a_hundredth(num_steps):
    rates = np.array([float(Schedule(0.1, num_steps).rate(step)) for step in range(num_steps)])
    top = rates.argmax()
    assert rates[top] == pytest.approx(0.1)
    assert np.all(np.diff(rates[: top + 1]) > 0)
    assert np.all(np.diff(rates[top:]) <= 0)
    if num_steps > 10:
        assert rates[-1] == pytest.approx(0.001, rel=0.2)
    assert float(Schedule(0.1, num_steps).rate(10 * num_steps)) == pytest.approx(0.001)


def test_double_precision_of_jax_is_refused():
    jax.config.update("jax_enable_x64", True)
    try:
        with pytest.raises(ParameterError, match=r"64-bit floats \(jax_enable_x64\)"):
            SequenceAutoencoder().fit([[1.0, 2.0]])
    finally:
        jax.config.update("jax_enable_x64", False)


def test_too_many_categories_are_refused_at_once():
    words = as_sequences([np.array([[str(i)] for i in range(60_000)], dtype=object)])
    message = "Column 'x0' has 60000 categories, and a model can have 50000 in all columns"
    with pytest.raises(DataError, match=message):
        SequenceAutoencoder(2).fit(words)


def waits(losses, max_epochs, **options):
    """Return the epoch after which training stops, or None."""
    for epoch in range(1, len(losses) + 1):
        seen = losses[:epoch]
        best = 0 if min(seen) >= 1.0 else seen.index(min(seen)) + 1
        if out_of_patience(seen, best, max_epochs=max_epochs, **options):
            return epoch
    return None


def test_the_patience_for_a_rising_loss_is_a_tenth_of_the_schedule():
    assert waits([1.0 + i / 1000 for i in range(1000)], 1000) == 100


def test_the_patience_for_a_falling_loss_is_a_quarter():
    assert waits([2.0 - i / 1000 for i in range(1000)], 1000) == 250


def test_each_better_epoch_resets_the_patience():
    losses = [0.9, *[1.2] * 49, 0.8, *[1.2] * 400]
    assert waits(losses, 1000) == 51 + 100


def test_a_variational_model_waits_until_its_loss_has_its_full_weight():
    assert pick_patience(1000, variational=True) == 250
    assert pick_patience(40, variational=True) == 20
    assert pick_patience(1000, variational=False) is None
