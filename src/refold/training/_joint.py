"""All models of a network as one, from a padded batch to what the loss is made of."""

from typing import Any

import keras
from keras import ops

from refold.models import Network

__all__ = ["joint_model"]


def joint_model(
    network: Network, *, with_length: bool, with_code: bool = False, with_truth: bool = False
) -> keras.Model:
    """Join encoder, decoder and length model; a variational network's code is drawn.

    Parameters
    ----------
    network : Network
    with_length : bool
        Whether the length model takes part.
    with_code : bool
        Whether the code is among the outputs, for what is done with it outside the model.
    with_truth : bool
        Whether the decoder's previous steps come from an input of its own, after the sequence, as
        where the sequence is corrupted.

    Returns
    -------
    keras.Model
        From sequences, and standard normal draws (batch, latent_dim) of a variational network, to a
        dict: ``"y_pred"``, ``"length"`` and ``"code"`` if asked for, and ``"mean"`` and
        ``"log_variance"`` of a variational network's codes.
    """
    models = network.models
    x: Any = keras.Input(models.encoder.inputs[0].shape[1:], name="sequence")
    truth: Any = keras.Input(models.encoder.inputs[0].shape[1:], name="truth") if with_truth else x
    inputs, outputs = [x, truth] if with_truth else [x], {}
    if models.posterior is None:
        code: Any = models.encoder(x)
    else:
        draw: Any = keras.Input(models.encoder.output_shape[1:], name="draw")
        mean, log_variance = models.posterior(x)
        code = mean + ops.exp(0.5 * log_variance) * draw
        inputs.append(draw)
        outputs = {"mean": mean, "log_variance": log_variance}
    outputs["y_pred"] = models.unroll([code, truth])
    if with_length:
        outputs["length"] = network.length(code)
    if with_code:
        outputs["code"] = code
    return keras.Model(inputs if len(inputs) > 1 else x, outputs, name="joint")
