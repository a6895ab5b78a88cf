"""Initializers of weights that NumPy draws."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import keras
import numpy as np
from numpy.typing import DTypeLike

from refold.network.keras.tensors import Shape

# Keras's own initializers compile a small JAX program for each shape of a weight, which takes
# longer than all else in building a model.

_drawn = ContextVar("drawn", default=True)


@contextmanager
def undrawn() -> Iterator[None]:
    """Create weights as zeros, for a model whose weights are assigned next."""
    token = _drawn.set(False)
    try:
        yield
    finally:
        _drawn.reset(token)


def dense(units: int, **options: Any) -> keras.layers.Dense:
    """Return a Keras ``Dense`` layer with initial weights from NumPy."""
    initial = {"kernel_initializer": GlorotUniform(), "bias_initializer": Constant()}
    return keras.layers.Dense(units, **(initial | options))


def _generator(seed: Any) -> np.random.Generator:
    return np.random.default_rng(seed)


@keras.saving.register_keras_serializable(package="refold")
class Constant(keras.initializers.Constant):
    """One value in all entries, zero by default.

    Examples
    --------
    >>> np.asarray(Constant(2.0)((3,))).tolist()
    [2.0, 2.0, 2.0]
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of the value."""
        return _tensor(np.full(shape, self.value), dtype)


@keras.saving.register_keras_serializable(package="refold")
class ForgetBias(keras.initializers.Initializer):
    """Bias of an LSTM: one for the forget gate, zero for the others.

    Examples
    --------
    >>> np.asarray(ForgetBias()((8,))).tolist()
    [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0]
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return the bias of shape (4 * units,)."""
        return _tensor(np.repeat([0.0, 1.0, 0.0, 0.0], shape[0] // 4), dtype)


@keras.saving.register_keras_serializable(package="refold")
class GlorotUniform(keras.initializers.GlorotUniform):
    """Uniform distribution with the variance of Glorot and Bengio (2010), for matrices.

    Examples
    --------
    >>> kernel = np.asarray(GlorotUniform(seed=0)((300, 200)))
    >>> bool(abs(kernel.std() / np.sqrt(2 / 500) - 1) < 0.01)
    True
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws; each call with the same shape returns the same one."""
        if not _drawn.get():
            return _tensor(np.zeros(shape), dtype)
        most = np.sqrt(6.0 / sum(shape))
        return _tensor(_generator(self.seed).uniform(-most, most, shape), dtype)


@keras.saving.register_keras_serializable(package="refold")
class Orthogonal(keras.initializers.Orthogonal):
    """Random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2014).

    Examples
    --------
    >>> kernel = np.asarray(Orthogonal(seed=0)((2, 8)))
    >>> (kernel @ kernel.T).round(5).tolist()
    [[1.0, 0.0], [0.0, 1.0]]
    """

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws; each call with the same shape returns the same one."""
        if not _drawn.get():
            return _tensor(np.zeros(shape), dtype)
        drawn = _generator(self.seed).standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(drawn)
        q *= np.sign(np.diag(r))
        return _tensor(q if shape[0] >= shape[1] else q.T, dtype)


def _tensor(values: np.ndarray, dtype: DTypeLike | None) -> Any:
    dtype = keras.backend.standardize_dtype(dtype)
    # JAX compiles the conversion of an array to another dtype
    return keras.ops.convert_to_tensor(values.astype(dtype), dtype=dtype)
