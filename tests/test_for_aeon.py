"""The transformer in pipelines of aeon, and aeon's estimator checks."""

import importlib
import pickle
import sys

import numpy as np
import pytest
from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
from aeon.datasets import load_japanese_vowels
from aeon.pipeline import make_pipeline
from aeon.testing.estimator_checking import _yield_estimator_checks as _all_checks
from aeon.testing.estimator_checking import check_estimator
from aeon.transformations.collection import Normalizer
from sklearn.cluster import KMeans
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV

from refold import SequenceAutoencoder
from refold.errors import DataError, MissingExtraError, ParameterError
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


def test_arrays_missing_values_and_padding():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2, 8))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:10, :, 6:] = np.nan
    transformer = tiny().fit(X)
    cases = [case[:, :6] if i < 10 else case for i, case in enumerate(X)]
    np.testing.assert_array_equal(transformer.transform(X), transformer.transform(cases))


def test_pipelines_with_classifiers_and_clusterers(utterances):
    X, y = np.stack([case[:, :7] for case in utterances[0]]), utterances[1]
    linear = LogisticRegression(max_iter=1000)
    for steps in (
        (tiny(), KNeighborsTimeSeriesClassifier(distance="euclidean")),
        (Normalizer(), tiny(), linear),
    ):
        pipeline = make_pipeline(*steps).fit(X[::2], y[::2])
        assert pipeline.score(X[1::2], y[1::2]) > 1.5 / 9  # better than chance
    clusters = make_pipeline(tiny(), KMeans(3, n_init=1, random_state=0)).fit_predict(X[::2])
    assert set(clusters) == {0, 1, 2}
    pipeline = make_pipeline(tiny(), linear)
    name = next(key for key in pipeline.get_params() if key.endswith("autoencoder__latent_dim"))
    search = GridSearchCV(pipeline, {name: [1, 3]}, cv=2, error_score="raise", refit=False)
    assert search.fit(X, y).best_params_[name] == 3


def test_without_aeon(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "aeon"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aeon", None)
    monkeypatch.delitem(sys.modules, "refold.for_aeon")
    with pytest.raises(MissingExtraError, match=r"needs the package 'aeon', .*'\.\[aeon\]'"):
        importlib.import_module("refold.for_aeon")


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
