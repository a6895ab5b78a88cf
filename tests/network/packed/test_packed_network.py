"""Packed rows: bits that do not depend on batches, losses of Keras, and latent optimization."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import refold
from network.model_cases import MODEL_CASES, fitted
from refold.evaluation import nmse
from refold.kernels import packed
from refold.models import decode_autoregressively
from refold.network.keras.build import to_keras_network
from refold.network.keras.heads import compute_column_losses, length_loss
from refold.network.keras.network import predict
from refold.network.packed.batches import get_input_and_targets, iterate_batches
from refold.network.packed.heads import CategorySampling
from refold.network.packed.latent_optimization import CodeRefinementLoss
from refold.network.packed.network import PackedNetwork
from refold.network.specification import Specification
from refold.sequences import as_sequences, pad
from refold.training._shards import FitBlocks
from refold.training._specify import pick_latent_steps


def make_case(case, count=10):
    """Return a network with random weights, and sequences, which repeat after ten."""
    data, options = MODEL_CASES[case]
    model = fitted(data, **options)
    scaled = model.scaler.transform(as_sequences(data).convert_to_schema(model.schema))
    return model.network, scaled[np.resize(np.arange(len(scaled)), count)]


def objective_of(network, data):
    """Return the objective of latent optimization, and the encoder's codes."""
    (batch,) = iterate_batches(network.specification, data.offsets)
    x, targets = get_input_and_targets(network.specification, data.values, batch)
    codes, learned_dim = network.encode(data), network.specification.learned_dim
    decoders, arrays = (
        (network.decoder, network.length_predictor),
        (x, targets, batch.offsets, codes),
    )
    return CodeRefinementLoss(*decoders, *arrays, learned_dim=learned_dim), codes


@pytest.mark.parametrize("case", MODEL_CASES)
def test_bits_do_not_depend_on_other_sequences(case):
    network, data = make_case(case, 40)
    offsets, order = data.offsets, np.random.default_rng(2).permutation(len(data))
    for latent_steps in (0, 5):
        codes = network.encode(data, latent_steps=latent_steps)
        assert np.array_equal(network.encode(data[order], latent_steps=latent_steps), codes[order])
        single = [network.encode(data[i : i + 1], latent_steps=latent_steps) for i in range(6)]
        assert np.array_equal(np.concatenate(single), codes[:6])
    for sampling in (None, CategorySampling(0.7, 3)):
        first = network.decode(codes[:5], offsets[:6], sampling=sampling)
        decoded = network.decode(codes, offsets, sampling=sampling)
        assert np.array_equal(first, decoded[: offsets[5]])
    last = network.decode(codes[4:5], np.array([0, data.lengths[4]]))
    assert np.array_equal(last, network.decode(codes[:5], offsets[:6])[offsets[4] :])


def test_bits_do_not_depend_on_threads_and_blocks(monkeypatch):
    network, data = make_case("patches, ROCKET", 300)
    codes = network.encode(data, latent_steps=2)
    decoded = network.decode(codes, data.offsets)
    monkeypatch.setattr("refold.network.packed.batches._MAX_BATCH_STEPS", 200)
    for threads in (1, 3):  # Blocks are computed one after another, and at the same time.
        with packed.limited_threads(threads):
            assert np.array_equal(network.encode(data, latent_steps=2), codes)
            assert np.array_equal(network.decode(codes, data.offsets), decoded)


@pytest.mark.parametrize("case", MODEL_CASES)
def test_the_objective_has_its_gradient_and_is_minimized(case):
    network, data = make_case(case, 30)
    rng = np.random.default_rng(3)
    objective, codes = objective_of(network, data)
    point = (codes + 0.1 * rng.normal(size=codes.shape)).astype("float32")
    direction = rng.normal(size=codes.shape).astype("float32")
    direction[:, network.specification.learned_dim :] = 0
    _, gradient = objective(point)
    difference = np.float32(1e-2) * direction
    above, below = (objective(x)[0].astype(float) for x in (point + difference, point - difference))
    slopes = (above - below) / 2e-2
    exact = (gradient * direction).sum(axis=1)
    # The cost of a wrong length has a kink, which may lie within a finite difference.
    relative_errors = np.abs(slopes - exact) / (np.abs(exact) + 1)
    assert np.median(relative_errors) < 3e-4
    assert np.mean(relative_errors < 5e-3) >= 0.85
    # latent optimization never increases it
    losses = [objective(network.encode(data, latent_steps=k))[0] for k in (0, 1, 8)]
    assert all((after <= before).all() for before, after in itertools.pairwise(losses))
    assert losses[-1].mean() < losses[0].mean()


def test_changed_keras_weights_are_used_at_once():
    network, data = make_case("numeric")
    before = network.encode(data)
    keras = to_keras_network(network)
    assert np.array_equal(network.encode(data), before)
    layer = keras.models.encoder.get_layer("linear_code")
    layer.bias.assign(layer.bias + 1.0)
    assert np.allclose(network.encode(data), before + 1.0, atol=1e-5)


@pytest.mark.parametrize("case", ["words", "mixed, autoregressive", "counts, scaled by sequence"])
def test_the_validation_loss_is_that_of_the_keras_models(case):
    network, data = make_case(case)
    specification = network.specification
    keras = to_keras_network(PackedNetwork(specification, network.weights))
    x, y = pad(data, np.arange(len(data)), 9, has_flags=specification.observed_flags)
    codes = predict(keras.models.encoder, x)
    outputs = predict(keras.models.unroll, codes, x)
    if network.autoregressive:  # numeric columns without teacher forcing
        numeric = np.repeat(network.head.numeric_mask, network.head.widths)
        decoded = decode_autoregressively(keras.models.decoder, codes, 9)
        outputs = np.where(numeric, decoded, outputs)
    columns = specification.column_types, specification.num_categories
    errors = np.asarray(compute_column_losses(np.nan_to_num(y), outputs, *columns)) * ~np.isnan(y)
    losses = length_loss(data.lengths.astype("float32"), predict(keras.length_predictor, codes))
    totals = network.compute_total_errors(data.values, data.offsets)
    assert totals.error == pytest.approx(float(errors.sum()), rel=1e-5)
    assert totals.num_observed == np.count_nonzero(~np.isnan(y))
    assert totals.length_error == pytest.approx(float(np.asarray(losses).sum()), rel=1e-5)
    assert totals.num_sequences == len(data)


def test_latent_optimization_lowers_the_error():
    vowels = refold.datasets.japanese_vowels()
    train, test = vowels.train[:90], vowels.test[:60]
    options = {"latent_dim": 8, "units": 16, "max_epochs": 3, "random_state": 0}
    ae = refold.SequenceAutoencoder(**options, validation_fraction=0, length_dim=0).fit(train)
    before, after = (
        nmse(test, ae.set_params(latent_steps=n).reconstruct(test), ae.scaler_) for n in (0, "auto")
    )
    assert after < before


def test_the_default_depends_on_the_number_of_sequences():
    series, words = as_sequences(np.zeros((2000, 3, 1))), as_sequences(["word"] * 2000)
    default = Specification("default", ["numeric"], [0], False, latent_dim=3, max_steps=5)
    for data, expected in ((series[:1999], 10), (series, 0), (words, 10)):
        assert pick_latent_steps(default, FitBlocks(data)) == expected
    for changes in ({"cell": "gru"}, {"variational": True}, {"architecture": "dense"}):
        assert pick_latent_steps(replace(default, **changes), FitBlocks(words)) == 0
