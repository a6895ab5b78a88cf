"""Keras's LSTM on TensorFlow, as one ``tf.function``."""

import keras
import numpy as np
import tensorflow as tf

from benchmarks.lstm_peers.cases import Case, Data, matmul_matrix
from benchmarks.lstm_peers.jobs import Job

__all__ = ["make", "matmul"]

NAMES = ("x", "kernel", "recurrent_kernel", "bias")


def make(mode: str, case: Case, *, jit_compile: bool, unroll: bool = False) -> Job:
    """Make the job of a mode: ``both``, ``forward`` or ``ragged``."""
    data = Data.draw(case)
    layer = keras.layers.LSTM(case.units, return_sequences=True, unroll=unroll)
    layer.build((None, case.steps, case.features))
    layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
    weights = [variable.value for variable in layer.trainable_variables]
    ragged = mode == "ragged"
    x = tf.constant(data.x)
    cotangent = tf.constant(data.ragged_cotangent if ragged else data.cotangent)
    mask = tf.constant(data.mask) if ragged else None

    @tf.function(jit_compile=jit_compile)
    def forward(x, mask):
        return layer(x, mask=mask)

    @tf.function(jit_compile=jit_compile)
    def both(x, mask, cotangent):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, mask=mask)
        return outputs, *tape.gradient(outputs, [x, *weights], output_gradients=cotangent)

    if mode == "forward":
        return Job(lambda: forward(x, mask), lambda: {"outputs": forward(x, mask).numpy()})

    def results() -> dict[str, np.ndarray]:
        outputs, *gradients = both(x, mask, cotangent)
        arrays = {"outputs": outputs, **dict(zip(NAMES, gradients, strict=True))}
        return {name: array.numpy() for name, array in arrays.items()}

    return Job(lambda: both(x, mask, cotangent), results)


def matmul() -> Job:
    """Make the job of the large matrix product."""
    matrix = tf.constant(matmul_matrix())
    return Job(lambda: tf.linalg.matmul(matrix, matrix))


def layer_class() -> type:
    """Return the class of the layer."""
    return keras.layers.LSTM


def about() -> str:
    """Return no remark."""
    return ""
