"""Encoded sequences per second: ``... encoding refold|keras|sequitur NUM_SEQUENCES``.

The lengths are log-normal.  Refold reads patches of 1 step, and the longer patches of its default.
Keras predicts with the network that has patches of 1 step, its own LSTM, and sequences padded to
the longest.  sequitur's LSTM encoder has the same number of units and reads one sequence at a
time.
"""

import functools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.training_peers.lengths import FEATURES, log_normal, with_keras_lstm
from benchmarks.training_peers.process import answer

CODE, UNITS = 16, 96
ROUNDS = 3


def by_refold(num_sequences: int) -> dict[str, Any]:
    """Return the rates, and the share of the LSTM in the time with patches of 1 step."""
    import refold
    from refold.kernels import packed
    from refold.network.packed.rows import blocks, input_and_target

    data = log_normal(num_sequences)

    def fitted(patch: int | str) -> refold.SequenceAutoencoder:
        return refold.SequenceAutoencoder(
            CODE, units=UNITS, patch=patch, max_epochs=1, validation_fraction=0, random_state=0
        ).fit(data)

    ae, default = fitted(1), fitted("auto")
    seconds, by_default = (_median(lambda ae=ae: ae.transform(data)) for ae in (ae, default))
    network, scaled = ae.model_.network, ae.scaler_.transform(data)
    (layer,) = network.encoder._layers
    about = network.specification
    given = [
        (input_and_target(about, scaled.values, block)[0], block.offsets)
        for block in blocks(about, scaled.offsets)
    ]

    def run(x: np.ndarray, offsets: np.ndarray) -> None:
        zeros = np.zeros((len(offsets) - 1, UNITS), np.float32)
        for half in layer:
            packed.lstm(x, offsets, half, zeros, zeros, go_backwards=half is layer[1])

    alone = _median(lambda: [run(*one) for one in given])
    return {
        "rate": num_sequences / seconds,
        "lstm_share": alone / seconds,
        "default_rate": num_sequences / by_default,
        "patch": default.model_.network.specification.patch,
    }


def by_keras(num_sequences: int) -> dict[str, Any]:
    """Return the rate of ``predict`` with the better of two batch sizes."""
    import refold  # noqa: F401

    # isort: split
    from refold import models
    from refold.sequences import pad

    data = log_normal(num_sequences)
    longest = int(data.lengths.max())
    parts = models.default(["numeric"] * FEATURES, latent_dim=CODE, max_steps=longest, units=UNITS)
    encoder = with_keras_lstm(parts.encoder)
    x, _ = pad(data, np.arange(len(data)), longest)
    rates = {}
    for size in (32, 256):
        predict = functools.partial(encoder.predict, x, batch_size=size, verbose=0)
        rates[size] = num_sequences / _median(predict)
    return {"rate": max(rates.values()), "batch_size": max(rates, key=rates.__getitem__)}


def by_sequitur(num_sequences: int) -> dict[str, Any]:
    """Return the rate of the encoder with one thread or all, whichever is faster."""
    import torch
    from sequitur.models import LSTM_AE

    data = log_normal(num_sequences)
    tensors = [torch.tensor(series, dtype=torch.float32) for series in data.to_list()]
    encoder = LSTM_AE(FEATURES, CODE, h_dims=[UNITS]).encoder.eval()
    rates = {}
    for threads in (1, torch.get_num_threads()):
        torch.set_num_threads(threads)
        with torch.no_grad():
            rates[threads] = num_sequences / _median(lambda: [encoder(one) for one in tensors])
    return {"rate": max(rates.values())}


def _median(call: Callable[[], Any]) -> float:
    """Return the median seconds of a call, after a first call that does not count."""
    call()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


if __name__ == "__main__":
    which, number = sys.argv[1:]
    measure = {"refold": by_refold, "keras": by_keras, "sequitur": by_sequitur}[which]
    answer(**measure(int(number)))
