"""Autoregressive decoding: its steps, sampling, saved decoders, and decoders that it refuses."""

import keras
import numpy as np
import pytest

from network.keras.ragged import STEPS
from refold.errors import ParameterError
from refold.layers import ColumnHead
from refold.models import Specification, build, decode_autoregressively, default
from refold.network.packed.heads import PackedHead

TOLERANCE = 1e-5
COLUMN_TYPES = {
    "labels": (["categorical"], [5], {}),
    "mixed": (["numeric", "categorical", "binary"], [0, 3, 0], {"depth": 2}),
    "with flags, of GRUs": (
        ["numeric", "categorical"],
        [0, 3],
        {"observed_flags": True, "cell": "gru"},
    ),
}


def make(column_types, num_categories, **options):
    """Return models in which previous steps have a large effect."""
    keras.utils.set_random_seed(1)
    sizes = {"latent_dim": 4, "max_steps": STEPS, "units": 8, "decoder": "autoregressive"}
    models = default(column_types, num_categories=num_categories, **sizes, **options)
    rng = np.random.default_rng(1)
    for layer in models.decoder.layers:
        for weight in layer.trainable_weights:
            weight.assign(weight + 0.5 * rng.normal(size=weight.shape))
    return models


def codes(n=40):
    return np.random.default_rng(0).normal(size=(n, 4)).astype("float32")


def values(models, outputs):
    return np.asarray(models.decoder.get_layer("head").likeliest(outputs))


def tell(models, codes, steps):
    """Return the input of the decoder for decoded steps, with flags if it reads them."""
    flags = np.ones_like(steps)
    given = np.concatenate([steps, flags], axis=-1)[..., : models.encoder.input_shape[-1]]
    return models.decoder.predict([codes, given], verbose=0)


@pytest.fixture(scope="module", params=COLUMN_TYPES)
def models(request):
    column_types, num_categories, options = COLUMN_TYPES[request.param]
    return make(column_types, num_categories, **options)


def test_decoded_steps_are_the_predictions_from_the_decoded_steps(models):
    given = codes()
    written = decode_autoregressively(models.decoder, given, STEPS)
    steps = values(models, written)
    predicted = tell(models, given, steps)
    assert np.abs(predicted - written).max() < TOLERANCE
    # other steps change the outputs of later steps only
    changed = steps.copy()
    changed[:, 3:] = np.roll(steps[:, 3:], 1, axis=0)
    other = tell(models, given, changed)
    assert np.array_equal(other[:, :4], predicted[:, :4])
    assert np.abs(other[:, 4:] - predicted[:, 4:]).max() > 0.01


def test_other_codes_and_the_number_of_steps_do_not_matter(models):
    given = codes()
    written = decode_autoregressively(models.decoder, given, STEPS)
    steps = values(models, written)
    alone = decode_autoregressively(models.decoder, given[:7], STEPS)
    assert np.abs(alone - written[:7]).max() < TOLERANCE
    wider = decode_autoregressively(models.decoder, given[::-1], 3 * STEPS)[::-1, :STEPS]
    assert np.abs(wider - written).max() < TOLERANCE
    assert np.allclose(values(models, wider), steps, atol=TOLERANCE)


def test_decoding_stops_at_the_given_lengths(models):
    given = codes()
    written = decode_autoregressively(models.decoder, given, STEPS)
    short = decode_autoregressively(models.decoder, given, STEPS, stop=3)
    assert np.array_equal(short[:, :3], written[:, :3])
    assert not short[:, 3:].any()
    assert not decode_autoregressively(models.decoder, given, STEPS, stop=0).any()


def test_changed_weights_are_used(models):
    given = codes()
    before = decode_autoregressively(models.decoder, given, STEPS)
    bias = models.decoder.get_layer("start_1").bias
    kept = np.array(bias)
    bias.assign(kept + 1.0)
    assert np.abs(decode_autoregressively(models.decoder, given, STEPS) - before).max() > 1e-3
    bias.assign(kept)
    assert np.array_equal(decode_autoregressively(models.decoder, given, STEPS), before)


def test_a_saved_decoder_decodes_autoregressively(models, tmp_path):
    models.decoder.save(tmp_path / "decoder.keras")
    again = keras.models.load_model(tmp_path / "decoder.keras")
    assert np.array_equal(
        decode_autoregressively(again, codes(), 5),
        decode_autoregressively(models.decoder, codes(), 5),
    )


# Sampling


MIXED, LABELS = ["numeric", "categorical", "binary"], [0, 3, 0]
OUTPUTS = np.array([0.7, 0.2, 0.5, 0.3, 0.9], "float32")


def drawn(temperature, n=20_000):
    head = PackedHead(MIXED, LABELS)
    noise = head.noise(np.array([0, n]), seed=0, numbers=np.array([0]))[None]
    scores = ColumnHead(MIXED, LABELS).sample(np.tile(OUTPUTS, (1, n, 1)), noise, temperature)
    return np.asarray(scores)[0]


@pytest.mark.parametrize("temperature", [1e-3, 0.5, 1.0, 2.0])
def test_categories_are_drawn_with_their_probabilities(temperature):
    values = drawn(temperature)
    powers = OUTPUTS[1:4].astype(float) ** (1 / temperature)
    shares = np.bincount(values[:, 1:4].argmax(axis=1), minlength=3) / len(values)
    np.testing.assert_allclose(shares, powers / powers.sum(), atol=0.02)
    odds = (0.1 / 0.9) ** (1 / temperature)
    assert (values[:, 4] > 0.5).mean() == pytest.approx(1 / (1 + odds), abs=0.02)
    assert (values[:, 0] == OUTPUTS[0]).all()


def test_autoregressive_decoding_continues_from_drawn_steps():
    decoder = default(
        ["categorical"],
        num_categories=[4],
        latent_dim=3,
        max_steps=6,
        units=8,
        decoder="autoregressive",
    ).decoder
    codes, noise = np.zeros((2, 3)), np.random.default_rng(1).gumbel(size=(2, 6, 4))
    scores = decode_autoregressively(decoder, codes, 6, noise=noise, temperature=0.8)
    steps = scores.argmax(axis=-1)[..., None].astype("float32")
    logits = decoder.predict([codes, steps], verbose=0)
    again = np.asarray(decoder.get_layer("head").sample(logits, noise, 0.8))
    np.testing.assert_allclose(scores, again, atol=1e-4)
    assert not np.allclose(scores, decode_autoregressively(decoder, codes, 6))


# Errors


def test_other_decoders_are_refused():
    parallel = default(["numeric"], latent_dim=4, max_steps=STEPS, units=4)
    with pytest.raises(ParameterError, match="needs an autoregressive decoder"):
        decode_autoregressively(parallel.decoder, codes(), STEPS)
    with pytest.raises(ParameterError, match="decoder must be 'parallel' or 'autoregressive'"):
        default(["numeric"], latent_dim=4, max_steps=STEPS, decoder="forward")


def test_other_architectures_have_decoders_of_their_own():
    specification = Specification(
        "repeat", ["numeric"], [0], False, 3, 5, 8, 1, 0.0, 4.0, 1.0, decoder="autoregressive"
    )
    with pytest.raises(ParameterError, match="needs architecture='default'"):
        build(specification)
