"""The linear initialization for long categorical sequences."""

import warnings

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.arguments import Arguments, Corruption
from refold.evaluation import PCABaseline, accuracy
from refold.models import Specification, build
from refold.sequences import Column, Schema, Sequences, as_sequences
from refold.training._data_sources import Source
from refold.training._specify import specify
from refold.training.initialization._linear_weights import (
    has_linear_path,
    set_linear_initialization,
)
from refold.training.initialization._one_hot import one_hot
from refold.training.initialization._token_columns import _fit, _regress, token_initialization
from refold.training.initialization._token_logits import FACTORS, _losses, frequencies
from refold.training.initialization._token_logits import logits as logits_of


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


def test_codes_are_standardized():
    given = as_sequences(texts(300))
    codes, _ = logits(token_initialization(given, 5, 48, seed=0), dense(given, 48))
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=1e-6)


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


def test_codes_are_standardized_for_inputs_with_dropped_steps():
    given = as_sequences(texts(300))
    clean = token_initialization(given, 4, 48, seed=0)
    dropped = token_initialization(given, 4, 48, seed=0, corruption=Corruption.of("steps:0.5"))
    codes, _ = logits(dropped, dense(given, 48))
    assert codes.std(axis=0).min() > 1.2  # larger than in training
    assert clean.share < dropped.share < 1


def tiny():
    """Return few ragged sequences with two, no and three categories, and unknown ones."""
    rng = np.random.default_rng(0)
    schema = Schema(
        (
            Column("two", "categorical", ("a", "b")),
            Column("is", "binary"),
            Column("three", "categorical", ("a", "b", "c")),
        )
    )
    lengths = np.array([0, 1, 2, 3, 4, 5, 6, 6, 6, 5, 4, 3])
    values = np.stack([rng.integers(0, n, lengths.sum()) for n in (3, 2, 4)], axis=1).astype(float)
    values[rng.random(len(values)) < 0.3, 1] = np.nan
    return Sequences(values, np.concatenate([[0], np.cumsum(lengths)]), schema=schema)


def test_frequencies_and_slopes_are_those_of_a_regression_at_each_step():
    data, num_steps, widths = tiny(), 5, [2, 1, 3]  # the sixth step is left out
    symbols = one_hot(data, num_steps)
    codes = np.random.default_rng(1).normal(size=(len(data), 2)) + 3
    frequency = frequencies(symbols)
    slope, offset = _regress(symbols, codes, frequency, np.array([0.5, 2.0]))
    filled = symbols.values.toarray().reshape(len(data), num_steps, 6)
    known = np.repeat(symbols.known, widths, axis=2)
    assert not symbols.known.all(axis=2)[:, 0].all()
    overall = filled.sum(axis=(0, 1)) + 0.5
    overall /= known.sum(axis=(0, 1)) + 0.5 * np.array([2, 2, 2, 3, 3, 3])
    expected = (filled.sum(axis=0) + 10 * overall) / (known.sum(axis=0) + 10)
    np.testing.assert_allclose(frequency, expected)
    for step in range(num_steps):
        there = data.lengths > step
        about = codes[there] - codes[there].mean(axis=0)
        beyond = ((filled - frequency) * known)[there, step]
        solved = np.linalg.solve(about.T @ about + np.diag([0.5, 2.0]), about.T @ beyond)
        np.testing.assert_allclose(slope[:, step], solved, atol=1e-9)
        np.testing.assert_allclose(offset[step], -codes[there].mean(axis=0) @ solved, atol=1e-9)


def test_losses_are_those_of_softmax_and_sigmoid():
    data, num_steps = tiny(), 5
    symbols = one_hot(data, num_steps)
    fit = _fit(symbols, symbols.values, 2, seed=0)
    loss, codes = 0.0, fit.codes(symbols.values)
    written = fit.offset + np.einsum("nd,dtw->ntw", codes, fit.slope)
    written = logits_of(fit.frequency, symbols.num_categories) + 2 * written
    for row, first, length in zip(written, data.offsets, data.lengths, strict=False):
        for step in range(min(length, num_steps)):
            two, one, three = data.values[first + step]
            for block, label in ((row[step, :2], two), (row[step, 3:], three)):
                if label < len(block):
                    loss -= np.log(np.exp(block[int(label)]) / np.exp(block).sum())
            if not np.isnan(one):
                chance = 1 / (1 + np.exp(-row[step, 2]))
                loss -= np.log(chance if one else 1 - chance)
    losses = _losses(symbols, codes, fit.frequency, fit.slope, fit.offset, FACTORS)
    assert losses[FACTORS.index(2.0)] == pytest.approx(loss)


def test_the_same_seed_gives_the_same_initialization():
    few = as_sequences(["abcd" * 10, "bcda" * 10, "ccdd" * 10] * 20)
    once, again = (token_initialization(few, 8, 40, seed=3) for _ in range(2))
    for name, array in vars(once).items():
        np.testing.assert_array_equal(array, getattr(again, name), err_msg=name)


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


def test_a_model_of_long_categorical_sequences_is_saved_and_loaded(fitted, tmp_path):
    data, ae = as_sequences(texts(400)), fitted
    path = tmp_path / "lines.refold"
    ae.save(path)
    again = refold.SequenceAutoencoder.load(path)
    np.testing.assert_array_equal(again.transform(data), ae.transform(data))
    assert again.reconstruct(data) == ae.reconstruct(data)
    specification = ae.model_.network.specification
    assert (specification.decoder, specification.linear_path) == ("parallel", True)


def test_training_improves_on_the_initialization(fitted):
    given, ae = as_sequences(texts(400)), fitted
    held = as_sequences(texts(100, seed=1), schema=given.schema)
    theirs = PCABaseline(4).fit(given).reconstruct(held)
    assert accuracy(held, ae.reconstruct(held)) > accuracy(held, theirs) + 0.03
