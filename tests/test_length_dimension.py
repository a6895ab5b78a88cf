"""The latent dimension that holds the length of a sequence."""

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.sequences import as_sequences, codes_from_arrow, codes_to_arrow
from small_data import TINY, draw_ragged_sequences
from training.small import specification_of

NUMBERS = [*draw_ragged_sequences(30), np.zeros((0, 2))]
TOKENS = ["abcdefghi"[i % 4 : 3 + i % 7] for i in range(30)] + [""]
SMALL = TINY | {"latent_dim": 8}


@pytest.fixture(scope="module", params=["numbers", "tokens"])
def fitted(request):
    """Return a model with its default length dimension, and its ragged sequences."""
    sequences = as_sequences(NUMBERS if request.param == "numbers" else TOKENS)
    settings = SMALL | ({"rocket_dim": 2} if request.param == "numbers" else {})
    return SequenceAutoencoder(**settings).fit(sequences), sequences


def test_lengths_are_exact_also_after_saving_and_as_float16(fitted, tmp_path):
    ae, sequences = fitted
    assert (ae.length_dim_, ae.model_.specification.length_index) == (1, 7 - ae.rocket_dim_)
    ae.save(tmp_path / "model.refold")
    reversed_sequences = sequences[::-1]
    for model in (ae, refold.SequenceAutoencoder.load(tmp_path / "model.refold")):
        codes = model.transform(reversed_sequences)
        for dtype in ("float32", "float16"):
            stored, _ = codes_from_arrow(codes_to_arrow(codes, dtype=dtype))
            back = model.inverse_transform(stored)
            assert [len(sequence) for sequence in back] == reversed_sequences.lengths.tolist()


def test_latent_optimization_does_not_change_the_length(fitted):
    ae, sequences = fitted
    codes = ae.set_params(latent_steps=3).transform(sequences)
    unoptimized = ae.set_params(latent_steps=0).transform(sequences)
    first = 7 - ae.rocket_dim_  # the length, and ROCKET features after it
    np.testing.assert_array_equal(codes[:, first:], unoptimized[:, first:])
    assert np.abs(codes - unoptimized).max() > 1e-4


def test_the_default_is_one_from_eight_dimensions_if_lengths_differ():
    def by_rule(X, latent_dim=8, **changes):
        return specification_of(X, latent_dim, **changes).length_dim

    assert [by_rule(NUMBERS, dims) for dims in (7, 8, 40)] == [0, 1, 1]
    assert by_rule(np.zeros((9, 5, 2))) == 0
    assert by_rule(TOKENS) == 1
    assert by_rule(NUMBERS, 2, length_dim=1) == by_rule(np.zeros((9, 5, 2)), length_dim=1) == 1
    assert by_rule(NUMBERS, length_dim=0) == 0
    assert by_rule(NUMBERS, variational=True) == by_rule(NUMBERS, architecture="repeat") == 0
    assert by_rule(NUMBERS, denoise="steps:0.2") == 0
