"""The transformer in pipelines of aeon, and aeon's estimator checks."""

import importlib
import pickle
import sys

import numpy as np
import pytest
from aeon.classification import DummyClassifier
from aeon.classification.distance_based import KNeighborsTimeSeriesClassifier
from aeon.clustering import TimeSeriesKMeans
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

INVERSE = "check_transform_inverse_transform_equivalent"


def tiny(max_epochs=1):
    ae = SequenceAutoencoder(
        3,
        units=4,
        max_epochs=max_epochs,
        validation_fraction=0,
        latent_steps=0,
        refit=False,
        random_state=0,
    )
    return AutoencoderTransformer(ae)


@pytest.fixture(scope="module")
def utterances():
    """Return a list of 90 utterances of 9 speakers, with 12 channels and 7 to 26 time points."""
    X, y = load_japanese_vowels(split="train")
    return X[::3], y[::3]


@pytest.fixture(scope="module")
def vowels(utterances):
    """Return an array of the first 7 time points and 3 channels; its halves share compiled code."""
    X, y = utterances
    return np.stack([case[:3, :7] for case in X]), y


@pytest.fixture(scope="module")
def unequal(utterances):
    """Return a list of some utterances at their full lengths."""
    return [case[:3] for case in utterances[0][:20]]


@pytest.fixture(scope="module")
def fitted(unequal):
    return tiny(max_epochs=100).fit(unequal)  # enough epochs to learn that lengths differ


def test_codes_are_those_of_the_autoencoder(fitted, unequal):
    codes = fitted.transform(unequal)
    assert codes.shape == (20, 3)
    assert codes.dtype == np.float64
    cases = [case.T for case in unequal]
    np.testing.assert_array_equal(codes, fitted.autoencoder_.transform(cases))
    assert not hasattr(fitted.autoencoder, "encoder_")


def test_features_in_place_of_codes(fitted, unequal):
    again = pickle.loads(pickle.dumps(fitted)).set_params(features=True)  # noqa: S301
    # set_params resets the fitted state
    again.autoencoder_, again.is_fitted = fitted.autoencoder_, True
    features = again.transform(unequal)
    codes = fitted.transform(unequal)
    np.testing.assert_array_equal(features, fitted.autoencoder_.features(codes))
    with pytest.raises(ParameterError, match="Use features=False for an inverse"):
        again.inverse_transform(features)


def test_inverse_gives_the_layout_of_aeon(fitted, unequal):
    back = fitted.inverse_transform(fitted.transform(unequal))
    own = fitted.autoencoder_.reconstruct([case.T for case in unequal])
    assert len({len(one) for one in own}) > 1
    assert isinstance(back, list)
    for case, one in zip(back, own, strict=True):
        np.testing.assert_array_equal(case, one.T)


def test_mistakes_are_named(fitted, unequal):
    with pytest.raises(DataError, match=r"Got codes of 2 channels, shape \(3, 2, 4\)"):
        fitted.inverse_transform(np.ones((3, 2, 4)) + np.arange(4))
    with pytest.raises(ParameterError, match=r"must be a SequenceAutoencoder, or None\. Got a int"):
        AutoencoderTransformer(16).fit(unequal)


@pytest.mark.usefixtures("no_epochs")
def test_inverse_of_equal_lengths_is_an_array(vowels):
    transformer = tiny()
    codes = transformer.fit_transform(vowels[0][::2])
    assert transformer.inverse_transform(codes).shape == (45, 3, 7)


@pytest.mark.usefixtures("no_epochs")
def test_missing_values_and_padding():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 2, 8))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:10, :, 6:] = np.nan
    transformer = tiny().fit(X)
    cases = [case[:, :6] if i < 10 else case for i, case in enumerate(X)]
    np.testing.assert_array_equal(transformer.transform(X), transformer.transform(cases))


@pytest.mark.usefixtures("no_epochs")
def test_classifiers_and_clusterers_run_on_codes(vowels):
    X, y = vowels
    chance = DummyClassifier().fit(X[::2], y[::2]).score(X[1::2], y[1::2])
    linear = LogisticRegression(max_iter=1000)
    nearest = KNeighborsTimeSeriesClassifier(distance="euclidean")
    for classifier in (nearest, linear):
        pipeline = make_pipeline(tiny(), classifier).fit(X[::2], y[::2])
        assert pipeline.score(X[1::2], y[1::2]) > 2 * chance
    pipeline = make_pipeline(Normalizer(), tiny(), linear).fit(X[::2], y[::2])
    assert pipeline.predict(X[::2]).shape == (45,)
    means = TimeSeriesKMeans(
        3, distance="euclidean", averaging_method="mean", max_iter=5, random_state=0
    )
    for clusterer in (means, KMeans(3, n_init=1, random_state=0)):
        assert set(make_pipeline(tiny(), clusterer).fit_predict(X[::2])) == {0, 1, 2}


@pytest.mark.usefixtures("no_epochs")
def test_grid_search_reaches_the_autoencoder(vowels):
    pipeline = make_pipeline(tiny(), LogisticRegression(max_iter=1000))
    name = next(key for key in pipeline.get_params() if key.endswith("autoencoder__latent_dim"))
    search = GridSearchCV(pipeline, {name: [1, 3]}, cv=2, error_score="raise", refit=False)
    search.fit(*vowels)
    assert search.best_params_[name] == 3


def test_without_aeon(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "aeon"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aeon", None)
    monkeypatch.delitem(sys.modules, "refold.for_aeon")
    with pytest.raises(MissingExtraError, match="is not installed") as error:
        importlib.import_module("refold.for_aeon")
    assert str(error.value) == (
        "refold.for_aeon needs the package 'aeon', which is not installed. "
        "In your clone of Refold, run: python -m pip install '.[aeon]'"
    )


SOME = [
    "EqualLengthUnivariate-Classification-numpy3D",
    "UnequalLengthMultivariate-Classification-np-list",
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # warnings about the data of the checks
@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_checks_of_aeon(monkeypatch, request, every):
    """In `make test` this has two layouts of data; the tests above cover the others."""
    if not every:
        request.getfixturevalue("no_epochs")
        monkeypatch.setattr(_all_checks, "_get_datatypes_for_estimator", lambda _: SOME)
    results = check_estimator(AutoencoderTransformer, checks_to_exclude=INVERSE)
    assert len(results) >= 20
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}


# In `make test`, test_inverse_gives_the_layout_of_aeon and
# test_inverse_of_equal_lengths_is_an_array cover the inverse.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_the_inverse_is_not_exact():
    # aeon's check expects an exact inverse, but codes are smaller than the series.
    results = check_estimator(AutoencoderTransformer, checks_to_run=INVERSE)
    assert len(results) >= 8
    assert all(result.startswith("FAILED: x") for result in results.values())
