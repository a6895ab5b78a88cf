"""All models of a network as one, from a padded batch to what the loss is made of."""

from typing import Any

import keras
from keras import ops

from refold.models import Network

__all__ = ["joint_model"]


def joint_model(network: Network, *, with_length: bool, with_code: bool = False) -> keras.Model:
    """Join encoder, decoder and length model; a variational network's code is drawn.

    Parameters
    ----------
    network : Network
    with_length : bool
        Whether the length model takes part.
    with_code : bool
        Whether the code is among the outputs, for what is done with it outside the model.

    Returns
    -------
    keras.Model
        From sequences, and standard normal draws (batch, latent_dim) of a variational network, to a
        dict: ``"y_pred"``, ``"length"`` and ``"code"`` if asked for, and ``"mean"`` and ``"log_variance"`` of a
        variational network's codes.
    """
    models = network.models
    x: Any = keras.Input(models.encoder.inputs[0].shape[1:], name="sequence")
    inputs, outputs = x, {}
    if models.posterior is None:
        code: Any = models.encoder(x)
    else:
        draw: Any = keras.Input(models.encoder.output_shape[1:], name="draw")
        mean, log_variance = models.posterior(x)
        code = mean + ops.exp(0.5 * log_variance) * draw
        inputs, outputs = [x, draw], {"mean": mean, "log_variance": log_variance}
    outputs["y_pred"] = models.unroll([code, x])
    if with_length:
        outputs["length"] = network.length(code)
    if with_code:
        outputs["code"] = code
    return keras.Model(inputs, outputs, name="joint")
