"""The LSTM layers of `benchmarks.lstm`, and the functions that its processes run.

An implementation makes a job for a mode: the forward and backward pass (``both``), or a large
matrix product (``matmul``).
"""

import gc
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

MATMUL_SIZE = 2048
NAMES = ("x", "kernel", "recurrent_kernel", "bias")


class Case(NamedTuple):
    """Shape of one LSTM layer and its input."""

    steps: int
    batch: int
    features: int
    units: int

    @property
    def flops(self) -> int:
        """Floating-point operations of the matrix products of the forward and backward pass."""
        # the backward pass has twice as many as the forward pass
        return 3 * 2 * self.steps * self.batch * 4 * self.units * (self.features + self.units)

    @property
    def title(self) -> str:
        """The shape as tables show it."""
        return ", ".join(map(str, self))


class Data(NamedTuple):
    """Arrays of a case in float32, with Keras's order of gates: i, f, c, o.

    ``cotangent`` is the cotangent of the outputs.
    """

    x: np.ndarray
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray
    cotangent: np.ndarray

    @classmethod
    def draw(cls, case: Case) -> "Data":
        """Draw the arrays of a case, with a fixed seed."""
        rng = np.random.default_rng(0)
        steps, batch, features, units = case

        def uniform(*shape: int) -> np.ndarray:
            return (rng.uniform(-1, 1, shape) / np.sqrt(units)).astype(np.float32)

        return cls(
            rng.normal(size=(batch, steps, features)).astype(np.float32),
            uniform(features, 4 * units),
            uniform(units, 4 * units),
            uniform(4 * units),
            rng.normal(size=(batch, steps, units)).astype(np.float32),
        )


class Job(NamedTuple):
    """A call to time.

    ``call`` returns when its result is ready.  ``results`` makes one more call and returns the
    arrays: ``outputs`` and the gradients by `NAMES`, in Keras's layout.  ``before`` is called once
    before a series of calls.
    """

    call: Callable[[], object]
    results: Callable[[], dict[str, np.ndarray]] = dict
    before: Callable[[], object] = bool


def _matrix() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(MATMUL_SIZE, MATMUL_SIZE)).astype(np.float32)


def _keras_layer(case: Case, data: Data, kind: type | None = None, **options: Any) -> Any:
    import keras

    layer = (kind or keras.layers.LSTM)(case.units, return_sequences=True, **options)
    layer.build((None, case.steps, case.features))
    layer.set_weights([data.kernel, data.recurrent_kernel, data.bias])
    return layer


def refold_lstm(mode: str, case: Case) -> Job:
    """Make a job of Refold's layer."""
    import refold

    return keras_jax(mode, case, kind=refold.layers.LSTM)


def keras_jax(mode: str, case: Case, *, unroll: bool = False, kind: type | None = None) -> Job:
    """Make a job of a layer on JAX, as one compiled function."""
    import jax

    if mode == "matmul":
        matrix, product = jax.device_put(_matrix()), jax.jit(lambda a: a @ a)
        return Job(lambda: product(matrix).block_until_ready())
    data = Data.draw(case)
    layer = _keras_layer(case, data, kind, unroll=unroll)
    weights = [variable.value for variable in layer.trainable_variables]
    rest = [variable.value for variable in layer.non_trainable_variables]
    x, cotangent = jax.device_put(data.x), jax.device_put(data.cotangent)

    def forward(weights: Any, x: Any) -> Any:
        return layer.stateless_call(weights, rest, x)[0]

    def both(weights: Any, x: Any, cotangent: Any) -> Any:
        outputs, pull = jax.vjp(forward, weights, x)
        by_weights, by_x = pull(cotangent)
        return outputs, by_x, *by_weights

    run = partial(jax.jit(both), weights, x, cotangent)
    return Job(lambda: jax.block_until_ready(run()), lambda: _named(map(np.asarray, run())))


def keras_tensorflow(
    mode: str, case: Case, *, jit_compile: bool = False, unroll: bool = False
) -> Job:
    """Make a job of Keras's layer on TensorFlow, as one ``tf.function``."""
    import tensorflow as tf

    if mode == "matmul":
        matrix = tf.constant(_matrix())
        return Job(lambda: tf.linalg.matmul(matrix, matrix))
    data = Data.draw(case)
    layer = _keras_layer(case, data, unroll=unroll)
    weights = [variable.value for variable in layer.trainable_variables]
    x, cotangent = tf.constant(data.x), tf.constant(data.cotangent)

    @tf.function(jit_compile=jit_compile)
    def both(x: Any, cotangent: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x)
        return outputs, *tape.gradient(outputs, [x, *weights], output_gradients=cotangent)

    return Job(
        lambda: both(x, cotangent),
        lambda: _named(array.numpy() for array in both(x, cotangent)),
    )


def torch_lstm(mode: str, case: Case, *, threads: int = 0, onednn: bool = True) -> Job:
    """Make a job of PyTorch's ``nn.LSTM``; time is the first axis, which is fastest."""
    import torch

    def before() -> None:
        torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        torch.backends.mkldnn.set_flags(onednn)

    if mode == "matmul":
        matrix = torch.from_numpy(_matrix())
        return Job(lambda: matrix @ matrix, before=before)
    data = Data.draw(case)
    module = torch.nn.LSTM(case.features, case.units)
    arrays = data.kernel.T, data.recurrent_kernel.T, data.bias, np.zeros_like(data.bias)
    with torch.no_grad():
        for parameter, value in zip(module.parameters(), arrays, strict=True):
            parameter.copy_(torch.from_numpy(value.copy()))

    def time_first(array: np.ndarray) -> Any:
        return torch.from_numpy(np.ascontiguousarray(array.swapaxes(0, 1)))

    def batch_first(tensor: Any) -> np.ndarray:
        return tensor.detach().numpy().swapaxes(0, 1)

    x, cotangent = time_first(data.x).requires_grad_(), time_first(data.cotangent)

    def both() -> Any:
        outputs = module(x)[0]
        return outputs, *torch.autograd.grad(outputs, [x, *module.parameters()], cotangent)

    def results() -> dict[str, np.ndarray]:
        outputs, by_x, by_kernel, by_recurrent, by_bias, _ = both()
        kernels = by_kernel.numpy().T, by_recurrent.numpy().T, by_bias.numpy()
        return _named([batch_first(outputs), batch_first(by_x), *kernels])

    return Job(both, results, before)


def _named(arrays: Any) -> dict[str, np.ndarray]:
    return dict(zip(("outputs", *NAMES), arrays, strict=True))


# What a process of `benchmarks.lstm` runs. Its jobs stay until they are cleared.
_jobs: dict[str, Job] = {}


def start(backend: str, cores: str) -> None:
    """Prepare a process, before it imports a framework."""
    os.environ |= {"KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    if backend == "jax":  # Keras imports TensorFlow with any backend if it is installed
        sys.modules["tensorflow"] = None  # pyright: ignore[reportArgumentType]
    if cores != "all":
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-int(cores) :])


def build(key: str, name: str, mode: str, case: Case | None, setting: dict[str, Any]) -> None:
    """Prepare a job, and make its first call, which compiles."""
    _jobs[key] = job = globals()[name](mode, case, **setting)
    job.before()
    job.call()


def clear() -> None:
    """Delete all jobs."""
    _jobs.clear()
    gc.collect()


def results(key: str) -> dict[str, np.ndarray]:
    """Return the arrays of a job."""
    _jobs[key].before()
    return _jobs[key].results()


def burst(key: str, seconds: float) -> float:
    """Return the median seconds of calls; the first one counts only if it takes all of the time."""
    job, times = _jobs[key], []

    def once() -> float:
        started = time.perf_counter()
        job.call()
        return time.perf_counter() - started

    job.before()
    gc.disable()
    try:
        first = once()
        if first > seconds:
            return first
        while len(times) < 2 or sum(times) < seconds:
            times.append(once())
    finally:
        gc.enable()
    return statistics.median(times)


def engine() -> str:
    """Return the engine of Refold's layer, and the instructions of the kernel."""
    import refold
    from refold.kernels import variant

    layer = refold.layers.LSTM(4)
    layer(np.zeros((1, 2, 3), np.float32))
    return f"{layer.engine_used} ({variant()})"
