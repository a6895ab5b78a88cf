"""Prediction on batches, with one compilation for each shape."""

from typing import Any

import keras
import numpy as np


def predict(model: keras.Model, *inputs: Any) -> np.ndarray:
    """Run a model on one batch.

    Threads may use the model at the same time, which ``model.predict`` does not allow on JAX.

    Parameters
    ----------
    model : keras.Model
        A model with one output.
    *inputs : arrays
        The model's inputs.

    Returns
    -------
    array

    Examples
    --------
    >>> x = keras.Input((2,))
    >>> predict(keras.Model(x, x + 1.0), np.zeros((3, 2), "float32")).shape
    (3, 2)
    """
    given = inputs[0] if len(inputs) == 1 else list(inputs)
    if keras.backend.backend() != "jax":
        return np.asarray(model.predict_on_batch(given))
    run = getattr(model, "_refold_compiled", None)
    if run is None:
        run = model._refold_compiled = _compile(model)
    # Not ``model.predict_on_batch``, which donates the weights to the compiled function: until it
    # returns them, another thread cannot read the weights.
    trainable = [variable.value for variable in model.trainable_variables]
    others = [variable.value for variable in model.non_trainable_variables]
    return np.asarray(run(trainable, others, given))


def _compile(model: Any) -> Any:
    import jax

    return jax.jit(
        lambda trainable, others, given: model.stateless_call(
            trainable, others, given, training=False
        )[0]
    )
