"""Forecasts, their bounds, and errors."""

import copy
import pickle
from pathlib import Path

import keras
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import betabinom

import refold
from outside_data import tracks
from refold import SequenceAutoencoder, load
from refold.errors import DataError, ParameterError
from refold.evaluation import conformal_margins, forecast_errors
from refold.model import Forecast
from refold.sequences import Scaler, Sequences, as_sequences, split_at, write
from small_data import mapped

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
def plain():
    """Return a model that cannot forecast."""
    return SequenceAutoencoder(**TINY).fit(waves(60, 0))


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
    table = pa.table(
        {
            "id": np.repeat(np.arange(n), steps),
            "time": np.tile(np.arange(steps), n),
            "number": pa.array(number.ravel(), from_pandas=True),
            "label": np.array(["up", "down"])[(np.arange(n * steps) // 2) % 2],
        }
    )
    return Sequences.from_table(table, id="id", time="time")


@pytest.fixture(scope="module")
def of_table(table):
    options = TINY | {"decoder": "autoregressive", "rocket_dim": 2, "forecast_steps": 2}
    return SequenceAutoencoder(**options, calibration_fraction=0.4).fit(table)


def test_forecasts_of_sines_are_better_than_baselines(fitted):
    errors = fitted.forecast_errors(waves(100, 2))
    assert errors.season == 8
    assert errors.model < 0.05 < errors.last_value
    assert errors.model < errors.seasonal_naive
    assert errors.num_sequences == 100
    assert errors.worse == ""
    assert str(errors).count("\n") == 0


def test_errors_on_training_sequences_cause_a_warning(fitted):
    with pytest.warns(
        UserWarning, match=r"^\d+ of 60 sequences are among .* larger errors"
    ) as told:
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
    assert [(row["column"], row["step"]) for row in rows[:4]] == [
        ("level", 1), ("level", 2), ("level", 3), ("noise", 1)
    ]  # fmt: skip
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
    errors = (
        SequenceAutoencoder(**TINY, forecast_steps=5).fit(lines[:60]).forecast_errors(lines[60:])
    )
    assert errors.model < 1e-6 < 1e-3 < errors.last_value
    assert errors.linear < 1e-6


def test_forecasting_does_not_change_the_reconstruction(fitted, plain):
    series = waves(100, 2)
    assert np.array_equal(fitted.transform(series), plain.transform(series))
    for ours, theirs in zip(fitted.reconstruct(series), plain.reconstruct(series), strict=True):
        assert np.array_equal(ours, theirs)


def test_a_model_that_forecasts_from_codes_alone_is_read():
    # fitted by an earlier version
    again = load(Path(__file__).parent / "data" / "codes_only.refold")
    history = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, 0.0]], np.float32)
    expected = [[0.21184477, 0.30537707], [0.11002965, 0.26671740]]
    np.testing.assert_allclose(again.forecast([history]).values[0], expected, atol=1e-6)


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


def test_fewer_steps_are_the_first_ones(fitted):
    series = waves(3, 3)
    all_, some = fitted.forecast(series), fitted.forecast(series, 2)
    for five, two in zip(all_.values, some.values, strict=True):
        assert np.array_equal(five[:2], two)


def test_a_forecast_does_not_depend_on_other_sequences_or_padding(fitted):
    series = waves(4, 3)
    ragged, _ = split_at(series, [40, 13, 25, 1])
    together = fitted.forecast(ragged).values
    alone = [fitted.forecast(ragged[[i]]).values[0] for i in range(4)]
    assert np.allclose(np.concatenate(together), np.concatenate(alone), atol=1e-5)


def test_only_the_last_steps_of_longer_sequences_are_read(fitted):
    longer = waves(2, 4, steps=200)
    last = split_at(longer, 200 - 35)[1]
    assert np.allclose(fitted.forecast(longer).values, fitted.forecast(last).values)
    some = split_at(longer, 180)[1]
    found = fitted.forecast(longer, context=20).values
    assert np.allclose(found, fitted.forecast(some).values)


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


def test_margins_by_hand():
    residuals = np.array([[1.0, np.nan], [3.0, 5.0], [2.0, np.nan]])
    assert conformal_margins(residuals, 0.25).tolist() == [3.0, np.inf]
    assert conformal_margins(residuals, 0.5).tolist() == [2.0, 5.0]
    assert conformal_margins(np.empty((0, 2)), 0.5).tolist() == [np.inf, np.inf]


def test_a_saved_model_gives_the_same_forecasts(calibrated, tmp_path):
    calibrated.save(tmp_path / "waves.refold")
    again, series = load(tmp_path / "waves.refold"), waves(3, 3)
    ours, theirs = calibrated.forecast(series), again.forecast(series)
    assert np.array_equal(ours.values, theirs.values)
    assert np.array_equal(ours.upper, theirs.upper)
    assert again.specification.forecast_steps == 5


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


@pytest.mark.usefixtures("no_epochs")
def test_calibration_fraction_gives_bounds():
    ae = SequenceAutoencoder(**TINY, forecast_steps=5, calibration_fraction=0.2).fit(waves(75, 0))
    assert ae.forecast(waves(2, 1)).alpha == 0.1
    assert ae.detect(waves(2, 1), alpha=0.1).alpha == 0.1


def test_forecasts_of_words(of_words):
    assert of_words.forecast(["abcabcabc", "bcabcabca"]).values == ["abc", "bca"]
    errors = of_words.forecast_errors(["abcabcabcabc", "bcabcabcabca", "cabcabcabcab"] * 20)
    assert errors.measure == "1 - accuracy"
    assert errors.accuracy.model == 1.0
    assert errors.model == 0.0 < errors.last_value
    assert (errors.season, errors.seasonal_naive) == (3, 0.0)


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
    options = TINY | {"latent_dim": 0.3, "max_epochs": 1, "variational": True, "patch": 4}
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
        ({"forecast_steps": -1}, "forecast_steps must be an integer of at least 0. Got -1."),
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
        ({"steps": 6}, "steps is 6, and the model was fitted to forecast 5"),
        ({"steps": 0}, "steps must be a positive integer. Got 0."),
        ({"steps": 1.5}, "steps must be a positive integer. Got 1.5."),
        ({"alpha": 2}, "alpha must be a share of values outside the bounds"),
        ({"alpha": 0.001}, "needs at least 999 calibration sequences .* and there are 99"),
        ({"context": 0}, "context must be a positive integer"),
    ],
)
def test_bad_arguments_of_a_forecast(calibrated, options, message):
    with pytest.raises(ParameterError, match=message):
        calibrated.forecast(waves(2, 1), **options)


def test_a_model_without_forecasts_says_how_to_fit_one(plain):
    for method in (plain.forecast, plain.forecast_errors):
        with pytest.raises(
            ParameterError, match=r"not to forecast\. Fit one with forecast_steps=10"
        ):
            method(waves(2, 0))


def test_bounds_without_calibration(fitted):
    assert fitted.forecast(waves(2, 1)).lower is None
    with pytest.raises(ParameterError, match=r"calibration_fraction=0\.2, or give some"):
        fitted.forecast(waves(2, 1), alpha=0.1)


def test_default_bounds_are_left_out_if_calibration_has_too_few_sequences(fitted):
    ae = copy.deepcopy(fitted).calibrate(waves(5, 1))
    assert ae.forecast(waves(2, 1)).lower is None
    assert ae.forecast(waves(2, 1), alpha=0.2).alpha == 0.2
    ae.calibrate(split_at(waves(5, 1), 5)[0])
    with pytest.raises(ParameterError, match=r"and there are 0\. Give more\."):
        ae.forecast(waves(2, 1), alpha=0.2)


def test_bounds_need_the_default_context(calibrated):
    usual, same = (calibrated.forecast(waves(2, 1), context=steps) for steps in (None, 35))
    assert np.array_equal(usual.upper, same.upper)
    assert calibrated.forecast(waves(2, 1), context=10).lower is None
    with pytest.raises(ParameterError, match="Leave out context or alpha"):
        calibrated.forecast(waves(2, 1), context=10, alpha=0.1)


def test_categorical_columns_have_no_bounds(of_words):
    words = ["abcabcabc", "bcabcabca"]
    assert of_words.forecast(words).alpha is None
    with pytest.raises(ParameterError, match="no column is numeric"):
        of_words.forecast(words, alpha=0.1)


@pytest.mark.usefixtures("no_epochs")
def test_equal_sequences_lie_within_their_bounds():
    same = as_sequences([np.sin(np.arange(40.0))] * 120)
    ae = SequenceAutoencoder(**TINY, forecast_steps=5, calibration_fraction=0.5).fit(same)
    before, after = split_at(same, 35)
    ahead = ae.forecast(before)
    truth = after.values.reshape(120, 5, 1)
    assert ((truth >= ahead.lower) & (truth <= ahead.upper)).all()


def test_bounds_of_rarely_observed_steps_are_infinite_and_null_in_a_table(of_table, table):
    values = np.nan_to_num(table[:20].values)
    normal = table[:20].with_values(
        values + np.array([0.1, 0])
    )  # different from the training sequences
    normal.values[11 : 15 * 12 : 12, 0] = np.nan  # the last step of 15 sequences
    ahead = copy.deepcopy(of_table).calibrate(normal).forecast(table[:1])
    assert np.isposinf(ahead.upper[0, -1, 0])
    assert np.isfinite(ahead.upper[0, 0, 0])
    assert ahead.to_table()["number_upper"].null_count == 1


def test_a_pickled_model_gives_the_same_bounds(calibrated):
    again = pickle.loads(pickle.dumps(calibrated))  # noqa: S301
    assert np.array_equal(again.forecast(waves(3, 3)).upper, calibrated.forecast(waves(3, 3)).upper)


def test_data_in_files(tmp_path):
    rng = np.random.default_rng(0)
    for part in range(2):
        write(waves(30, part).with_ids(30 * part + np.arange(30)), tmp_path / f"{part}.parquet")
    source = mapped(tmp_path, block_bytes=4096)
    assert len(source.block_offsets) > 2
    ae = SequenceAutoencoder(**TINY | {"max_epochs": 1}, forecast_steps=5, verbose=1).fit(source)
    assert ae.forecast_errors(waves(50, int(rng.integers(5, 9)))).model < 0.2


def test_sequences_must_be_longer_than_the_forecast(fitted):
    with pytest.raises(DataError, match="the longest of 2 has 5"):
        fitted.forecast_errors(split_at(waves(2, 0), 5)[0])


def test_a_column_with_the_name_of_a_bound_is_refused():
    ahead = np.zeros((20, 2, 2))
    found = Forecast(as_sequences(ahead, names=["x", "x_lower"]), 0.1, ahead - 1, ahead + 1)
    with pytest.raises(refold.errors.SchemaError, match="'x_lower' has the name of a bound"):
        found.to_table()
