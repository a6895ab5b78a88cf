"""Codes that store the first tokens of a sequence, one in each latent dimension."""

import numpy as np
import pytest

from refold.arguments import Corruption
from refold.models import Specification, build
from refold.sequences import Column, Schema, Sequences, as_sequences
from refold.training.initialization._linear_weights import set_linear_initialization
from refold.training.initialization._one_hot import one_hot
from refold.training.initialization._token_columns import token_initialization
from refold.training.initialization._token_levels import stored_tokens

# One latent dimension for each of 40 steps.
NUM_STEPS = 40


def lines(n, seed=0):
    """Draw random letters, some of them rare, in unequal lengths."""
    rng = np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, 27)
    letters = rng.choice(
        list("etaoinshrdlucmfwypvbgkjqxz"), (n, NUM_STEPS), p=chances / chances.sum()
    )
    return ["".join(row[: rng.integers(1, NUM_STEPS + 1)]) for row in letters]


def split(n=120):
    given = as_sequences([*lines(n), "etaoinshrdlucmfwypvbgkjqxz"])
    return given, as_sequences(lines(60, seed=1), schema=given.schema)


def right(init, held, change=lambda codes: codes):
    """Return whether tokens are decoded right (n, num_steps), with NaN after the end."""
    tokens = one_hot(held, NUM_STEPS)
    values = tokens.values.toarray().reshape(len(held), NUM_STEPS, -1)
    codes = change(np.einsum("ntw,twd->nd", values, init.encoder) + init.encoder_bias)
    decoded = np.einsum("nd,dtw->ntw", codes, init.decoder) + init.decoder_bias
    same = decoded.argmax(axis=2) == values.argmax(axis=2)
    return np.where(tokens.known[..., 0], same, np.nan)


def test_a_dimension_for_each_token_recovers_held_out_sequences():
    given, held = split()
    init = token_initialization(given, NUM_STEPS, NUM_STEPS, seed=0)
    assert init.share < 1e-3
    assert np.nanmin(right(init, held)) == 1
    values = one_hot(given, NUM_STEPS).values.toarray().reshape(len(given), NUM_STEPS, -1)
    codes = np.einsum("ntw,twd->nd", values, init.encoder) + init.encoder_bias
    np.testing.assert_allclose((codes**2).mean(axis=0), 1)


def test_codes_can_be_rounded_and_noisy():
    given, held = split()
    init = token_initialization(given, NUM_STEPS, NUM_STEPS, seed=0)
    assert np.nanmin(right(init, held, lambda codes: codes.astype(np.float16))) == 1
    weights = np.where(init.encoder > 0, init.encoder, np.inf)
    distance = weights.min(axis=(0, 1))  # the second most frequent token has level 1
    rng = np.random.default_rng(0)
    noisy = right(
        init, held, lambda codes: codes + 0.3 * distance * rng.uniform(-1, 1, codes.shape)
    )
    assert np.nanmin(noisy) == 1


def test_a_smaller_code_stores_the_first_tokens():
    given, held = split()
    found = right(token_initialization(given, 10, NUM_STEPS, seed=0), held)
    assert np.nanmin(found[:, :10]) == 1
    assert np.nanmean(found[:, 10:]) < 0.5


def test_several_columns_with_missing_values():
    schema = Schema(
        (
            Column("two", "categorical", ("a", "b")),
            Column("is", "binary"),
            Column("three", "categorical", ("a", "b", "c")),
        )
    )
    rng = np.random.default_rng(0)
    lengths = np.array([0, 1, 2, 3, 4, 5, 5, 5, 6, 7])
    values = np.stack([rng.integers(0, n, lengths.sum()) for n in (3, 2, 4)], axis=1).astype(float)
    values[rng.random(len(values)) < 0.3, 1] = np.nan
    data = Sequences(values, np.concatenate([[0], np.cumsum(lengths)]), schema=schema)
    tokens = one_hot(data, 5)
    encoder, slope, offset = stored_tokens(tokens, 20)
    decoded = np.tensordot(tokens.values @ encoder.T, slope, 1) + offset
    wanted = tokens.values.toarray().reshape(len(data), 5, 6)
    for column, block in enumerate((slice(0, 2), slice(3, 6))):
        known = tokens.known[..., 2 * column]
        same = decoded[..., block].argmax(axis=2) == wanted[..., block].argmax(axis=2)
        assert same[known].all()
    known = tokens.known[..., 1]
    assert np.array_equal(decoded[..., 2][known] > 0, wanted[..., 2][known] == 1)
    assert not slope[15:].any()  # 5 steps of 3 columns need 15 dimensions


@pytest.mark.parametrize("latent_dim", [6, NUM_STEPS])
def test_few_repeated_patterns_use_components(latent_dim):
    rng = np.random.default_rng(0)
    phrases = ["".join(rng.choice(list("abcdefgh"), 20)) for _ in range(4)]
    given = as_sequences(["".join(rng.choice(phrases, 2)) for _ in range(200)])
    init = token_initialization(given, latent_dim, NUM_STEPS, seed=0)
    # stored tokens are read at one step each
    assert (init.encoder[..., :6] != 0).any(axis=1).mean() > 0.9
    assert np.nanmin(right(init, given)) == 1


@pytest.mark.parametrize(("corruption", "may_store"), [("steps:0.5", True), (0.0, False)])
def test_no_tokens_are_stored_if_the_input_or_the_code_is_noisy(corruption, may_store):
    given, _ = split()
    options = {"corruption": Corruption.of(corruption), "may_store": may_store}
    init = token_initialization(given, NUM_STEPS, NUM_STEPS, seed=0, **options)
    assert (init.encoder != 0).any(axis=1).mean() > 0.5


def test_no_tokens_are_stored_for_hundreds_of_categories():
    words = [f"w{i}" for i in range(300)]
    rng = np.random.default_rng(0)
    given = as_sequences([words, *rng.choice(words, (60, 5)).tolist()])
    encoder = token_initialization(given, 5, 5, seed=0).encoder
    assert ((encoder != 0).any(axis=1).sum(axis=0) > 1).all()  # a dimension reads several steps


@pytest.mark.parametrize("variational", [False, True])
def test_a_network_stores_tokens_unless_it_is_variational(variational):
    given, held = split()
    sizes = (NUM_STEPS, NUM_STEPS, 8, 1, 0.0, 20.0, 5.0)
    network = build(
        Specification(
            "default", ["categorical"], [26], False, *sizes,
            linear_path=True, variational=variational,
        )
    )  # fmt: skip
    set_linear_initialization(network, given, seed=0)
    x = held.to_padded().astype("float32")
    decoded = np.asarray(network.models.autoencoder.predict(x, verbose=0)).argmax(axis=2)
    same = [
        (row[:length] == values[:length, 0]).all()
        for row, values, length in zip(decoded, x, held.lengths, strict=True)
    ]
    assert np.mean(same) == (1 if not variational else pytest.approx(0, abs=0.3))
