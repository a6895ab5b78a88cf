"""Accuracy of a linear probe, and its errors."""

import numpy as np
import pytest

from refold.errors import DataError
from refold.evaluation import probe


def test_informative_and_uninformative_vectors():
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], [60, 30, 30])
    noise = rng.normal(size=(120, 4))
    informative = probe(noise + 8 * (labels == "b")[:, None], labels)
    assert 0.7 < informative.accuracy < 0.9
    assert probe(noise, labels).accuracy < 0.6
    assert (informative.chance, informative.num_classes, informative.num_folds) == (0.5, 3, 5)


def test_scales_do_not_matter_and_the_seed_determines_the_folds():
    rng = np.random.default_rng(0)
    labels = np.arange(80) % 2
    vectors = rng.normal(size=(80, 3)) + labels[:, None]
    assert probe(vectors, labels) == probe(vectors * [1e-6, 1, 1e6], labels)
    assert probe(vectors, labels, seed=1) == probe(vectors, labels, seed=1)


def test_rare_labels_reduce_the_number_of_folds():
    labels = np.array([0] * 20 + [1] * 3)
    assert probe(np.eye(23), labels).num_folds == 3


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.array(["a"] * 6, object), "There is only one label: 'a'"),
        (np.array(["a"] * 5 + ["b"], object), "Label 'b' has 1 sequence"),
        ([0, 1], "Got 2 labels for 6 vectors"),
    ],
)
def test_bad_labels(labels, message):
    with pytest.raises(DataError, match=message):
        probe(np.zeros((6, 2)), labels)
