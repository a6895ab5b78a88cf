"""A column type from data to files, service and page: counts beside numbers."""

import httpx
import numpy as np
import pytest

import refold
from refold.evaluation import PCABaseline, fidelity
from refold.sequences import Sequences
from serve.serving import started
from small_data import TINY, untrained

NAMES, TYPES = ["visits", "heat"], {"visits": "count"}


def data(n=60, seed=0):
    """Ragged sequences of a count, which follows a wave, and a number."""
    rng = np.random.default_rng(seed)
    rows = []
    for length in rng.integers(6, 13, n):
        wave = np.sin(np.arange(length) / 2 + rng.uniform(0, 6))
        rows.append(np.stack([rng.poisson(np.exp(1 + wave)), 20 + 5 * wave], axis=1))
    return Sequences.from_list(rows, names=NAMES, column_types=TYPES)


@pytest.fixture(scope="module")
def ae():
    return untrained(data(), forecast_steps=2, calibration_fraction=0.3)


def are_counts(values):
    values = np.asarray(values, float)
    return bool((values >= 0).all() and (values == np.round(values)).all())


def test_decoded_and_forecast_counts_are_whole_and_near(ae):
    new = data(40, seed=2)
    for rows in (ae.reconstruct(new), ae.generate(5)):
        assert are_counts(np.concatenate([row[:, 0] for row in rows]))
        assert not are_counts(np.concatenate([row[:, 1] for row in rows]))
    ahead = ae.forecast(new)
    for values in (ahead.sequences.values, ahead.lower, ahead.upper):
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
    usual, burst = (ae.detect(one, alpha=0.1) for one in (new, new.with_values(values)))
    assert burst.p_values[0] < usual.p_values[0]
    assert burst.scores[0] > 10 * usual.scores[0]
    np.testing.assert_array_equal(burst.scores[1:], usual.scores[1:])


def test_files_and_the_service(ae, tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("id,time,visits\na,1,3\na,2,0\nb,1,7\n")
    read = refold.sequences.read(path, column_types="count")
    assert read.schema.columns[0].type == "count"
    refold.sequences.write(read, tmp_path / "again.parquet")
    assert refold.sequences.read(tmp_path / "again.parquet").schema == read.schema
    ae.save(tmp_path / "m.refold")
    rows = [row.tolist() for row in data(4, seed=1).to_list()]
    with started({"m": tmp_path / "m.refold"}) as (url, _):
        codes = httpx.post(f"{url}/v1/m/encode", json={"sequences": rows}).json()["codes"]
        np.testing.assert_array_equal(codes, ae.encode(data(4, seed=1)))
        back = httpx.post(f"{url}/v1/m/decode", json={"codes": codes}).json()["sequences"]
        assert are_counts([step[0] for row in back for step in row])
        wrong = httpx.post(f"{url}/v1/m/encode", json={"sequences": [[[-1, 20]]]})
        assert wrong.status_code == 422
        assert "whole numbers from 0" in wrong.text


def test_training_lowers_the_loss_of_counts():
    ae = refold.SequenceAutoencoder(**TINY | {"max_epochs": 3}, refit=False).fit(data())
    assert min(ae.history_["val_loss"]) < ae.initial_loss_
