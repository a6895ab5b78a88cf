"""Initial weights of the linear path; the LSTMs initially add nothing."""

from dataclasses import replace
from typing import Any

import numpy as np

from refold.arguments import Corruption
from refold.network.keras.build import Network
from refold.network.specification import Specification
from refold.sequences import Sequences
from refold.sequences.types import number_mask, outputs_of
from refold.training.initialization._lengthwise_components import LengthwiseCodec
from refold.training.initialization._mixed_columns import mixed_initialization
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    linear_initialization,
)
from refold.training.initialization._token_columns import token_initialization

# Cap on padded values for the principal components.
_MOST_VALUES = 1 << 22
# Cap on one-hot values per sequence for joint components of numeric and token columns.
_MOST_OF_ONE = 1 << 14


def has_linear_path(network: Network) -> bool:
    """Return whether a network has a linear path."""
    return any(layer.name == "linear_code" for layer in network.models.encoder.layers)


def sample_size(network: Network) -> int:
    """Return the number of sequences to initialize from; more would need too much memory."""
    specification, num_steps = network.specification, network.specification.max_steps
    if has_linear_path(network):
        read: Any = network.models.encoder.get_layer("linear_code")
        num_steps = read.num_steps
    width = len(specification.column_types)
    if _initialize_jointly(specification, num_steps):
        width = int(_widths(specification).sum())
    values = num_steps * width
    return max(4 * specification.latent_dim, _MOST_VALUES // values)


def set_linear_initialization(
    network: Network,
    scaled: Sequences,  # sample of the training sequences
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> bool:
    """Set the linear path to principal components; return whether they explain anything."""
    specification = network.specification
    numeric = np.flatnonzero(number_mask(specification.column_types)).tolist()
    read: Any = network.models.encoder.get_layer("linear_code")
    added: Any = network.models.encoder.get_layer("code")
    write: Any = network.models.decoder.get_layer("linear_steps")
    head: Any = network.models.decoder.get_layer("head")
    widths, num_columns = _widths(specification), len(specification.column_types)
    sizes = read.latent_dim, read.num_steps
    num_initialized, places = num_columns, np.arange(widths.sum())
    if _initialize_jointly(specification, read.num_steps):
        init = mixed_initialization(scaled, *sizes, seed=seed, corruption=corruption)
    elif numeric:
        init = linear_initialization(
            scaled,
            numeric,
            *sizes,
            seed=seed,
            corruption=corruption,
            by_length=read.by_length,
        )
        num_initialized, places = len(numeric), (np.cumsum(widths) - widths)[numeric]
    else:
        stable = network.models.posterior is None
        init = token_initialization(
            scaled, *sizes, seed=seed, corruption=corruption, may_store=stable
        )

    init = _before_links(init, specification, places)

    def spread(shape: Any, values: Any, other: Any = 0.0) -> np.ndarray:
        whole = np.broadcast_to(np.asarray(other, np.float32), shape).copy()
        whole[..., places] = values
        return whole

    kernel = np.zeros(read.start.shape, np.float32)
    kernel[:, places] = init.encoder
    read.start.assign(kernel)
    read.bias.assign(np.asarray(init.encoder_bias, np.float32))
    # ROCKET features have no linear weights: the LSTM learns what they say about the steps
    back = np.zeros(write.start.shape, np.float32)
    back[: read.latent_dim] = spread(back[: read.latent_dim].shape, init.decoder)
    write.start.assign(back)
    write.bias.assign(spread(write.bias.shape, init.decoder_bias))
    # the update is small when the residual is small; without an initialization, all is residual
    unit = float(np.sqrt(init.share))
    residual = (num_initialized * init.share + num_columns - num_initialized) / num_columns
    read.scale.assign(float(np.sqrt(residual)))
    change = unit / np.sqrt(read.num_steps * num_columns)
    if read.by_length:
        change *= _set_maps(read, init.lengthwise)
    read.unit.assign(float(change))
    write.unit.assign(float(unit / np.sqrt(specification.latent_dim)))
    head.scale.assign(spread(head.scale.shape, init.residual, 1.0))
    added.kernel.assign(np.zeros(added.kernel.shape, np.float32))
    # a head of patches has one set of outputs for each step of a patch
    by_step = np.reshape(head.dense.kernel, (-1, head.scale.shape[0]))
    head.dense.kernel.assign(spread(by_step.shape, 0.0, by_step).reshape(head.dense.kernel.shape))
    if network.models.posterior is not None:
        wide: Any = network.models.posterior.get_layer("log_variance")
        wide.bias.assign(np.asarray(init.log_variance, np.float32))
    return init.share < 1.0


def _before_links(
    init: LinearInitialization, specification: Specification, places: np.ndarray
) -> LinearInitialization:
    """Return the initialization with a decoder that writes numbers as they are before the link."""
    outputs = outputs_of(specification.column_types, specification.num_categories)
    types = {one.block.start: one.type for one in outputs if one.type.is_number}
    at = [k for k, place in enumerate(places) if place in types]
    at = [k for k in at if types[places[k]].link != "identity"]
    if not at:
        return init
    decoder, bias, residual = init.decoder.copy(), init.decoder_bias.copy(), init.residual.copy()
    for k in at:
        # codes have a mean square of 1, so this is the spread of what the decoder writes
        deviation = np.sqrt(np.square(decoder[..., k]).sum(axis=0))
        bias[:, k], slope = types[places[k]].before_link(bias[:, k], deviation)
        decoder[..., k] *= slope
        residual[k] *= slope.mean()
    return replace(init, decoder=decoder, decoder_bias=bias, residual=residual)


def _set_maps(read: Any, codec: LengthwiseCodec | None) -> float:
    """Set the maps by length, and return the factor by which they shorten a change of a weight."""
    if codec is None:
        maps = np.broadcast_to(np.eye(read.latent_dim), read.maps.shape)
        offsets, shorter = np.zeros(read.offsets.shape), 1.0
    else:
        maps, offsets = codec.maps, codec.offsets
        mapped = np.tensordot(codec.encoder, maps[len(maps) // 2], axes=1)
        shorter = float(np.sqrt((codec.encoder**2).mean() / max((mapped**2).mean(), 1e-30)))
    read.maps.assign(np.asarray(maps, np.float32))
    read.offsets.assign(np.asarray(offsets, np.float32))
    return shorter


def _widths(specification: Specification) -> np.ndarray:
    """Return the width of each column: the number of categories, or 1."""
    return np.array([n or 1 for n in specification.num_categories])


def _initialize_jointly(specification: Specification, num_steps: int) -> bool:
    """Return whether there are numeric and token columns, with few enough categories for both."""
    is_numeric = number_mask(specification.column_types)
    together = bool(is_numeric.any() and not is_numeric.all())
    return together and num_steps * int(_widths(specification).sum()) <= _MOST_OF_ONE
