"""Fixtures of one server with two tiny models, which most tests share."""

import httpx
import pytest

import refold
from serve.server_helpers import LIMITS, WORDS, started
from small_data import TINY, draw_ragged_sequences, fit_without_training


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Return model files by name: one of pairs of numbers with all options, and one of words."""
    folder = tmp_path_factory.mktemp("served")
    pairs = fit_without_training(
        draw_ragged_sequences(60), forecast_steps=2, calibration_fraction=0.4
    )
    pairs.save(folder / "pairs.refold")
    words = refold.SequenceAutoencoder(**TINY, refit=False, variational=False)
    words.fit(WORDS).save(folder / "words.refold")
    return {name: folder / f"{name}.refold" for name in ("pairs", "words")}


@pytest.fixture(scope="session")
def pairs(files):
    return refold.load(files["pairs"])


@pytest.fixture(scope="session")
def words(files):
    return refold.load(files["words"])


@pytest.fixture(scope="session")
def running_service(files):
    with started(files, **LIMITS) as url_and_service:
        yield url_and_service


@pytest.fixture(scope="session")
def url(running_service):
    return running_service[0]


@pytest.fixture(scope="session")
def service(running_service):
    return running_service[1]


@pytest.fixture(scope="session")
def client(url):
    with httpx.Client(base_url=url) as client:
        yield client
