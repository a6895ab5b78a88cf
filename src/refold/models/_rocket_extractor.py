"""ROCKET feature extractor for the inputs of a network."""

import functools

import keras

from refold.layers import ColumnEncoding, PaddingMask
from refold.models._default import convolutions
from refold.models._network import Network

__all__ = ["rocket_extractor"]


def rocket_extractor(network: Network) -> keras.Model:
    """Return the model that computes the `PooledConvolutions` of a network's input.

    The ROCKET features of a code are a linear map of the same features.

    Parameters
    ----------
    network : Network
        Network whose input the model reads.

    Returns
    -------
    keras.Model
        Padded sequences (batch, steps, channels) to features; it is not trained.

    Examples
    --------
    >>> from refold.models import Specification, build
    >>> sizes = {"latent_dim": 2, "max_steps": 5, "units": 8, "depth": 1, "dropout": 0.0}
    >>> lengths = {"length_mean": 5.0, "length_deviation": 0.0}
    >>> network = build(Specification("default", ["numeric"], [0], False, **sizes, **lengths))
    >>> rocket_extractor(network).output_shape
    (None, 128)
    """
    specification = network.specification
    num_categories = tuple(specification.num_categories)
    return _build(specification.num_channels, num_categories, specification.patch)


# cached here and not in the network, because Keras would track the layers there
@functools.lru_cache(maxsize=16)
def _build(num_channels: int, num_categories: tuple[int, ...], patch: int) -> keras.Model:
    x = keras.Input((None, num_channels), name="sequence")
    values = PaddingMask(name="padding_mask")(x)
    if any(num_categories):
        values = ColumnEncoding(num_categories, name="column_encoding")(values)
    return keras.Model(x, convolutions(patch)(values), name="rocket_features")
