"""`refold.error_curve`: the held-out error by latent dimensions."""

import signal

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder, error_curve, training
from refold.errors import DataError, ParameterError
from refold.evaluation import PCABaseline, nmse
from refold.training._split import validation_split
from training.test_reports import curves

SETTINGS = {"units": 6, "max_epochs": 1, "latent_steps": 0, "random_state": 0}
SHORT = SequenceAutoencoder(**SETTINGS)


def test_errors_are_those_of_fits_and_of_pca():
    curve = error_curve(curves(), (4, 2, 4), estimator=SHORT)
    assert curve.sizes == (2, 4)
    assert (curve.measure, curve.complete) == ("NMSE", True)
    assert (curve.num_sequences, curve.num_held_out) == (50, 5)
    seed = int(np.random.RandomState(0).randint(2**31))
    split = validation_split(curves().lengths, 0.1, seed=seed)
    training, held_out = (curves()[rows] for rows in split)
    for size, linear in zip(curve.sizes, curve.pca, strict=True):
        baseline = PCABaseline(size).fit(training)
        expected = nmse(held_out, baseline.reconstruct(held_out), baseline.scaler_)
        assert linear == pytest.approx(expected, rel=1e-6)
    one = SequenceAutoencoder(4, **SETTINGS, refit=False).fit(curves())
    assert curve.errors[1] == pytest.approx(
        nmse(held_out, one.reconstruct(held_out), baseline.scaler_), rel=1e-5
    )
    assert curve.errors[1] < curve.errors[0]
    assert curve.accuracy == curve.pca_accuracy == ()
    assert not hasattr(SHORT, "model_")


def test_categorical_errors_are_counted_by_steps():
    curve = error_curve(refold.Sequences.from_list(["ab", "ba"] * 10), [2], estimator=SHORT)
    assert curve.measure == "1 - accuracy"
    assert curve.errors[0] == pytest.approx(1 - curve.accuracy[0])
    assert curve.pca[0] == pytest.approx(1 - curve.pca_accuracy[0])


def interrupted_after(monkeypatch, number):
    """Raise KeyboardInterrupt in a fit, after some fits have finished."""
    fit, calls = training.fit, []

    def pressed(*arguments, **options):
        calls.append(None)
        if len(calls) > number:
            signal.raise_signal(signal.SIGINT)
        return fit(*arguments, **options)

    monkeypatch.setattr(training, "fit", pressed)


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_keeps_the_finished_fits(monkeypatch):
    interrupted_after(monkeypatch, 1)
    curve = error_curve(curves(), (2, 4, 8), estimator=SHORT)
    assert (curve.sizes, curve.complete) == ((2,), False)
    assert len(curve.errors) == len(curve.pca) == 1


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_before_the_first_finished_fit_is_raised(monkeypatch):
    interrupted_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        error_curve(curves(), (1, 4), estimator=SHORT)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ([0], "sizes must be a positive integer. Got 0"),
        ([2, 0.5], "sizes must be a positive integer. Got 0.5"),
        ([True], "sizes must be a positive integer. Got True"),
        ([], "There is no size to fit"),
    ],
)
def test_bad_sizes(sizes, message):
    with pytest.raises(DataError if sizes == [] else ParameterError, match=message):
        error_curve(curves(), sizes, estimator=SHORT)


def test_data_that_cannot_be_measured_is_refused():
    with pytest.raises(ParameterError, match="validation_fraction=0 holds nothing out"):
        error_curve(curves(), estimator=SequenceAutoencoder(validation_fraction=0))
    with pytest.raises(ParameterError, match="units must be a positive integer"):
        error_curve(curves(), estimator=SequenceAutoencoder(units=0))
    with pytest.raises(DataError, match="There is no sequence to fit on"):
        error_curve(curves()[:0])
