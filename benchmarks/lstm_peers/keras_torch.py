"""Keras's LSTM on PyTorch."""

from functools import partial

import keras
import numpy as np
import torch

from benchmarks.lstm_peers.cases import Case, Data
from benchmarks.lstm_peers.jobs import Job

__all__ = ["make"]

NAMES = ("x", "kernel", "recurrent_kernel", "bias")


def make(mode: str, case: Case, *, threads: int) -> Job:
    """Make the job of a mode: ``both``, ``forward`` or ``ragged``."""
    data = Data.draw(case)
    layer = keras.layers.LSTM(case.units, return_sequences=True)
    layer.build((None, case.steps, case.features))
    layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
    weights = [variable.value for variable in layer.trainable_variables]
    ragged = mode == "ragged"
    x = torch.from_numpy(data.x)
    cotangent = torch.from_numpy(data.ragged_cotangent if ragged else data.cotangent)
    mask = torch.from_numpy(data.mask) if ragged else None
    before = partial(torch.set_num_threads, threads)

    if mode == "forward":

        def forward() -> torch.Tensor:
            with torch.no_grad():
                return layer(x)

        return Job(forward, lambda: {"outputs": forward().numpy()}, before)

    x.requires_grad_()

    def both() -> tuple[torch.Tensor, ...]:
        outputs = layer(x, mask=mask)
        return outputs, *torch.autograd.grad(outputs, [x, *weights], cotangent)

    def results() -> dict[str, np.ndarray]:
        outputs, *gradients = both()
        arrays = {"outputs": outputs, **dict(zip(NAMES, gradients, strict=True))}
        return {name: array.detach().numpy() for name, array in arrays.items()}

    return Job(both, results, before)


def layer_class() -> type:
    """Return the class of the layer."""
    return keras.layers.LSTM


def about() -> str:
    """Return no remark."""
    return ""
