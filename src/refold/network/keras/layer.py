"""What Refold's layers share: their arguments, initial weights that NumPy draws, and seeds."""

import inspect
import random
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, ClassVar, cast

import keras
import numpy as np
from keras.src.backend.common import global_state
from numpy.typing import DTypeLike

Tensor = Any
"""A tensor of the backend, or a symbolic one while a model is built; None if it is not given."""

Shape = Any
"""A tuple of sizes, None where a size is not known yet."""

# Names in Keras's global state; there is no public way to save and restore it.
_SEED, _GENERATOR = "global_random_seed", "global_seed_generator"
# Whether weights are drawn; if not, they are zeros, because they are assigned next.
_drawn = ContextVar("drawn", default=True)


class BaseLayer(keras.layers.Layer):
    """A layer that saves its arguments, and whose output has no mask."""

    # The annotated attributes of a subclass are the arguments of its constructor, as in a
    # dataclass, and their values in the class are the defaults.
    _arguments: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._arguments = (*cls._arguments, *inspect.get_annotations(cls))

    def __init__(self, *values: Any, **options: Any) -> None:
        arguments = dict(zip(self._arguments, values, strict=False))
        arguments |= {name: options.pop(name) for name in self._arguments if name in options}
        super().__init__(**options)
        for name, value in arguments.items():
            setattr(self, name, value)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Return no mask: the output has no steps, or every step is written."""

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self._arguments}}

    def add_constant(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> Any:
        """Add a weight that training does not change."""
        return self.add_weight(shape=shape, initializer=Constant(value), trainable=False, name=name)


# Keras's own initializers compile a small JAX program for each shape of a weight, which takes
# longer than all else in building a model. These draw with NumPy; each call with the same shape
# returns the same tensor.


@keras.saving.register_keras_serializable(package="refold")
class Constant(keras.initializers.Constant):
    """One value in all entries, zero by default."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of the value."""
        return _tensor(np.full(shape, self.value), dtype)


@keras.saving.register_keras_serializable(package="refold")
class ForgetBias(keras.initializers.Initializer):
    """Bias of an LSTM: one for the forget gate, zero for the others."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return the bias of shape (4 * units,)."""
        return _tensor(np.repeat([0.0, 1.0, 0.0, 0.0], shape[0] // 4), dtype)


@keras.saving.register_keras_serializable(package="refold")
class GlorotUniform(keras.initializers.GlorotUniform):
    """Uniform distribution with the variance of Glorot and Bengio (2010), for matrices."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws."""
        if not _drawn.get():
            return _tensor(np.zeros(shape), dtype)
        most, seed = np.sqrt(6.0 / sum(shape)), cast(Any, self.seed)
        return _tensor(np.random.default_rng(seed).uniform(-most, most, shape), dtype)


@keras.saving.register_keras_serializable(package="refold")
class Orthogonal(keras.initializers.Orthogonal):
    """Random matrix with orthonormal rows or columns, whichever are fewer (Saxe et al., 2014)."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws."""
        if not _drawn.get():
            return _tensor(np.zeros(shape), dtype)
        rng = np.random.default_rng(cast(Any, self.seed))
        drawn = rng.standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(drawn)
        q *= np.sign(np.diag(r))
        return _tensor(q if shape[0] >= shape[1] else q.T, dtype)


def _tensor(values: np.ndarray, dtype: DTypeLike | None) -> Any:
    dtype = keras.backend.standardize_dtype(dtype)
    # JAX compiles the conversion of an array to another dtype
    return keras.ops.convert_to_tensor(values.astype(dtype), dtype=dtype)


def dense(units: int, **options: Any) -> keras.layers.Dense:
    """Return a Keras ``Dense`` layer with initial weights from NumPy."""
    initial = {"kernel_initializer": GlorotUniform(), "bias_initializer": Constant()}
    return keras.layers.Dense(units, **(initial | options))


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed the weights that are created inside, and restore all global random states."""
    # These are the states of Python and NumPy, and Keras's global seed and seed generator. The seed
    # is None if the weights are assigned next, so that those of the default model are zero.
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    of_keras = {name: global_state.get_global_attribute(name) for name in (_SEED, _GENERATOR)}
    global_state.set_global_attribute(_GENERATOR, None)
    token = _drawn.set(seed is not None)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        _drawn.reset(token)
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
        for name, value in of_keras.items():
            global_state.set_global_attribute(name, value)


def summarize_error(error: Exception) -> str:
    """Return the first sentence of the cause in an error of Keras, which quotes whole models."""
    cause = str(error).rpartition("Exception encountered: ")[2].strip()
    sentence = cause.partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{textwrap.shorten(sentence, 120, placeholder=' ...') or type(error).__name__}."
