"""The linear initialization of token columns: components, and codes that store tokens."""

import warnings

import numpy as np
import pytest

from refold import SequenceAutoencoder
from refold.arguments import Arguments, Corruption
from refold.evaluation import PCABaseline, accuracy
from refold.models import Specification, build
from refold.sequences import Column, Schema, Sequences, as_sequences
from refold.training._specify import specify
from refold.training._split import Source
from refold.training.initialization._initial_weights import (
    has_linear_path,
    set_linear_initialization,
)
from refold.training.initialization._token_columns import (
    one_hot,
    stored_tokens,
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
    for latent_dim in (2, 8):
        start = token_initialization(given, latent_dim, 48, seed=0)
        _, written = logits(start, dense(held, 48))
        labels = np.concatenate(
            [row[:n].argmax(axis=1) for row, n in zip(written, held.lengths, strict=True)]
        )
        theirs = PCABaseline(latent_dim).fit(given).reconstruct(held)
        assert np.mean(labels == held.values[:, 0]) > accuracy(held, theirs) - 0.01
        assert 0 < start.share < 1


def test_random_categories_cannot_be_explained():
    rng = np.random.default_rng(0)
    given = as_sequences(["".join(row) for row in rng.choice(list("abcd"), (200, 40))])
    start = token_initialization(given, 2, 40, seed=0, may_store=False)
    assert start.share > 0.98
    # each category has its frequency
    chances = np.exp(start.decoder_bias)
    np.testing.assert_allclose(chances.sum(axis=1), 1, atol=0.01)
    np.testing.assert_allclose(chances.mean(axis=0), 0.25, atol=0.02)


@pytest.mark.parametrize(
    ("values", "schema"),
    [
        (["aaaa"] * 20, None),
        (["ab"], None),
        (["", "a", "ab"] * 3, None),
        (["ab?b", "a??b"] * 10, Schema((Column("sign", "categorical", ("a", "b")),))),
        ([np.zeros((4, 2), bool)] * 12, None),
        ([np.eye(4, dtype=bool)[i % 4 :] for i in range(12)], None),
    ],
    ids=["constant", "one", "empty", "unknown", "zeros", "binary"],
)
def test_few_and_unusual_sequences_give_finite_weights(values, schema):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about unknown categories
        data = as_sequences(values, schema=schema)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        start = token_initialization(data, 3, max(1, int(data.lengths.max())), seed=0)
    for array in [*vars(start).values()][:7]:
        assert np.isfinite(array).all()
    assert 0 < start.share <= 1


def test_binary_columns_are_initialized():
    rng = np.random.default_rng(0)
    patterns = rng.random((3, 40, 5)) < 0.4
    data = as_sequences(list(patterns[rng.integers(0, 3, 120)]))
    assert {column.type for column in data.schema.columns} == {"binary"}
    start = token_initialization(data, 2, 40, seed=0)
    _, written = logits(start, np.stack(data.to_list()).astype(float))
    assert np.array_equal(written > 0, np.stack(data.to_list()))


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


def test_patches_do_not_change_the_initialization():
    given = as_sequences(texts(100))
    whole, other = network(given), network(given, patch=4)
    for net in (whole, other):
        set_linear_initialization(net, given, seed=0)
    x = given[:10].to_padded().astype("float32")
    one, two = (np.asarray(net.models.autoencoder.predict(x, verbose=0)) for net in (whole, other))
    for row, same, length in zip(one, two, given.lengths, strict=False):
        np.testing.assert_allclose(row[:length], same[:length], atol=1e-5)


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
        (24, {"decoder": "parallel"}, ("parallel", False)),
        (48, {"patch": 4}, ("parallel", True)),
    ],
)
def test_long_categorical_sequences_are_decoded_in_parallel(num_steps, options, expected):
    specification = by_rule(texts(40, num_steps=num_steps), 3, **options)
    assert (specification.decoder, specification.linear_path) == expected


def test_too_many_categories_for_a_linear_path_are_decoded_autoregressively():
    rng = np.random.default_rng(0)
    data = [[f"w{i}" for i in row] for row in rng.integers(0, 2000, (12, 40))]
    specification = by_rule(data, 300)
    assert specification.decoder == "autoregressive"
    assert not specification.linear_path


@pytest.fixture(scope="module")
def fitted():
    options = {"units": 32, "max_epochs": 30, "refit": False, "latent_steps": 0, "random_state": 0}
    return SequenceAutoencoder(4, **options).fit(as_sequences(texts(400)))


def test_training_improves_on_the_initialization(fitted):
    given, ae = as_sequences(texts(400)), fitted
    held = as_sequences(texts(100, seed=1), schema=given.schema)
    theirs = PCABaseline(4).fit(given).reconstruct(held)
    assert accuracy(held, ae.reconstruct(held)) > accuracy(held, theirs) + 0.03


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
    fit = stored_tokens(tokens, None, 20, 0)
    decoded = np.tensordot(tokens.values @ fit.weights.T, fit.slope, 1) + fit.offset
    wanted = tokens.values.toarray().reshape(len(data), 5, 6)
    for column, block in enumerate((slice(0, 2), slice(3, 6))):
        known = tokens.known[..., 2 * column]
        same = decoded[..., block].argmax(axis=2) == wanted[..., block].argmax(axis=2)
        assert same[known].all()
    known = tokens.known[..., 1]
    assert np.array_equal(decoded[..., 2][known] > 0, wanted[..., 2][known] == 1)
    assert not fit.slope[15:].any()  # 5 steps of 3 columns need 15 dimensions


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
    net = build(
        Specification(
            "default", ["categorical"], [26], False, *sizes,
            linear_path=True, variational=variational,
        )
    )  # fmt: skip
    set_linear_initialization(net, given, seed=0)
    x = held.to_padded().astype("float32")
    decoded = np.asarray(net.models.autoencoder.predict(x, verbose=0)).argmax(axis=2)
    same = [
        (row[:length] == values[:length, 0]).all()
        for row, values, length in zip(decoded, x, held.lengths, strict=True)
    ]
    assert np.mean(same) == (1 if not variational else pytest.approx(0, abs=0.3))
