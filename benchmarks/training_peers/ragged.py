"""An epoch on very unequal lengths: ``... ragged refold|keras NUM_SEQUENCES``.

Refold trains on log-normal lengths and on equal lengths with as many steps in total, with patches
of 1 step. It also trains on the log-normal lengths with the longer patches of its default. The
three take turns. Keras trains the network with patches of 1 step on sequences that are padded to
the longest, as its ``fit`` needs them.
"""

import statistics
import sys
import time
from typing import Any

import numpy as np

from benchmarks.training_peers.lengths import BATCH, equal, log_normal, with_keras_lstm
from benchmarks.training_peers.process import answer

EPOCHS, ROUNDS = 4, 3


def by_refold(num_sequences: int) -> dict[str, Any]:
    """Return the seconds of an epoch on each data set, and the share of padding."""
    import refold
    from refold.sequences import Batches

    ragged = log_normal(num_sequences)
    level = equal(num_sequences, int(ragged.offsets[-1]))
    variants = {"ragged": (ragged, 1), "equal": (level, 1), "default": (ragged, "auto")}
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    patches = {}
    for _ in range(ROUNDS):
        for name, (data, patch) in variants.items():
            ae = refold.SequenceAutoencoder(
                patch=patch,
                batch_size=BATCH,
                max_epochs=EPOCHS,
                validation_fraction=0,
                random_state=0,
            ).fit(data)
            seconds[name] += list(np.diff(ae.history_["seconds"]))
            patches[name] = ae.model_.network.specification.patch
    batches = Batches(ragged.lengths, BATCH)
    return {
        **{name: statistics.median(epochs) for name, epochs in seconds.items()},
        "num_steps": int(ragged.offsets[-1]),
        "longest": int(ragged.lengths.max()),
        "num_shapes": len(batches.buckets),
        "padding": batches.padding(),
        "patch": patches["default"],
    }


def by_keras(num_sequences: int) -> dict[str, Any]:
    """Return the seconds of an epoch on padded sequences."""
    import refold  # noqa: F401

    # isort: split
    import keras

    from refold import models
    from refold.sequences import pad

    data = log_normal(num_sequences)
    longest = int(data.lengths.max())
    parts = models.default(["numeric"] * data.schema.num_columns, latent_dim=16, max_steps=longest)
    model = models.autoencoder(with_keras_lstm(parts.encoder), with_keras_lstm(parts.decoder))
    x, y = pad(data, np.arange(len(data)), longest)
    model.autoencoder.compile(optimizer="adamw")
    ends = [time.perf_counter()]
    clock = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: ends.append(time.perf_counter()))
    model.autoencoder.fit(x, y, batch_size=BATCH, epochs=3, verbose=0, callbacks=[clock])
    return {"padded": min(np.diff(ends)[1:]), "longest": longest}


if __name__ == "__main__":
    which, number = sys.argv[1:]
    answer(**(by_refold if which == "refold" else by_keras)(int(number)))
