"""sequitur's ``LSTM_AE`` with the settings of its documentation and its own training loop.

It trains until the time is up.  It reads one sequence at a time without padding, and its decoder is
told the length.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.fidelity_peers.budget import EPOCHS
from benchmarks.fidelity_peers.channels import Channels

__all__ = ["fit"]

UNITS, RATE = 64, 1e-3  # from its documentation, and from its quick_train


class TimeIsUpError(Exception):
    """The time limit is reached, which ends the training loop."""


class UntilTimeIsUp:
    """The training split; iterating over it raises an error when the time is up."""

    def __init__(self, items: list[Any], seconds: float) -> None:
        self._items, self._ends = items, time.perf_counter() + seconds

    def __iter__(self) -> Iterator[Any]:
        for item in self._items:
            if time.perf_counter() >= self._ends:
                raise TimeIsUpError
            yield item


def fit(train: Any, *, size: int, seconds: float, seed: int) -> Callable[[Any], Any]:
    """Train, and return a function that reconstructs sequences."""
    import torch
    from sequitur.models import LSTM_AE
    from sequitur.quick_train import train_model

    torch.manual_seed(seed)
    torch.set_num_threads(1)  # faster than two, for one sequence at a time
    channels = Channels(train)
    series = [torch.from_numpy(one) for one in channels.series(train)]
    order = np.random.default_rng(seed).permutation(len(series))
    model = LSTM_AE(channels.width, size, h_dims=[UNITS], h_activ=None, out_activ=None)
    with contextlib.suppress(TimeIsUpError):
        train_model(
            model,
            UntilTimeIsUp([series[i] for i in order], seconds),
            verbose=False,
            lr=RATE,
            epochs=EPOCHS,
            denoise=False,
        )
    model.eval()

    def reconstruct(sequences: Any) -> Any:
        with torch.no_grad():
            back = [
                model.decoder(model.encoder(torch.from_numpy(one)), len(one)).numpy()
                for one in channels.series(sequences)
            ]
        return channels.sequences(back)

    return reconstruct
