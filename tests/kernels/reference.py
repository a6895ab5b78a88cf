"""LSTM in float64 NumPy, forward and backward, that the kernels are compared with."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

Array = np.ndarray


class Activation(NamedTuple):
    """An activation, and its derivative as a function of the activation's value."""

    value: Callable[[Array], Array]
    slope: Callable[[Array], Array]


ACTIVATIONS = {
    "tanh": Activation(np.tanh, lambda y: 1.0 - y * y),
    "sigmoid": Activation(lambda z: np.exp(-np.logaddexp(0.0, -z)), lambda y: y * (1.0 - y)),
    "relu": Activation(lambda z: np.maximum(z, 0.0), lambda y: np.where(y > 0.0, 1.0, 0.0)),
    "linear": Activation(lambda z: z, np.ones_like),
}


class Gradients(NamedTuple):
    """Gradients of a loss with respect to the arrays that `lstm` takes, in the same shapes."""

    x: Array
    kernel: Array
    recurrent_kernel: Array
    bias: Array
    h: Array
    c: Array


class _Step(NamedTuple):
    """Values of one step that the backward pass needs."""

    t: int
    real: Array
    h: Array  # before the step
    c: Array  # before the step
    gates: tuple[Array, Array, Array, Array]
    squashed: Array  # activation(c) after the step


def lstm(*arrays: Any, return_sequences: bool = True, **options: Any) -> tuple[Any, Array, Array]:
    """Run an LSTM over x (batch, steps, features), and return outputs, last h and last c.

    The arguments are those of `refold.kernels.fused.lstm`. The gates are in Keras's order: input,
    forget, candidate, output. A masked step leaves state and output unchanged. With go_backwards,
    outputs are in the order of computation.
    """
    steps, h, c = _forward(*arrays, **options)
    if not return_sequences:
        return None, h, c
    # the output of a step is the h before the next step
    outputs = [step.h for step in steps[1:]] + [h]
    stacked = np.stack(outputs, axis=1) if steps else np.zeros((len(h), 0, h.shape[1]))
    return stacked, h, c


def gradients(
    *arrays: Any,
    cotangents: tuple[Array | None, Array, Array],
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    go_backwards: bool = False,
) -> Gradients:
    """Compute the gradients of a loss from those with respect to outputs (may be None), h and c."""
    steps, _, _ = _forward(
        *arrays,
        activation=activation,
        recurrent_activation=recurrent_activation,
        go_backwards=go_backwards,
    )
    act, gate = ACTIVATIONS[activation], ACTIVATIONS[recurrent_activation]
    x, kernel, recurrent_kernel = _float64(*arrays[:3])
    d_outputs = None if cotangents[0] is None else _float64(cotangents[0])[0]
    d_h, d_c = _float64(*cotangents[1:])
    d_x, d_kernel = np.zeros_like(x), np.zeros_like(kernel)
    d_recurrent, d_bias = np.zeros_like(recurrent_kernel), np.zeros(kernel.shape[1])
    for index, step in reversed([*enumerate(steps)]):
        real = step.real[:, None]
        if d_outputs is not None:
            d_h = d_h + d_outputs[:, index]
        i, f, g, o = step.gates
        d_cell = d_c + d_h * o * act.slope(step.squashed)
        d_z = np.concatenate(
            [
                d_cell * g * gate.slope(i),
                d_cell * step.c * gate.slope(f),
                d_cell * i * act.slope(g),
                d_h * step.squashed * gate.slope(o),
            ],
            axis=1,
        )
        d_z = np.where(real, d_z, 0.0)
        d_kernel += np.where(real, x[:, step.t], 0.0).T @ d_z
        d_recurrent += step.h.T @ d_z
        d_bias += d_z.sum(axis=0)
        d_x[:, step.t] = d_z @ kernel.T
        d_h = np.where(real, d_z @ recurrent_kernel.T, d_h)
        d_c = np.where(real, d_cell * f, d_c)
    return Gradients(d_x, d_kernel, d_recurrent, d_bias, d_h, d_c)


def _forward(
    *arrays: Any,
    activation: str = "tanh",
    recurrent_activation: str = "sigmoid",
    go_backwards: bool = False,
) -> tuple[list[_Step], Array, Array]:
    act, gate = ACTIVATIONS[activation].value, ACTIVATIONS[recurrent_activation].value
    x, kernel, recurrent_kernel, bias, h, c = _float64(*arrays[:6])
    mask = arrays[6] if len(arrays) == 7 else None
    mask = np.ones(x.shape[:2], bool) if mask is None else np.asarray(mask, bool)
    order = range(x.shape[1])
    steps = []
    for t in reversed(order) if go_backwards else order:
        real = mask[:, t, None]
        z = np.where(real, x[:, t], 0.0) @ kernel + h @ recurrent_kernel + bias
        z_i, z_f, z_g, z_o = np.split(z, 4, axis=1)
        i, f, g, o = gate(z_i), gate(z_f), act(z_g), gate(z_o)
        new_c = f * c + i * g
        squashed = act(new_c)
        steps.append(_Step(t, mask[:, t], h, c, (i, f, g, o), squashed))
        h, c = np.where(real, o * squashed, h), np.where(real, new_c, c)
    return steps, h, c


def _float64(*arrays: Any) -> list[Array]:
    return [np.asarray(array, np.float64) for array in arrays]
