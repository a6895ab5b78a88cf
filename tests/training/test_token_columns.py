"""The linear initialization of token columns, alone or together with numeric columns."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.arguments import Corruption
from refold.evaluation import PCABaseline, accuracy, exact, nmse
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences, split_at
from refold.training.initialization._token_columns import (
    fit_mixed_initialization,
    fit_token_initialization,
)
from small_data import TINY, fit_without_training
from training.small import specification_of

# One latent dimension for each of 40 steps.
NUM_STEPS = 40
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def texts(n, *, seed=0, num_steps=48):
    """Draw lines of four phrases of twelve letters with unequal lengths."""
    rng = np.random.default_rng([seed, 1])
    phrases = ["".join(np.random.default_rng(i).choice(list("abcdefgh"), 12)) for i in range(5)]
    lines = ["".join(rng.choice(phrases, -(-num_steps // 12))) for _ in range(n)]
    return [line[: rng.integers(num_steps // 2, num_steps + 1)] for line in lines]


def reconstructed(training, test, **changes):
    """Encode and decode sequences with the initialization for others."""
    ae = fit_without_training(training, length_dim=0, **changes)
    decoded = ae.inverse_transform(ae.transform(test), lengths=test.lengths)
    return as_sequences(decoded, schema=test.schema)


def test_held_out_accuracy_is_that_of_principal_components():
    training = as_sequences(texts(400))
    test = as_sequences(texts(200, seed=1), schema=training.schema)
    by_pca = accuracy(test, PCABaseline(8).fit(training).reconstruct(test))
    # a tenth of the sequences was held out from the fit
    assert accuracy(test, reconstructed(training, test, latent_dim=8)) > by_pca - 0.02


def test_long_categorical_sequences_are_decoded_in_parallel():
    def decoder(X, latent_dim=3, **options):
        specification = specification_of(X, latent_dim, **options)
        return specification.decoder, specification.linear_path

    stepwise = ("autoregressive", False)
    assert decoder(texts(40)) == ("parallel", True)
    assert decoder(texts(40, num_steps=32)) == stepwise
    assert decoder(texts(40), decoder="autoregressive") == stepwise
    # a linear path of so many categories would need too much memory
    words = np.random.default_rng(0).integers(0, 2000, (12, 40))
    assert decoder([[f"w{i}" for i in row] for row in words], 300) == stepwise


def lines(n, seed=0):
    """Draw 30 to 40 random letters, some of them rare."""
    rng = np.random.default_rng(seed)
    chances = 1.0 / np.arange(1, 27)
    letters = rng.choice(list(LETTERS), (n, NUM_STEPS), p=chances / chances.sum())
    return ["".join(row[: rng.integers(30, NUM_STEPS + 1)]) for row in letters]


def split(n=120):
    """Return training and test lines with all letters as categories."""
    training = as_sequences([*lines(n), LETTERS])
    return training, as_sequences(lines(60, seed=1), schema=training.schema)


def test_a_dimension_for_each_token_recovers_held_out_sequences():
    training, test = split()
    ae = fit_without_training(training, latent_dim=NUM_STEPS, length_dim=0)
    codes = ae.transform(test).astype(np.float16)
    assert exact(test, ae.inverse_transform(codes, test.lengths)) == 1
    # a smaller code stores the first tokens
    decoded = reconstructed(training, test, latent_dim=10)
    num_stored = np.minimum(test.lengths, 10)
    assert exact(split_at(test, num_stored)[0], split_at(decoded, num_stored)[0]) == 1
    assert accuracy(test, decoded) < 0.75


@pytest.mark.parametrize(("corruption", "may_store_tokens"), [("steps:0.5", True), (0.0, False)])
def test_no_tokens_are_stored_if_the_input_or_the_code_is_noisy(corruption, may_store_tokens):
    training, _ = split()
    options = {"corruption": Corruption.of(corruption), "may_store_tokens": may_store_tokens}
    init = fit_token_initialization(training, NUM_STEPS, NUM_STEPS, seed=0, **options)
    assert (init.encoder != 0).any(axis=1).mean() > 0.5


# Numeric and token columns together

STEPS = 16
PHASE = Column("phase", "categorical", ("up", "down", "flat"))
SCHEMA = Schema((Column("level", "numeric"), PHASE, Column("on", "binary")))


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
    errors, accuracy_gains = [], []
    for seed in range(5):
        training, test = mixed(40, seed=seed), mixed(200, seed=1000 + seed)
        scaler = Scaler.fit(training)
        decoded = reconstructed(training, test, latent_dim=6)
        by_pca = PCABaseline(6).fit(training).reconstruct(test)
        errors.append(nmse(test, decoded, scaler) / nmse(test, by_pca, scaler))
        accuracy_gains.append(accuracy(test, decoded) - accuracy(test, by_pca))
    assert np.median(errors) < 1.0
    assert np.median(accuracy_gains) > 0.0


def test_random_categories_are_decoded_to_their_frequencies():
    rng = np.random.default_rng(0)
    training = mixed(200, ragged=False)
    values = training.values.copy()
    values[:, 1], values[:, 2] = rng.choice(3, len(values), p=[0.5, 0.3, 0.2]), 1.0
    start = fit_mixed_initialization(training.with_values(values), 2, STEPS, seed=0)
    chances = np.exp(start.decoder_bias[:, 1:4])
    np.testing.assert_allclose(chances, np.tile([0.5, 0.3, 0.2], (STEPS, 1)), atol=0.12)
    assert np.abs(start.decoder[..., 1:4]).max() < 0.3
    assert (start.decoder_bias[:, 4] > 2).all()
    np.testing.assert_array_equal(start.residual_std[1:], 1.0)


@pytest.mark.usefixtures("skip_epochs")
def test_columns_with_too_many_categories_are_left_to_the_lstm():
    """Joint components of 3000 categories at 16 steps would need too much memory."""
    words = [[np.sin(step), f"w{15 * i + step}"] for i in range(200) for step in range(15)]
    data = Sequences.from_list(
        [np.array(words[i : i + 15], dtype=object) for i in range(0, 3000, 15)]
    )
    ae = SequenceAutoencoder(**TINY).fit(data)
    write = ae.decoder_.get_layer("linear_steps")
    assert not np.asarray(write.initial_map)[..., 1:].any()
    assert np.asarray(write.initial_map)[..., 0].any()
