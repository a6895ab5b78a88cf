"""Sequences per second: ``... throughput MODEL KIND N N_OPTIMIZED N_PREDICT ROUNDS``.

Packed rows and Keras models have the same weights and take turns in one process, after a first call
of each that compiles. ``keras.Model.predict`` runs the same encoder on sequences that are already
scaled and padded.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import refold
from benchmarks.inference_peers.keras_path import load
from benchmarks.inference_peers.latency import LATENT_STEPS
from benchmarks.inference_peers.prepare import series
from benchmarks.training_peers.process import answer

__all__ = ["by_turns"]

SETTLE = 0.02  # seconds until the threads of the previous call stop spinning
PREDICT_BATCHES = (32, 256)


def by_turns(calls: dict[str, Callable[[], Any]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each call; calls take turns, after one that does not count."""
    for call in calls.values():
        call()
    names, times = list(calls), {name: [] for name in calls}
    for turn in range(rounds):
        for i in range(len(names)):
            name = names[(turn + i) % len(names)]
            time.sleep(SETTLE)
            started = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - started)
    return {name: float(np.median(each)) for name, each in times.items()}


def measure(
    model: str, kind: str, num: int, num_optimized: int, num_predict: int, rounds: int
) -> dict[str, Any]:
    """Return the rates for each operation and path, and those of `predict`."""
    data = series(kind, num)
    few = data[:num_optimized]
    paths = {"packed": refold.SequenceAutoencoder.load(model), "keras": load(model)}
    codes = paths["packed"].set_params(latent_steps=0).transform(data)

    def encode(ae: Any, given: Any, steps: int) -> None:
        ae.set_params(latent_steps=steps).transform(given)

    operations: dict[str, tuple[int, Callable[[Any], Any]]] = {
        "encode": (num, lambda ae: encode(ae, data, 0)),
        "optimize": (len(few), lambda ae: encode(ae, few, LATENT_STEPS)),
        "decode": (num, lambda ae: ae.inverse_transform(codes, data.lengths)),
    }
    rates: dict[str, Any] = {}
    for name, (count, operation) in operations.items():
        calls = {
            path: lambda ae=ae, f=operation: f(ae)
            for path, ae in paths.items()
            if (path, name) != ("keras", "optimize")  # Keras models have no latent optimization
        }
        rates[name] = {path: count / took for path, took in by_turns(calls, rounds).items()}

    longest, some = int(data.lengths.max()), data[:num_predict]
    x = paths["keras"].encoder_inputs(some, num_steps=longest)
    predict = paths["keras"].encoder_.predict
    took = by_turns(
        {str(n): lambda n=n: predict(x, batch_size=n, verbose=0) for n in PREDICT_BATCHES}, rounds
    )
    best = min(took, key=took.__getitem__)
    lengths = {"shortest": int(data.lengths.min()), "longest": longest}
    return {
        "rates": rates,
        "predict": len(some) / took[best],
        "predict_batch": int(best),
        "num_steps": int(data.offsets[-1]),
        **lengths,
    }


if __name__ == "__main__":
    path, which, *numbers = sys.argv[1:]
    answer(**measure(path, which, *map(int, numbers)))
