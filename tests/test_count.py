"""A column type from data to models and files: counts beside numbers."""

import numpy as np
import pytest

import refold
from refold.evaluation import PCABaseline, fidelity
from refold.sequences import Sequences
from small_data import TINY, fit_without_training

NAMES, TYPES = ["visits", "heat"], {"visits": "count"}


def data(n=60, seed=0):
    """Return sequences of a count, whose mean is a wave, and a number."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in rng.integers(6, 13, n):
        wave = np.sin(np.arange(length) / 2 + rng.uniform(0, 6))
        rows.append(np.stack([rng.poisson(np.exp(1 + wave)), 20 + 5 * wave], axis=1))
    return Sequences.from_list(rows, names=NAMES, column_types=TYPES)


@pytest.fixture(scope="module")
def ae():
    return fit_without_training(data(), forecast_steps=2, calibration_fraction=0.3)


def are_counts(values):
    values = np.asarray(values, float)
    return bool((values >= 0).all() and (values == np.round(values)).all())


def test_decoded_and_forecast_counts_are_whole_and_near(ae):
    new = data(40, seed=2)
    for rows in (ae.reconstruct(new), ae.generate(5)):
        assert are_counts(np.concatenate([row[:, 0] for row in rows]))
        assert not are_counts(np.concatenate([row[:, 1] for row in rows]))
    forecast = ae.forecast(new)
    for values in (forecast.sequences.values, forecast.lower, forecast.upper):
        assert are_counts(values[..., 0])
    assert ae.score(new) > 0.3
    pca = PCABaseline(3).fit(data())
    back = pca.reconstruct(new)
    assert are_counts(back.values[:, 0])
    assert fidelity(new, back, pca.scaler_).error < 1


def test_a_burst_is_an_anomaly(ae):
    new = data(9, seed=1)
    values = new.values.copy()
    values[3, 0] = 200
    usual, burst = (ae.detect(data, alpha=0.1) for data in (new, new.with_values(values)))
    assert burst.p_values[0] < usual.p_values[0]
    assert burst.scores[0] > 10 * usual.scores[0]
    np.testing.assert_array_equal(burst.scores[1:], usual.scores[1:])


def test_files_keep_the_type(tmp_path):
    refold.sequences.write(data(), tmp_path / "visits.parquet")
    assert refold.sequences.read(tmp_path / "visits.parquet").schema == data().schema


def test_training_lowers_the_loss_of_counts():
    ae = refold.SequenceAutoencoder(**TINY | {"max_epochs": 3}, refit=False).fit(data())
    assert min(ae.history_["val_loss"]) < ae.initial_loss_
