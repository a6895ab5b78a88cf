"""Packed rows: bits that do not depend on batches, weights of Keras, and latent optimization."""

import functools
import itertools
from dataclasses import replace

import numpy as np
import pytest

import refold
from refold.errors import ParameterError
from refold.evaluation import nmse
from refold.kernels import packed, random_convolutions
from refold.models import build, decode_autoregressively
from refold.network.keras.build import inference_with, keras_models
from refold.network.keras.heads import column_errors, length_loss
from refold.network.keras.layer import seeded
from refold.network.keras.network import predict
from refold.network.packed.heads import Draw
from refold.network.packed.losses import LatentObjective
from refold.network.packed.network import PackedNetwork
from refold.network.packed.rows import blocks, input_and_target
from refold.network.specification import Specification, weights_of
from refold.sequences import Column, Schema, Sequences, as_sequences, pad
from refold.training._shards import Source
from refold.training._specify import pick_latent_steps

MIXED = {"column_types": ["numeric", "categorical", "binary"], "num_categories": [0, 3, 0]}
CASES = {
    "deep": {"depth": 2, "observed_flags": True},
    "deepest": {"depth": 5, "forecast_steps": 3, "linear_path": False},
    "patches": {"patch": 3, "rocket_dim": 2, "forecast_steps": 4, "recent_steps": 3},
    "autoregressive": {"decoder": "autoregressive", "variational": True},
    "deep autoregressive": {"decoder": "autoregressive", "depth": 2, "observed_flags": True},
    "tokens": {"column_types": ["categorical"], "num_categories": [5]}
    | {"decoder": "autoregressive"},
    "counts": {"column_types": ["numeric", "count"], "num_categories": [0, 0]}
    | {"forecast_steps": 3, "recent_steps": 2},
    "length": {"length_dim": 1, "rocket_dim": 2, "observed_flags": True, "by_length": True},
}
# Cases that together use every part.
FEW = ("patches", "deep autoregressive", "counts")


def objective_of(ours, data):
    """Return the objective of latent optimization, and the encoder's codes."""
    (block,) = blocks(ours.specification, data.offsets)
    x, targets = input_and_target(ours.specification, data.values, block)
    codes, learned_dim = ours.encode(data), ours.specification.learned_dim
    objective = LatentObjective(
        ours.decoder, ours.length, x, targets, block.offsets, codes, learned_dim=learned_dim
    )
    return objective, codes


@functools.cache
def network(case):
    """Make a network with random weights."""
    sizes = {"latent_dim": 9, "max_steps": 12, "units": 8, "depth": 1, "dropout": 0.0}
    sizes |= {"length_mean": 5.0, "length_deviation": 2.0, "observed_flags": False}
    specification = Specification("default", **(MIXED | sizes | CASES[case]))
    rng, weights = np.random.default_rng(1), {}
    for name, shape, _ in weights_of(specification):
        weights[name] = (0.3 * rng.normal(size=shape)).astype("float32")
        if name.endswith(("unit", "scale")):
            weights[name] = np.abs(weights[name]) + np.float32(0.5)
    if specification.rocket_dim:
        width = weights["convolutions/channels"].shape[0]
        for part, array in random_convolutions(width)._asdict().items():
            weights[f"convolutions/{part}"] = array
    return PackedNetwork(specification, weights)


def sequences(specification, count=14, seed=0):
    """Draw sequences of 0 to ``max_steps`` steps with missing values and unknown categories."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(0, specification.max_steps + 1, count)
    lengths[:2] = 0, specification.max_steps
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    columns, values = [], []
    pairs = zip(specification.column_types, specification.num_categories, strict=True)
    for i, (kind, n) in enumerate(pairs):
        if kind == "categorical":
            values.append(rng.integers(0, n + 1, offsets[-1]))
        else:
            draws = {
                "numeric": rng.normal,
                "binary": lambda size: rng.random(size).round(),
                "count": lambda size: rng.poisson(2, size) / 1.5,
            }
            values.append(draws[kind](size=offsets[-1]))
            values[-1][rng.random(offsets[-1]) < 0.1] = np.nan
        columns.append(Column(f"x{i}", kind, tuple("abcdefgh"[:n])))
    table = np.stack(values, axis=1).astype("float32")
    return Sequences(table, offsets, schema=Schema(tuple(columns)))


@pytest.mark.parametrize("case", CASES)
def test_keras_has_the_same_weights(case):
    specification = network(case).specification
    with seeded(0):
        built = build(specification)
    shapes = {weight.name: weight.shape for weight in weights_of(specification)}
    assert {v.path: tuple(v.shape) for v in built.weights} == shapes
    ours = inference_with(built)
    assert {name: array.shape for name, array in ours.weights.items()} == shapes
    for variable in built.weights:
        assert np.array_equal(variable.value, ours.weights[variable.path])


@pytest.mark.parametrize("case", CASES)
def test_bits_do_not_depend_on_other_sequences(case):
    ours = network(case)
    data = sequences(ours.specification, 40)
    offsets, order = data.offsets, np.random.default_rng(2).permutation(len(data))
    for latent_steps in (0, 5):
        codes = ours.encode(data, latent_steps=latent_steps)
        assert np.array_equal(ours.encode(data[order], latent_steps=latent_steps), codes[order])
        alone = [ours.encode(data[i : i + 1], latent_steps=latent_steps) for i in range(6)]
        assert np.array_equal(np.concatenate(alone), codes[:6])
    for draw in (None, Draw(0.7, 3)):
        few = ours.decode(codes[:5], offsets[:6], draw=draw)
        assert np.array_equal(few, ours.decode(codes, offsets, draw=draw)[: offsets[5]])
    last = ours.decode(codes[4:5], np.array([0, data.lengths[4]]))
    assert np.array_equal(last, ours.decode(codes[:5], offsets[:6])[offsets[4] :])


def test_bits_do_not_depend_on_threads_and_blocks(monkeypatch):
    ours = network("patches")
    data = sequences(ours.specification, 300)
    codes = ours.encode(data, latent_steps=2)
    whole = ours.decode(codes, data.offsets)
    monkeypatch.setattr("refold.network.packed.rows._STEPS", 200)
    for threads in (1, 3):  # Blocks are computed one after another, and at the same time.
        with packed.limited_threads(threads):
            assert np.array_equal(ours.encode(data, latent_steps=2), codes)
            assert np.array_equal(ours.decode(codes, data.offsets), whole)


@pytest.mark.parametrize("case", CASES)
def test_the_objective_has_its_gradient_and_is_minimized(case):
    ours = network(case)
    specification, rng = ours.specification, np.random.default_rng(3)
    data = sequences(specification, 30)
    objective, codes = objective_of(ours, data)
    at = (codes + 0.1 * rng.normal(size=codes.shape)).astype("float32")
    along = rng.normal(size=codes.shape).astype("float32")
    along[:, specification.learned_dim :] = 0
    _, gradient = objective(at)
    step = np.float32(1e-2)
    above, below = (objective(at + sign * step * along)[0].astype(float) for sign in (1, -1))
    slopes = (above - below) / (2 * step)
    exact = (gradient * along).sum(axis=1)
    # The cost of a wrong length has a kink, which may lie within a finite difference.
    off = np.abs(slopes - exact) / (np.abs(exact) + 1)
    assert np.median(off) < 3e-4
    assert np.mean(off < 5e-3) >= 0.85
    # latent optimization never increases it
    losses = [objective(ours.encode(data, latent_steps=k))[0] for k in (0, 1, 8)]
    assert all((after <= before).all() for before, after in itertools.pairwise(losses))
    assert losses[-1].mean() < losses[0].mean()


def test_changed_keras_weights_are_used_at_once():
    ours = PackedNetwork(network("counts").specification, network("counts").weights)
    data = sequences(ours.specification)
    before = ours.encode(data)
    keras = keras_models(ours)
    assert np.array_equal(ours.encode(data), before)
    layer = keras.models.encoder.get_layer("linear_code")
    layer.bias.assign(layer.bias + 1.0)
    assert np.allclose(ours.encode(data), before + 1.0, atol=1e-5)


@pytest.mark.parametrize("case", FEW)
def test_the_validation_loss_is_that_of_the_keras_models(case):
    ours = network(case)
    specification, data = ours.specification, sequences(ours.specification)
    keras = keras_models(PackedNetwork(specification, ours.weights))
    x, y = pad(data, np.arange(len(data)), 12, flags=specification.observed_flags)
    codes = predict(keras.models.encoder, x)
    outputs = predict(keras.models.unroll, codes, x)
    if ours.autoregressive:  # numeric columns without teacher forcing
        numeric = np.repeat(ours.head.numeric, ours.head.widths)
        written = decode_autoregressively(keras.models.decoder, codes, 12)
        outputs = np.where(numeric, written, outputs)
    columns = specification.column_types, specification.num_categories
    errors = np.asarray(column_errors(np.nan_to_num(y), outputs, *columns)) * ~np.isnan(y)
    losses = length_loss(data.lengths.astype("float32"), predict(keras.length, codes))
    totals = ours.reconstruction_error(data.values, data.offsets)
    assert totals.error == pytest.approx(float(errors.sum()), rel=1e-5)
    assert totals.num_observed == np.count_nonzero(~np.isnan(y))
    assert totals.length_error == pytest.approx(float(np.asarray(losses).sum()), rel=1e-5)
    assert totals.num_sequences == len(data)


# Latent optimization


@pytest.fixture(scope="module")
def vowels():
    data = refold.datasets.japanese_vowels()
    return data.train[:90], data.test[:60]


@pytest.fixture(scope="module")
def fitted(vowels):
    options = {"latent_dim": 8, "units": 16, "max_epochs": 3, "random_state": 0}
    options |= {"validation_fraction": 0, "length_dim": 0}
    return refold.SequenceAutoencoder(**options).fit(vowels[0])


def test_latent_optimization_lowers_the_error(fitted, vowels):
    errors = [
        nmse(vowels[1], fitted.set_params(latent_steps=n).reconstruct(vowels[1]), fitted.scaler_)
        for n in (0, "auto")
    ]
    assert errors[1] < errors[0]


def test_latent_steps_can_be_set_after_fit(fitted, vowels):
    test = vowels[1][:8]
    by_default = fitted.transform(test)
    own = fitted.model_.network.encode(fitted.scaler_.transform(test))
    try:
        assert fitted.latent_steps_ == 10
        assert np.array_equal(fitted.set_params(latent_steps=0).transform(test), own)
        assert not np.array_equal(by_default, own)
        assert fitted.set_params(latent_steps=np.int64(3)).latent_steps_ == 3
        with pytest.raises(ParameterError, match=r"^latent_steps must be 'auto' or an integer"):
            fitted.set_params(latent_steps=-1).transform(test)
    finally:
        fitted.set_params(latent_steps="auto")
    assert np.array_equal(fitted.transform(test), by_default)


def test_the_default_depends_on_the_number_of_sequences():
    series, words = as_sequences(np.zeros((2000, 3, 1))), as_sequences(["word"] * 2000)
    default = Specification("default", ["numeric"], [0], False, latent_dim=3, max_steps=5)
    for data, wanted in ((series[:1999], 10), (series, 0), (words, 10)):
        assert pick_latent_steps(default, Source(data)) == wanted
    for other in ({"cell": "gru"}, {"variational": True}, {"architecture": "dense"}):
        assert pick_latent_steps(replace(default, **other), Source(words)) == 0
