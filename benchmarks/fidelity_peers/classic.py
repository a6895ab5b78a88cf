"""The models of the answers to the question "LSTM Autoencoder", in plain Keras, trained by ``fit``.

They are trained by Adam with default settings, in batches of 32 that are padded with zeros.  The
weights are those of the best epoch on a tenth of the training split.

`repeat` repeats the code at every step and ends in a dense layer.  Numeric data is standardized,
and the losses are the squared error for numeric data, binary cross-entropy for binary data, and
categorical cross-entropy for categorical data.  `reshape` and `dense` end in an LSTM: with tanh for
numeric data, which is scaled to between -1 and 1, and otherwise with sigmoid and binary
cross-entropy.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.fidelity_peers.budget import EPOCHS, time_budget
from benchmarks.fidelity_peers.channels import Channels, NotPossibleError, cut, pad

__all__ = ["fit"]

REPEAT_UNITS = 100
MOST_WEIGHTS = 100_000_000
DENSE_ENDS = {
    "numeric": (None, "mse"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "categorical": ("softmax", "categorical_crossentropy"),
}
LSTM_ENDS = {
    "numeric": ("tanh", "mse"),
    "binary": ("sigmoid", "binary_crossentropy"),
    "categorical": ("sigmoid", "binary_crossentropy"),
}


def fit(
    train: Any, *, size: int, seconds: float, seed: int, decoder: str, activation: str = "tanh"
) -> Callable[[Any], Any]:
    """Train, and return a function that reconstructs sequences."""
    import keras

    keras.utils.set_random_seed(seed)
    channels = Channels(train, bounded=decoder != "repeat")
    x = pad(channels.series(train), channels.longest)
    x = x[np.random.default_rng(seed).permutation(len(x))]

    inputs = keras.Input(x.shape[1:])
    code = keras.layers.LSTM(size, activation=activation)(inputs)
    ends = DENSE_ENDS if decoder == "repeat" else LSTM_ENDS
    output, loss = ends[channels.kind]
    if decoder == "repeat":
        written = _repeat(code, channels, activation, output)
    else:
        written = _read_as_steps(code, channels, size, output, at_once=decoder == "dense")
    model = keras.Model(inputs, written)
    model.compile("adam", loss)
    best = keras.callbacks.EarlyStopping(patience=EPOCHS, restore_best_weights=True)
    model.fit(
        x,
        x,
        epochs=EPOCHS,
        validation_split=0.1,
        callbacks=[best, time_budget(seconds)],
        verbose=0,
    )

    def reconstruct(sequences: Any) -> Any:
        padded = pad(channels.series(sequences), channels.longest)
        back = model.predict(padded, verbose=0)
        return channels.sequences(cut(back, sequences.lengths))

    return reconstruct


def _repeat(code: Any, channels: Channels, activation: str, output: str | None) -> Any:
    from keras import layers

    steps = layers.RepeatVector(channels.longest)(code)
    steps = layers.LSTM(REPEAT_UNITS, activation=activation, return_sequences=True)(steps)
    return layers.TimeDistributed(layers.Dense(channels.width, activation=output))(steps)


def _read_as_steps(
    code: Any, channels: Channels, size: int, output: str | None, *, at_once: bool
) -> Any:
    """Read the code as a sequence, and write all steps at its end or some at each of its steps."""
    from keras import layers

    numbers = channels.longest * channels.width
    if at_once:
        code_steps = channels.longest if size % channels.longest == 0 else size
        units = numbers
    else:
        code_steps = math.gcd(size, channels.longest)
        units = numbers // code_steps
    weights = 4 * units * (units + size // code_steps + 1)
    if weights > MOST_WEIGHTS:
        raise NotPossibleError(f"its last LSTM would have {weights / 1e6:.0f} million weights")
    steps = layers.Reshape((code_steps, size // code_steps))(code)
    steps = layers.LSTM(units, activation=output, return_sequences=not at_once)(steps)
    return layers.Reshape((channels.longest, channels.width))(steps)
