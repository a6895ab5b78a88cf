"""All models of a network as one, from a padded batch to what the loss is made of."""

from typing import Any

import keras
import numpy as np
from keras import ops

from refold.models import Network

__all__ = ["joint_model", "numeric_outputs"]


def joint_model(network: Network, *, with_length: bool, corrupted: bool = False) -> keras.Model:
    """Join encoder, decoder and length model; a variational network's code is drawn.

    Parameters
    ----------
    network : Network
    with_length : bool
        Whether the length model takes part.
    corrupted : bool
        Whether the sequences are corrupted.  A decoder that is given previous steps takes the true
        ones then, from an input of its own after the sequence.

    Returns
    -------
    keras.Model
        From sequences, and standard normal draws (batch, latent_dim) of a variational network, to a
        dict: ``"y_pred"``, ``"length"`` if asked for, ``"future"`` of a network that forecasts, and
        ``"mean"`` and ``"log_variance"`` of a variational network's codes.  The ``"code"`` is
        there, too, where numbers are written one step after the other: they are judged as they
        will be used, by a decoder that runs freely, since one that is told the truth looks better
        than it is.  Labels are judged by their likelihood after the true ones: freely running,
        cross-entropy counts little but what follows a first mistake.
    """
    models = network.models
    shape = models.encoder.inputs[0].shape[1:]
    x: Any = keras.Input(shape, name="sequence")
    inputs, outputs, truth = [x], {}, x
    if corrupted and network.autoregressive:
        truth = keras.Input(shape, name="truth")
        inputs.append(truth)
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
    if network.forecaster is not None:
        outputs["future"] = network.forecaster(code)
    if network.autoregressive and numeric_outputs(network).any():
        outputs["code"] = code
    return keras.Model(inputs if len(inputs) > 1 else x, outputs, name="joint")


def numeric_outputs(network: Network) -> np.ndarray:
    """Return, by output of a step, whether it belongs to a numeric column."""
    column_types, num_categories = (
        network.specification.column_types,
        network.specification.num_categories,
    )
    return np.repeat(
        [kind == "numeric" for kind in column_types], [labels or 1 for labels in num_categories]
    )
