"""Errors compared with values computed by hand."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.evaluation import errors_by_feature, explained_variance, nmse
from refold.sequences import Column, Scaler, Schema, Sequences


def series(*rows):
    return Sequences.from_list([np.array(row, dtype=float) for row in rows], column_types="numeric")


TRAIN = series([0.0, 4.0], [2.0, 2.0, 0.0, 4.0])  # mean 2
SCALER = Scaler.fit(TRAIN, mode="features")
VARIANCE = 16 / 6


def test_nmse_is_error_over_power_about_the_training_mean():
    original = series([2.0, 6.0], [0.0])  # power 0 + 16 + 4 over the variance
    reconstructed = series([3.0, 5.0], [0.0])  # error 1 + 1
    assert nmse(original, reconstructed, SCALER) == pytest.approx(2 / 20)
    errors = errors_by_feature(original, reconstructed, SCALER)
    assert errors == pytest.approx([2 / 3 / VARIANCE])


def test_perfect_and_mean_reconstructions():
    original = series([2.0, 6.0, 1.0], [0.0])
    assert nmse(original, original, SCALER) == 0.0
    assert nmse(original, series([2.0] * 3, [2.0]), SCALER) == pytest.approx(1.0)
    assert explained_variance(original, original) == 1.0


def test_missing_step_counts_as_zero_and_extra_step_is_ignored():
    original = series([4.0, 6.0], [0.0, 1.0])  # standardized: 2, 4, -2, -1
    shorter = series([4.0], [0.0, 1.0, 9.0, 9.0])
    assert nmse(original, shorter, SCALER) == pytest.approx(16 / 25)
    assert nmse(original, [np.array([]), np.array([0.0])], SCALER) == pytest.approx(21 / 25)


def test_missing_values_are_left_out():
    original = series([4.0, np.nan, 0.0], [np.nan])
    reconstructed = series([3.0, 50.0, 0.0], [7.0])
    assert nmse(original, reconstructed, SCALER) == pytest.approx(1 / 8)
    missing_back = series([np.nan, 50.0, 0.0], [7.0])
    assert nmse(original, missing_back, SCALER) == pytest.approx(4 / 8)


def test_empty_sequences_measure_nothing_and_stay_finite():
    original = series([4.0], []).with_values(np.array([[4.0]]))
    assert nmse(original, series([4.0], [1.0]), SCALER) == 0.0
    empty = original[[1]]
    assert nmse(empty, empty, SCALER) == 0.0
    assert explained_variance(empty, empty) == 1.0
    assert np.isnan(errors_by_feature(empty, empty)).all()


def test_without_power_any_error_is_infinite():
    original = series([2.0, 2.0])
    assert nmse(original, series([2.0, 2.0]), SCALER) == 0.0
    assert nmse(original, series([2.0, 2.5]), SCALER) == np.inf
    assert explained_variance(original, series([2.0, 2.5])) == 0.0


def test_each_feature_is_measured_in_its_own_units():
    train = Sequences.from_list(
        [np.array([[0.0, -100.0], [2.0, 100.0]])]
    )  # standard deviations 1 and 100
    scaler = Scaler.fit(train, mode="features")
    original = Sequences.from_list([np.array([[1.0, 0.0], [3.0, 200.0]])])
    reconstructed = Sequences.from_list([np.array([[1.0, 50.0], [2.0, 200.0]])])
    assert errors_by_feature(original, reconstructed, scaler) == pytest.approx([0.5, 0.125])
    assert errors_by_feature(original, reconstructed) == pytest.approx([0.5, 1250.0])
    assert nmse(original, reconstructed, scaler) == pytest.approx((1 + 0.25) / (4 + 4))


def test_explained_variance_is_one_minus_nmse():
    original = series([1.0, 2.0, 3.0, 6.0])  # mean 3, squared deviations 4 + 1 + 0 + 9
    reconstructed = series([1.0, 2.0, 4.0, 4.0])
    ours = Scaler.fit(original)
    for back in (reconstructed, series([1.0, 2.0, 4.0])):
        for scaler in (SCALER, ours):
            expected = 1 - nmse(original, back, scaler)
            assert explained_variance(original, back, scaler) == pytest.approx(expected)
    # Without a scaler the units are those of the original, and a missing step counts as the mean.
    assert explained_variance(original, reconstructed) == pytest.approx(1 - 5 / 14)
    assert explained_variance(original, series([1.0, 2.0, 4.0])) == pytest.approx(1 - 10 / 14)
    assert explained_variance(original, series([3.0] * 4)) == pytest.approx(0.0)


def test_explained_variance_without_a_scaler_weights_features_equally():
    x = np.array([[0.0, 0.0], [2.0, 2000.0]])
    y = np.array([[1.0, 0.0], [2.0, 2000.0]])
    original, reconstructed = Sequences.from_list([x]), Sequences.from_list([y])
    assert explained_variance(original, reconstructed) == pytest.approx(1 - (1 / 2 + 0) / 2)


def test_categorical_columns_are_left_out():
    schema = Schema(
        (Column("x", "numeric"), Column("on", "binary"), Column("word", "categorical", ("a", "b")))
    )
    values = np.array([[0.0, 0.0, 0.0], [4.0, 1.0, 1.0]])
    original = Sequences(values, [0, 2], schema=schema)
    scaler = Scaler.fit(original)  # mean 2, standard deviation 2
    wrong = original.with_values(np.array([[0.0, 1.0, 1.0], [3.0, 0.0, 0.0]]))
    assert nmse(original, wrong, scaler) == pytest.approx(0.25 / 2)
    assert explained_variance(original, wrong) == pytest.approx(1 - 0.25 / 2)
    only = Sequences.from_list(["ab", "b"])
    with pytest.raises(SchemaError, match="need numeric columns"):
        nmse(only, only, Scaler.fit(only))


def test_large_values_keep_their_precision():
    original = Sequences.from_list([np.array([1e6, 1e6 + 1, 1e6 + 2])])
    assert explained_variance(original, original) == 1.0
    off = original.with_values(original.values + np.array([[0.0], [1.0], [0.0]]))
    assert explained_variance(original, off) == pytest.approx(0.5)


def test_bad_input_is_named():
    one, two = series([1.0]), series([1.0], [2.0])
    with pytest.raises(DataError, match="Got 1 reconstructed sequences for 2 originals"):
        nmse(two, one, SCALER)
    with pytest.raises(DataError, match="There is no sequence to measure"):
        nmse(two[[]], two[[]], SCALER)
    with pytest.raises(SchemaError, match="2 columns, the original has 1"):
        nmse(one, Sequences.from_list([np.ones((1, 2))], column_types="numeric"), SCALER)
    with pytest.raises(SchemaError, match=r"'x0' .* is reconstructed as 'other'"):
        nmse(one, Sequences.from_list([np.ones((1, 1))], names=["other"]), SCALER)
    words = Sequences.from_list(["ab"])
    with pytest.raises(SchemaError, match="with other categories"):
        errors_by_feature(words, Sequences.from_list(["bc"]))
    with pytest.raises(ParameterError, match="nmse needs a scaler fitted on the training split"):
        nmse(one, one, None)
    with pytest.raises(ParameterError, match="Got a scaler of mode 'sequence'"):
        nmse(two, two, Scaler.fit(TRAIN, mode="sequence"))
