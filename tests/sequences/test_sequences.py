import pickle

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.model_selection import KFold, ShuffleSplit, cross_val_score, train_test_split

from refold.errors import DataError
from refold.sequences import Column, Schema, Sequences


@pytest.fixture
def growing():
    return Sequences.from_list(
        [np.arange(2.0 * i).reshape(i, 2) for i in range(10)], names=["a", "b"]
    )


def test_shape_and_repr(growing):
    assert len(growing) == 10
    assert growing.shape == (10,)
    assert growing.ndim == 1
    assert growing.lengths.dtype == np.int64
    assert repr(growing) == "Sequences(n=10, lengths=0 to 9, 2 numeric)"
    assert repr(growing[:0]) == "Sequences(n=0, columns=2)"


@pytest.mark.parametrize(
    ("key", "chosen"),
    [
        (slice(2, 5), [2, 3, 4]),
        (slice(None, None, -3), [9, 6, 3, 0]),
        ([4, 4, 0], [4, 4, 0]),
        (np.array([-1, 1]), [9, 1]),
        (np.arange(10) > 7, [8, 9]),
        (([3, 1], Ellipsis), [3, 1]),
        (Ellipsis, range(10)),
        ([], []),
    ],
)
def test_choosing_several(growing, key, chosen):
    part = growing[key]
    assert isinstance(part, Sequences)
    assert part.schema is growing.schema
    assert part.ids.tolist() == list(chosen)
    assert part.offsets[0] == 0
    for i, sequence in zip(chosen, part, strict=True):
        np.testing.assert_array_equal(sequence, growing[i])


def test_choosing_one(growing):
    np.testing.assert_array_equal(growing[2], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(growing[np.int64(-8)], growing[2])
    one = growing[2]
    one[:] = 7.0
    assert not (growing.values == 7.0).all(axis=1).any()


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (10, "out of bounds"),
        ((1, 2), "one axis and take one index"),
        ("a", "only integers"),
        ([True], "boolean index did not match"),
    ],
)
def test_impossible_index(growing, key, message):
    with pytest.raises(IndexError, match=message):
        growing[key]


def test_padded(growing):
    padded = growing.to_padded()
    assert padded.shape == (10, 9, 2)
    assert np.isnan(padded[0]).all()
    assert Sequences.from_array(padded).lengths.tolist() == growing.lengths.tolist()
    assert growing.to_padded(-1.0)[0].max() == -1.0
    assert growing[:1].to_padded().shape == (1, 1, 2)
    assert growing[:0].to_padded().shape == (0, 1, 2)


def test_unknown_and_missing_categories_in_to_list():
    values = np.array([[0.0], [2.0], [np.nan]])

    def back(labels, layout):
        schema = Schema((Column("token", "categorical", labels),), layout)
        return Sequences(values, [0, 3], schema=schema)[0]

    assert back(("a", "b"), "tokens") == ["a", "<unknown>", None]
    assert back(("a", "b"), "words") == ["a", "<unknown>", None]
    assert back(("a", "b"), "characters") == "a\ufffd\ufffd"
    assert back((5, 6), "tokens") == [5, None, None]
    np.testing.assert_array_equal(back((5, 6), "array"), [[5.0], [np.nan], [np.nan]])
    assert back(("a", "b"), "array").tolist() == [["a"], ["<unknown>"], [None]]
    assert back(("a", "b"), "series").tolist() == ["a", "<unknown>", None]


def test_a_written_unknown_category_stays_unknown():
    fitted = Sequences.from_list(["ab"]).schema
    with pytest.warns(UserWarning, match="1 entry of column 'token'"):
        read = Sequences.from_list(["az"], schema=fitted)
    again = Sequences.from_arrow(read.to_arrow())
    assert again.schema == fitted
    np.testing.assert_array_equal(again.values, read.values)


ZEROS = np.zeros((3, 1))
TWO_COLUMNS = Schema((Column("x", "numeric"), Column("y", "numeric")))
ONE_CATEGORY = Schema((Column("x", "categorical", ("a",)),))


@pytest.mark.parametrize(
    ("values", "offsets", "schema", "message"),
    [
        (np.zeros(3), [0, 3], None, r"shape \(num_steps, features\). Got \(3,\)"),
        (ZEROS, [0, 2], None, "rise from 0 to the number of steps, 3"),
        (ZEROS, [1, 3], None, "rise from 0"),
        (ZEROS, [0, 2, 1, 3], None, "rise from 0"),
        (ZEROS, [0.0, 3.0], None, "at least one integer"),
        (ZEROS, [], None, "at least one integer"),
        (ZEROS + np.inf, [0, 3], None, "infinite value at sequence 0, step 0"),
        (ZEROS, [0, 3], TWO_COLUMNS, "The schema has 2 columns, but values has 1"),
        (ZEROS + 2, [0, 1, 3], ONE_CATEGORY, "Got 2 at sequence 0, .*index of a category, 0 to 0"),
    ],
)
def test_impossible_parts(values, offsets, schema, message):
    with pytest.raises(DataError, match=message):
        Sequences(values, offsets, schema=schema)


def test_integers_become_floats():
    assert Sequences([[1], [2]], [0, 2]).values.dtype == np.float64


def test_pickle(growing):
    again = pickle.loads(pickle.dumps(growing))  # noqa: S301
    assert again.schema == growing.schema
    np.testing.assert_array_equal(again.values, growing.values)


class Longest(BaseEstimator):
    """An estimator that accepts the output of scikit-learn's splitters."""

    def fit(self, X, y=None):
        assert isinstance(X, Sequences)
        self.names_ = X.schema.names
        return self

    def score(self, X, y=None):
        assert X.schema.names == self.names_ == ("a", "b")
        return float(X.lengths.max())


@pytest.mark.parametrize("splitter", [KFold(5), ShuffleSplit(5, test_size=2, random_state=0)])
def test_scikit_learn_splitters(growing, splitter):
    scores = cross_val_score(Longest(), growing, cv=splitter, error_score="raise")
    expected = [growing.lengths[test].max() for _, test in splitter.split(growing)]
    assert scores.tolist() == expected


def test_train_test_split(growing):
    labels = np.arange(10)
    train, test, _, test_labels = train_test_split(growing, labels, random_state=0)
    assert len(train) + len(test) == 10
    assert test.lengths.tolist() == test_labels.tolist()
