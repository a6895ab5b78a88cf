"""The question's model on the question's data: ``... question refold|keras EPOCHS SEED``.

The model is ``LSTM(20)``, ``Reshape((10, 2))``, ``LSTM(5)`` with sigmoid outputs.  It is trained by
Adam on binary cross-entropy in batches of 100.  Keras trains it with ``fit`` and default settings,
on the backend of the process.
"""

import statistics
import sys
import time

import numpy as np

from benchmarks.training_peers.process import answer

__all__ = ["BATCH", "NUM_SEQUENCES"]

NUM_SEQUENCES, BATCH = 1200, 100


def by_refold(epochs: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the losses and the seconds of all epochs."""
    import refold

    # isort: split
    import keras

    from refold.datasets import question_array
    from refold.models import classic

    def architecture(*, steps: int, features: int, latent_dim: int, outputs: int) -> object:
        del outputs
        models = classic.reshape(
            steps=steps, features=features, latent_dim=latent_dim, output_activation="sigmoid"
        )
        models.autoencoder.compile(loss="binary_crossentropy")
        return models

    data, _ = question_array(NUM_SEQUENCES)
    ae = refold.SequenceAutoencoder(
        latent_dim=20,
        architecture=architecture,
        scale=None,
        optimizer=keras.optimizers.Adam(),
        batch_size=BATCH,
        max_epochs=epochs,
        validation_fraction=0,
        random_state=seed,
    ).fit(data)
    return ae.history_["loss"], list(np.diff(ae.history_["seconds"], prepend=0.0))


def by_keras(epochs: int, seed: int) -> tuple[list[float], list[float]]:
    """Return the losses and the seconds of all epochs."""
    import keras

    from refold.datasets import question_array

    data, _ = question_array(NUM_SEQUENCES)
    keras.utils.set_random_seed(seed)
    sequence = keras.Input((10, 5))
    encoder = keras.Model(sequence, keras.layers.LSTM(20)(sequence))
    code = keras.Input((20,))
    steps = keras.layers.Reshape((10, 2))(code)
    written = keras.layers.LSTM(5, return_sequences=True, activation="sigmoid")(steps)
    decoder = keras.Model(code, written)
    autoencoder = keras.Model(sequence, decoder(encoder(sequence)))
    autoencoder.compile(loss="binary_crossentropy", optimizer="adam")
    ends = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    fitted = autoencoder.fit(
        data, data, batch_size=BATCH, epochs=epochs, verbose=0, callbacks=[clock]
    )
    return fitted.history["loss"], list(np.diff(ends))


def main(which: str, epochs: str, seed: str) -> None:
    """Train, and print the losses and the seconds per step."""
    losses, seconds = (by_refold if which == "refold" else by_keras)(int(epochs), int(seed))
    steps = NUM_SEQUENCES // BATCH
    answer(losses=losses, step_seconds=statistics.median(seconds[len(seconds) // 4 :]) / steps)


if __name__ == "__main__":
    main(*sys.argv[1:])
