"""Base class, initializers and seeding of Refold's Keras layers.

`BaseLayer` turns class annotations into arguments. The initializers draw weights with NumPy.
`seeded` sets and restores the states of random generators.
"""

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
"""A tensor of the backend, or a symbolic tensor while a model is built; None if not given."""

Shape = Any
"""The shape of a tensor: a tuple of integers, with None for a dimension that is not known yet."""

# Name of the seed in Keras's global state. Keras has no public functions to save and restore it.
_KERAS_GLOBAL_SEED_ATTRIBUTE = "global_random_seed"
# Name of the seed generator in Keras's global state.
_KERAS_GLOBAL_GENERATOR_ATTRIBUTE = "global_seed_generator"
# Whether initializers draw weights. If False, they return zeros, which takes less time. This is for
# callers that assign other values right afterwards.
_draws_weights = ContextVar("draws_weights", default=True)


class BaseLayer(keras.layers.Layer):
    """A layer whose arguments are its annotated attributes, and whose output has no mask."""

    # As in a dataclass, the annotated attributes of a subclass are the arguments of its
    # constructor, and their values in the class are the defaults. The names of these arguments, and
    # of the arguments of `call`, cannot change, because Keras saves them in files.
    _arguments: ClassVar[tuple[str, ...]] = ()  # the names of the arguments

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls._arguments = (*cls._arguments, *inspect.get_annotations(cls))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        arguments = dict(zip(self._arguments, args, strict=False))
        arguments |= {name: kwargs.pop(name) for name in self._arguments if name in kwargs}
        super().__init__(**kwargs)
        for name, value in arguments.items():
            setattr(self, name, value)

    def compute_mask(self, inputs: Tensor, previous_mask: Tensor = None) -> Any:
        """Return None as the mask, because the output has no steps, or all of its steps count."""

    def compute_output_shape(self, input_shape: Shape) -> Any:
        """Return the shape of the output, which is by default the shape of the input."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of this layer."""
        return {**super().get_config(), **{name: getattr(self, name) for name in self._arguments}}

    def add_untrained_weight(self, name: str, shape: tuple[int, ...], value: float = 0.0) -> Any:
        """Add a weight that training does not change."""
        return self.add_weight(shape=shape, initializer=Constant(value), trainable=False, name=name)


# Keras's own initializers compile a small JAX program for each shape of a weight. No other part of
# building a model takes as long. So the following initializers draw with NumPy. An initializer
# returns the same tensor whenever it is called with the same shape.


@keras.saving.register_keras_serializable(package="refold")
class Constant(keras.initializers.Constant):
    """Initializer that sets all entries to one value, zero by default."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of the value."""
        return _to_tensor(np.full(shape, self.value), dtype)


@keras.saving.register_keras_serializable(package="refold")
class ForgetBias(keras.initializers.Initializer):
    """Initializer of the bias of an LSTM: one for the forget gate, zero for the other gates."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return the bias of shape (4 * units,)."""
        # Keras's order of the gates: input, forget, cell, output
        return _to_tensor(np.repeat([0.0, 1.0, 0.0, 0.0], shape[0] // 4), dtype)


@keras.saving.register_keras_serializable(package="refold")
class GlorotUniform(keras.initializers.GlorotUniform):
    """Initializer of matrices: uniform, with the variance of Glorot and Bengio (2010)."""

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws."""
        if not _draws_weights.get():
            return _to_tensor(np.zeros(shape), dtype)
        limit, seed = np.sqrt(6.0 / sum(shape)), cast(Any, self.seed)
        return _to_tensor(np.random.default_rng(seed).uniform(-limit, limit, shape), dtype)


@keras.saving.register_keras_serializable(package="refold")
class Orthogonal(keras.initializers.Orthogonal):
    """Initializer of matrices with orthonormal rows or columns, whichever are fewer."""

    # A. M. Saxe et al., 2014

    def __call__(self, shape: Shape, dtype: DTypeLike | None = None) -> Any:
        """Return a tensor of draws."""
        if not _draws_weights.get():
            return _to_tensor(np.zeros(shape), dtype)
        rng = np.random.default_rng(cast(Any, self.seed))
        normal = rng.standard_normal((max(shape), min(shape)))
        q, r = np.linalg.qr(normal)
        q *= np.sign(np.diag(r))  # without these signs, the distribution would not be uniform
        return _to_tensor(q if shape[0] >= shape[1] else q.T, dtype)


def _to_tensor(values: np.ndarray, dtype: DTypeLike | None) -> Any:
    """Return an array as a tensor of the given type, or of Keras's default type if it is None."""
    dtype = keras.backend.standardize_dtype(dtype)
    # NumPy converts, because JAX would compile the conversion
    return keras.ops.convert_to_tensor(values.astype(dtype), dtype=dtype)


def make_dense(num_outputs: int, **options: Any) -> keras.layers.Dense:
    """Return a Keras ``Dense`` layer with initial weights from NumPy."""
    initializers = {"kernel_initializer": GlorotUniform(), "bias_initializer": Constant()}
    return keras.layers.Dense(num_outputs, **(initializers | options))


@contextmanager
def seeded(seed: int | None) -> Iterator[None]:
    """Seed the weights that are created inside, and restore all global random states."""
    # The global random states are those of Python and NumPy, and Keras's global seed and seed
    # generator. With the seed None, initializers return zeros. This is for models that get other
    # weights right afterwards.
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    names = _KERAS_GLOBAL_SEED_ATTRIBUTE, _KERAS_GLOBAL_GENERATOR_ATTRIBUTE
    keras_states = {name: global_state.get_global_attribute(name) for name in names}
    global_state.set_global_attribute(_KERAS_GLOBAL_GENERATOR_ATTRIBUTE, None)
    token = _draws_weights.set(seed is not None)
    if seed is not None:
        keras.utils.set_random_seed(seed)
    try:
        yield
    finally:
        _draws_weights.reset(token)
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
        for name, value in keras_states.items():
            global_state.set_global_attribute(name, value)


def summarize_keras_error(error: Exception) -> str:
    """Return the first sentence about the cause of a Keras error, in one line."""
    # the whole message of a Keras error is long, because it describes the model
    cause = str(error).rpartition("Exception encountered: ")[2].strip()
    sentence = cause.partition("\n")[0].partition(". ")[0].rstrip(".")
    return f"{textwrap.shorten(sentence, 120, placeholder=' ...') or type(error).__name__}."
