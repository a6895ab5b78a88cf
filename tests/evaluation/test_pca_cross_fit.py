"""Cross-fitted PCA, compared with separate PCAs for each fold."""

import numpy as np
import pytest

from refold.errors import DataError, ParameterError
from refold.evaluation import PCABaseline, pca_cross_fit
from refold.sequences import Scaler, Sequences


def ragged(num, seed=0):
    rng = np.random.default_rng(seed)
    return Sequences.from_list([rng.normal(size=(n, 2)) for n in rng.integers(0, 7, num)])


def test_each_sequence_is_reconstructed_by_components_of_the_others():
    sequences = ragged(24)
    scaler = Scaler.fit(sequences)
    back = pca_cross_fit(sequences, 3, scaler, folds=24)  # all sequences except one
    assert back.ids.tolist() == sequences.ids.tolist()
    for i in range(24):
        others = sequences[np.arange(24) != i]
        expected = PCABaseline(3).fit(others, scaler).reconstruct(sequences[[i]])
        np.testing.assert_allclose(back[i], expected[0], atol=1e-6)


def test_held_out_sequences_have_larger_errors_than_training_sequences():
    sequences = ragged(40)
    scaler = Scaler.fit(sequences)

    def error(back):
        return np.mean((back.values - sequences.values) ** 2)

    seen = PCABaseline(8).fit(sequences, scaler).reconstruct(sequences)
    assert error(pca_cross_fit(sequences, 8, scaler)) > 1.2 * error(seen)


def test_few_and_empty_sequences():
    few = Sequences.from_list([[], [1.0, 2.0, 4.0], [], [1.0, 3.0]])
    back = pca_cross_fit(few, 16)
    assert back.lengths.tolist() == [0, 3, 0, 2]
    for alone in (few[:3], few[:0], few[[1, 3]]):
        with pytest.raises(DataError, match="at least 3 sequences, 2 of them not empty"):
            pca_cross_fit(alone, 2)
    with pytest.raises(ParameterError, match="folds must be an integer of at least 2"):
        pca_cross_fit(few, 2, folds=1)


def test_components_depend_only_on_the_sequences_to_fit():
    rng = np.random.default_rng(0)
    sequences = Sequences.from_list(list(rng.normal(size=(20, 6))))
    fit_on = np.arange(20) < 12
    back = pca_cross_fit(sequences, 3, Scaler.fit(sequences), fit_on=fit_on)
    far = sequences.values.copy()
    far[12 * 6 :] *= 100.0  # sequences that are not used in the fit do not change the others
    scaler = Scaler.fit(sequences)
    moved = pca_cross_fit(sequences.with_values(far), 3, scaler, fit_on=fit_on)
    np.testing.assert_allclose(moved.values[: 12 * 6], back.values[: 12 * 6])
    with pytest.raises(DataError, match="Got 2, 2 of them not empty"):
        pca_cross_fit(sequences, 3, fit_on=np.arange(20) < 2)
