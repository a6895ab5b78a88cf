"""The linear start of long symbols: principal components of one-hot steps, and logits from them."""

import warnings

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.evaluation import PCABaseline, accuracy
from refold.models import Specification, build
from refold.sequences import Column, Schema, as_sequences
from refold.training import Corruption, has_linear_path, set_linear_start
from refold.training._symbol_start import symbol_start

TINY = {"units": 8, "max_epochs": 1, "refit": False, "random_state": 0}


def texts(n, *, seed=0, num_steps=48):
    """Draw lines made of four phrases of twelve letters, in unequal lengths."""
    rng = np.random.default_rng([seed, 1])
    phrases = ["".join(np.random.default_rng(i).choice(list("abcdefgh"), 12)) for i in range(5)]
    lines = ["".join(rng.choice(phrases, -(-num_steps // 12))) for _ in range(n)]
    return [line[: rng.integers(num_steps // 2, num_steps + 1)] for line in lines]


def logits(start, one_hot):
    """What a start makes of one-hot sequences (n, steps, width), zero where there is nothing."""
    codes = np.einsum("ntw,twd->nd", one_hot, start.encoder) + start.encoder_bias
    return codes, np.einsum("nd,dtw->ntw", codes, start.decoder) + start.decoder_bias


def one_hot(sequences, num_steps):
    width = len(sequences.schema.columns[0].labels)
    made = np.zeros((len(sequences), num_steps, width))
    for row, first, length in zip(made, sequences.offsets, sequences.lengths, strict=False):
        labels = sequences.values[first : first + length, 0].astype(int)
        steps = np.flatnonzero(labels < width)
        row[steps, labels[steps]] = 1
    return made


def network(data, latent_dim=6, **changes):
    kinds = [column.kind for column in data.schema.columns]
    num_labels = [len(column.labels) for column in data.schema.columns]
    specification = Specification(
        "default", kinds, num_labels, False, latent_dim, int(data.lengths.max()), 8, 1, 0.0, 40.0,
        5.0, linear_path=True, **changes,
    )  # fmt: skip
    return build(specification)


def test_held_out_symbols_are_right_as_often_as_by_principal_components():
    given = as_sequences(texts(400))
    held = as_sequences(texts(200, seed=1), schema=given.schema)
    for latent_dim in (2, 8):
        start = symbol_start(given, latent_dim, 48, seed=0)
        _, written = logits(start, one_hot(held, 48))
        labels = np.concatenate(
            [row[:n].argmax(axis=1) for row, n in zip(written, held.lengths, strict=True)]
        )
        theirs = PCABaseline(latent_dim).fit(given).reconstruct(held)
        assert np.mean(labels == held.values[:, 0]) > accuracy(held, theirs) - 0.01
        assert 0 < start.share < 1


def test_codes_have_deviation_one():
    given = as_sequences(texts(300))
    codes, _ = logits(symbol_start(given, 5, 48, seed=0), one_hot(given, 48))
    np.testing.assert_allclose(codes.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(codes.std(axis=0), 1, atol=1e-6)


def test_of_chance_nothing_is_explained():
    rng = np.random.default_rng(0)
    given = as_sequences(["".join(row) for row in rng.choice(list("abcd"), (200, 40))])
    start = symbol_start(given, 2, 40, seed=0)
    assert start.share > 0.98
    # each symbol has its frequency
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
def test_few_and_strange_sequences_give_finite_weights(values, schema):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of labels that are not known
        data = as_sequences(values, schema=schema)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        start = symbol_start(data, 3, max(1, int(data.lengths.max())), seed=0)
    for array in start:
        assert np.isfinite(array).all()


def test_binary_columns_start_as_well():
    rng = np.random.default_rng(0)
    patterns = rng.random((3, 40, 5)) < 0.4
    data = as_sequences(list(patterns[rng.integers(0, 3, 120)]))
    assert {column.kind for column in data.schema.columns} == {"binary"}
    start = symbol_start(data, 2, 40, seed=0)
    _, written = logits(start, np.stack(data.to_list()).astype(float))
    assert np.array_equal(written > 0, np.stack(data.to_list()))


def test_codes_of_dropped_steps_are_taken_for_what_they_are():
    given = as_sequences(texts(300))
    clean = symbol_start(given, 4, 48, seed=0)
    dropped = symbol_start(given, 4, 48, seed=0, corruption=Corruption.of("steps:0.5"))
    codes, _ = logits(dropped, one_hot(given, 48))
    assert codes.std(axis=0).min() > 1.2  # more than in training
    assert clean.share < dropped.share < 1


# In a network


def test_a_network_starts_as_its_linear_path():
    given = as_sequences(texts(200))
    net = network(given)
    assert has_linear_path(net)
    assert set_linear_start(net, given, seed=0)
    few = given[:20]
    _, expected = logits(symbol_start(given, 6, 48, seed=0), one_hot(few, 48))
    chances = np.exp(expected - expected.max(axis=2, keepdims=True))
    chances /= chances.sum(axis=2, keepdims=True)
    got = np.asarray(net.models.autoencoder.predict(few.to_padded().astype("float32"), verbose=0))
    for row, other, length in zip(got, chances, few.lengths, strict=True):
        np.testing.assert_allclose(row[:length], other[:length], atol=1e-4)


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
def test_long_symbols_are_decoded_all_at_once(num_steps, options, expected):
    ae = SequenceAutoencoder(3, **TINY, **options).fit(texts(40, num_steps=num_steps))
    specification = ae._network.specification
    assert (specification.decoder, specification.linear_path) == expected


def test_a_fit_of_long_symbols_is_saved_whole(tmp_path):
    data = as_sequences(texts(80))
    ae = SequenceAutoencoder(6, **TINY).fit(data)
    path = tmp_path / "lines.refold"
    ae.save(path)
    again = refold.load(path)
    np.testing.assert_array_equal(again.transform(data), ae.transform(data))
    assert again.reconstruct(data) == ae.reconstruct(data)


def test_training_betters_the_start():
    given = as_sequences(texts(400))
    held = as_sequences(texts(100, seed=1), schema=given.schema)
    ae = SequenceAutoencoder(4, units=32, max_epochs=30, refit=False, random_state=0).fit(given)
    theirs = PCABaseline(4).fit(given).reconstruct(held)
    assert accuracy(held, ae.reconstruct(held)) > accuracy(held, theirs) + 0.03
