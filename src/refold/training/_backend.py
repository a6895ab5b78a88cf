"""The backend that training needs."""

import jax
import keras

from refold.errors import ParameterError

__all__ = ["require_jax"]


def require_jax() -> None:
    """Refuse to train on any backend but JAX, and in double precision.

    Raises
    ------
    ParameterError
        If Keras runs on another backend, or JAX makes 64-bit numbers.

    Examples
    --------
    >>> require_jax()
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise ParameterError(
            f"SequenceAutoencoder trains on JAX, and Keras runs on {backend!r}. Set the "
            "environment variable KERAS_BACKEND=jax before Keras is imported; or, on any backend, "
            "train the models of refold.models with compile and fit."
        )
    if jax.dtypes.canonicalize_dtype("float64") == "float64":
        raise ParameterError(
            "JAX is set to 64-bit numbers (jax_enable_x64), and SequenceAutoencoder trains in 32. "
            "Leave that setting out, or fit in a process of its own."
        )
