"""Conventions of scikit-learn, tested with its own tools and its estimator checks."""

import functools
import pickle
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline, make_union
from sklearn.utils.estimator_checks import parametrize_with_checks

import refold
from refold import SequenceAutoencoder, SequenceFeatures
from refold.sequences import as_sequences
from small_data import fit_without_training, without_epochs

TINY = {"latent_dim": 3, "units": 8, "max_epochs": 1, "random_state": 0, "latent_steps": 0}
TINY |= {"validation_fraction": 0}
COLUMNS = "n_features_in_ is the number of features of a step; the columns of the array are steps"
# The checks pass arrays of shape (n_samples, n_features), which are read as series with one feature
# and n_features steps. If an expected failure passes, the test fails.
EXPECTED = {
    "check_n_features_in": COLUMNS,
    "check_n_features_in_after_fitting": COLUMNS,
    "check_transformer_general": "a series may have another length in transform than in fit",
    "check_estimators_empty_data_messages": "an array without columns is of empty series",
    "check_fit2d_predict1d": "the error says to put a single sequence into a list",
}
SMALLEST = SequenceAutoencoder(**TINY | {"latent_dim": 2, "units": 4}, refit=False)


@pytest.mark.filterwarnings("ignore::UserWarning")  # warnings about the data of the checks
@parametrize_with_checks(
    [SMALLEST, SequenceFeatures(SMALLEST)],
    expected_failed_checks=lambda _: EXPECTED,
)
def test_check(monkeypatch, estimator, check):
    """Keep the linear initialization, for which nothing is compiled."""
    fit = SequenceAutoencoder.fit
    initialize = without_epochs(fit)

    @functools.wraps(fit)
    def train_or_initialize(ae, X, y=None, **options):
        # of fewer than 10 sequences, none is left to validate the initialization
        trains = getattr(X, "shape", (30,))[0] < 10
        return (fit if trains else initialize)(ae, X, y, **options)

    monkeypatch.setattr(SequenceAutoencoder, "fit", train_or_initialize)
    check(estimator)


@pytest.fixture(scope="module")
def sines():
    """Return sines of one length, whose halves share compiled code."""
    series = refold.datasets.noisy_sines(30, seed=0)
    return as_sequences([sine[:10] for sine in series.to_list()])


@pytest.fixture(scope="module")
def fitted(sines):
    return fit_without_training(sines)


def test_frames_of_codes(fitted, sines):
    ae = deepcopy(fitted).set_output(transform="pandas")
    codes = ae.transform(sines)
    assert list(codes.columns) == [f"sequenceautoencoder{i}" for i in range(3)]
    assert isinstance(ae.encode(sines), np.ndarray)
    assert len(ae.inverse_transform(codes)) == 30
    assert isinstance(pickle.loads(pickle.dumps(ae)).transform(sines), pd.DataFrame)  # noqa: S301
    index = [f"s{i}" for i in range(30)]
    series = pd.Series(sines.to_list(), index=index)
    for table in (series, series.to_frame()):
        assert list(ae.transform(table).index) == index
    with_ids = sines.with_ids(index)
    arrow_table = with_ids.to_arrow()
    for table in (with_ids, arrow_table, with_ids.to_table(), arrow_table.to_pandas()):
        assert list(ae.transform(table).index) == index
    for container in ("pandas", "polars"):
        with config_context(transform_output=container):
            codes = fitted.transform(sines)
        assert type(codes).__module__.startswith(container)
        assert np.array_equal(codes.to_numpy(), fitted.transform(sines))


def test_a_warning_of_transform_names_the_line_of_the_user(fitted):
    with pytest.warns(UserWarning, match="longer than the longest in training") as caught:
        fitted.transform([np.zeros(11)])
    assert caught[0].filename == __file__


@pytest.mark.usefixtures("skip_epochs")
def test_union_and_column_transformer(sines):
    union = make_union(SequenceAutoencoder(**TINY), SequenceAutoencoder(**TINY, scale=None))
    codes = union.set_output(transform="pandas").fit_transform(sines)
    assert codes.shape == (30, 6)
    assert codes.columns[3].startswith("sequenceautoencoder-2__")
    table = pd.DataFrame({"series": sines.to_list(), "age": np.arange(30.0)})
    parts = [("code", SequenceAutoencoder(**TINY), "series"), ("age", "passthrough", ["age"])]
    columns = ColumnTransformer(parts)
    assert columns.fit_transform(table).shape == (30, 4)
    frame = columns.set_output(transform="pandas").transform(table.set_index(table.age + 100))
    assert list(frame.index) == list(table.age + 100)


@pytest.mark.usefixtures("skip_epochs")
@pytest.mark.parametrize("window", [None, 4])
@pytest.mark.parametrize("scale", ["features", "sequence"])
def test_a_frame_of_features_has_a_name_for_each_column(sines, window, scale):
    features = SequenceFeatures(SequenceAutoencoder(**TINY, window=window, scale=scale)).fit(sines)
    frame = features.set_output(transform="pandas").transform(sines)
    assert list(frame.columns) == list(features.get_feature_names_out())


@pytest.mark.usefixtures("skip_epochs")
def test_features_are_fitted_with_the_pipeline(fitted, sines):
    labels = np.arange(30) % 2
    with pytest.raises(refold.errors.NotFittedError, match="SequenceFeatures is not fitted yet"):
        SequenceFeatures().transform(sines)
    with pytest.raises(refold.errors.ParameterError, match="autoencoder must be a Sequence"):
        SequenceFeatures(16).fit(sines)
    pipeline = make_pipeline(SequenceFeatures(SequenceAutoencoder(**TINY)), RidgeClassifier())
    name = "sequencefeatures__autoencoder__latent_dim"
    search = GridSearchCV(pipeline, {name: [2, 4]}, cv=2, error_score="raise").fit(sines, labels)
    features = search.best_estimator_[0]
    assert features.autoencoder_.latent_dim_ == search.best_params_[name]
    assert not hasattr(pipeline[0], "autoencoder_")
    frozen = clone(SequenceFeatures(FrozenEstimator(fitted))).set_output(transform="pandas")
    frame = frozen.fit_transform(sines)
    assert np.array_equal(frame, fitted.features(fitted.encode(sines)))
    assert list(frame.columns) == list(frozen.get_feature_names_out())
    assert pickle.loads(pickle.dumps(frozen)).transform(sines).equals(frame)  # noqa: S301
    for ids in ([2, 1, 0], [0, 1, 2], ["a", "b", "c"]):
        steps = sines[:3].with_ids(ids).to_table().to_pandas()
        for transformer in (frozen, deepcopy(fitted).set_output(transform="pandas")):
            assert list(transformer.transform(steps).index) == ids
