"""Warnings of values far outside of the training data, such as those in other units."""

import copy
import warnings

import numpy as np
import pytest

import refold
from refold.sequences import Sequences, write
from small_data import mapped

NAMES = ["weight", "pressure", "income", "claim", "jump", "visits", "tail", "flag"]
FAR = "far outside of the training data"


def data(seed, count=60):
    """Columns with ordinary and with heavy tails, one with many zeros, and a constant one."""
    rng = np.random.default_rng(seed)
    n = 20 * count
    columns = [
        rng.normal(60, 8, n),
        rng.normal(1013, 10, n),
        rng.lognormal(0, 2, n),
        rng.pareto(1.5, n),
        rng.standard_t(2, n),
        np.where(rng.random(n) < 0.1, rng.poisson(30, n), 0),
        rng.standard_cauchy(n),
        np.ones(n),
    ]
    x = np.stack(columns, axis=1).reshape(count, 20, -1)
    return Sequences.from_array(x, names=NAMES)


def times(sequences, factor, name):
    return sequences.with_values(np.where(np.array(NAMES) == name, factor, 1.0) * sequences.values)


@pytest.fixture(scope="module")
def ae():
    made = refold.SequenceAutoencoder(
        4, units=4, latent_steps=0, max_epochs=1, calibration_fraction=0.4, forecast_steps=2
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of the constant column
        return made.fit(data(0))


@pytest.mark.parametrize("seed", range(1, 30))
def test_new_data_of_the_same_distribution_cause_no_warning(ae, seed):
    new = data(seed)
    ae.transform(new)
    ae.score(new[:1])
    ae.transform(new[:0])


def test_anomalies_cause_no_warning(ae):
    new = data(1)
    new.values[7, 0] = 1e6
    new.values[::10] *= 1000
    ae.detect(new, alpha=0.1)
    ae.transform(new[:1])


@pytest.mark.parametrize("name", NAMES[:-2])
def test_the_column_in_other_units_is_named(ae, name):
    with pytest.warns(UserWarning, match=rf"column '{name}' are {FAR}, up to \d") as told:
        ae.transform(times(data(1), 1000, name))
    assert len(told) == 1
    assert "\n" not in str(told[0].message)


def test_smaller_numbers_are_far_away_if_the_mean_is_far_from_zero(ae):
    with pytest.warns(UserWarning, match=f"100 % of the values of column 'pressure' are {FAR}"):
        ae.transform(times(data(1), 0.001, "pressure"))


def test_a_file_in_blocks_causes_one_warning(ae, tmp_path):
    wrong = data(1)
    write(wrong.with_values(1000 * wrong.values), tmp_path / "a.parquet")
    source = mapped(tmp_path / "a.parquet", columns=NAMES, block_bytes=3000)
    assert len(source.block_offsets) > 4
    with pytest.warns(UserWarning, match=FAR) as told:
        ae.transform(source)
    assert len(told) == 1


@pytest.mark.parametrize(
    "method", ["transform", "score", "detect", "reconstruct", "forecast", "drift", "calibrate"]
)
def test_one_warning_for_each_call(ae, method):
    wrong = data(1)
    options = {"alpha": 0.1} if method == "detect" else {}
    with pytest.warns(UserWarning, match=FAR) as told:
        getattr(copy.deepcopy(ae), method)(wrong.with_values(1000 * wrong.values), **options)
    assert len(told) == 1
