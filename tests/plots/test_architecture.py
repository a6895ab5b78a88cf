import io

import keras
import pytest

from refold.errors import ParameterError
from refold.plots import architecture


def words(ax):
    return [text.get_text() for text in ax.texts]


def small_models():
    encoder = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.Bidirectional(keras.layers.LSTM(8))]
    )
    decoder = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.RepeatVector(5),
            keras.layers.TimeDistributed(keras.layers.Dense(3)),
        ]
    )
    return encoder, decoder


def test_shows_layers_shapes_and_parameters():
    encoder, decoder = small_models()
    ax = architecture(encoder, decoder)
    shown = words(ax)
    assert {"Bidirectional(LSTM)", "RepeatVector", "TimeDistributed(Dense)"} <= set(shown)
    assert {"T × 3", "16", "5 × 16", "5 × 3"} <= set(shown)
    assert f"encoder  ·  {encoder.count_params():,} parameters" in shown
    ax.figure.savefig(io.BytesIO(), format="svg")


def test_a_deep_model_is_shortened():
    layers = [keras.layers.Dense(2) for _ in range(20)]
    encoder = keras.Sequential([keras.Input((2,)), *layers])
    shown = words(architecture(encoder, small_models()[1]))
    assert "12 more" in shown


def test_a_model_without_layers_is_refused():
    with pytest.raises(ParameterError, match="has no layers yet"):
        architecture(keras.Sequential(), small_models()[1])
