"""Fits of short sequences: every kind of column, few steps, and codes larger than the data."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from refold import SequenceAutoencoder, Sequences
from refold.cli import main
from refold.errors import RefoldError
from refold.sequences import write
from small_data import TINY, fits_without_epochs


def ramps(n=100):
    """Return ramps of 3 to 10 steps."""
    return [np.arange(3 + i % 8) * 1.0 + i for i in range(n)]


@st.composite
def data(draw):
    """Draw sequences of 0 to 12 steps with 1 to 3 columns, or texts."""
    kind = draw(st.sampled_from(["numeric", "binary", "categorical", "mixed", "text"]))
    count, columns = draw(st.sampled_from([2, 5, 21, 30])), draw(st.integers(1, 3))
    shortest, more = draw(st.integers(0, 12)), draw(st.sampled_from([0, 5]))
    missing = draw(st.sampled_from([0.0, 0.3]))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    lengths = rng.integers(shortest, shortest + more + 1, count)
    if kind == "text":
        return ["".join(rng.choice(list("abc"), length)) for length in lengths]
    series = []
    for length in lengths:
        values = rng.normal(5, 3, (length, columns)).astype(object)
        if kind == "binary":
            values = (values > 5).astype(object)
        for column in range(columns):
            if kind == "categorical" or (kind == "mixed" and column % 2):
                values[:, column] = rng.choice(list("uvwxyz"), length)
        values[rng.random(values.shape) < missing] = None
        series.append(values)
    return series


@settings(max_examples=15, deadline=None)
@given(data(), st.integers(1, 40), st.sampled_from(["auto", "autoregressive"]))
def test_a_fit_works_or_is_refused_with_one_line(X, latent_dim, decoder):
    ae = SequenceAutoencoder(**TINY | {"latent_dim": latent_dim, "decoder": decoder})
    with warnings.catch_warnings(), fits_without_epochs():
        warnings.simplefilter("ignore", UserWarning)
        try:
            ae.fit(X)
        except RefoldError as error:
            assert "\n" not in str(error)  # noqa: PT017
            return
        codes = ae.transform(X)
        decoded = ae.inverse_transform(codes, lengths=[len(x) for x in X])
    assert codes.shape == (len(X), latent_dim)
    assert np.isfinite(codes).all()
    assert [np.shape(back) for back in decoded] == [np.shape(x) for x in X]


def test_short_ragged_series_can_be_fitted_with_the_default_size(skip_epochs, tmp_path, capsys):
    write(Sequences.from_list(ramps()), tmp_path / "ramps.parquet")
    model = str(tmp_path / "ramps.refold")
    assert main(["fit", str(tmp_path / "ramps.parquet"), "-o", model, "-q"]) == 0
    [line] = capsys.readouterr().err.splitlines()
    assert "--latent-dim 16 is more than the data can fill" in line
    assert line.endswith("so --latent-dim 11 is enough.")
    ae = SequenceAutoencoder.load(model)
    decoded = ae.inverse_transform(ae.transform(ramps()))
    assert [len(series) for series in decoded] == [len(series) for series in ramps()]
    assert np.abs(np.concatenate(decoded).ravel() - np.concatenate(ramps())).max() < 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        SequenceAutoencoder(**TINY | {"latent_dim": 11}).fit(ramps())
