"""Measure the milliseconds for one sequence: ``... latency MODEL DATA CALLS packed|keras``."""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import refold
from benchmarks.inference_peers.keras_path import load
from benchmarks.training_peers.process import answer
from refold.network.keras.network import KerasNetwork

__all__ = ["LATENT_STEPS"]

LATENT_STEPS = 10  # the default for fewer than 2000 training sequences


def measure(ae: Any, sequences: Any, calls: int) -> dict[str, list[float]]:
    """Return the median and the 95th percentile of each operation."""
    network, scaled = ae.model_.network, ae.scaler_.transform(sequences)
    alone = [scaled[i : i + 1] for i in range(len(scaled))]
    listed = [[one] for one in sequences.to_list()]
    codes = ae.set_params(latent_steps=0).transform(sequences)
    each = [codes[i : i + 1] for i in range(len(codes))]
    ends = [one.offsets for one in alone]
    found = {
        "encode": _times(lambda i: ae.transform(listed[i]), len(each), calls),
        "encode, network": _times(lambda i: network.encode(alone[i]), len(each), calls),
        "decode": _times(lambda i: ae.inverse_transform(each[i]), len(each), calls),
        "decode, network": _times(lambda i: network.decode(each[i], ends[i]), len(each), calls),
    }
    if isinstance(network, KerasNetwork):
        return found
    ae.set_params(latent_steps=LATENT_STEPS)
    found["optimize"] = _times(lambda i: ae.transform(listed[i]), len(each), calls)
    found["optimize, network"] = _times(
        lambda i: network.encode(alone[i], latent_steps=LATENT_STEPS), len(each), calls
    )
    return found


def _times(call: Callable[[int], Any], count: int, calls: int) -> list[float]:
    """Return percentiles of the times of calls, after a first call with each sequence."""
    for i in range(min(count, calls)):
        call(i)
    times = []
    for k in range(calls):
        started = time.perf_counter()
        call(k % count)
        times.append(1e3 * (time.perf_counter() - started))
    return [float(one) for one in np.percentile(times, [50, 95])]


if __name__ == "__main__":
    model, data, number, path = sys.argv[1:]
    estimator = load(model) if path == "keras" else refold.SequenceAutoencoder.load(model)
    answer(**measure(estimator, refold.sequences.read(data), int(number)))
