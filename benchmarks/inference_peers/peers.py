"""Encoders of other programs: ``... peers torch|sequitur KIND N UNITS DEPTH THREADS ROUNDS``.

``torch`` is a bidirectional ``nn.LSTM`` with a dense layer, on packed sequences in batches of
similar length. Its time includes packing. ``sequitur`` is the encoder of its ``LSTM_AE``, which
reads one sequence at a time.
"""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.inference_peers.prepare import LATENT_DIM, series
from benchmarks.inference_peers.throughput import by_turns
from benchmarks.training_peers.lengths import FEATURES
from benchmarks.training_peers.process import answer

BATCHES = (64, 256, 1024)


def by_torch(tensors: list[Any], units: int, depth: int, threads: int, rounds: int) -> Any:
    """Return the rate of ``nn.LSTM`` with the best of several batch sizes."""
    torch.set_num_threads(threads)
    lstm = torch.nn.LSTM(FEATURES, units, num_layers=depth, bidirectional=True).eval()
    dense = torch.nn.Linear(2 * units, LATENT_DIM).eval()
    by_length = np.argsort([-len(one) for one in tensors], kind="stable")
    codes = torch.empty(len(tensors), LATENT_DIM)

    def encode(size: int) -> None:
        for start in range(0, len(tensors), size):
            rows = by_length[start : start + size]
            _, (last, _) = lstm(torch.nn.utils.rnn.pack_sequence([tensors[i] for i in rows]))
            codes[torch.from_numpy(rows)] = dense(torch.cat([last[-2], last[-1]], dim=1))

    return _best({f"batches of {n}": lambda n=n: encode(n) for n in BATCHES}, len(tensors), rounds)


def by_sequitur(tensors: list[Any], units: int, threads: int, rounds: int) -> Any:
    """Return the rate of sequitur's encoder with one thread or with all, whichever is faster."""
    from sequitur.models import LSTM_AE

    encoder = LSTM_AE(FEATURES, LATENT_DIM, h_dims=[units]).encoder.eval()

    def encode(count: int) -> None:
        torch.set_num_threads(count)
        for one in tensors:
            encoder(one)

    counts = sorted({1, threads})
    calls = {f"{n} thread{'s' * (n > 1)}": lambda n=n: encode(n) for n in counts}
    return _best(calls, len(tensors), rounds)


def _best(calls: dict[str, Callable[[], Any]], num: int, rounds: int) -> dict[str, Any]:
    with torch.inference_mode():
        took = by_turns(calls, rounds)
    best = min(took, key=took.__getitem__)
    return {"rate": num / took[best], "setting": best}


if __name__ == "__main__":
    which, kind, *numbers = sys.argv[1:]
    num, units, depth, threads, rounds = map(int, numbers)
    given = [torch.tensor(one, dtype=torch.float32) for one in series(kind, num).to_list()]
    if which == "torch":
        answer(**by_torch(given, units, depth, threads, rounds))
    else:
        answer(**by_sequitur(given, units, threads, rounds))
