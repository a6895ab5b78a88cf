"""The linear initialization of token columns, alone or together with numeric columns."""

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.arguments import Arguments, Corruption
from refold.evaluation import PCABaseline, accuracy, nmse
from refold.models import Specification, build
from refold.sequences import Column, Scaler, Schema, Sequences, as_sequences, positions
from refold.training._specify import specify
from refold.training._split import Source
from refold.training.initialization._initial_weights import (
    has_linear_path,
    sample_size,
    set_linear_initialization,
)
from refold.training.initialization._token_columns import (
    mixed_initialization,
    one_hot,
    token_initialization,
)

# One latent dimension for each of 40 steps.
NUM_STEPS = 40


def texts(n, *, seed=0, num_steps=48):
    """Draw lines of four phrases of twelve letters with unequal lengths."""
    rng = np.random.default_rng([seed, 1])
    phrases = ["".join(np.random.default_rng(i).choice(list("abcdefgh"), 12)) for i in range(5)]
    lines = ["".join(rng.choice(phrases, -(-num_steps // 12))) for _ in range(n)]
    return [line[: rng.integers(num_steps // 2, num_steps + 1)] for line in lines]


def logits(start, one_hot):
    """Return the codes and logits of one-hot sequences (n, steps, width), padded with zeros."""
    codes = np.einsum("ntw,twd->nd", one_hot, start.encoder) + start.encoder_bias
    return codes, np.einsum("nd,dtw->ntw", codes, start.decoder) + start.decoder_bias


def dense(sequences, num_steps):
    width = len(sequences.schema.columns[0].categories)
    made = np.zeros((len(sequences), num_steps, width))
    for row, first, length in zip(made, sequences.offsets, sequences.lengths, strict=False):
        labels = sequences.values[first : first + length, 0].astype(int)
        steps = np.flatnonzero(labels < width)
        row[steps, labels[steps]] = 1
    return made


def network(data, latent_dim=6, **changes):
    column_types = [column.type for column in data.schema.columns]
    num_categories = [len(column.categories) for column in data.schema.columns]
    sizes = (latent_dim, int(data.lengths.max()), 8, 1, 0.0, 40.0, 5.0)
    specification = Specification(
        "default", column_types, num_categories, False, *sizes, linear_path=True, **changes,
    )  # fmt: skip
    return build(specification)


def test_held_out_accuracy_is_that_of_principal_components():
    given = as_sequences(texts(400))
    held = as_sequences(texts(200, seed=1), schema=given.schema)
    start = token_initialization(given, 8, 48, seed=0)
    _, written = logits(start, dense(held, 48))
    labels = np.concatenate(
        [row[:n].argmax(axis=1) for row, n in zip(written, held.lengths, strict=True)]
    )
    theirs = PCABaseline(8).fit(given).reconstruct(held)
    assert np.mean(labels == held.values[:, 0]) > accuracy(held, theirs) - 0.01
    assert 0 < start.share < 1


# In a network


def test_an_initialized_network_agrees_with_its_linear_path():
    given = as_sequences(texts(200))
    net = network(given)
    assert has_linear_path(net)
    assert set_linear_initialization(net, given, seed=0)
    few = given[:20]
    _, expected = logits(token_initialization(given, 6, 48, seed=0), dense(few, 48))
    chances = np.exp(expected - expected.max(axis=2, keepdims=True))
    chances /= chances.sum(axis=2, keepdims=True)
    got = np.asarray(net.models.autoencoder.predict(few.to_padded().astype("float32"), verbose=0))
    for row, other, length in zip(got, chances, few.lengths, strict=True):
        np.testing.assert_allclose(row[:length], other[:length], atol=1e-4)


def by_rule(X, latent_dim, **options):
    """Return the specification that a fit would build."""
    arguments = Arguments.of(SequenceAutoencoder(latent_dim, **options))
    source = Source(as_sequences(X))
    return specify(source, arguments, np.arange(len(source.sequences)))


@pytest.mark.parametrize(
    ("num_steps", "options", "expected"),
    [
        (32, {}, ("autoregressive", False)),
        (48, {}, ("parallel", True)),
        (48, {"decoder": "autoregressive"}, ("autoregressive", False)),
    ],
)
def test_long_categorical_sequences_are_decoded_in_parallel(num_steps, options, expected):
    specification = by_rule(texts(40, num_steps=num_steps), 3, **options)
    assert (specification.decoder, specification.linear_path) == expected


def test_too_many_categories_for_a_linear_path_are_decoded_autoregressively():
    rng = np.random.default_rng(0)
    data = [[f"w{i}" for i in row] for row in rng.integers(0, 2000, (12, 40))]
    specification = by_rule(data, 300)
    assert (specification.decoder, specification.linear_path) == ("autoregressive", False)


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


def decoded(start, scaled):
    """Encode and decode with an initialization that is told the lengths."""
    ones = scaled.values[:, [1]] == np.arange(3)
    values = np.hstack([scaled.values[:, [0]], ones, scaled.values[:, [2]]])
    row, step = positions(scaled)
    padded = np.zeros((len(scaled), STEPS, 5))
    padded[row, step] = np.nan_to_num(values)
    codes = np.einsum("ntc,tcd->nd", padded, start.encoder) + start.encoder_bias
    back = np.einsum("nd,dtc->ntc", codes, start.decoder) + start.decoder_bias
    return codes, back, back[row, step]


def test_held_out_errors_of_both_types_are_at_most_those_of_pca():
    errors, right = [], []
    for seed in range(5):
        given, held = mixed(40, seed=seed), mixed(200, seed=1000 + seed)
        scaler = Scaler.fit(given)
        start = mixed_initialization(scaler.transform(given), 6, STEPS, seed=0)
        _, _, written = decoded(start, scaler.transform(held))
        values = [written[:, 0], written[:, 1:4].argmax(axis=1), written[:, 4] > 0]
        back = scaler.inverse_transform(held.with_values(np.column_stack(values)))
        theirs = PCABaseline(6).fit(given).reconstruct(held)
        errors.append(nmse(held, back, scaler) / nmse(held, theirs, scaler))
        right.append(accuracy(held, back) - accuracy(held, theirs))
    assert np.median(errors) < 1.0
    assert np.median(right) > 0.0
    assert 0 < start.share < 1


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


def test_columns_with_too_many_categories_are_left_to_the_lstm():
    labels = tuple(f"w{i}" for i in range(3000))
    schema = Schema((SCHEMA.columns[0], Column("word", "categorical", labels), SCHEMA.columns[2]))
    rng = np.random.default_rng(0)
    values = np.column_stack(
        [1e-3 * rng.normal(size=160), rng.integers(0, 3000, 160), np.ones(160)]
    )
    values[:, 0] += np.tile(np.sin(np.arange(16)), 10)
    data = Sequences(values, np.arange(0, 161, 16), schema=schema)
    sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8, "depth": 1, "dropout": 0.0}
    lengths = {"length_mean": 12.0, "length_deviation": 3.0}
    column_types = ["numeric", "categorical", "binary"]
    net = build(Specification("default", column_types, [0, 3000, 0], False, **sizes, **lengths))
    set_linear_initialization(net, data, seed=0)
    write = net.models.decoder.get_layer("linear_steps")
    assert not np.asarray(write.start)[..., 1:].any()
    assert np.asarray(write.start)[..., 0].any()
    # The LSTM also encodes the words, so its part of the code is not as small as for levels alone.
    assert float(net.models.encoder.get_layer("linear_code").scale) > 0.5
    assert sample_size(net) > 10_000
