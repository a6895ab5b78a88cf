"""The backend that training needs."""

import keras

from refold.errors import ParameterError

__all__ = ["require_jax"]


def require_jax() -> None:
    """Refuse to train on any backend but JAX.

    Raises
    ------
    ParameterError
        If Keras runs on another backend.

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
