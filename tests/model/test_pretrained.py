"""The pretrained model: any columns and lengths, nested codes, and what it loses."""

import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import scipy.fft

import refold
from refold.cli import main
from refold.errors import DataError, ParameterError, SchemaError
from refold.evaluation import nmse
from refold.explore import Atlas, check_exportable
from refold.network.packed.resampling import resample_by_cosines, resample_columns_by_cosines
from refold.report import report
from refold.sequences import as_sequences, codes_from_arrow, codes_to_arrow
from serve.server_helpers import post, started
from small_data import draw_ragged_sequences, fit_without_training

RNG = np.random.default_rng(0)
LENGTHS = [4, 5, 24, 63, 64, 65, 128, 129, 1000]


def draw_walk(steps, columns=1, rng=RNG):
    """Return a smooth random walk, (steps,) or (steps, columns)."""
    walk = rng.normal(size=(steps + 8, columns)).cumsum(axis=0)
    smooth = np.stack([np.convolve(column, np.hanning(9) / 4, "valid") for column in walk.T])
    return smooth.T[:, 0] if columns == 1 else smooth.T


@pytest.fixture(scope="module")
def model():
    return refold.load("series")


@pytest.fixture(scope="module")
def table():
    """Return a table of two columns with names, ids and times."""
    columns = {"id": np.repeat(["a", "b", "c"], 50), "time": np.tile(np.arange(50), 3)}
    columns |= {"flow": 1e4 + 50 * draw_walk(150), "heat": 1e-3 * draw_walk(150)}
    return pd.DataFrame(columns)


# Curves


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 128, 300])
def test_resampling_is_a_cosine_transform_with_more_or_fewer_cosines(steps):
    values = RNG.normal(size=(2, 3, steps))
    expected = np.zeros((2, 3, 40))
    num_kept = min(steps, 40)
    expected[..., :num_kept] = scipy.fft.dct(values, norm="ortho")[..., :num_kept]
    expected_curve = scipy.fft.idct(expected * np.sqrt(40 / steps), norm="ortho")
    np.testing.assert_allclose(resample_by_cosines(values, 40), expected_curve, atol=1e-5)


def test_gaps_are_bridged_and_a_series_without_values_is_zero():
    two_columns = as_sequences([[[0.0, 4.0], [np.nan, np.nan], [2.0, 8.0]]])
    resampled = resample_columns_by_cosines(two_columns, 3)[0]
    np.testing.assert_allclose(resampled, [[0, 1, 2], [4, 6, 8]])
    sequences = as_sequences([[0.0, np.nan, 2.0, np.nan], [np.nan, np.nan]])
    curves = resample_columns_by_cosines(sequences, 16)[:, 0]
    expected = resample_columns_by_cosines(as_sequences([[0.0, 1, 2, 2]]), 16)[:, 0]
    np.testing.assert_array_equal(curves[0], expected[0])
    assert not curves[1].any()


# Any series


@pytest.mark.filterwarnings("ignore:.*explain")
def test_any_number_of_steps_and_any_scale_come_back(model):
    scales = ((1, 0), (1e-6, 1), (1e9, 0))
    series = [scale * draw_walk(n) + level for n in LENGTHS for scale, level in scales]
    decoded = model.decode(model.encode(series))
    assert [len(x) for x in decoded] == [len(x) for x in series]
    for original, reconstructed in zip(series, decoded, strict=True):
        scale = max(original.std(), 1e-6 * np.abs(original).max())
        max_error = 0.01 if len(original) <= 64 else 0.6
        assert np.abs(reconstructed - original).max() < max_error * scale


def test_each_column_has_a_code_of_its_own(model):
    series = [draw_walk(n, 3) for n in LENGTHS]
    codes = model.encode(series)
    assert codes.shape == (len(series), 3 * model.code_size)
    assert [x.shape for x in model.decode(codes)] == [x.shape for x in series]
    assert model.features(codes).shape == (len(series), 2050 + 6)
    # in any company, the bits are the same
    order = RNG.permutation(len(series))
    second = model.encode([series[i][:, 1] for i in order])
    np.testing.assert_array_equal(codes[order, 65:130], second[:, :65])
    np.testing.assert_array_equal(codes[order][:, [196, 199]], second[:, 65:])


def test_distances_of_codes_are_distances_of_curves(model):
    series = [(x - x.mean()) / x.std() for x in (draw_walk(128) for _ in range(20))]
    codes, curves = model.encode(series)[:, :64], np.array(series)
    codes, curves = (np.linalg.norm(x - x[::-1], axis=1) for x in (codes, curves))
    np.testing.assert_allclose(codes, curves, rtol=0.1)


def test_missing_values_and_constants(model):
    gappy = draw_walk(60)
    gappy[10:20] = np.nan
    decoded = model.decode(model.encode([gappy, np.full(7, 0.1), [3.0], np.full(9, np.nan)]))
    observed = ~np.isnan(gappy)
    np.testing.assert_allclose(decoded[0][observed], gappy[observed], atol=0.05 * np.nanstd(gappy))
    np.testing.assert_allclose(decoded[1], 0.1, rtol=1e-6)
    np.testing.assert_allclose(decoded[2], [3.0])
    assert len(decoded[3]) == 9
    model.encode([np.full(500, 5.0)])  # without a warning of lost variance
    late = np.r_[np.full(30, np.nan), 100 + np.sin(np.arange(20) / 4)]  # most of it is bridged
    (reconstructed,) = refold.load("series", dims=8).reconstruct([late])
    np.testing.assert_allclose(reconstructed[30:], late[30:], atol=0.5)


def test_text_is_refused_with_a_remedy(model):
    with pytest.raises(DataError, match="holds text categories, and this model reads numbers"):
        model.encode([["a", "b"]])
    with pytest.raises(DataError, match="has 67 numbers for each column"):
        model.decode(np.zeros((2, 66)))


# Nested codes


@pytest.mark.filterwarnings("ignore:.*explain")
@pytest.mark.parametrize("dims", [1, 8, 16, 32, 33, 64])
def test_the_first_numbers_are_a_code(model, dims):
    series = [draw_walk(n, 2) for n in (30, 128, 400)]
    smaller, codes = refold.load("series", dims=dims), model.encode(series)
    first = np.r_[0:dims, 64, 65 : 65 + dims, 129, 130:134]
    np.testing.assert_allclose(smaller.encode(series), codes[:, first], rtol=1e-5, atol=1e-5)
    assert refold.load(f"series-{dims}").hash == smaller.hash
    assert [len(x) for x in smaller.decode(codes[:, first])] == [30, 128, 400]
    first_codes = codes[:, first]
    codes[:, np.r_[dims:64, 65 + dims : 129]] = 0
    for pair in zip(smaller.decode(first_codes), model.decode(codes), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-3, atol=1e-3)


def test_a_smaller_model_is_a_model(tmp_path):
    series = [draw_walk(n, 2) for n in (30, 128, 400)]
    for small in (refold.load("series-16"), refold.load("series").adapt(series).with_dims(16)):
        small.save(tmp_path / "small.refold")
        loaded = refold.load(tmp_path / "small.refold")
        np.testing.assert_array_equal(loaded.encode(series), small.encode(series))
        assert len(loaded.generate(2, random_state=0)) == 2
    assert refold.load("series").decode(np.zeros((0, 67))) == []
    assert refold.load("series").features(np.zeros((0, 67))).shape == (0, 2052)
    with pytest.raises(ParameterError, match="no estimator"):
        refold.SequenceAutoencoder.load("series")


@pytest.mark.filterwarnings("ignore:.*explain")
def test_more_numbers_explain_more():
    series = [draw_walk(200) for _ in range(30)]
    scores = [refold.load("series", dims=dims).score(series) for dims in (4, 8, 16, 32, 64)]
    assert scores == sorted(scores)
    assert scores[-1] > 0.99


def explained_in_warning(model, series):
    """Return the average and the worst share in the warning about fast series, and its text."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        codes = model.encode(series)
    texts = [str(warning.message) for warning in caught]
    match = re.search(r"explain (\d+) % .* and (\d+) % for the worst", " ".join(texts))
    return codes, (None if match is None else [int(x) / 100 for x in match.groups()]), texts


STEPS = np.arange(300)
KINDS = {
    "noise": lambda rng: rng.normal(size=300),
    "short noise": lambda rng: rng.normal(size=50),
    "walk": lambda rng: rng.normal(size=300).cumsum(),
    "season": lambda rng: STEPS / 100 + np.sin(STEPS / 4) + 0.2 * rng.normal(size=300),
    "square": lambda rng: np.sign(np.sin(STEPS / 12 + rng.random())),
}


@pytest.mark.parametrize("dims", [4, 8, 16, 32, 64])
@pytest.mark.parametrize("kind", KINDS)
def test_each_number_of_dimensions_says_what_it_loses(kind, dims):
    """What the warning predicts is what decoding explains; without one, it explains enough."""
    rng = np.random.default_rng(0)
    series, model = [KINDS[kind](rng) for _ in range(20)], refold.load("series", dims=dims)
    codes, predicted, texts = explained_in_warning(model, series)
    decoded = model.decode(codes, lengths=[len(x) for x in series])
    pairs = zip(series, decoded, strict=True)
    explained = np.array([1 - np.var(x - np.ravel(back)) / np.var(x) for x, back in pairs])
    if predicted is None:
        assert texts == []
        assert explained.mean() > 0.88
        assert explained.min() > 0.45
    else:
        assert explained.mean() == pytest.approx(predicted[0], abs=0.03)
        assert explained.min() == pytest.approx(max(0, predicted[1]), abs=0.08)
        assert len(texts) == 1
        assert f"Codes of {dims} numbers explain" in texts[0]


def test_the_warning_names_the_dimensions_that_are_enough():
    rng = np.random.default_rng(0)
    seasons = [np.sin(2 * np.pi * (12 * STEPS / 300 + rng.random())) for _ in range(20)]
    _, _, [text] = explained_in_warning(refold.load("series", dims=16), seasons)
    assert 'use refold.load("series", dims=25)' in text
    assert explained_in_warning(refold.load("series", dims=25), seasons)[2] == []
    _, _, [text] = explained_in_warning(refold.load("series", dims=16), [RNG.normal(size=300)])
    assert "No code of the model is long enough, and those of 64 explain" in text
    assert "adapt(X, max_lost_variance=0.1), or fit a model to your data." in text
    adapted = refold.load("series").adapt([RNG.normal(size=300)], window=300)
    _, _, [text] = explained_in_warning(adapted, [RNG.normal(size=300)])
    assert "Adapt it to shorter windows, or fit a model to your data." in text


def test_a_fitted_model_with_nested_codes_and_a_length():
    sequences = draw_ragged_sequences(40)
    ae = fit_without_training(sequences, latent_dim=9, nested=True, length_dim=1, rocket_dim=2)
    codes = ae.encode(sequences)
    smaller = ae.model_.with_dims(3)
    kept_dims = [0, 1, 2, 6, 7, 8]
    np.testing.assert_allclose(smaller.encode(sequences), codes[:, kept_dims], rtol=1e-5, atol=1e-6)
    codes[:, 3:6] = 0
    for pair in zip(smaller.decode(codes[:, kept_dims]), ae.decode(codes), strict=True):
        np.testing.assert_allclose(*pair, rtol=1e-4, atol=1e-5)
    with pytest.raises(ParameterError, match="must be from 1 to 6, the learned ones"):
        ae.model_.with_dims(7)
    with pytest.raises(ParameterError, match="Fit with nested=True"):
        fit_without_training(sequences).model_.with_dims(2)
    with pytest.raises(ParameterError, match="needs the default architecture that is not variat"):
        fit_without_training(sequences, nested=True, variational=True)


def test_training_nested_codes_lowers_the_error_of_the_first_dimensions():
    waves = np.sin(np.arange(1, 6)[:, None] * np.arange(20) / 6)
    series = as_sequences(RNG.normal(size=(120, 5)) * [3, 2, 1, 0.5, 0.2] @ waves)
    options = {"latent_dim": 4, "units": 8, "max_epochs": 3, "random_state": 0, "latent_steps": 0}
    ae = refold.SequenceAutoencoder(**options, nested=True).fit(series)
    units = ae.error_scaler_
    errors = [nmse(series, ae.model_.with_dims(i).reconstruct(series), units) for i in (1, 2, 4)]
    assert errors == sorted(errors, reverse=True)
    again = refold.SequenceAutoencoder(**options, nested=True).fit(series)
    assert again.history_["loss"] == ae.history_["loss"]


# The columns of the data


def test_a_table_keeps_its_names_and_an_adapted_model_is_a_model(model, table, tmp_path):
    adapted = model.adapt(table)
    adapted.save(tmp_path / "pumps.refold")
    loaded = refold.load(tmp_path / "pumps.refold")
    assert loaded.schema.names == ("flow", "heat")
    assert loaded.hash == adapted.hash == adapted.adapt(table).hash
    assert adapted.has_hash(model.hash)
    assert model.has_hash(adapted.hash)
    reordered = model.adapt(table[["id", "time", "heat", "flow"]])
    assert not adapted.has_hash(reordered.hash)
    with pytest.raises(DataError, match="columns of other names, or in another order"):
        codes_from_arrow(codes_to_arrow(reordered.encode(table), model=reordered), model=adapted)
    assert pickle.loads(pickle.dumps(model)).hash == model.hash  # noqa: S301
    np.testing.assert_array_equal(loaded.encode(table), model.encode(table))
    np.testing.assert_allclose(adapted.error_scaler.mean_, table[["flow", "heat"]].mean())
    reconstructed = model.reconstruct(table)
    assert list(reconstructed) == list(table)
    np.testing.assert_allclose(reconstructed["flow"], table["flow"], atol=1)
    assert adapted.adapt(table) is adapted
    assert model.score(table) == pytest.approx(loaded.score(table))
    drawn = loaded.generate(3, lengths=[5, 6, 7], random_state=0)
    assert [sequence.shape for sequence in drawn] == [(5, 2), (6, 2), (7, 2)]
    assert np.concatenate(drawn)[:, 0].mean() == pytest.approx(table["flow"].mean(), rel=0.1)
    flow = np.concatenate(loaded.reconstruct(table[:50], clip=True, as_table=False))[:, 0]
    assert flow.max() <= table["flow"].max()


def test_series_that_vary_too_fast_are_told_and_cut_into_windows(model):
    slow, fast = draw_walk(500, rng=np.random.default_rng(0)), np.sin(2.5 * np.arange(500))
    with pytest.warns(UserWarning, match=r"64 numbers explain 50 % .*, and 0 % for the worst"):
        model.encode([slow, fast])
    model.encode([slow, np.full(256, 5.0)])  # causes no warning
    adapted = model.adapt([slow, fast], max_lost_variance=0.1)
    cut = adapted.windows([slow, fast])
    assert cut.sequences.ids.tolist()[:3] == ["0", "1[0:64]", "1[16:80]"]
    assert adapted.encode([slow, fast]).shape == (len(cut.series), model.code_size)
    assert adapted.score([slow, fast]) > 0.95
    assert [len(x) for x in adapted.reconstruct([slow, fast])] == [500, 500]
    assert model.adapt([slow, fast], window=50).windows([slow]).sequences.lengths.max() == 50
    with pytest.raises(ParameterError, match="max_lost_variance"):
        model.adapt([slow], max_lost_variance=2.0)


def test_normal_series_teach_it_what_is_normal(model):
    normal = [np.sin(np.arange(80) / 6 + phase) + 0.1 * RNG.normal(size=80) for phase in range(120)]
    with pytest.raises(ParameterError, match="Calibrate it first"):
        model.anomaly_scores(normal)
    calibrated = model.calibrate(normal[:100])
    assert calibrated.num_calibrated == 50
    anomaly = normal[100].copy()
    anomaly[30:40] = 2
    detection = calibrated.detect([*normal[101:], anomaly], alpha=0.05)
    assert detection.anomalous[-1]
    assert detection.anomalous[:-1].mean() < 0.3
    assert calibrated.detect([anomaly], alpha=0.05).explain(0)[0].step in range(28, 42)
    with_windows = calibrated.adapt(normal, window=20)
    assert with_windows.num_calibrated == 0
    assert with_windows.calibrate(normal=normal[:40]).num_calibrated == 20 * 13
    with pytest.raises(ParameterError, match="Give calibrate\\(\\) 198 normal series"):
        model.detect(normal, alpha=0.01)


def test_a_stream_needs_no_calibration_for_its_code_and_error(model):
    series = 1e4 + 50 * draw_walk(40)
    stream = model.stream(every=20)
    results = [result for value in series if (result := stream.push(value)) is not None]
    for result, num_steps in zip(results, (20, 40), strict=True):
        assert result.p_value is None
        np.testing.assert_array_equal(result.code, model.encode([series[:num_steps]])[0])
        assert result.error == model.errors([series[:num_steps]])[0]
    normal = [1e4 + 50 * draw_walk(30) for _ in range(40)]
    calibrated = model.calibrate(normal)
    detection = calibrated.detect([series], alpha=0.1)
    assert calibrated.stream().push(series).p_value == detection.p_values[0]


# Other ways to use it


def test_search_clusters_and_a_report(model, table, tmp_path):
    series = [draw_walk(n, 2) for n in RNG.integers(20, 200, 40)]
    index = refold.search.Index.create(tmp_path / "walks.index", model, series)
    hits = refold.search.Index.open(tmp_path / "walks.index", model).search(series[:3], k=2)
    assert [hits.ids(i)[0] for i in range(3)] == [0, 1, 2]
    assert len(index) == 40
    with pytest.raises(SchemaError, match="The index has codes of 134 numbers, and these"):
        index.search([x[:, 0] for x in series[:3]])
    assert len(refold.search.cluster(model, series, num_clusters=3)) == 3
    report(model, table, tmp_path / "pumps.html")
    assert "flow" in (tmp_path / "pumps.html").read_text()


@pytest.mark.parametrize("part", ["encoder", "decoder"])
@pytest.mark.parametrize("dims", [64, 16])
def test_the_graphs_compute_the_same(tmp_path, part, dims):
    pumps = refold.load("series", dims=dims).adapt([draw_walk(9, 3)])
    assert refold.export.to_onnx(pumps, tmp_path / "a.onnx", part).largest_difference < 1e-4


def test_the_explorer_has_a_map_and_no_page_that_would_decode_wrongly(model, table):
    atlas = Atlas(model, table)
    assert len(atlas.codes) == 3
    with pytest.raises(ParameterError, match="cannot decode the curves of the pretrained"):
        check_exportable(model)


def test_the_command_line(table, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table.to_csv("pumps.csv", index=False)
    assert main(["encode", "series-16", "pumps.csv", "-o", "codes.parquet"]) == 0
    assert pq.read_table("codes.parquet")["code"].type.list_size == 2 * 19
    assert main(["decode", "series-16", "codes.parquet", "-o", "back.csv"]) == 0
    assert list(pd.read_csv("back.csv")) == ["id", "time", "x0", "x1"]
    assert main(["decode", "series", "codes.parquet"]) == 2
    assert "codes of another model" in capsys.readouterr().err
    assert (
        main(["adapt", "series", "pumps.csv", "-o", "pumps.refold", "--max-lost-variance", "0.1"])
        == 0
    )
    assert main(["reconstruct", "pumps.refold", "pumps.csv", "-o", "back.csv"]) == 0
    assert list(pd.read_csv("back.csv")) == ["id", "time", "flow", "heat"]
    assert main(["info", "series", "--json"]) == 0
    assert "synthetic series only" in capsys.readouterr().out
    assert main(["adapt", "pumps.csv", "pumps.csv", "-o", "again.refold"]) == 2


def test_the_service_reads_series_of_one_column(model):
    series = [[1.0, 3.0, 2.0], draw_walk(200).tolist()]
    with started({"series": Path("series")}) as (url, _), httpx.Client(base_url=url) as client:
        answer = post(client, "series/encode", {"sequences": series})
        back = post(client, "series/decode", {"codes": answer["codes"]})
    np.testing.assert_allclose(answer["codes"], model.encode(series), rtol=1e-6)
    assert [len(sequence) for sequence in back["sequences"]] == [3, 200]


def test_the_script_trains_a_small_model(tmp_path):
    command = [sys.executable, "-m", "scripts.pretrain", "--epochs", "1", "--series", "2400"]
    path = tmp_path / "small.refold"
    subprocess.run([*command, "--output", str(path)], check=True, capture_output=True)
    small = refold.load(path)
    assert small.any_columns
    assert small.score([draw_walk(50)]) > 0.999
    assert small.code_size == 67
