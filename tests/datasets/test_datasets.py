"""The question's generators step by step, the shipped data of the archive, and lookup by name."""

from importlib.resources import files

import numpy as np
import pytest

from refold.datasets import (
    japanese_vowels,
    labels_of,
    list_data_sets,
    load,
    moving_ones,
    noisy_sines,
    padded_moving_ones,
    random_one_hot,
)
from refold.errors import ParameterError


def test_moving_ones_have_their_one_at_the_step():
    ones = moving_ones(500)
    assert [column.type for column in ones.schema.columns] == ["binary"] * 8
    for length, sequence in zip(ones.lengths, ones, strict=True):
        np.testing.assert_array_equal(sequence, np.eye(length, 8))
    x, lengths = padded_moving_ones()
    assert (x.shape, x.dtype, set(lengths)) == ((1200, 10, 5), np.float32, set(range(11)))
    np.testing.assert_array_equal(x.sum(axis=(1, 2)), np.minimum(lengths, 5))
    np.testing.assert_array_equal(x[lengths == 10][0], np.eye(10, 5))


def test_one_hot_has_one_category_per_step():
    sequences = random_one_hot(4000)
    assert set(sequences.lengths) == {10}
    np.testing.assert_array_equal(sequences.values.sum(axis=1), 1)
    # in the shape of moving ones
    sequences, ones = random_one_hot(3000, 10, 8, min_steps=0), moving_ones(3000)
    assert set(sequences.lengths) == set(ones.lengths)
    assert sequences.schema == ones.schema


def test_sines_without_noise_are_sines():
    sines, noisy = noisy_sines(50, noise=0.0), noisy_sines(50, noise=0.5)
    for series in sines:
        # A sampled sine follows x[t + 1] = 2 cos(w) x[t] - x[t - 1].
        middle, outer = series[1:-1], series[2:] + series[:-2]
        twice_cosine = (middle @ outer) / (middle @ middle)
        np.testing.assert_allclose(outer, twice_cosine * middle, atol=1e-5)
        assert 0.019 < np.arccos(twice_cosine / 2) / (2 * np.pi) < 0.101
    assert np.std(noisy.values - sines.values) == pytest.approx(0.5, rel=0.05)


def test_japanese_vowels_are_those_of_the_archive():
    vowels = japanese_vowels()
    assert (len(vowels.train), len(vowels.test), vowels.train.schema.num_columns) == (270, 370, 12)
    lengths = np.concatenate([vowels.train.lengths, vowels.test.lengths])
    assert (lengths.min(), lengths.max()) == (7, 29)
    assert vowels.train_labels.tolist() == np.repeat(np.arange(1, 10), 30).tolist()
    speakers = np.repeat(np.arange(1, 10), [31, 35, 88, 44, 29, 24, 40, 50, 29])
    np.testing.assert_array_equal(vowels.test_labels, speakers)
    first = vowels.train[0]
    np.testing.assert_allclose(first[:4, 0], [1.860936, 1.891651, 1.939205, 1.717517], atol=1e-6)
    source = (files("refold.datasets") / "data" / "SOURCE.md").read_text()
    assert "10.24432/C5NS47" in source
    assert "CC BY 4.0" in source


def test_names_seeds_and_labels():
    for name in list_data_sets():
        assert len(load(name, n=3)) == 3
    lengths = load("moving-ones", n=30, seed=2).lengths
    np.testing.assert_array_equal(lengths, moving_ones(30, seed=2).lengths)
    assert (lengths != moving_ones(30, seed=3).lengths).any()
    vowels = japanese_vowels()
    np.testing.assert_array_equal(load("japanese-vowels-test").values, vowels.test.values)
    column, labels = labels_of("japanese-vowels-test")
    assert column == "speaker"
    np.testing.assert_array_equal(labels, vowels.test_labels)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: moving_ones(2.5), "n must be a positive integer"),
        (lambda: noisy_sines(5, seed=-1), r"seed must be an integer of at least 0\. Got -1"),
        (lambda: random_one_hot(3, 10, min_steps=12), "steps must be an integer of at least 12"),
        (lambda: noisy_sines(3, noise=float("nan")), "noise must be a number of at least 0"),
        (lambda: load("ones"), r"no data set 'ones'\. Known: moving-ones, "),
        (lambda: load("ramps", n=5), r"ramps has 4 sequences\. Got n=5"),
        (lambda: labels_of("ramps"), "ramps has no labels. Data sets with labels: japanese-vow"),
    ],
    ids=range(7),
)
def test_bad_arguments_are_refused(call, message):
    with pytest.raises(ParameterError, match=message):
        call()
