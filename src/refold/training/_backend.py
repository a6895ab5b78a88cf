"""Checks of the Keras backend and the precision that training requires."""

import jax
import keras

from refold.errors import ParameterError


def require_jax() -> None:
    """Raise a ParameterError unless Keras runs on JAX in single precision."""
    backend = keras.backend.backend()
    if backend != "jax":
        raise ParameterError(
            f"SequenceAutoencoder trains on JAX, but Keras runs on {backend!r}. Set the "
            "environment variable KERAS_BACKEND=jax before importing Keras, or train the models "
            "of refold.models with compile and fit, which works on any backend."
        )
    if jax.dtypes.canonicalize_dtype("float64") == "float64":
        raise ParameterError(
            "JAX is set to 64-bit floats (jax_enable_x64), but SequenceAutoencoder trains in 32 "
            "bits. Leave that setting out, or fit in a separate process."
        )
