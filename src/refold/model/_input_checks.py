"""Checks of the inputs of a network: lengths of sequences, and codes and lengths to decode."""

from typing import Any

import numpy as np

from refold.errors import DataError, argument
from refold.network.packed.network import FittedNetwork

# Maximum distance of a code from those of training, in standard deviations of each dimension.
MAX_DISTANCE = 1000.0


def check_fits(lengths: np.ndarray, network: FittedNetwork) -> None:
    """Refuse lengths that a network with a fixed number of steps cannot read."""
    if network.fixed_steps is None:
        return
    name = network.specification.architecture
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise DataError(
            f"sequence {empty[0]} has length 0, which {argument(architecture=name)} cannot read. "
            f"Leave it out, or use {argument(architecture='default')}."
        )
    long = np.flatnonzero(lengths > network.fixed_steps)
    if len(long):
        raise DataError(
            f"sequence {long[0]} has {lengths[long[0]]} steps, and {argument(architecture=name)} "
            f"reads at most {network.fixed_steps}, the longest training length. Cut it, or use "
            f"{argument(architecture='default')}."
        )


def check_codes(codes: Any, width: int) -> np.ndarray:
    """Return codes as float32 (n_sequences, width); a DataError says what is wrong."""
    try:
        with np.errstate(over="ignore"):
            codes = np.asarray(codes, dtype=np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError("codes must be an array of numbers.") from error
    if codes.ndim != 2 or codes.shape[1] != width:
        raise DataError(
            f"codes must have shape (n_sequences, {width}), as transform returns them. Got "
            f"{codes.shape}."
        )
    finite = np.isfinite(codes)
    if not finite.all():
        row, dimension = np.argwhere(~finite)[0]
        raise DataError(
            f"codes must be finite in float32. The code of sequence {row} is not, in dimension "
            f"{dimension}."
        )
    return codes


def describe_far_codes(codes: np.ndarray, center: np.ndarray, unit: np.ndarray) -> str | None:
    """Describe codes (n_sequences, width) very far from those of training; None if none is."""
    least, greatest = center - MAX_DISTANCE * unit, center + MAX_DISTANCE * unit
    far = (codes < least) | (codes > greatest)
    if not far.any():
        return None
    row, dimension = np.argwhere(far)[0]
    count = int(far.any(axis=1).sum())
    return (
        f"{count} of {len(codes)} codes {'is' if count == 1 else 'are'} more than "
        f"{MAX_DISTANCE:g} standard deviations from those of training: "
        f"{codes[row, dimension]:g} in row {row}, dimension {dimension}."
    )


def check_lengths(lengths: Any, num_codes: int, network: FittedNetwork) -> np.ndarray:
    """Return lengths to decode to as int64 (num_codes,); a DataError says what is wrong."""
    try:
        lengths = np.asarray(lengths)
    except ValueError as error:
        raise DataError("lengths must be an array of integers.") from error
    if lengths.shape != (num_codes,):
        raise DataError(
            f"{argument('lengths')} must have one entry per code, shape ({num_codes},). Got "
            f"{lengths.shape}."
        )
    if num_codes and (not np.issubdtype(lengths.dtype, np.integer) or lengths.min() < 0):
        raise DataError(f"{argument('lengths')} must be integers of at least 0.")
    longest = network.most_steps
    if longest is not None and lengths.max(initial=0) > longest:
        raise DataError(
            f"this architecture writes at most {longest} steps. Got the length {lengths.max()}; "
            f"use {argument(architecture='default')} for more."
        )
    return lengths.astype(np.int64)
