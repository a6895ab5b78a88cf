"""The conversion of sequences to the input of the fitted Keras models."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences import as_sequences, write
from small_data import TINY, mapped, ragged, untrained

DATA = as_sequences(ragged())


@pytest.fixture(scope="module")
def fitted():
    return untrained(DATA)


@pytest.mark.parametrize("num_steps", [None, 8, 20])
def test_the_encoder_gives_the_codes_of_transform(fitted, num_steps):
    x = fitted.encoder_inputs(DATA.to_list(), num_steps)
    assert x.dtype == np.float32
    assert x.shape == (24, num_steps or 8, 2)
    assert (np.isnan(x[..., 0]).sum(axis=1) == x.shape[1] - DATA.lengths).all()
    codes = fitted.encoder_.predict(x, verbose=0)
    np.testing.assert_allclose(codes, fitted.transform(DATA), atol=1e-5)


def test_missing_values_have_flags():
    gaps = ragged()
    gaps[0][1] = np.nan
    ae = untrained(gaps)
    x = ae.encoder_inputs(gaps)
    assert x.shape[2] == 4
    assert x[0, 1].tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(ae.encoder_.predict(x, verbose=0), ae.transform(gaps), atol=1e-5)


def test_classic_models_read_zeros_and_one_number_of_steps():
    ae = SequenceAutoencoder(**TINY, architecture="repeat").fit(DATA)
    x = ae.encoder_inputs(DATA[:2])
    assert x.shape == (2, 8, 2)
    assert np.isfinite(x).all()
    with pytest.raises(ParameterError, match=r"num_steps is 20, but this encoder reads 8 steps"):
        ae.encoder_inputs(DATA, 20)


def test_bad_data_is_refused(fitted, tmp_path):
    with pytest.raises(ParameterError, match=r"num_steps must be an integer of at least 8\. Got 3"):
        fitted.encoder_inputs(DATA, 3)
    with pytest.raises(SchemaError, match=r"3 features, but the model was fitted on 2"):
        fitted.encoder_inputs(np.zeros((2, 5, 3)))
    write(DATA, tmp_path / "data.parquet")
    with pytest.raises(DataError, match=r"^Got 24 sequences that are mapped from a file larger"):
        fitted.encoder_inputs(mapped(tmp_path))
