"""The patience of early stopping."""

import pytest

from refold.training.loop._early_stopping import out_of_patience, pick_patience


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


def test_the_patience_is_at_least_twenty_epochs():
    assert waits([1.0 + i / 1000 for i in range(100)], 50) == 20


def test_the_patience_for_a_falling_loss_is_a_quarter():
    assert waits([2.0 - i / 1000 for i in range(1000)], 1000) == 250


def test_training_continues_if_the_loss_falls_below_the_best():
    assert waits([1.5 - i / 300 for i in range(400)], 1000) is None


def test_each_better_epoch_resets_the_patience():
    losses = [0.9, *[1.2] * 49, 0.8, *[1.2] * 400]
    assert waits(losses, 1000) == 51 + 100


@pytest.mark.parametrize("rising", [False, True])
def test_a_given_patience_is_exact(rising):
    losses = [2.0 + (i if rising else -i) / 1000 for i in range(100)]
    assert waits(losses, 1000, patience=7) == 7


def test_a_variational_model_waits_until_its_loss_has_its_full_weight():
    assert pick_patience(1000, variational=True) == 250
    assert pick_patience(40, variational=True) == 20
    assert pick_patience(1000, variational=False) is None
