"""The shipped data is that of the archive."""

from importlib.resources import files

import numpy as np

from refold.datasets import japanese_vowels


def test_splits_have_the_archives_sizes():
    vowels = japanese_vowels()
    assert (len(vowels.train), len(vowels.test)) == (270, 370)
    assert vowels.train.schema.num_columns == 12
    lengths = np.concatenate([vowels.train.lengths, vowels.test.lengths])
    assert (lengths.min(), lengths.max()) == (7, 29)
    np.testing.assert_array_equal(np.bincount(vowels.train_labels), [0] + [30] * 9)
    np.testing.assert_array_equal(
        np.bincount(vowels.test_labels), [0, 31, 35, 88, 44, 29, 24, 40, 50, 29]
    )


def test_values_are_the_archives():
    first = japanese_vowels().train[0]
    assert first.dtype == np.float32
    assert np.round(first[:4, 0].astype(float), 6).tolist() == [
        1.860936,
        1.891651,
        1.939205,
        1.717517,
    ]
    assert np.round(float(first[0, 1]), 6) == -0.207383


def test_source_and_licence_ship_with_the_data():
    text = (files("refold.datasets") / "data" / "SOURCE.md").read_text()
    assert "10.24432/C5NS47" in text
    assert "CC BY 4.0" in text
