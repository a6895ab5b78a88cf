"""`refold.kernels.packed` in the compiled library."""

from refold.kernels._packed_numpy import (  # placeholder until the library has these functions
    exp,
    lstm,
    lstm_gradient,
    pooled_convolutions,
    product,
    ragged_product,
    segment_max,
    segment_sum,
    sigmoid,
    tanh,
)

__all__ = [
    "exp",
    "lstm",
    "lstm_gradient",
    "pooled_convolutions",
    "product",
    "ragged_product",
    "segment_max",
    "segment_sum",
    "sigmoid",
    "tanh",
]
