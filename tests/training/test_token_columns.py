"""The linear initialization of token columns, alone or together with numeric columns."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.arguments import Arguments, Corruption
from refold.evaluation import PCABaseline, accuracy, nmse
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences
from refold.training._shards import Source
from refold.training._specify import specify
from refold.training.initialization._token_columns import (
    mixed_initialization,
    one_hot,
    token_initialization,
)
from small_data import TINY, untrained

# One latent dimension for each of 40 steps.
NUM_STEPS = 40


def texts(n, *, seed=0, num_steps=48):
    """Draw lines of four phrases of twelve letters with unequal lengths."""
    rng = np.random.default_rng([seed, 1])
    phrases = ["".join(np.random.default_rng(i).choice(list("abcdefgh"), 12)) for i in range(5)]
    lines = ["".join(rng.choice(phrases, -(-num_steps // 12))) for _ in range(n)]
    return [line[: rng.integers(num_steps // 2, num_steps + 1)] for line in lines]


def reconstructed(given, held, **changes):
    """Encode and decode sequences with the initialization for others."""
    ae = untrained(given, length_dim=0, **changes)
    back = ae.inverse_transform(ae.transform(held), lengths=held.lengths)
    return as_sequences(back, schema=held.schema)


def test_held_out_accuracy_is_that_of_principal_components():
    given = as_sequences(texts(400))
    held = as_sequences(texts(200, seed=1), schema=given.schema)
    theirs = accuracy(held, PCABaseline(8).fit(given).reconstruct(held))
    # a tenth was held out from the fit
    assert accuracy(held, reconstructed(given, held, latent_dim=8)) > theirs - 0.02


def by_rule(X, latent_dim, **options):
    """Return the decoder of the specification that a fit would build, and its linear path."""
    arguments = Arguments.of(SequenceAutoencoder(latent_dim, **options))
    specification = specify(Source(as_sequences(X)), arguments, np.arange(len(X)))
    return specification.decoder, specification.linear_path


def test_long_categorical_sequences_are_decoded_in_parallel():
    stepwise = ("autoregressive", False)
    assert by_rule(texts(40), 3) == ("parallel", True)
    assert by_rule(texts(40, num_steps=32), 3) == stepwise
    assert by_rule(texts(40), 3, decoder="autoregressive") == stepwise
    # a linear path of so many categories would need too much memory
    words = np.random.default_rng(0).integers(0, 2000, (12, 40))
    assert by_rule([[f"w{i}" for i in row] for row in words], 300) == stepwise


# Codes that store tokens


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
    assert np.nanmin(right(init, held, lambda codes: codes.astype(np.float16))) == 1
    # a smaller code stores the first tokens
    found = right(token_initialization(given, 10, NUM_STEPS, seed=0), held)
    assert np.nanmin(found[:, :10]) == 1
    assert np.nanmean(found[:, 10:]) < 0.5


@pytest.mark.parametrize(("corruption", "may_store"), [("steps:0.5", True), (0.0, False)])
def test_no_tokens_are_stored_if_the_input_or_the_code_is_noisy(corruption, may_store):
    given, _ = split()
    options = {"corruption": Corruption.of(corruption), "may_store": may_store}
    init = token_initialization(given, NUM_STEPS, NUM_STEPS, seed=0, **options)
    assert (init.encoder != 0).any(axis=1).mean() > 0.5


# Numeric and token columns together

STEPS = 16
SCHEMA = Schema(
    (
        Column("level", "numeric"),
        Column("phase", "categorical", ("up", "down", "flat")),
        Column("on", "binary"),
    )
)


def mixed(n, *, seed=0, ragged=True):
    """Draw a level that rises, falls or stays, the name of its phase, and a binary column."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(STEPS // 2, STEPS + 1, n) if ragged else np.full(n, STEPS)
    rows = []
    for length in lengths:
        phase = rng.integers(0, 3, STEPS // 4).repeat(4)[:length]
        level = np.cumsum(np.array([1.0, -1.0, 0.0])[phase]) + rng.normal(0, 0.3, length)
        rows.append(np.column_stack([level, phase, level > 0]))
    return Sequences(np.concatenate(rows), np.cumsum([0, *lengths]), schema=SCHEMA)


def test_held_out_errors_of_both_types_are_at_most_those_of_pca():
    errors, right = [], []
    for seed in range(5):
        given, held = mixed(40, seed=seed), mixed(200, seed=1000 + seed)
        scaler = Scaler.fit(given)
        back = reconstructed(given, held, latent_dim=6)
        theirs = PCABaseline(6).fit(given).reconstruct(held)
        errors.append(nmse(held, back, scaler) / nmse(held, theirs, scaler))
        right.append(accuracy(held, back) - accuracy(held, theirs))
    assert np.median(errors) < 1.0
    assert np.median(right) > 0.0


def test_random_categories_are_decoded_to_their_frequencies():
    rng = np.random.default_rng(0)
    given = mixed(200, ragged=False)
    values = given.values.copy()
    values[:, 1], values[:, 2] = rng.choice(3, len(values), p=[0.5, 0.3, 0.2]), 1.0
    start = mixed_initialization(given.with_values(values), 2, STEPS, seed=0)
    chances = np.exp(start.decoder_bias[:, 1:4])
    np.testing.assert_allclose(chances, np.tile([0.5, 0.3, 0.2], (STEPS, 1)), atol=0.12)
    assert np.abs(start.decoder[..., 1:4]).max() < 0.3
    assert (start.decoder_bias[:, 4] > 2).all()
    np.testing.assert_array_equal(start.residual[1:], 1.0)


@pytest.mark.usefixtures("no_epochs")
def test_columns_with_too_many_categories_are_left_to_the_lstm():
    """Joint components of 3000 categories at 16 steps would need too much memory."""
    words = [[np.sin(step), f"w{15 * i + step}"] for i in range(200) for step in range(15)]
    data = Sequences.from_list(
        [np.array(words[i : i + 15], dtype=object) for i in range(0, 3000, 15)]
    )
    ae = SequenceAutoencoder(**TINY).fit(data)
    write = ae.decoder_.get_layer("linear_steps")
    assert not np.asarray(write.start)[..., 1:].any()
    assert np.asarray(write.start)[..., 0].any()
