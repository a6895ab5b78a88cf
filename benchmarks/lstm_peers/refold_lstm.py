"""Refold's LSTM on JAX, with the code of `keras_jax` and another layer class."""

from functools import partial

import numpy as np

import refold
from benchmarks.lstm_peers import keras_jax

__all__ = ["about", "layer_class", "make", "matmul"]


def layer_class() -> type:
    """Return the class of the layer."""
    return refold.layers.LSTM


make = partial(keras_jax.make_of, layer_class())
matmul = keras_jax.matmul


def about() -> str:
    """Return the engine that runs, and the reason if it is not the fused kernel."""
    layer = layer_class()(4)
    layer(np.zeros((1, 2, 3), np.float32))
    if layer.engine_used == "fused":
        from refold.kernels import variant

        return f"the fused kernel ({variant()})"
    return f"Keras's scan, not the fused kernel: {layer.why_scan}"
