"""The validation split, and settings that depend on the data."""

import jax
import numpy as np
import pytest

from refold.errors import ParameterError
from refold.training._backend import require_jax
from refold.training._settings import pick_batch_size, pick_refit
from refold.training.data._validation_split import validation_split
from refold.training.loop._schedule import Schedule, pick_max_epochs


@pytest.mark.parametrize("n", [2, 5, 30, 1000])
def test_split_is_a_partition_spread_over_lengths(n):
    lengths = np.sort(np.random.default_rng(0).integers(0, 300, n))
    training, validation = validation_split(lengths, 0.2, seed=1)
    assert sorted([*training, *validation]) == list(range(n))
    assert len(validation) == max(1, round(0.2 * n))
    if n == 1000:
        quartiles = np.quantile(lengths, [0.25, 0.5, 0.75])
        assert np.allclose(np.quantile(lengths[validation], [0.25, 0.5, 0.75]), quartiles, atol=6)


def test_the_split_is_not_the_end_of_the_data():
    _, validation = validation_split(np.full(100, 7), 0.2, seed=0)
    assert np.ptp(validation) > 50
    _, other = validation_split(np.full(100, 7), 0.2, seed=1)
    assert not np.array_equal(validation, other)


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
    assert [pick_refit(*sizes) for sizes in ((10, 1), (1999, 200), (2000, 200), (10, 0))] == [
        True,
        True,
        False,
        False,
    ]


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
            require_jax()
    finally:
        jax.config.update("jax_enable_x64", False)
    require_jax()
