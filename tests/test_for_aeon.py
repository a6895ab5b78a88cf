"""The transformer next to its autoencoder, and aeon's estimator checks."""

import pickle

import numpy as np
import pytest
from aeon.datasets import load_japanese_vowels
from aeon.testing.estimator_checking import _yield_estimator_checks as _all_checks
from aeon.testing.estimator_checking import check_estimator

from refold import SequenceAutoencoder
from refold.errors import DataError, ParameterError
from refold.for_aeon import AutoencoderTransformer
from small_data import fits_without_epochs

pytestmark = pytest.mark.usefixtures("skip_epochs")


@pytest.fixture(scope="module")
def utterances():
    """Return 90 utterances with 3 channels and 7 to 26 time points."""
    return [case[:3] for case in load_japanese_vowels(split="train")[0][::3]]


@pytest.fixture(scope="module")
def fitted(utterances):
    # with 8 dimensions, the codes hold the lengths
    ae = SequenceAutoencoder(8, units=4, latent_steps=0, random_state=0)
    with fits_without_epochs():
        return AutoencoderTransformer(ae).fit(utterances)


def test_codes_and_their_inverse_are_those_of_the_autoencoder(fitted, utterances):
    X = utterances[:20]
    codes, cases = fitted.transform(X), [case.T for case in X]
    assert codes.dtype == np.float64
    np.testing.assert_array_equal(codes, fitted.autoencoder_.transform(cases))
    assert not hasattr(fitted.autoencoder, "encoder_")
    decoded, expected = fitted.inverse_transform(codes), fitted.autoencoder_.reconstruct(cases)
    for case, sequence in zip(decoded, expected, strict=True):
        np.testing.assert_array_equal(case, sequence.T)
    copy = pickle.loads(pickle.dumps(fitted)).set_params(as_features=True)  # noqa: S301
    # set_params resets the fitted state
    copy.autoencoder_, copy.is_fitted = fitted.autoencoder_, True
    np.testing.assert_array_equal(copy.transform(X), fitted.autoencoder_.features(codes))
    with pytest.raises(ParameterError, match="Use as_features=False for an inverse"):
        copy.inverse_transform(codes)
    with pytest.raises(DataError, match=r"Got codes of 2 channels, shape \(3, 2, 4\)"):
        fitted.inverse_transform(np.ones((3, 2, 4)) + np.arange(4))
    with pytest.raises(ParameterError, match=r"must be a SequenceAutoencoder, or None\. Got a int"):
        AutoencoderTransformer(16).fit(X)


FAST_DATATYPES = [
    "EqualLengthUnivariate-Classification-numpy3D",
    "UnequalLengthMultivariate-Classification-np-list",
]


@pytest.mark.filterwarnings("ignore::UserWarning")  # warnings about the data of the checks
@pytest.mark.parametrize("all_datatypes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_checks_of_aeon(monkeypatch, all_datatypes):
    """In `make test` this has two layouts of data."""
    if not all_datatypes:
        monkeypatch.setattr(_all_checks, "_get_datatypes_for_estimator", lambda _: FAST_DATATYPES)
    # aeon's check expects an exact inverse, but codes are smaller than the series
    inverse = "check_transform_inverse_transform_equivalent"
    results = check_estimator(AutoencoderTransformer, checks_to_exclude=inverse)
    assert len(results) >= 20
    assert {name: result for name, result in results.items() if result != "PASSED"} == {}
