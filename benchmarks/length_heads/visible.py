"""The error that a user sees: a missing or an extra step is a wrong step."""

from typing import Any

import numpy as np

from refold._support.offsets import lengths_from_offsets, offsets_from_lengths, positions_of
from refold.evaluation import nmse
from refold.network.packed.losses import ErrorTotals
from refold.network.packed.rows import blocks, input_and_target
from refold.sequences import Scaler, Sequences

__all__ = ["reconstruction_error", "squared_sums", "visible_nmse"]


def visible_nmse(original: Sequences, reconstructed: Sequences, scaler: Scaler) -> float:
    """Return the NMSE with the squared values of extra steps added to the error.

    A missing step counts as the training mean, as in `refold.evaluation.nmse`.
    """
    extra = _after(reconstructed, original.lengths)
    x = scaler.transform(original).values.astype(float)
    y = (reconstructed.values[extra].astype(float) - scaler.mean_) / scaler.scale_
    return nmse(original, reconstructed, scaler) + float((y**2).sum() / np.nansum(x**2))


def squared_sums(
    decoder: Any, lengths: np.ndarray, codes: np.ndarray, targets: np.ndarray, offsets: np.ndarray
) -> np.ndarray:
    """Return the squared error of each sequence, in scaled units, with numeric columns only.

    Missing steps and extra steps count as the difference from zero.
    """
    true = lengths_from_offsets(offsets)
    lengths = np.maximum(np.rint(lengths), 0).astype(np.int64)
    longer = np.maximum(true, lengths)
    layout = decoder.layout(offsets_from_lengths(longer))
    steps, _ = decoder(codes, layout)
    steps = steps[layout.rows]
    starts = layout.offsets[:-1]
    steps[positions_of(starts + lengths, longer - lengths)] = 0
    rows = positions_of(starts, true)
    errors = np.square(steps)
    errors[rows] = np.where(np.isnan(targets), 0, np.square(steps[rows] - targets))
    return np.add.reduceat(errors.sum(axis=1), starts)


def reconstruction_error(
    network: Any, values: np.ndarray, offsets: np.ndarray, *, with_length: bool = True
) -> ErrorTotals:
    """Sum the squared errors with predicted lengths; in place of the method of this name."""
    del with_length
    error, observed = 0.0, 0
    for block in blocks(network.specification, offsets):
        x, targets = input_and_target(network.specification, values, block)
        codes = network.encoder(x, block.offsets)
        lengths = network.length(codes)
        sums = squared_sums(network.decoder, lengths, codes, targets, block.offsets)
        error += float(sums.sum(dtype=float))
        observed += int(np.count_nonzero(~np.isnan(targets)))
    return ErrorTotals(error, observed, 0.0, len(offsets) - 1)


def _after(sequences: Sequences, lengths: np.ndarray) -> np.ndarray:
    """Return the rows of the steps after these lengths."""
    count = np.maximum(sequences.lengths - lengths, 0)
    return positions_of(sequences.offsets[1:] - count, count)
