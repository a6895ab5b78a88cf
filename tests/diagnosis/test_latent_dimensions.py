"""The effect of latent dimensions, for decoders with a known effect."""

import numpy as np
import pytest

import refold
from refold.diagnosis import DEVIATIONS, _latent_dimensions, decode_sweep, measure_latent_effects
from refold.errors import DataError, ParameterError
from refold.evaluation import errors_by_feature
from refold.sequences import Sequences
from small_data import fit_without_training


@pytest.fixture(scope="module")
def fitted():
    sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    model = fit_without_training(sines, latent_dim=4)
    return model, model.transform(sines)


def test_the_effect_is_that_of_one_standard_deviation_up_and_down(fitted):
    model, codes = fitted
    dimensions = measure_latent_effects(model, codes[:2])  # few enough codes to change all of them
    assert dimensions.names == ("0", "1", "2", "3")
    np.testing.assert_allclose(dimensions.deviation, codes[:2].std(axis=0), rtol=1e-6)
    start = Sequences.from_list(model.inverse_transform(codes[:2]), schema=model.schema_)
    scaler = model.error_scaler_
    for i in range(4):
        change = np.zeros(4, np.float32)
        change[i] = dimensions.deviation[i]
        changes = [
            errors_by_feature(start, model.inverse_transform(codes[:2] + sign * change), scaler)
            for sign in (1, -1)
        ]
        np.testing.assert_allclose(dimensions.effect[i], np.mean(changes, axis=0), rtol=1e-4)
    assert (np.diff(dimensions.mean_effect[dimensions.order_by_effect]) <= 0).all()


def test_steps_that_are_added_or_lost_are_changes(fitted, monkeypatch):
    model, scaler = fitted[0], fitted[0].error_scaler_
    step = scaler.mean_ + scaler.scale_  # its square is 1 in the units of the errors
    monkeypatch.setattr(
        _latent_dimensions,
        "_decode_without_warnings",
        lambda _, codes: [np.tile(step, (int(length), 1)) for length in codes[:, 0]],
    )
    effect = measure_latent_effects(model, np.array([[4, 0, 0, 0], [6, 0, 0, 0]])).effect
    # sequences of 4 and 6 steps become sequences of 5 and 7 steps, or of 3 and 5 steps
    np.testing.assert_allclose(effect[:, 0], [(2 / 12 + 2 / 10) / 2, 0, 0, 0])


def test_a_sweep_goes_through_the_mean_code(fitted):
    model, codes = fitted
    decoded = decode_sweep(model, codes, 1)
    assert len(decoded) == len(DEVIATIONS)
    swept = decode_sweep(model, codes, 1, (0.0,), base_code=codes[5])[0]
    moved = np.stack([codes.mean(axis=0), codes[5]])
    moved[1, 1] = codes[:, 1].mean()
    for x, expected in zip((decoded[3], swept), model.inverse_transform(moved), strict=True):
        np.testing.assert_allclose(x.ravel(), expected, rtol=1e-4, atol=1e-6)
    swept = [decode_sweep(model, codes, 1, base_code=np.ones(4, dtype)) for dtype in (int, float)]
    np.testing.assert_array_equal(swept[0].values, swept[1].values)


def test_statistics_of_scaling_have_the_names_of_their_columns():
    walks = Sequences.from_list(
        [np.random.default_rng(i).normal(size=(9, 2)).cumsum(axis=0) for i in range(20)],
        names=["height", "speed"],
    )
    model = fit_without_training(walks, latent_dim=2, scale="sequence")
    dimensions = measure_latent_effects(model, model.transform(walks))
    names = ["level of height", "level of speed", "spread of height", "spread of speed"]
    assert dimensions.names == ("0", "1", *names)


def test_bad_arguments_are_refused(fitted):
    model, codes = fitted
    with pytest.raises(DataError, match="There is no code"):
        measure_latent_effects(model, codes[:0])
    with pytest.raises(DataError, match="4"):
        measure_latent_effects(model, codes[:, :2])
    with pytest.raises(ParameterError, match="dimension must be an integer from 0 to 3"):
        decode_sweep(model, codes, 4)
    with pytest.raises(DataError, match="base_code"):
        decode_sweep(model, codes, 1, base_code=codes[0, :3])
