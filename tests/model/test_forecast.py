"""Forecasts, their bounds, and errors."""

import copy
import pickle

import keras
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import betabinom

import refold
from outside_data import tracks
from refold import SequenceAutoencoder, load
from refold.errors import DataError, ParameterError
from refold.evaluation import forecast_errors
from refold.model import Forecast, recent_values
from refold.network.specification import Specification
from refold.sequences import Scaler, Sequences, as_sequences, split_at, write
from small_data import mapped, untrained

TINY = {
    "latent_dim": 4,
    "units": 8,
    "max_epochs": 3,
    "random_state": 0,
    "latent_steps": 0,
    "refit": False,
}


def waves(n, seed, steps=40):
    """Return noisy sines of one period with random phases."""
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (n, 1))
    clean = np.sin(2 * np.pi * np.arange(steps) / 8 + phase)
    return as_sequences(list(clean + 0.1 * rng.normal(size=clean.shape)))


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**TINY, forecast_steps=5).fit(waves(60, 0))


@pytest.fixture(scope="module")
def calibrated(fitted):
    return copy.deepcopy(fitted).calibrate(waves(99, 1))


@pytest.fixture(scope="module")
def of_words():
    words = ["abcabcabcabc", "bcabcabcabca", "cabcabcabcab"] * 20
    settings = TINY | {"units": 16, "max_epochs": 60, "learning_rate": 0.01}
    return SequenceAutoencoder(**settings, forecast_steps=3, calibration_fraction=0.25).fit(words)


@pytest.fixture(scope="module")
def table():
    """Return sequences of a numeric and a categorical column, with gaps."""
    rng = np.random.default_rng(0)
    n, steps = 60, 12
    number = rng.normal(size=(n, steps)).cumsum(axis=1)
    number[rng.random((n, steps)) < 0.1] = np.nan
    columns = {
        "id": np.repeat(np.arange(n), steps),
        "number": pa.array(number.ravel(), from_pandas=True),
        "label": np.array(["up", "down"])[(np.arange(n * steps) // 2) % 2],
    }
    return Sequences.from_table(pa.table(columns), id="id")


@pytest.fixture(scope="module")
def of_table(table):
    return untrained(table, forecast_steps=2, calibration_fraction=0.4)


def test_forecasts_of_sines_are_better_than_baselines(fitted):
    errors = fitted.forecast_errors(waves(100, 2))
    assert errors.season == 8
    assert errors.model < 0.05 < errors.last_value
    assert errors.model < errors.seasonal_naive
    assert errors.num_sequences == 100
    assert errors.worse == ""
    assert str(errors).count("\n") == 0


def test_errors_on_training_sequences_cause_a_warning(fitted):
    expected = r"^\d+ of 60 sequences are among .* larger errors"
    with pytest.warns(UserWarning, match=expected) as told:
        fitted.forecast_errors(waves(60, 0))
    assert len(told) == 1


def test_errors_are_reported_for_each_column_and_step_next_to_those_of_baselines():
    level = np.random.default_rng(0).normal(size=(30, 1)) * np.ones((30, 8))
    noise = np.random.default_rng(1).normal(size=(30, 8))
    both = as_sequences(np.stack([level, noise], axis=2), names=["level", "noise"])
    before, after = split_at(both, 5)
    ahead = after.with_values(after.values + np.array([1.0, 0.0]))
    errors = forecast_errors(before, after, ahead, Scaler.fit(both))
    assert errors.by_step["model"][:, 0] == pytest.approx(1.0)
    assert (errors.by_step["last_value"][:, 0] == 0).all()
    assert errors.worse == (
        "Worse than the last value in level at steps 1-3; than the linear continuation in level "
        "at steps 1-3."
    )
    rows = errors.to_table().to_pylist()
    assert [(row["column"], row["step"]) for row in rows[2:4]] == [("level", 3), ("noise", 1)]
    by_hand = np.sqrt(np.mean((noise[:, 4] - noise[:, 5]) ** 2))
    assert rows[3]["last_value"] == pytest.approx(by_hand)


def test_moving_things_are_forecast_as_well_as_by_any_baseline():
    ae = SequenceAutoencoder(**TINY | {"max_epochs": 2}, forecast_steps=4).fit(tracks(300, 0))
    errors = ae.forecast_errors(tracks(150, 1))
    for name in ("last_value", "linear"):
        assert (errors.by_step["model"] < 1.02 * errors.by_step[name]).all()
    assert errors.model < 0.5 * min(errors.last_value, errors.linear)


@pytest.mark.usefixtures("no_epochs")
def test_the_start_is_as_good_as_the_linear_continuation():
    rng = np.random.default_rng(0)
    lines = [rng.normal(0, 50) + rng.normal() * np.arange(20.0) for _ in range(80)]
    ae = SequenceAutoencoder(**TINY, forecast_steps=5).fit(lines[:60])
    errors = ae.forecast_errors(lines[60:])
    assert errors.model < 1e-6 < 1e-3 < errors.last_value
    assert errors.linear < 1e-6


def test_forecasting_does_not_change_the_reconstruction(fitted):
    """A model that cannot forecast is the same otherwise, and says how to fit one that can."""
    plain, series = SequenceAutoencoder(**TINY).fit(waves(60, 0)), waves(100, 2)
    assert np.array_equal(fitted.transform(series), plain.transform(series))
    for ours, theirs in zip(fitted.reconstruct(series), plain.reconstruct(series), strict=True):
        assert np.array_equal(ours, theirs)
    for method in (plain.forecast, plain.forecast_errors):
        with pytest.raises(
            ParameterError, match=r"not to forecast\. Fit one with forecast_steps=10"
        ):
            method(waves(2, 0))


def test_the_forecaster_is_a_keras_model_of_the_code_and_the_last_values(fitted):
    series, _ = split_at(waves(3, 3), 35)
    codes, scaled = fitted.encode(series), fitted.scaler_.transform(series)
    steps = fitted.forecaster_.input_shape[1][1]
    last = np.stack([np.ravel(scaled[i])[: -steps - 1 : -1] for i in range(3)])
    recent = np.concatenate([last[:, :1], last[:, 1:] - last[:, :1]], axis=1)
    ahead = fitted.forecaster_.predict([codes, recent], verbose=0)
    scaled = fitted.scaler_.inverse_transform(as_sequences(list(ahead)), None).values
    assert np.allclose(np.concatenate(fitted.forecast(series).values), scaled[:, 0], atol=1e-5)


def test_codes_alone_say_what_they_lack(fitted):
    codes = refold.sequences.codes_to_arrow(fitted.encode(waves(3, 3)), model=fitted)
    with pytest.raises(DataError, match="reads the last 16 steps of each sequence beside its code"):
        fitted.forecast(codes)


def test_a_forecast_depends_on_the_last_steps_of_its_sequence_alone(fitted):
    ragged, _ = split_at(waves(4, 3), [40, 13, 25, 1])
    together = fitted.forecast(ragged).values
    alone = [fitted.forecast(ragged[[i]]).values[0] for i in range(4)]
    assert np.allclose(np.concatenate(together), np.concatenate(alone), atol=1e-5)
    for five, two in zip(together, fitted.forecast(ragged, 2).values, strict=True):
        assert np.array_equal(five[:2], two)
    longer = waves(2, 4, steps=200)
    for options, read in (({}, 35), ({"context": 20}, 20)):
        last = split_at(longer, 200 - read)[1]
        found = fitted.forecast(longer, **options).values
        assert np.allclose(found, fitted.forecast(last).values)


@pytest.mark.parametrize("alpha", [0.1, 0.3])
def test_the_coverage_of_bounds_is_that_of_alpha(calibrated, alpha):
    fresh = waves(400, 5)
    before, after = split_at(fresh, 35)
    ahead = calibrated.forecast(before, alpha=alpha)
    truth = after.values.reshape(400, 5)
    outside = ((truth < ahead.lower[..., 0]) | (truth > ahead.upper[..., 0])).sum(axis=0)
    # The number of 400 new values beyond a quantile of 99 others has a beta-binomial distribution.
    rank = int(np.ceil(100 * (1 - alpha)))
    most = betabinom(400, 100 - rank, rank).ppf(1 - 1e-4)
    assert (outside <= most).all()
    assert (outside > 0).all()


def test_a_saved_or_pickled_model_gives_the_same_forecasts(calibrated, tmp_path):
    calibrated.save(tmp_path / "waves.refold")
    ours = calibrated.forecast(waves(3, 3))
    pickled = pickle.loads(pickle.dumps(calibrated))  # noqa: S301
    for again in (load(tmp_path / "waves.refold"), pickled):
        theirs = again.forecast(waves(3, 3))
        assert np.array_equal(ours.values, theirs.values)
        assert np.array_equal(ours.upper, theirs.upper)


def test_clipped_forecasts_lie_within_their_bounds(calibrated):
    far = waves(20, 6)
    far = far.with_values(far.values * 3)
    greatest = calibrated.scaler_.greatest_[0]
    free, clipped = calibrated.forecast(far), calibrated.forecast(far, clip=True)
    assert np.concatenate(free.values).max() > greatest
    assert np.concatenate(clipped.values).max() == greatest
    values = clipped.sequences.values.reshape(20, 5, 1)
    assert ((clipped.lower <= values) & (values <= clipped.upper)).all()
    assert ((clipped.lower <= free.lower) & (free.upper <= clipped.upper)).all()


def test_forecasts_of_words(of_words):
    words = ["abcabcabc", "bcabcabca"]
    assert of_words.forecast(words).values == ["abc", "bca"]
    errors = of_words.forecast_errors(["abcabcabcabc", "bcabcabcabca", "cabcabcabcab"] * 20)
    assert errors.measure == "1 - accuracy"
    assert errors.accuracy.model == 1.0
    assert errors.model == 0.0 < errors.last_value
    assert (errors.season, errors.seasonal_naive) == (3, 0.0)
    assert of_words.forecast(words).alpha is None
    with pytest.raises(ParameterError, match="no column is numeric"):
        of_words.forecast(words, alpha=0.1)


def test_mixed_columns_with_gaps(of_table, table):
    ahead = of_table.forecast(table)
    found = ahead.to_table()
    assert found.column_names == ["id", "step", "number", "number_lower", "number_upper", "label"]
    assert found.num_rows == 2 * 60
    assert set(found["label"].to_pylist()) <= {"up", "down"}
    assert np.isfinite(ahead.lower[..., 0]).all()
    assert np.isnan(ahead.lower[..., 1]).all()


def test_forecasting_of_short_sequences_with_other_options():
    level = np.random.default_rng(0).normal(size=(40, 1))
    ragged, _ = split_at(as_sequences(list(level * np.ones(12))), np.arange(40) % 13)
    ragged.values[40] = np.nan
    options = TINY | {"max_epochs": 1, "variational": True, "patch": 4}
    ae = SequenceAutoencoder(**options, denoise="0.2,steps:0.1", forecast_steps=7).fit(ragged)
    assert np.isfinite(np.concatenate(ae.forecast(ragged).values)).all()
    assert np.isfinite(np.concatenate(ae.reconstruct(ragged))).all()


def test_no_sequence(calibrated):
    nothing = waves(3, 0)[[]]
    ahead = calibrated.forecast(nothing)
    assert (ahead.values, ahead.lower.shape, ahead.to_table().num_rows) == ([], (0, 5, 1), 0)


def test_the_same_seed_gives_the_same_forecasts_also_after_resuming(fitted, tmp_path):
    path = tmp_path / "state"

    class Interrupts(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                raise KeyboardInterrupt

    ae = SequenceAutoencoder(**TINY, forecast_steps=5)
    with pytest.raises(KeyboardInterrupt):
        ae.fit(waves(60, 0), checkpoint=path, callbacks=[Interrupts()])
    ae = SequenceAutoencoder(**TINY, forecast_steps=5).fit(
        waves(60, 0), checkpoint=path, resume=True
    )
    assert np.array_equal(ae.forecast(waves(3, 3)).values, fitted.forecast(waves(3, 3)).values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forecast_steps": 40}, "the longest has 40 steps"),
        ({"forecast_steps": 3, "scale": "sequence"}, "scale='sequence' uses the level"),
        ({"forecast_steps": 3, "architecture": "dense"}, "forecast_steps=3 needs architecture="),
    ],
)
def test_bad_arguments_of_a_fit(options, message):
    with pytest.raises(ParameterError, match=message):
        SequenceAutoencoder(**TINY, **options).fit(waves(10, 0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": 6}, "steps must be an integer from 1 to 5. Got 6."),
        ({"steps": 1.5}, "steps must be an integer from 1 to 5. Got 1.5."),
        ({"alpha": 2}, "alpha must be a share of values outside the bounds"),
        ({"alpha": 0.001}, r"needs at least 999 calibration sequences, .*\. Got 99\."),
        ({"context": 0}, "context must be a positive integer"),
    ],
)
def test_bad_arguments_of_a_forecast(calibrated, options, message):
    with pytest.raises(ParameterError, match=message):
        calibrated.forecast(waves(2, 1), **options)


def test_bounds_need_enough_calibration_sequences(fitted):
    assert fitted.forecast(waves(2, 1)).lower is None
    with pytest.raises(
        ParameterError, match=r"Got 0\. Fit with calibration_fraction=0\.2, give more"
    ):
        fitted.forecast(waves(2, 1), alpha=0.1)
    ae = copy.deepcopy(fitted).calibrate(waves(5, 1))
    assert ae.forecast(waves(2, 1)).lower is None
    assert ae.forecast(waves(2, 1), alpha=0.2).alpha == 0.2
    ae.calibrate(split_at(waves(5, 1), 5)[0])  # none is longer than the forecast
    with pytest.raises(ParameterError, match=r"at least 4 calibration .* not trained on\. Got 0\."):
        ae.forecast(waves(2, 1), alpha=0.2)


def test_bounds_need_the_default_context(calibrated):
    usual, same = (calibrated.forecast(waves(2, 1), context=steps) for steps in (None, 35))
    assert np.array_equal(usual.upper, same.upper)
    assert calibrated.forecast(waves(2, 1), context=10).lower is None
    with pytest.raises(ParameterError, match="Leave out context or alpha"):
        calibrated.forecast(waves(2, 1), context=10, alpha=0.1)


@pytest.mark.usefixtures("no_epochs")
def test_equal_sequences_lie_within_their_bounds():
    same = as_sequences([np.sin(np.arange(40.0))] * 120)
    ae = SequenceAutoencoder(**TINY, forecast_steps=5, calibration_fraction=0.5).fit(same)
    before, after = split_at(same, 35)
    ahead = ae.forecast(before)
    truth = after.values.reshape(120, 5, 1)
    assert ((truth >= ahead.lower) & (truth <= ahead.upper)).all()


def test_bounds_of_rarely_observed_steps_are_infinite_and_null_in_a_table(of_table, table):
    normal = table[:20].with_values(np.nan_to_num(table[:20].values) + np.array([0.1, 0]))
    normal.values[11 : 15 * 12 : 12, 0] = np.nan  # the last step of 15 sequences
    ahead = copy.deepcopy(of_table).calibrate(normal).forecast(table[:1])
    assert np.isposinf(ahead.upper[0, -1, 0])
    assert np.isfinite(ahead.upper[0, 0, 0])
    assert ahead.to_table()["number_upper"].null_count == 1


def test_data_in_files(tmp_path):
    for part in range(2):
        write(waves(30, part).with_ids(30 * part + np.arange(30)), tmp_path / f"{part}.parquet")
    source = mapped(tmp_path, block_bytes=4096)
    assert len(source.block_offsets) > 2
    ae = SequenceAutoencoder(**TINY | {"max_epochs": 1}, forecast_steps=5, verbose=1).fit(source)
    assert ae.forecast_errors(waves(50, 5)).model < 0.2
    with pytest.raises(DataError, match="the longest of 2 has 5"):
        ae.forecast_errors(split_at(waves(2, 0), 5)[0])


def test_a_column_with_the_name_of_a_bound_is_refused():
    ahead = np.zeros((20, 2, 2))
    found = Forecast(as_sequences(ahead, names=["x", "x_lower"]), 0.1, ahead - 1, ahead + 1)
    with pytest.raises(refold.errors.SchemaError, match="'x_lower' has the name of a bound"):
        found.to_table()


def test_missing_recent_values_are_those_of_the_nearest_step():
    sizes = [["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0]
    specification = Specification("default", *sizes, forecast_steps=1, recent_steps=3)
    series = as_sequences([[1.0, 2.0, 4.0, 8.0], [3.0, float("nan"), 4.0], [5.0]])
    # the last step, and the differences of earlier steps from it
    expected = [[8.0, -4.0, -6.0], [4.0, -1.0, -1.0], [5.0, 0.0, 0.0]]
    assert recent_values(series, specification).tolist() == expected
