"""Fitted models for all tests of this folder."""

import pytest

from refold import SequenceAutoencoder
from small_data import fit_without_training, sines

WORDS = ["on", "in", "no", "inn", "non", "noon", "onion", "nine"]


@pytest.fixture(scope="session")
def uncalibrated():
    """Return a model without calibration; tests calibrate copies of it."""
    return fit_without_training(sines(60), latent_dim=4)


@pytest.fixture(scope="session")
def word_model():
    """Return a model of words, which decodes most of them exactly."""
    options = {"latent_dim": 6, "units": 24, "max_epochs": 60, "latent_steps": 0}
    return SequenceAutoencoder(**options, refit=False, random_state=0).fit(WORDS * 10)
