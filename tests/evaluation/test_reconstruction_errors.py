"""Errors of reconstructions, compared with values computed by hand."""

import numpy as np
import pytest

from refold import evaluation
from refold.errors import DataError, ParameterError, SchemaError
from refold.evaluation import Fidelity, accuracy, entry_errors, exact, fidelity, nmse
from refold.sequences import Column, Scaler, Schema, Sequences

NAN = np.nan
SCHEMA = Schema(
    (Column("level", "numeric"), Column("on", "binary"), Column("page", "categorical", ("a", "b")))
)


def sequences_of(*rows, schema=SCHEMA):
    lengths = [len(row) for row in rows]
    values = np.concatenate([np.array(row, float).reshape(len(row), -1) for row in rows if row])
    return Sequences(values, np.concatenate([[0], np.cumsum(lengths)]), schema=schema)


# 3, 0, 1 and 2 steps with gaps. The reconstructions lack a step of the first and add one elsewhere.
ORIGINAL = sequences_of(
    [(1, 1, 0), (2, NAN, 1), (3, 0, 1)], [], [(NAN, 1, NAN)], [(5, 0, 0), (7, 1, NAN)]
)
DECODED = sequences_of(
    [(1, 0.9, 0), (4, 1, 0)], [(9, 0, 0)], [(8, 0.2, 1)], [(5, 0.6, 1), (6, 1, 0)]
)
SCALER = Scaler.fit(sequences_of([(0, 0, 0), (4, 1, 1)]))  # mean 2, standard deviation 2


def test_entries_by_hand():
    expected = [
        [0, 0, 0],
        [1.0, NAN, 1],
        [0.25, 1, 1],  # missing step: the mean, and wrong categories
        [NAN, 1, NAN],
        [0, 1, 1],
        [0.25, 0, NAN],
    ]
    np.testing.assert_allclose(entry_errors(ORIGINAL, DECODED, SCALER), expected)
    # without a scaler, a missing step counts as the mean of the column
    raw = entry_errors(ORIGINAL, DECODED)[:, 0]
    np.testing.assert_allclose(raw, [0, 4, (3 - 18 / 5) ** 2, NAN, 0, 1])


def test_means_by_feature_sequence_length_and_position():
    by_feature = evaluation.errors_by_feature(ORIGINAL, DECODED, SCALER)
    assert by_feature == pytest.approx([1.5 / 5, 3 / 5, 3 / 4])
    by_sequence = evaluation.errors_by_sequence(ORIGINAL, DECODED, SCALER)
    np.testing.assert_allclose(by_sequence.numeric, [1.25 / 3, NAN, NAN, 0.125])
    np.testing.assert_allclose(by_sequence.categorical, [3 / 5, NAN, 1.0, 2 / 3])

    by_length = evaluation.errors_by_length(ORIGINAL, DECODED, SCALER, num_groups=2)
    assert (by_length.first.tolist(), by_length.last.tolist()) == ([0, 2], [1, 3])
    assert by_length.num_sequences.tolist() == [2, 2]
    np.testing.assert_allclose(by_length.numeric, [NAN, 1.5 / 5])
    np.testing.assert_allclose(by_length.categorical, [1.0, 5 / 8])
    by_position = evaluation.errors_by_position(ORIGINAL, DECODED, SCALER)
    assert by_position.first.tolist() == by_position.last.tolist() == [0, 1, 2]
    assert by_position.num_sequences.tolist() == [3, 2, 1]
    assert by_position.numeric == pytest.approx([0, 0.625, 0.25])
    assert by_position.categorical == pytest.approx([3 / 5, 1 / 2, 1.0])


def series_of(*rows):
    return Sequences.from_list([np.array(row, dtype=float) for row in rows], column_types="numeric")


TRAIN = series_of([0.0, 4.0], [2.0, 2.0, 0.0, 4.0])
TRAIN_SCALER = Scaler.fit(TRAIN, mode="features")  # mean 2, variance 16 / 6


@pytest.mark.parametrize(
    ("original", "reconstructed", "expected"),
    [
        # a missing step counts as the mean, and an extra one is ignored
        (series_of([4.0, 6.0], [0.0, 1.0]), series_of([4.0], [0.0, 1.0, 9.0, 9.0]), 16 / 25),
        # missing originals do not count, and missing reconstructions are the mean
        (series_of([4.0, NAN, 0.0], [NAN]), series_of([NAN, 50.0, 0.0], [7.0]), 4 / 8),
        # without power, any error is infinite
        (series_of([2.0, 2.0]), series_of([2.0, 2.0]), 0.0),
        (series_of([2.0, 2.0]), series_of([2.0, 2.5]), np.inf),
    ],
)
def test_nmse_by_hand(original, reconstructed, expected):
    assert nmse(original, reconstructed, TRAIN_SCALER) == pytest.approx(expected)
    if np.isfinite(expected):
        variance = evaluation.explained_variance(original, reconstructed, TRAIN_SCALER)
        assert variance == pytest.approx(1 - expected)


WORDS = Sequences.from_list(["abba", "cab", "", "b"])


def test_the_length_counts_for_exact_sequences_and_not_for_steps():
    decoded = ["abba", "cab", "a", "b"]
    assert (exact(WORDS, decoded), accuracy(WORDS, decoded)) == (3 / 4, 1)


def test_binary_entries_are_rounded_at_one_half():
    original = Sequences.from_list([[1.0, 0.0, 1.0]], column_types="binary")
    for last, expected in ((0.5, 1.0), (0.4, 2 / 3)):
        decoded = original.with_values(np.array([[0.9], [0.49], [last]]))
        assert accuracy(original, decoded) == expected
        assert exact(original, decoded) == (expected == 1)


def test_missing_originals_are_ignored_and_missing_and_unknown_values_are_wrong():
    schema = Schema((Column("a", "binary"), Column("b", "binary")))
    original = Sequences(np.array([[1.0, NAN], [NAN, NAN]]), [0, 1, 2], schema=schema)
    decoded = original.with_values(np.array([[1.0, 1.0], [0.0, 1.0]]))
    assert exact(original, decoded) == accuracy(original, decoded) == 1.0
    with_missing = original.with_values(np.array([[NAN, 1.0], [0.0, 1.0]]))
    assert exact(original, with_missing) == 1 / 2
    assert accuracy(original, with_missing) == 0.0  # the second step was never observed
    unknown = Sequences(np.array([[0.0], [3.0]]), [0, 1, 2], schema=WORDS.schema)
    assert exact(unknown, unknown) == accuracy(unknown, unknown) == 1 / 2
    assert accuracy(WORDS[[2]], WORDS[[2]]) == 1.0  # no step


def test_numeric_entries_within_tolerance():
    original = Sequences.from_list([np.array([0.5, 2000.0]), np.array([1.5])])
    near = original.with_values(original.values + np.array([[5e-7], [1e-3], [0.1]]))
    assert exact(original, near) == 1 / 2
    assert exact(original, near, tolerance=0.2) == 1.0
    empty = Sequences.from_list([np.zeros((0, 2)), np.zeros((0, 2))])
    assert exact(empty, empty) == 1.0


def test_numeric_and_other_columns_have_their_own_measures():
    original = sequences_of([(0, 0, 0), (4, 1, 1)], [(0, 0, 1)])
    decoded = original.with_values(np.array([[0.0, 0, 1], [3.0, 1, 1], [0.0, 0, 1]]))
    scaler = Scaler.fit(original)
    result = fidelity(original, decoded, scaler)
    assert (result.nmse, result.accuracy, result.exact) == (pytest.approx(3 / 32), 2 / 3, 1 / 2)
    assert (result.measure_name, result.error) == ("NMSE", result.nmse)
    assert result.larger_lost_share == 1 - result.accuracy
    words = Sequences.from_list(["ab", "b"])
    result = fidelity(words, ["ab", "a"], Scaler.fit(words))
    assert result == Fidelity(None, 2 / 3, 1 / 2)
    assert (result.measure_name, result.larger_lost_share) == ("1 - accuracy", pytest.approx(1 / 3))
    quality, pca = Fidelity(None, 0.99999, 1.0), Fidelity(None, 0.5, 0.0)
    text = "accuracy 99.9 %, PCA of 4 50.0 %; exact 100 %, PCA 0 %"
    assert quality.text(pca, pca_name="PCA of 4") == text


BY_SEQUENCE = Scaler.fit(TRAIN, mode="sequence")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: exact(WORDS, WORDS[:1]), DataError, "Got 1 reconstructed sequences for 4 orig"),
        (lambda: nmse(WORDS, WORDS, Scaler.fit(WORDS)), SchemaError, "need numeric columns"),
        (lambda: nmse(TRAIN, TRAIN, None), ParameterError, "scaler must be a Scaler, such as"),
        (lambda: nmse(TRAIN, TRAIN, BY_SEQUENCE), ParameterError, "a scaler of mode 'sequence'"),
        (lambda: exact(WORDS, Sequences.from_list(["no"] * 4)), SchemaError, "categories count"),
    ],
)
def test_mistakes_are_named(call, error, message):
    with pytest.raises(error, match=message):
        call()
