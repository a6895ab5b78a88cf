"""Sum of the reconstruction errors of sequences, as training measures it."""

from typing import NamedTuple

import numpy as np

from refold.inference._length_model import LengthModel
from refold.inference._packed_network import PackedNetwork
from refold.inference._packed_rows import blocks, input_and_target


class ErrorTotals(NamedTuple):
    """Sums over sequences."""

    error: float  # of all observed values, with the loss of their column types
    num_observed: int
    length_error: float  # negative log-likelihoods of the lengths, in nats
    num_sequences: int


def reconstruction_error(
    network: PackedNetwork, values: np.ndarray, offsets: np.ndarray, *, with_length: bool = True
) -> ErrorTotals:
    """Encode and decode scaled values (n_rows, columns) at their lengths, and sum the errors."""
    error = length_error = 0.0
    num_observed = 0
    for block in blocks(network.specification, offsets):
        x, targets = input_and_target(network.specification, values, block)
        codes = network.encoder(x, block.offsets)
        layout = network.decoder.layout(block.offsets, x)
        outputs = network.decoder(codes, layout)
        # Numeric columns are decoded from the decoder's own output, as in use, because teacher
        # forcing looks better than it is. The others are measured with teacher forcing: without it,
        # cross-entropy mostly measures what follows the first mistake.
        if network.autoregressive and network.head.numeric.any():
            numeric = np.repeat(network.head.numeric, network.head.widths)
            written = network.decoder.decode_autoregressively(codes, layout)
            outputs = np.where(numeric, written, outputs)
        observed = ~np.isnan(targets)
        values_or_zero = np.where(observed, targets, np.float32(0))
        errors, _ = network.head.errors(outputs, values_or_zero, observed)
        error += float(errors.sum(dtype=float))
        num_observed += int(np.count_nonzero(observed))
        if with_length and isinstance(network.length, LengthModel):
            length_error += float(
                network.length.losses(codes, np.diff(block.offsets)).sum(dtype=float)
            )
    return ErrorTotals(error, num_observed, length_error, len(offsets) - 1)
