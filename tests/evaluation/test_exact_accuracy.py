"""Exact reconstructions and accuracies, counted by hand."""

import numpy as np
import pytest

from refold.errors import DataError, SchemaError
from refold.evaluation import accuracy, exact
from refold.sequences import Column, Schema, Sequences

WORDS = Sequences.from_list(["abba", "cab", "", "b"])


def words(*strings):
    return Sequences.from_list(list(strings), schema=WORDS.schema)


def test_perfect_reconstructions():
    assert exact(WORDS, WORDS) == 1.0
    assert exact(WORDS, WORDS.to_list()) == 1.0
    assert accuracy(WORDS, WORDS) == 1.0


def test_a_wrong_category_makes_its_sequence_and_its_step_wrong():
    back = words("abca", "cab", "", "b")
    assert exact(WORDS, back) == 3 / 4
    assert accuracy(WORDS, back) == 7 / 8


def test_length_counts_for_exact():
    longer, shorter = words("abba", "cab", "a", "b"), words("abb", "cab", "", "b")
    assert exact(WORDS, longer) == 3 / 4
    assert accuracy(WORDS, longer) == 1.0
    assert exact(WORDS, shorter) == 3 / 4
    assert accuracy(WORDS, shorter) == 7 / 8
    assert exact(WORDS, words("", "", "", "")) == 1 / 4


def test_binary_entries_are_rounded_at_one_half():
    x = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    original = Sequences.from_list([x, x[:1]], column_types="binary")
    near = original.with_values(np.array([[0.9, 0.1], [0.4, 0.5], [0.0, 0.49], [0.7, 0.2]]))
    assert exact(original, near) == 1.0
    off = original.with_values(np.array([[0.9, 0.1], [0.4, 0.4], [0.0, 0.49], [0.7, 0.2]]))
    assert exact(original, off) == 1 / 2
    assert accuracy(original, off) == 3 / 4


def test_missing_originals_are_ignored_and_missing_reconstructions_are_wrong():
    schema = Schema((Column("a", "binary"), Column("b", "binary")))
    original = Sequences(np.array([[1.0, np.nan], [np.nan, np.nan]]), [0, 1, 2], schema=schema)
    back = Sequences(np.array([[1.0, 1.0], [0.0, 1.0]]), [0, 1, 2], schema=schema)
    assert exact(original, back) == 1.0
    assert accuracy(original, back) == 1.0
    lost = Sequences(np.array([[np.nan, 1.0], [0.0, 1.0]]), [0, 1, 2], schema=schema)
    assert exact(original, lost) == 1 / 2
    assert accuracy(original, lost) == 0.0  # the second step was never observed


def test_an_unknown_category_is_never_reconstructed():
    unknown = Sequences(np.array([[0.0], [3.0]]), [0, 1, 2], schema=WORDS.schema)
    assert exact(unknown, unknown) == 1 / 2
    assert accuracy(unknown, unknown) == 1 / 2


def test_numeric_entries_within_tolerance():
    original = Sequences.from_list([np.array([0.5, 2000.0]), np.array([1.5])])
    near = original.with_values(original.values + np.array([[5e-7], [1e-3], [0.1]]))
    assert exact(original, near) == 1 / 2
    assert exact(original, near, tolerance=0.2) == 1.0
    with pytest.raises(SchemaError, match="Accuracy needs binary or categorical columns"):
        accuracy(original, near)


def test_accuracy_of_mixed_columns_counts_categories():
    schema = Schema((Column("x", "numeric"), Column("on", "binary")))
    original = Sequences(np.array([[0.3, 1.0], [0.6, 0.0]]), [0, 2], schema=schema)
    back = Sequences(np.array([[0.1, 1.0], [0.9, 0.0]]), [0, 2], schema=schema)
    assert accuracy(original, back) == 1.0
    assert exact(original, back) == 0.0


def test_only_empty_sequences():
    empty = WORDS[[2]]
    assert exact(empty, empty) == 1.0
    assert accuracy(empty, empty) == 1.0
    assert exact(empty, words("a")) == 0.0


def test_numbers_of_sequences_must_agree():
    with pytest.raises(DataError, match="Got 1 reconstructed sequences for 4 originals"):
        exact(WORDS, words("abba"))
    with pytest.raises(DataError, match="There is no sequence to measure"):
        accuracy(WORDS[[]], WORDS[[]])
