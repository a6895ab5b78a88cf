"""What sequences look like to pooled random convolutions, whatever the network they go through."""

import functools

import keras

from refold.layers import ColumnEncoding, PaddingMask
from refold.models._default import convolutions
from refold.models._network import Network

__all__ = ["rocket_extractor"]


def rocket_extractor(network: Network) -> keras.Model:
    """Return the model that describes what a network is given by `PooledConvolutions`.

    The discriminative numbers of a code are made of the same features.

    Parameters
    ----------
    network : Network

    Returns
    -------
    keras.Model
        From padded sequences (batch, steps, channels) to features; nothing in it is trained.

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
    labels = tuple(specification.num_categories)
    return _build(specification.num_channels, labels, specification.patch)


# not kept in the network: Keras would take the layers for its own
@functools.lru_cache(maxsize=16)
def _build(num_channels: int, num_categories: tuple[int, ...], patch: int) -> keras.Model:
    x = keras.Input((None, num_channels), name="sequence")
    values = PaddingMask(name="padding_mask")(x)
    if any(num_categories):
        values = ColumnEncoding(num_categories, name="column_encoding")(values)
    return keras.Model(x, convolutions(patch)(values), name="descriptor")
