"""Conventions of scikit-learn, tested with its own tools."""

import pickle
import signal
from copy import deepcopy

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags

import refold
from refold import SequenceAutoencoder
from refold.sequences import as_sequences

TINY = {"latent_dim": 3, "units": 8, "max_epochs": 1, "random_state": 0, "latent_steps": 0}
TINY |= {"validation_fraction": 0}


@pytest.fixture(scope="module")
def sines():
    """Return sines of one length, whose halves share compiled code."""
    series = refold.datasets.noisy_sines(30, seed=0)
    return as_sequences([one[:10] for one in series.to_list()])


@pytest.fixture(scope="module")
def fitted(sines):
    return SequenceAutoencoder(**TINY).fit(sines)


def test_init_only_assigns():
    marker = object()
    names = list(SequenceAutoencoder().get_params())
    assert all(getattr(SequenceAutoencoder(**{name: marker}), name) is marker for name in names)


def test_clone_and_params(fitted):
    ae = deepcopy(fitted)
    copy = clone(ae)
    assert copy.get_params() == ae.get_params()
    assert not hasattr(copy, "encoder_")
    assert ae.set_params(latent_dim=5).latent_dim == 5
    assert "latent_dim=5" in repr(ae)


def test_unknown_arguments_are_named():
    with pytest.raises(ValueError, match="Invalid parameter 'unit' for estimator"):
        SequenceAutoencoder().set_params(unit=3)


def test_tags():
    tags = get_tags(SequenceAutoencoder())
    assert tags.input_tags.allow_nan
    assert tags.input_tags.three_d_array
    assert tags.input_tags.string
    assert not tags.target_tags.required
    assert tags.transformer_tags.preserves_dtype == ["float32"]


def test_before_fit(sines):
    ae = SequenceAutoencoder()
    for method, given in [
        ("transform", sines),
        ("encode", sines),
        ("encode_blocks", sines),
        ("detect", sines),
        ("stream", None),
        ("reconstruct", sines),
        ("score", sines),
        ("inverse_transform", np.zeros((1, 16))),
        ("decode", np.zeros((1, 16))),
    ]:
        with pytest.raises(NotFittedError, match="not fitted yet"):
            getattr(ae, method)(given)


def test_the_error_before_fit_can_be_pickled(sines):
    with pytest.raises(refold.errors.NotFittedError) as caught:
        SequenceAutoencoder().transform(sines)
    sent = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
    assert isinstance(sent, refold.errors.NotFittedError)
    assert str(sent) == str(caught.value)


def test_fit_transform_is_fit_then_transform(fitted, sines):
    assert np.array_equal(
        SequenceAutoencoder(**TINY).fit_transform(sines),
        fitted.transform(sines),
    )


def test_set_output_pandas(sines):
    ae = SequenceAutoencoder(**TINY).set_output(transform="pandas").fit(sines)
    codes = ae.transform(sines)
    assert isinstance(codes, pd.DataFrame)
    assert list(codes.columns) == [f"sequenceautoencoder{i}" for i in range(3)]
    assert isinstance(ae.encode(sines), np.ndarray)
    assert len(ae.reconstruct(sines)) == 30
    assert len(ae.inverse_transform(codes)) == 30
    assert isinstance(pickle.loads(pickle.dumps(ae)).transform(sines), pd.DataFrame)  # noqa: S301


def test_a_frame_of_codes_has_the_index_of_the_sequences(fitted, sines):
    ae = deepcopy(fitted).set_output(transform="pandas")
    index = [f"s{i}" for i in range(30)]
    series = pd.Series(sines.to_list(), index=index)
    for table in (series, series.to_frame()):
        assert list(ae.transform(table).index) == index
    assert list(ae.transform(sines).index) == list(range(30))


def test_a_warning_of_transform_names_the_line_of_the_user(fitted):
    with pytest.warns(UserWarning, match="longer than the longest in training") as caught:
        fitted.transform([np.zeros(11)])
    assert caught[0].filename == __file__


def test_output_follows_the_configuration(fitted, sines):
    for container in ("pandas", "polars"):
        with config_context(transform_output=container):
            codes = fitted.transform(sines)
        assert type(codes).__module__.startswith(container)
        assert list(codes.columns) == [f"sequenceautoencoder{i}" for i in range(3)]
        assert np.array_equal(codes.to_numpy(), fitted.transform(sines))


@pytest.mark.usefixtures("no_epochs")
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


def test_metadata_routing(sines, tmp_path):
    path = tmp_path / "a.checkpoint"
    with config_context(enable_metadata_routing=True):
        ae = SequenceAutoencoder(**TINY)
        assert ae.set_fit_request(checkpoint=True) is ae
        pipeline = make_pipeline(FunctionTransformer(), clone(ae))
        pipeline.fit(sines, checkpoint=path)
        refused = make_pipeline(FunctionTransformer(), SequenceAutoencoder(**TINY))
        with pytest.raises(ValueError, match="checkpoint"):
            refused.fit(sines, checkpoint=path)
    assert pipeline[-1].latent_dim_ == 3


def test_a_diagram_of_a_pipeline_shows_the_arguments(fitted):
    html = make_pipeline(fitted)._repr_html_()
    assert "calibration_fraction" in html or not hasattr(fitted, "_get_params_html")


@pytest.mark.usefixtures("no_epochs")
def test_cross_validation(sines):
    scores = cross_val_score(SequenceAutoencoder(**TINY), sines, cv=KFold(2))
    assert scores.shape == (2,)
    assert np.isfinite(scores).all()


@pytest.mark.usefixtures("no_epochs")
def test_pipeline_and_grid_search(sines):
    labels = np.arange(30) % 2
    pipeline = make_pipeline(SequenceAutoencoder(**TINY), LogisticRegression())
    search = GridSearchCV(
        pipeline, {"sequenceautoencoder__latent_dim": [2, 3]}, cv=2, error_score="raise"
    )
    search.fit(sines, labels)
    assert search.predict(sines).shape == (30,)
    assert search.best_params_["sequenceautoencoder__latent_dim"] in {2, 3}


class Raise(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise StopIteration(logs["loss"])


def test_fit_raises_the_exception_of_a_callback(sines):
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(StopIteration, match=r"\d"):
        clone(SequenceAutoencoder(**TINY)).fit(sines, callbacks=[Raise()])
    assert signal.getsignal(signal.SIGINT) is handler
