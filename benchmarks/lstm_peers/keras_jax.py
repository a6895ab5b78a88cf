"""An LSTM layer on JAX, from Keras or from Refold, as one compiled function."""

from functools import partial

import jax
import keras
import numpy as np

from benchmarks.lstm_peers.cases import Case, Data, matmul_matrix
from benchmarks.lstm_peers.jobs import Job

__all__ = ["about", "layer_class", "make", "make_of", "matmul"]

LOOP = 10  # training steps in the compiled loop
NAMES = ("kernel", "recurrent_kernel", "bias", "x")


def make(mode: str, case: Case, *, unroll: bool = False) -> Job:
    """Make the job of a mode: ``both``, ``forward``, ``ragged`` or ``loop``."""
    return make_of(layer_class(), mode, case, unroll=unroll)


def make_of(kind: type, mode: str, case: Case, *, unroll: bool = False) -> Job:
    """Make the job for a class of layers."""
    data = Data.draw(case)
    layer = kind(case.units, return_sequences=True, unroll=unroll)
    layer.build((None, case.steps, case.features))
    layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
    weights = [variable.value for variable in layer.trainable_variables]
    rest = [variable.value for variable in layer.non_trainable_variables]
    x = jax.device_put(data.x)
    ragged = mode == "ragged"
    cotangent = jax.device_put(data.ragged_cotangent if ragged else data.cotangent)
    mask = jax.device_put(data.mask) if ragged else None

    def forward(weights, x, mask):
        return layer.stateless_call(weights, rest, x, mask=mask)[0]

    def both(weights, x, mask, cotangent):
        outputs, pull = jax.vjp(partial(forward, mask=mask), weights, x)
        return outputs, *pull(cotangent)

    if mode == "forward":
        run = partial(jax.jit(forward), weights, x, mask)
        return Job(lambda: run().block_until_ready(), lambda: {"outputs": np.asarray(run())})
    if mode == "loop":  # as in training: many steps in one call, each with new weights

        def descend(_, weights):
            _, gradients, _ = both(weights, x, mask, cotangent)
            return [w - 1e-9 * g for w, g in zip(weights, gradients, strict=True)]

        run = jax.jit(lambda weights: jax.lax.fori_loop(0, LOOP, descend, weights))
        return Job(lambda: jax.block_until_ready(run(weights)), num=LOOP)
    run = partial(jax.jit(both), weights, x, mask, cotangent)

    def results() -> dict[str, np.ndarray]:
        outputs, by_weights, by_x = run()
        arrays = {"outputs": outputs, **dict(zip(NAMES, (*by_weights, by_x), strict=True))}
        return {name: np.asarray(array) for name, array in arrays.items()}

    return Job(lambda: jax.block_until_ready(run()), results)


def matmul() -> Job:
    """Make the job of the large matrix product."""
    matrix = jax.device_put(matmul_matrix())
    product = jax.jit(lambda a: a @ a)
    return Job(lambda: product(matrix).block_until_ready())


def layer_class() -> type:
    """Return the class of the layer."""
    return keras.layers.LSTM


def about() -> str:
    """Return no remark."""
    return ""
