"""The model of the question "LSTM Autoencoder", trained by Keras on the backend of the process.

The implementations differ only in the class of the LSTM layer.
"""

import keras

from benchmarks.lstm_peers.jobs import Job
from refold.datasets import question_array

__all__ = ["make"]


def make(layer_class: type, *, epochs: int) -> Job:
    """Make a job that trains for a number of epochs; its first call compiles."""
    data, _ = question_array()  # (1200, 10, 5)
    keras.utils.set_random_seed(0)
    sequence = keras.Input((10, 5))
    encoder = keras.Model(sequence, layer_class(20)(sequence))
    code = keras.Input((20,))
    steps = keras.layers.Reshape((10, 2))(code)
    decoder = keras.Model(code, layer_class(5, return_sequences=True)(steps))
    autoencoder = keras.Model(sequence, decoder(encoder(sequence)))
    autoencoder.compile(loss="binary_crossentropy", optimizer="adam", metrics=["accuracy"])
    return Job(
        lambda: autoencoder.fit(data, data, batch_size=100, epochs=epochs, verbose=0), num=epochs
    )
