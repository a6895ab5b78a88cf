"""Joint model of a network, from a padded batch to all outputs that the loss needs."""

from typing import Any

import keras
import numpy as np
from keras import ops

from refold.network.keras.build import Network
from refold.sequences.types import number_mask


def joint_model(network: Network, *, with_length: bool, corrupted: bool = False) -> keras.Model:
    """Join encoder, decoder and length model: from padded sequences to a dict of outputs."""
    models = network.models
    shape = models.encoder.inputs[0].shape[1:]
    x: Any = keras.Input(shape, name="sequence")
    inputs, outputs, truth = [x], {}, x
    if corrupted and network.autoregressive:  # the decoder reads the true previous steps
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
    # With the code, numeric columns are validated without teacher forcing, as in use, because
    # teacher forcing looks better than it is. Categorical columns are validated with it: without
    # it, cross-entropy mostly measures what follows the first mistake.
    if network.autoregressive and numeric_outputs(network).any():
        outputs["code"] = code
    return keras.Model(inputs if len(inputs) > 1 else x, outputs, name="joint")


def numeric_outputs(network: Network) -> np.ndarray:
    """Return for each output of a step whether it is of a numeric column, of shape (n_outputs,)."""
    specification = network.specification
    return np.repeat(
        number_mask(specification.column_types),
        [num_categories or 1 for num_categories in specification.num_categories],
    )
