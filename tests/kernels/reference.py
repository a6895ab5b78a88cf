"""LSTM in float64 NumPy that the kernels are compared with, and the slopes of a loss of it."""

from typing import Any

import numpy as np

Array = np.ndarray

ACTIVATIONS = {
    "tanh": np.tanh,
    "sigmoid": lambda z: np.exp(-np.logaddexp(0.0, -z)),
    "relu": lambda z: np.maximum(z, 0.0),
    "linear": lambda z: z,
}
# Half the distance of the two points of a central difference.
_STEP = 1e-6


def lstm(
    *arrays: Any,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    go_backwards: bool = False,
    return_sequences: bool = True,
) -> tuple[Any, Array, Array]:
    """Run an LSTM over x (batch, steps, features), and return outputs, last h and last c.

    The arguments are those of `refold.kernels.fused.lstm`. The gates are in Keras's order: input,
    forget, candidate, output. A masked step leaves state and output unchanged. With go_backwards,
    outputs are in the order of computation.
    """
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    x, kernel, recurrent_kernel, bias, h, c = (np.asarray(a, np.float64) for a in arrays[:6])
    mask = arrays[6] if len(arrays) == 7 else None
    mask = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask, bool)
    order, outputs = range(x.shape[1]), np.zeros((*x.shape[:2], h.shape[1]))
    for place, t in enumerate(reversed(order) if go_backwards else order):
        real = mask[:, t, None]
        z = np.where(real, x[:, t], 0.0) @ kernel + h @ recurrent_kernel + bias
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        new_c = gate(z_f) * c + gate(z_i) * act(z_g)
        h, c = np.where(real, gate(z_o) * act(new_c), h), np.where(real, new_c, c)
        outputs[:, place] = h
    return (outputs if return_sequences else None), h, c


def slopes(
    arrays: Any, mask: Any, cotangents: Any, directions: list[Array], **options: Any
) -> list[float]:
    """Return the slope of a loss in a direction of each of the arrays, by a central difference.

    The loss is the sum of the results, each multiplied by its cotangent.
    """

    def loss(changed: int, change: Array) -> float:
        moved = [a + change if i == changed else a for i, a in enumerate(arrays)]
        results = lstm(*moved, mask, **options)
        pairs = zip(cotangents, results, strict=True)
        return sum(float((c * result).sum()) for c, result in pairs if result is not None)

    return [
        (loss(i, _STEP * direction) - loss(i, -_STEP * direction)) / (2 * _STEP)
        for i, direction in enumerate(directions)
    ]
