"""Sampling of categories with their probabilities."""

import numpy as np
import pytest

from refold.models import decode_autoregressively, default
from refold.network.keras.autoregressive import gumbel_max
from refold.network.packed.heads import PackedHead

COLUMN_TYPES, LABELS = ["numeric", "categorical", "binary"], [0, 3, 0]
OUTPUTS = np.array([0.7, 0.2, 0.5, 0.3, 0.9], "float32")


def drawn(temperature, n=20_000):
    head = PackedHead(COLUMN_TYPES, LABELS)
    noise = head.noise(np.array([0, n]), seed=0, numbers=np.array([0]))[None]
    return np.asarray(
        gumbel_max(np.tile(OUTPUTS, (1, n, 1)), noise, temperature, COLUMN_TYPES, LABELS)
    )[0]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_categories_are_drawn_with_their_probabilities(temperature):
    values = drawn(temperature)
    powers = OUTPUTS[1:4] ** (1 / temperature)
    shares = np.bincount(values[:, 1:4].argmax(axis=1), minlength=3) / len(values)
    np.testing.assert_allclose(shares, powers / powers.sum(), atol=0.02)
    one, zero = 0.9 ** (1 / temperature), 0.1 ** (1 / temperature)
    assert (values[:, 4] > 0.5).mean() == pytest.approx(one / (one + zero), abs=0.02)
    assert (values[:, 0] == OUTPUTS[0]).all()


def test_a_low_temperature_draws_the_most_likely_category():
    values = drawn(1e-3, n=100)
    assert (values[:, 1:4].argmax(axis=1) == 1).all()
    assert (values[:, 4] > 0.5).all()


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
    again = np.asarray(gumbel_max(logits, noise, 0.8, ["categorical"], [4]))
    np.testing.assert_allclose(scores, again, atol=1e-4)
    assert not np.allclose(scores, decode_autoregressively(decoder, codes, 6))
