"""Models of windows: every method takes series of any length."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.frozen import FrozenEstimator

import refold
from refold.errors import ParameterError
from refold.sequences import Sequences, windows, write
from refold.training._split import split_off_calibration, split_validation, split_windows
from small_data import fit_without_training, read_as_mapped

TIME = np.arange(700)
CLEAN = np.stack([np.sin(TIME / 5), np.cos(TIME / 5)], axis=1)
SENSOR, SENSOR_2 = (
    CLEAN + 0.1 * np.random.default_rng(i).normal(size=CLEAN.shape) for i in range(2)
)


@pytest.fixture(scope="module")
def ae():
    """Return a model of one series, the last part of which calibrates it."""
    options = {"latent_dim": 4, "forecast_steps": 3, "calibration_fraction": 0.3}
    return fit_without_training(SENSOR, window=20, step=10, **options)


@pytest.fixture(scope="module")
def two_series():
    """Return two series, one shorter than a window."""
    return Sequences.from_list([SENSOR_2[:95], SENSOR_2[:12]], ids=["a", "b"])


def test_codes_errors_and_scores_are_those_of_windows(ae, two_series):
    cut = windows(two_series, 20, 10)
    assert np.array_equal(ae.encode(two_series), ae.encode(cut.sequences))
    assert ae.encode(two_series).shape == (10, 4)
    assert ae.errors(two_series).shape == ae.anomaly_scores(two_series).shape == (10,)
    ids = np.concatenate([ids for _, ids in ae.encode_blocks(two_series)]).tolist()
    assert ids == cut.sequences.ids.tolist() == [*ids[:9], "b"]
    assert ids[1] == "a[10:30]"


def test_detections_are_merged_to_the_steps_of_each_series(ae):
    with_anomaly = SENSOR_2[600:].copy()
    with_anomaly[50:55] = 3.0
    schema = replace(ae.schema_, time_name="at")
    timed = Sequences(with_anomaly, [0, 100], ["a"], schema, pa.array(np.arange(7, 107)))
    detection = ae.detect(timed, alpha=0.2)
    steps = detection.to_step_table()
    assert steps.column_names == ["id", "step", "at", "score", "p_value"]
    assert detection.to_step_table(time="day").column_names[2] == "day"
    assert steps["at"].to_pylist() == [step + 7 for step in steps["step"].to_pylist()]
    assert {*steps["id"].to_pylist()} == {"a"}
    scores, p_values = steps["score"].to_numpy(), steps["p_value"].to_numpy()
    assert scores.shape == p_values.shape == (100,)
    assert 50 <= scores.argmax() < 55
    assert p_values.max() == 1.0
    assert np.array_equal(scores, detection.series_step_scores[0])
    row = detection.to_table().to_pylist()[int(detection.scores.argmax())]
    assert row["start"] <= 50 < row["end"]
    assert (row["start_time"] - 7, row["end_time"] - 6) == (row["start"], row["end"])
    assert row["step"] is None or row["start"] <= row["step"] < row["end"]


def test_series_are_reconstructed_and_forecast_whole(ae, two_series):
    back = ae.reconstruct(two_series)
    assert [len(series) for series in back] == [95, 12]
    errors = (np.concatenate(back) - two_series.values) ** 2
    assert 0.8 < ae.score(two_series) == pytest.approx(1 - errors.mean() / SENSOR.var(), abs=0.1)
    assert np.array_equal(back[0], ae.reconstruct(two_series, codes=ae.encode(two_series))[0])
    forecast = ae.forecast(two_series)
    assert forecast.ids.tolist() == ["a", "b"]
    assert np.array_equal(forecast.values[0], ae.forecast([SENSOR_2[78:95]]).values[0])
    assert ae.forecast_errors(two_series).num_sequences == 10


def test_a_series_has_one_pooled_vector(ae, two_series):
    pooled, codes = ae.pooled(two_series), ae.encode(two_series)
    width = codes.shape[1]
    assert pooled.shape == (2, 4 * width + 2048)  # convolutions of the series come last
    values = np.split(pooled[0, : 4 * width], 4)
    for expected_part, pool in zip(values, (np.mean, np.std, np.min, np.max), strict=True):
        assert np.allclose(expected_part, pool(codes[:9], axis=0), atol=1e-4)
    assert np.array_equal(pooled[1:], ae.pooled(two_series[[1]]))
    features = refold.SequenceFeatures(FrozenEstimator(ae)).set_output(transform="pandas")
    steps = two_series.to_table().to_pandas()
    for data, ids in ((steps, ["a", "b"]), (steps[["x0", "x1"]], [0])):
        assert list(features.fit_transform(data).index) == ids
    assert not pooled[1, width : 2 * width].any()
    with pytest.raises(ParameterError, match=r"needs a model of windows. Fit one with window=100"):
        fit_without_training([SENSOR[:20]] * 10).pooled(two_series)


def test_data_without_ids_are_one_series(ae, tmp_path):
    codes = ae.encode([SENSOR])
    frame = pd.DataFrame(SENSOR, columns=["x0", "x1"])
    frame.to_csv(tmp_path / "sensor.csv", index=False)
    frame.to_parquet(tmp_path / "sensor.parquet")
    np.save(tmp_path / "sensor.npy", SENSOR)
    for data in (SENSOR, frame, dict(frame), *tmp_path.iterdir()):
        assert np.allclose(ae.encode(data), codes, atol=1e-5)
    frame["id"] = np.repeat(["a", "b"], 350)
    assert ae.windows(frame).ids.tolist() == ["a", "b"]
    ae = fit_without_training(np.sin(TIME / 5), window=20)
    assert ae.score(TIME[:50] / 50) < 1
    assert ae.transform([np.sin(TIME / 5)]).shape == (137, 3)


def test_windows_are_saved_and_part_of_the_hash(ae, tmp_path):
    ae.save(tmp_path / "model.refold")
    model = refold.load(tmp_path / "model.refold")
    assert (model.window, model.step, model.hash) == (20, 10, ae.model_.hash)
    assert "windows of 20 steps" in repr(model)
    assert np.array_equal(model.encode(SENSOR), ae.encode(SENSOR))
    stream = model.stream()
    assert stream.push(SENSOR[:50]).length == 20
    assert np.array_equal(stream.push(SENSOR[50]).code, model.encode(SENSOR[31:51])[0])
    estimator = refold.SequenceAutoencoder.load(tmp_path / "model.refold")
    assert estimator.window == 20
    with pytest.raises(ParameterError, match="window=30 cannot change in further training"):
        estimator.set_params(window=30, warm_start=True).fit(SENSOR)


def test_windows_of_data_larger_than_memory_are_the_same(ae, tmp_path):
    series = Sequences.from_list([SENSOR[i : i + 100] for i in range(0, 600, 100)])
    write(series, tmp_path / "series.parquet")
    blocks = ae.encode_blocks(read_as_mapped(tmp_path / "series.parquet", 1000))
    codes, ids = (np.concatenate(arrays) for arrays in zip(*blocks, strict=True))
    assert np.array_equal(codes, ae.encode(series))
    assert ids.tolist() == ae.windows(series).sequences.ids.tolist()


@pytest.mark.parametrize("lengths", [[200], [200, 30, 90], [60, 90] * 6])
def test_windows_that_are_held_out_share_no_step_with_the_others(lengths):
    cut = windows([np.arange(float(length)) + 1000 * i for i, length in enumerate(lengths)], 20, 5)
    split = 0.2, lambda lengths: split_validation(lengths, 0.2, seed=0)
    training, validation = split_windows(cut, *split)
    fitted, calibration = split_off_calibration(cut, 0.2)
    splits = [cut.sequences[training], cut.sequences[validation], fitted.sequences, calibration]
    steps = [{*sequences.values[:, 0]} for sequences in splits]
    assert all(steps)
    assert not steps[0] & steps[1]
    assert not steps[2] & steps[3]
    trained, validated = split_windows(fitted, *split)
    assert len(trained) > len(validated) > 0
    validation_series = {*cut.series[validation]}
    if len(lengths) >= 10:  # whole series
        assert not validation_series & {*cut.series[training]}
    else:  # the ends of those that are long enough
        assert validation_series == {i for i, length in enumerate(lengths) if length >= 40}


def test_calibration_windows_are_held_back(ae):
    held_back = ae.held_back(SENSOR)
    starts = ae.windows(SENSOR).starts
    assert starts[held_back].min() >= 0.6 * len(SENSOR)
    assert ae.model_.num_calibrated == (starts >= 490).sum()
    with pytest.warns(UserWarning, match="the model was trained on"):
        ae.detect(SENSOR[:100], alpha=0.2)
