"""The diagram of encoder, code and decoder."""

import io

import keras
import pytest

from refold.errors import ParameterError
from refold.plots import architecture

LAYERS = keras.layers


def words(encoder, decoder):
    ax = architecture(encoder, decoder)
    ax.figure.savefig(io.BytesIO(), format="svg")
    return {text.get_text() for text in ax.texts}


def test_layers_shapes_and_parameters_are_shown():
    encoder = keras.Sequential([keras.Input((None, 3)), LAYERS.Bidirectional(LAYERS.LSTM(8))])
    steps = [LAYERS.RepeatVector(5), LAYERS.TimeDistributed(LAYERS.Dense(3))]
    decoder = keras.Sequential([keras.Input((16,)), *steps])
    shown = words(encoder, decoder)
    assert {"Bidirectional(LSTM)", "RepeatVector", "TimeDistributed(Dense)"} <= shown
    assert {"T × 3", "16", "5 × 16", "5 × 3"} <= shown
    assert f"encoder  ·  {encoder.count_params():,} parameters" in shown
    deep = keras.Sequential([keras.Input((2,)), *(LAYERS.Dense(2) for _ in range(20))])
    assert "12 more" in words(deep, decoder)
    with pytest.raises(ParameterError, match="has no layers yet"):
        architecture(keras.Sequential(), decoder)
