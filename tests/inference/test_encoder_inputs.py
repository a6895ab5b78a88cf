"""The way from sequences to the input of the fitted Keras models."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.datasets import noisy_sines
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import scan, write

SETTINGS = {"latent_dim": 3, "units": 8, "max_epochs": 1, "refine": 0, "random_state": 0}
SINES = noisy_sines(30, seed=0, min_steps=5, max_steps=12)


@pytest.fixture(scope="module")
def fitted():
    return SequenceAutoencoder(**SETTINGS).fit(SINES)


@pytest.mark.parametrize("num_steps", [None, 12, 20])
def test_the_encoder_makes_the_codes_of_transform(fitted, num_steps):
    x = fitted.encoder_inputs(SINES.to_list(), num_steps)
    assert x.dtype == np.float32
    assert x.shape == (30, num_steps or SINES.lengths.max(), 1)
    assert (np.isnan(x[..., 0]).sum(axis=1) == x.shape[1] - SINES.lengths).all()
    codes = fitted.encoder_.predict(x, verbose=0)
    np.testing.assert_allclose(codes, fitted.transform(SINES), atol=1e-5)


def test_missing_values_bring_flags():
    gaps = SINES.to_list()
    gaps[0][1] = np.nan
    ae = SequenceAutoencoder(**SETTINGS).fit(gaps)
    x = ae.encoder_inputs(gaps)
    assert x.shape[2] == 2
    assert x[0, 1].tolist() == [0, 0]
    np.testing.assert_allclose(ae.encoder_.predict(x, verbose=0), ae.transform(gaps), atol=1e-5)


def test_classic_models_read_zeros_and_one_number_of_steps():
    ae = SequenceAutoencoder(**SETTINGS, architecture="repeat").fit(SINES)
    x = ae.encoder_inputs(SINES[:2])
    assert x.shape == (2, 12, 1)
    assert np.isfinite(x).all()
    with pytest.raises(ParameterError, match=r"num_steps is 20, but this encoder reads 12 steps"):
        ae.encoder_inputs(SINES, 20)


def test_what_cannot_be_read_is_refused(fitted, tmp_path):
    with pytest.raises(ParameterError, match=r"num_steps is 3, but the batch needs 1\d"):
        fitted.encoder_inputs(SINES, 3)
    with pytest.raises(SchemaError, match=r"2 features, but the model was fitted on 1"):
        fitted.encoder_inputs(np.zeros((2, 5, 2)))
    write(SINES, tmp_path / "sines.parquet")
    with pytest.raises(DataError, match=r"^Got a Scan, which may be larger than memory"):
        fitted.encoder_inputs(scan(tmp_path))
