"""The three measures together, and their text."""

import numpy as np
import pytest

from refold.evaluation import Fidelity, accuracy, exact, fidelity, nmse
from refold.sequences import Column, Scaler, Schema, Sequences


def test_numeric_and_categorical_columns_of_a_mixed_table_have_their_own_measures():
    schema = Schema((Column("x", "numeric"), Column("word", "categorical", ("a", "b"))))
    original = Sequences([[0.0, 0.0], [4.0, 1.0], [0.0, 1.0]], [0, 2, 3], schema=schema)
    back = original.with_values(np.array([[0.0, 1.0], [3.0, 1.0], [0.0, 1.0]]))
    scaler = Scaler.fit(original)
    found = fidelity(original, back, scaler)
    assert found.nmse == nmse(original, back, scaler)
    assert found.accuracy == accuracy(original, back) == 2 / 3
    assert found.exact == exact(original, back) == 1 / 2
    assert (found.measure, found.error, found.lost) == ("NMSE", found.nmse, 1 - found.accuracy)


def test_measures_that_do_not_apply_are_left_out():
    words = Sequences.from_list(["ab", "b"])
    found = fidelity(words, ["ab", "a"], Scaler.fit(words))
    assert found == Fidelity(None, 2 / 3, 1 / 2)
    assert (found.measure, found.lost) == ("1 - accuracy", pytest.approx(1 / 3))
    numbers = Sequences.from_list([[1.0, 2.0]])
    assert fidelity(numbers, numbers, Scaler.fit(numbers)) == Fidelity(0.0, None, 1.0)


@pytest.mark.parametrize(
    ("ours", "pca", "text"),
    [
        (Fidelity(0.121, None, 0), Fidelity(0.133, None, 0), "NMSE 0.121, PCA of 4 0.133"),
        (
            Fidelity(0.255, 0.81, 0),
            Fidelity(0.158, 0.84, 0),
            "NMSE 0.255, PCA of 4 0.158; accuracy 81.0 %, PCA 84.0 %",
        ),
        (
            Fidelity(None, 0.99999, 1.0),
            Fidelity(None, 0.5, 0.0),
            "accuracy 99.9 %, PCA of 4 50.0 %; exact 100 %, PCA 0 %",
        ),
        (Fidelity(0.25, 0.5, 0), None, "NMSE 0.25; accuracy 50.0 %"),
    ],
)
def test_each_measure_is_next_to_that_of_pca(ours, pca, text):
    assert ours.text(pca, name="PCA of 4") == text
