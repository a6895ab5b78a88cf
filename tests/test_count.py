"""A column type from data to files, service, graph and page: counts beside numbers."""

import httpx
import numpy as np
import pytest

import refold
from refold.evaluation import PCABaseline, fidelity
from refold.sequences import Sequences
from serve.serving import started
from small_data import TINY

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
    options = {**TINY, "max_epochs": 3, "forecast_steps": 2, "calibration_fraction": 0.3}
    return refold.SequenceAutoencoder(**options).fit(data())


def are_counts(values):
    values = np.asarray(values, float)
    return bool((values >= 0).all() and (values == np.round(values)).all())


def test_decoded_counts_are_whole(ae):
    new = data(9, seed=1)
    codes = ae.transform(new)
    for rows in (ae.inverse_transform(codes), ae.generate(5)):
        assert are_counts(np.concatenate([row[:, 0] for row in rows]))
    ahead = ae.forecast(new)
    for values in (ahead.sequences.values, ahead.lower, ahead.upper):
        assert are_counts(values[..., 0])
    assert not are_counts(np.concatenate([row[:, 1] for row in ae.inverse_transform(codes)]))


def test_a_saved_model_decodes_the_same(ae, tmp_path):
    new = data(9, seed=1)
    ae.save(tmp_path / "m.refold")
    model = refold.load(tmp_path / "m.refold")
    assert [column.type for column in model.schema.columns] == ["count", "numeric"]
    codes = ae.transform(new)
    np.testing.assert_array_equal(model.encode(new), codes)
    for one, other in zip(model.decode(codes), ae.inverse_transform(codes), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_burst_is_an_anomaly(ae):
    new = data(9, seed=1)
    values = new.values.copy()
    values[3, 0] = 200
    usual, burst = (ae.detect(one, alpha=0.1) for one in (new, new.with_values(values)))
    assert burst.p_values[0] < usual.p_values[0]
    assert burst.scores[0] > 10 * usual.scores[0]
    np.testing.assert_array_equal(burst.scores[1:], usual.scores[1:])


def test_training_is_better_than_the_mean_and_keeps_zero_counts_likely(ae):
    new = data(40, seed=2)
    assert ae.score(new) > 0.3
    pca = PCABaseline(3).fit(data())
    back = pca.reconstruct(new)
    assert are_counts(back.values[:, 0])
    assert fidelity(new, back, pca.scaler_).error < 1


def test_long_tables_and_files(tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("id,time,visits\na,1,3\na,2,0\nb,1,7\n")
    read = refold.sequences.read(path, column_types="count")
    assert read.schema.columns[0].type == "count"
    refold.sequences.write(read, tmp_path / "again.parquet")
    assert refold.sequences.read(tmp_path / "again.parquet").schema == read.schema


def test_the_service_decodes_counts(ae, tmp_path):
    ae.save(tmp_path / "m.refold")
    rows = [row.tolist() for row in data(4, seed=1).to_list()]
    with started({"m": tmp_path / "m.refold"}) as (url, _):
        codes = httpx.post(f"{url}/v1/m/encode", json={"sequences": rows}).json()["codes"]
        back = httpx.post(f"{url}/v1/m/decode", json={"codes": codes}).json()["sequences"]
        assert are_counts([step[0] for row in back for step in row])
        wrong = httpx.post(f"{url}/v1/m/encode", json={"sequences": [[[-1, 20]]]})
        assert wrong.status_code == 422
        assert "whole numbers from 0" in wrong.text


def test_classic_models_refuse_counts():
    with pytest.raises(refold.errors.ParameterError, match=r"not support .* columns of counts"):
        refold.SequenceAutoencoder(2, architecture="dense", max_epochs=1).fit(data(20))
