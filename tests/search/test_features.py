"""Vectors of sequences for searches."""

import numpy as np

from refold.search import _features
from refold.search._features import Described, SequenceFeatures


def described(lengths, channels=2, seed=0):
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    values = np.cumsum(rng.normal(size=(offsets[-1], channels)), axis=0).astype(np.float32)
    missing = np.zeros((len(lengths), channels), bool)
    return Described(values, offsets, np.zeros((len(lengths), 0), np.float32), missing)


def part(given, i):
    rows = slice(*given.offsets[i : i + 2])
    ends = np.array([0, rows.stop - rows.start])
    return Described(given.values[rows], ends, given.statistics[[i]], given.missing[[i]])


def test_other_sequences_do_not_change_a_bit(monkeypatch):
    given = described([20, 3, 1, 40, 9, 20, 31])
    given.missing[[2, 4, 5], [0, 1, 1]] = True
    features = SequenceFeatures.fit(given, [1, 1], width=4, num_steps=25)
    vectors = features(given)
    monkeypatch.setattr(_features, "_BLOCK", 60)
    assert np.array_equal(features(given), vectors)
    for i in range(len(vectors)):
        assert np.array_equal(features(part(given, i)), vectors[[i]])
    # sequences of one step have no frequency
    features = SequenceFeatures.fit(described([1] * 6), [1, 1], width=3, num_steps=1)
    assert np.isfinite(features(described([1, 7]))).all()
