"""Autoregressive decoding agrees with the decoder given the decoded steps."""

import keras
import numpy as np
import pytest

from network.keras.ragged import STEPS
from refold.errors import ParameterError
from refold.models import Specification, build, decode_autoregressively, default

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
    assert np.abs(tell(models, given, steps) - written).max() < TOLERANCE
    # other previous steps must lead to other outputs
    other = np.roll(steps, 1, axis=0)
    assert np.abs(tell(models, given, other)[:, 1:] - written[:, 1:]).max() > 0.01


def test_other_codes_and_the_number_of_steps_do_not_matter(models):
    given = codes()
    written = decode_autoregressively(models.decoder, given, STEPS)
    steps = values(models, written)
    for n in (1, 7):
        alone = decode_autoregressively(models.decoder, given[:n], STEPS)
        assert np.abs(alone - written[:n]).max() < TOLERANCE
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


def test_a_decoder_does_not_read_the_step_that_it_predicts(models):
    rng = np.random.default_rng(0)
    steps = values(models, decode_autoregressively(models.decoder, codes(), STEPS))
    changed = steps.copy()
    changed[:, 4:] = rng.permutation(changed[:, 4:])
    predicted, other = tell(models, codes(), steps), tell(models, codes(), changed)
    assert np.array_equal(predicted[:, :5], other[:, :5])


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
