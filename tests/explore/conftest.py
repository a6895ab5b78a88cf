"""One tiny model with a numeric and a categorical column, one server and one browser."""

import numpy as np
import pytest

import refold
from refold.explore import Atlas, exploring
from small_data import fit_without_training

NUM_SEQUENCES = 48


def drifting_rows(seed, steps):
    """Return the rows of a sequence with a drifting number and a letter."""
    rng = np.random.default_rng(seed)
    numbers = np.cumsum(rng.normal(size=steps)).round(3).tolist()
    return [[height, rng.choice(["a", "b", "c"])] for height in numbers]


@pytest.fixture(scope="session")
def data():
    sequences = [drifting_rows(seed, 3 + seed % 6) for seed in range(NUM_SEQUENCES)]
    ids = [f"s{i}" for i in range(NUM_SEQUENCES)]
    return refold.sequences.Sequences.from_list(sequences, names=["height", "letter"], ids=ids)


@pytest.fixture(scope="session")
def model(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("explored") / "drift.refold"
    fit_without_training(data, calibration_fraction=0.4).save(path)
    return path


@pytest.fixture(scope="session")
def atlas(model, data):
    loaded = refold.load(model)
    # as wide as a map of trained codes, so that points do not overlap
    codes = loaded.encode(data) * 3
    return Atlas(loaded, data, codes=codes, fields={"site": ["north", "south", "west"] * 16})


@pytest.fixture(scope="session")
def url(model, atlas):
    with exploring(model, atlas) as url:
        yield url
