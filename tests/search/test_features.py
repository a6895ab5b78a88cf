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
    found = features(given)
    monkeypatch.setattr(_features, "_BLOCK", 60)
    assert np.array_equal(features(given), found)
    for i in range(len(found)):
        assert np.array_equal(features(part(given, i)), found[[i]])


def test_sequences_of_one_step():
    features = SequenceFeatures.fit(described([1] * 6), [1, 1], width=3, num_steps=1)
    assert features.groups(described([1]))[3].shape == (1, 0)  # there is no frequency
    assert np.isfinite(features(described([1, 7]))).all()


def test_amplitudes_say_how_fast_a_sequence_changes():
    steps = np.arange(64)
    waves = [np.sin(2 * np.pi * k * steps / 64 + shift) for k in (2, 20) for shift in (0, 1)]
    values = np.concatenate(waves)[:, None].astype(np.float32)
    missing = np.zeros((4, 1), bool)
    given = Described(values, np.arange(0, 257, 64), np.zeros((4, 0), np.float32), missing)
    features = SequenceFeatures.fit(given, [1], width=2, num_steps=64)
    slow, shifted, fast, _ = features.groups(given)[3]
    np.testing.assert_allclose(slow, shifted, atol=1e-4)
    assert slow.argmax() < fast.argmax()
