"""Errors by feature, length and position, compared with values computed by hand."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError, SchemaError
from refold.evaluation import (
    entry_errors,
    errors_by_feature,
    errors_by_length,
    errors_by_position,
    errors_by_sequence,
    nmse,
)
from refold.sequences import Column, Scaler, Schema, Sequences

NAN = np.nan
SCHEMA = Schema(
    (Column("level", "numeric"), Column("on", "binary"), Column("page", "categorical", ("a", "b")))
)


def build(*rows, schema=SCHEMA):
    lengths = [len(one) for one in rows]
    values = np.concatenate([np.array(one, float).reshape(len(one), -1) for one in rows if one])
    return Sequences(values, np.concatenate([[0], np.cumsum(lengths)]), schema=schema)


# 3, 0, 1 and 2 steps with gaps. The reconstructions lack a step of the first and add one elsewhere.
ORIGINAL = build([(1, 1, 0), (2, NAN, 1), (3, 0, 1)], [], [(NAN, 1, NAN)], [(5, 0, 0), (7, 1, NAN)])
BACK = build([(1, 0.9, 0), (4, 1, 0)], [(9, 0, 0)], [(8, 0.2, 1)], [(5, 0.6, 1), (6, 1, 0)])
SCALER = Scaler.fit(build([(0, 0, 0), (4, 1, 1)]))  # mean 2, standard deviation 2


def test_entries_by_hand():
    assert entry_errors(ORIGINAL, BACK, SCALER) == pytest.approx(
        np.array(
            [
                [0, 0, 0],
                [1.0, NAN, 1],
                [0.25, 1, 1],  # missing step: the mean, and wrong categories
                [NAN, 1, NAN],
                [0, 1, 1],
                [0.25, 0, NAN],
            ]
        ),
        nan_ok=True,
    )


def test_without_a_scaler_a_missing_step_counts_as_the_mean_of_the_column():
    errors = entry_errors(ORIGINAL, BACK)[:, 0]
    assert errors == pytest.approx([0, 4, (3 - 18 / 5) ** 2, NAN, 0, 1], nan_ok=True)


def test_by_feature():
    expected = [1.5 / 5, 3 / 5, 3 / 4]
    assert errors_by_feature(ORIGINAL, BACK, SCALER) == pytest.approx(expected)


def test_by_sequence():
    found = errors_by_sequence(ORIGINAL, BACK, SCALER)
    assert found.numeric == pytest.approx([1.25 / 3, NAN, NAN, 0.125], nan_ok=True)
    assert found.categorical == pytest.approx([3 / 5, NAN, 1.0, 2 / 3], nan_ok=True)


def test_by_length():
    found = errors_by_length(ORIGINAL, BACK, SCALER, num_groups=2)
    assert found.first.tolist() == [0, 2]
    assert found.last.tolist() == [1, 3]
    assert found.num_sequences.tolist() == [2, 2]
    assert found.numeric == pytest.approx([NAN, 1.5 / 5], nan_ok=True)
    assert found.categorical == pytest.approx([1.0, 5 / 8])
    single = errors_by_length(ORIGINAL, BACK, SCALER, num_groups=50)
    assert single.first.tolist() == single.last.tolist() == [0, 1, 2, 3]


def test_groups_of_lengths_have_similar_sizes_and_do_not_split_a_length():
    rng = np.random.default_rng(0)
    lengths = np.concatenate([rng.integers(1, 40, 300), np.full(300, 20)])
    original = Sequences.from_list([np.ones(n) for n in lengths])
    found = errors_by_length(original, original, num_groups=6)
    assert (found.first[1:] > found.last[:-1]).all()
    assert found.num_sequences.sum() == 600
    assert 3 <= len(found.first) <= 6
    alike = errors_by_length(original[lengths == 20], original[lengths == 20])
    assert (alike.first.tolist(), alike.num_sequences.tolist()) == ([20], [(lengths == 20).sum()])


def test_by_position():
    found = errors_by_position(ORIGINAL, BACK, SCALER)
    assert found.first.tolist() == found.last.tolist() == [0, 1, 2]
    assert found.num_sequences.tolist() == [3, 2, 1]
    assert found.numeric == pytest.approx([0, 0.625, 0.25])
    assert found.categorical == pytest.approx([3 / 5, 1 / 2, 1.0])
    pairs = errors_by_position(ORIGINAL, BACK, SCALER, num_groups=2)
    assert pairs.first.tolist() == [0, 2]
    assert pairs.last.tolist() == [1, 2]
    assert pairs.numeric == pytest.approx([1.25 / 4, 0.25])


def test_sums_agree_with_the_total_errors():
    rng = np.random.default_rng(1)
    x = Sequences.from_list([rng.normal(size=(n, 3)) for n in rng.integers(0, 9, 30)])
    holes = x.with_values(np.where(rng.random(x.values.shape) < 0.2, NAN, x.values))
    y = x.with_values(x.values + rng.normal(size=x.values.shape))
    scaler = Scaler.fit(x)
    by_hand = np.nanmean(np.square((holes.values - y.values) / scaler.scale_), axis=0)
    np.testing.assert_allclose(errors_by_feature(holes, y, scaler), by_hand, rtol=1e-5)
    power = np.nansum(scaler.transform(holes).values.astype(float) ** 2)
    total = np.nansum(entry_errors(holes, y, scaler))
    assert total / power == pytest.approx(nmse(holes, y, scaler), rel=1e-5)


def test_empty_sequences_have_no_entries():
    empty = Sequences.from_list([np.zeros((0, 2)), np.zeros((0, 2))])
    assert np.isnan(errors_by_feature(empty, empty)).all()
    assert np.isnan(errors_by_sequence(empty, empty).numeric).all()
    by_length = errors_by_length(empty, empty)
    assert (by_length.first.tolist(), by_length.num_sequences.tolist()) == ([0], [2])
    assert len(errors_by_position(empty, empty).first) == 0


@pytest.mark.parametrize("function", [errors_by_length, errors_by_position])
def test_sequences_that_do_not_match_are_refused(function):
    with pytest.raises(ParameterError, match=r"num_groups must be a positive integer\."):
        function(ORIGINAL, BACK, num_groups=0)
    with pytest.raises(DataError, match="Got 1 reconstructed"):
        function(ORIGINAL, BACK[:1])
    with pytest.raises(SchemaError, match="has 1 columns"):
        function(ORIGINAL, Sequences.from_list([[1.0]] * 4))
    with pytest.raises(ParameterError, match="the units of the training split"):
        function(ORIGINAL, BACK, Scaler.fit(build([(0, 0, 0), (4, 1, 1)]), "sequence"))
