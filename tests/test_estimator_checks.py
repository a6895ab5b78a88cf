"""The estimator checks of scikit-learn, with reasons for those that do not apply to sequences.

The checks pass arrays of shape (n_samples, n_features), which are read as series with one feature
and n_features steps. If an expected failure passes, the test fails.
"""

import functools

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from refold import SequenceAutoencoder
from small_data import without_epochs

MOST = (30, 3)  # shape of the data of most checks

COLUMNS = "n_features_in_ is the number of features of a step; the columns of the array are steps"
EXPECTED = {
    "check_n_features_in": COLUMNS,
    "check_n_features_in_after_fitting": COLUMNS,
    "check_transformer_general": "a series may have another length in transform than in fit",
    "check_estimators_empty_data_messages": "an array without columns is of empty series, which "
    "exist; the error says that all of them are",
    "check_fit2d_predict1d": "the error says to put a single sequence into a list, where the "
    "check wants 'Reshape your data'",
}


@pytest.fixture(autouse=True)
def _one_shape(monkeypatch):
    """Train on the shape of most checks, and keep the linear initialization for other shapes.

    Each other shape would be compiled. With fewer than 10 sequences, the fit also trains, because
    no sequence is left to validate the initialization.
    """
    fit = SequenceAutoencoder.fit
    initialize = without_epochs(fit)

    @functools.wraps(fit)
    def train_or_initialize(ae, X, y=None, **given):
        shape = getattr(X, "shape", MOST)
        return (fit if shape == MOST or shape[0] < 10 else initialize)(ae, X, y, **given)

    monkeypatch.setattr(SequenceAutoencoder, "fit", train_or_initialize)


@pytest.mark.filterwarnings("ignore::UserWarning")  # warnings about the data of the checks
@parametrize_with_checks(
    [
        SequenceAutoencoder(
            latent_dim=2,
            units=4,
            max_epochs=1,
            latent_steps=0,
            validation_fraction=0,  # validation compiles for each shape of the data
            refit=False,
            random_state=0,
        )
    ],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_check(estimator, check):
    check(estimator)
