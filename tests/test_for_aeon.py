"""The transformer in pipelines of aeon, and aeon's estimator checks."""

import pickle

import numpy as np
import pytest
from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
from aeon.datasets import load_japanese_vowels
from aeon.pipeline import make_pipeline
from aeon.testing.estimator_checking import _yield_estimator_checks as _all_checks
from aeon.testing.estimator_checking import check_estimator
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from refold import SequenceAutoencoder
from refold.errors import DataError, ParameterError
from refold.for_aeon import AutoencoderTransformer
from small_data import fits_without_epochs

pytestmark = pytest.mark.usefixtures("no_epochs")


def tiny(latent_dim=3):
    ae = SequenceAutoencoder(latent_dim, units=4, latent_steps=0, random_state=0)
    return AutoencoderTransformer(ae)


@pytest.fixture(scope="module")
def utterances():
    """Return a list of 90 utterances of 9 speakers, with 3 channels and 7 to 26 time points."""
    X, y = load_japanese_vowels(split="train")
    return [case[:3] for case in X[::3]], y[::3]


@pytest.fixture(scope="module")
def fitted(utterances):
    with fits_without_epochs():
        return tiny(latent_dim=8).fit(utterances[0])  # large enough to hold the lengths


def test_codes_and_their_inverse_are_those_of_the_autoencoder(fitted, utterances):
    X = utterances[0][:20]
    codes, cases = fitted.transform(X), [case.T for case in X]
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes, fitted.autoencoder_.transform(cases))
    assert not hasattr(fitted.autoencoder, "encoder_")
    back, own = fitted.inverse_transform(codes), fitted.autoencoder_.reconstruct(cases)
    for case, sequence in zip(back, own, strict=True):
        np.testing.assert_array_equal(case, sequence.T)
    again = pickle.loads(pickle.dumps(fitted)).set_params(features=True)  # noqa: S301
    # set_params resets the fitted state
    again.autoencoder_, again.is_fitted = fitted.autoencoder_, True
    np.testing.assert_array_equal(again.transform(X), fitted.autoencoder_.features(codes))
    with pytest.raises(ParameterError, match="Use features=False for an inverse"):
        again.inverse_transform(codes)
    with pytest.raises(DataError, match=r"Got codes of 2 channels, shape \(3, 2, 4\)"):
        fitted.inverse_transform(np.ones((3, 2, 4)) + np.arange(4))
    with pytest.raises(ParameterError, match=r"must be a SequenceAutoencoder, or None\. Got a int"):
        AutoencoderTransformer(16).fit(X)


def test_pipelines_with_classifiers_and_clusterers(utterances):
    X, y = np.stack([case[:, :7] for case in utterances[0]]), utterances[1]
    neighbors = KNeighborsTimeSeriesClassifier(distance="euclidean")
    pipeline = make_pipeline(tiny(), neighbors).fit(X[::2], y[::2])
    assert pipeline.score(X[1::2], y[1::2]) > 1.5 / 9  # better than chance
    clusters = make_pipeline(tiny(), KMeans(3, n_init=1, random_state=0)).fit_predict(X[::2])
    assert set(clusters) == {0, 1, 2}
    pipeline = make_pipeline(tiny(), LogisticRegression(max_iter=1000))
    name = next(key for key in pipeline.get_params() if key.endswith("autoencoder__latent_dim"))
    search = GridSearchCV(pipeline, {name: [1, 3]}, cv=2, error_score="raise", refit=False)
    assert search.fit(X, y).best_params_[name] == 3


SOME = [
    "EqualLengthUnivariate-Classification-numpy3D",
    "UnequalLengthMultivariate-Classification-np-list",
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # warnings about the data of the checks
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_checks_of_aeon(monkeypatch, every):
    """In `make test` this has two layouts of data; the tests above cover the others."""
    if not every:
        monkeypatch.setattr(_all_checks, "_get_datatypes_for_estimator", lambda _: SOME)
    # aeon's check expects an exact inverse, but codes are smaller than the series
    inverse = "check_transform_inverse_transform_equivalent"
    results = check_estimator(AutoencoderTransformer, checks_to_exclude=inverse)
    assert len(results) >= 20
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}
