"""The baseline is scikit-learn's PCA of the zero-padded, standardized matrix."""

import numpy as np
import pytest
from sklearn.decomposition import PCA

from refold.errors import DataError, NotFittedError, ParameterError, SchemaError
from refold.evaluation import PCABaseline, cross_validated_pca, exact, nmse
from refold.sequences import Scaler, Sequences


def draw_waves(n=40, seed=0, longest=12):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(4, longest + 1, n)
    lengths[0] = longest
    angles = [np.arange(k) / 3 + p for k, p in zip(lengths, rng.uniform(0, 6, n), strict=True)]
    return Sequences.from_list([np.stack([5 + np.sin(x), 100 * np.cos(x)], 1) for x in angles])


def test_equals_pca_by_hand():
    train, test = draw_waves(), draw_waves(n=15, seed=1)
    baseline, scaler = PCABaseline(3).fit(train), Scaler.fit(train)

    def matrix(sequences):
        padded = np.zeros((len(sequences), 12, 2))
        for i, x in enumerate(sequences.to_list()):
            padded[i, : len(x)] = (x - scaler.mean_) / scaler.scale_
        return padded.reshape(len(sequences), -1)

    pca = PCA(3, random_state=0).fit(matrix(train))
    codes = pca.transform(matrix(test))
    np.testing.assert_allclose(baseline.transform(test), codes, atol=1e-8)
    decoded = pca.inverse_transform(codes).reshape(15, 12, 2) * scaler.scale_ + scaler.mean_
    for i, x in enumerate(baseline.reconstruct(test).to_list()):
        np.testing.assert_allclose(x, decoded[i, : test.lengths[i]], atol=1e-6)


def test_more_components_are_better_and_all_components_are_exact():
    train = draw_waves()
    all_components, errors = PCABaseline(24).fit(train), []
    for k in (1, 4, 24):
        baseline = PCABaseline(k).fit(train)
        errors.append(nmse(train, baseline.reconstruct(train), baseline.scaler_))
        # the first components are those of a smaller fit
        models = all_components.first(k), baseline
        np.testing.assert_allclose(*(m.reconstruct(train).values for m in models), atol=1e-6)
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1e-12


def test_longer_sequences_and_missing_values():
    train = draw_waves()
    train.values[3] = train.values[5, 0] = np.nan
    baseline = PCABaseline(4).fit(train)
    assert np.isfinite(baseline.reconstruct(train).values).all()
    long = Sequences.from_list([np.concatenate([train[1], [[1.0, 2.0]] * 10])])
    reconstructed = baseline.reconstruct(long)[0]
    beyond = np.tile(baseline.scaler_.mean_, (len(long[0]) - 12, 1))
    np.testing.assert_allclose(reconstructed[12:], beyond)


def test_categories_are_reconstructed():
    train = Sequences.from_list(["abab", "baba", "cc", "c", "abc"])
    baseline = PCABaseline(5).fit(train)
    assert exact(train, baseline.reconstruct(train)) == 1.0
    poor = PCABaseline(1).fit(train).reconstruct(train)
    assert set("".join(poor.to_list())) <= set("abc")


def test_bad_input_is_named():
    train = draw_waves(n=5)
    with pytest.raises(ParameterError, match="latent_dim must be a positive integer"):
        PCABaseline(1.5).fit(train)
    with pytest.raises(DataError, match=r"at most 5 components\. Got latent_dim=6"):
        PCABaseline(6).fit(train)
    with pytest.raises(DataError, match="There is no step to fit PCA on"):
        PCABaseline(1).fit(train[[]])
    with pytest.raises(SchemaError, match="PCA was fitted on columns"):
        PCABaseline(1).fit(train).reconstruct(Sequences.from_list([[1.0, 2.0]]))
    with pytest.raises(NotFittedError, match="not fitted yet"):
        PCABaseline(1).reconstruct(train)


def test_each_sequence_is_reconstructed_by_components_of_others_to_fit():
    rng = np.random.default_rng(0)
    sequences = Sequences.from_list([rng.normal(size=(n, 2)) for n in rng.integers(0, 7, 24)])
    scaler, is_training = Scaler.fit(sequences), np.arange(24) < 15
    decoded = cross_validated_pca(sequences, 3, scaler, is_training, folds=24, seed=0)
    assert decoded.ids.tolist() == sequences.ids.tolist()
    for i in range(24):
        training = sequences[is_training & (np.arange(24) != i)]
        expected = PCABaseline(3).fit(training, scaler).reconstruct(sequences[[i]])
        np.testing.assert_allclose(decoded[i], expected[0], atol=1e-6)
    short = Sequences.from_list([[], [1.0, 2.0, 4.0], [], [1.0, 3.0]])
    decoded = cross_validated_pca(short, 16, Scaler.fit(short), np.ones(4, bool), folds=4, seed=0)
    assert decoded.lengths.tolist() == [0, 3, 0, 2]
