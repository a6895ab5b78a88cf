"""`refold.error_curve`: the held-out error by latent dimensions."""

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder, error_curve
from refold.errors import DataError, ParameterError
from refold.evaluation import PCABaseline, nmse
from refold.training._split import split_validation
from small_data import interrupt_after_fits
from training.test_reports import curves

SHORT = SequenceAutoencoder(units=6, max_epochs=1, latent_steps=0, random_state=0)


def test_errors_are_those_of_fits_and_of_pca():
    curve = error_curve(curves(), (4, 2, 4), estimator=SHORT)
    assert curve.sizes == (2, 4)
    assert (curve.measure, curve.complete) == ("NMSE", True)
    assert (curve.num_sequences, curve.num_held_out) == (50, 5)
    seed = int(np.random.RandomState(0).randint(2**31))
    split = split_validation(curves().lengths, 0.1, seed=seed)
    train, held_out = (curves()[rows] for rows in split)
    for latent_dim, pca_error in zip(curve.sizes, curve.pca, strict=True):
        baseline = PCABaseline(latent_dim).fit(train)
        expected = nmse(held_out, baseline.reconstruct(held_out), baseline.scaler_)
        assert pca_error == pytest.approx(expected, rel=1e-6)
    assert curve.errors[1] < curve.errors[0]
    assert curve.accuracy == curve.pca_accuracy == ()


def test_categorical_errors_are_counted_by_steps():
    curve = error_curve(refold.Sequences.from_list(["ab", "ba"] * 10), [2], estimator=SHORT)
    assert curve.measure == "1 - accuracy"
    assert curve.errors[0] == pytest.approx(1 - curve.accuracy[0])
    assert curve.pca[0] == pytest.approx(1 - curve.pca_accuracy[0])


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_before_the_end_of_a_fit_is_raised(monkeypatch):
    interrupt_after_fits(monkeypatch, after=0)
    with pytest.raises(KeyboardInterrupt):
        error_curve(curves(), (1, 4), estimator=SHORT)


@pytest.mark.parametrize(
    ("data", "sizes", "arguments", "message"),
    [
        (curves(), [2, 0.5], {}, "sizes must be a positive integer. Got 0.5"),
        (curves(), [], {}, "There is no size to fit"),
        (curves(), [2], {"validation_fraction": 0}, "validation_fraction=0 holds nothing out"),
    ],
)
def test_what_cannot_be_measured_is_refused(data, sizes, arguments, message):
    with pytest.raises((DataError, ParameterError), match=message):
        error_curve(data, sizes, estimator=SequenceAutoencoder(**arguments))
