"""One fitted model for all tests of this folder."""

import pytest

from model.small import TINY, sines
from refold import SequenceAutoencoder


@pytest.fixture(scope="session")
def bare():
    """Return a model without calibration; tests calibrate copies of it."""
    return SequenceAutoencoder(**TINY).fit(sines(60))
