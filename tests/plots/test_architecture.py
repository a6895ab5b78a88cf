"""The diagram of encoder, code and decoder."""

import io

import keras
import pytest

from refold.errors import ParameterError
from refold.plots import architecture

LAYERS = keras.layers


def test_layers_shapes_and_parameters_are_shown():
    encoder = keras.Sequential([keras.Input((None, 3)), LAYERS.Bidirectional(LAYERS.LSTM(8))])
    deep = [LAYERS.RepeatVector(5), *(LAYERS.Dense(2) for _ in range(20))]
    decoder = keras.Sequential([keras.Input((16,)), *deep])
    ax = architecture(encoder, decoder)
    ax.figure.savefig(io.BytesIO(), format="svg")
    first, left, code, right, last = [text.get_text() for text in ax.texts]
    assert (first, code, last) == ("sequence\nT × 3", "code\n16 dimensions", "sequence\n5 × 2")
    assert left.startswith(
        f"encoder\n{encoder.count_params():,} parameters\n\nBidirectional(LSTM)  "
    )
    assert "12 more" in right
    with pytest.raises(ParameterError, match="has no layers yet"):
        architecture(keras.Sequential(), decoder)
