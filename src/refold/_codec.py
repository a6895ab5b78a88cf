"""Sequences through a network and back: padding, batches of one shape, outputs to values.

Works in scaled units; scaling and what a user passes are the estimator's affair.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from refold.errors import DataError
from refold.models import Network, predict
from refold.sequences import Schema, Sequences, pad

__all__ = [
    "check_codes",
    "check_fits",
    "check_lengths",
    "decode",
    "encode",
    "predict_lengths",
]

_BATCH = 128


def _padded(
    scaled: Sequences, indices: np.ndarray, network: Network, num_steps: int | None = None
) -> np.ndarray:
    """Pad sequences as a network reads them.

    Parameters
    ----------
    scaled : Sequences
    indices : array of int of shape (n_chosen,)
    network : Network
        One that cannot tell padding from data is given zeros for it.
    num_steps : int, optional
        By default the network's longest training length.

    Returns
    -------
    array of float32 of shape (n_chosen, num_steps, n_channels)
    """
    steps = network.fixed_steps or num_steps or network.specification.max_steps
    x, _ = pad(scaled, indices, steps, flags=network.specification.observed_flags)
    return x if network.reads_padding else np.nan_to_num(x, nan=0.0)


def check_fits(sequences: Sequences, network: Network) -> None:
    """Refuse what a network of a fixed number of steps cannot read.

    Raises
    ------
    DataError
        If a sequence is empty, or longer than the network reads.
    """
    if network.fixed_steps is None:
        return
    name, lengths = network.specification.architecture, sequences.lengths
    empty = np.flatnonzero(lengths == 0)
    if len(empty):
        raise DataError(
            f"sequence {empty[0]} has length 0, which architecture={name!r} cannot read. Leave it "
            "out, or use architecture='default'."
        )
    long = np.flatnonzero(lengths > network.fixed_steps)
    if len(long):
        raise DataError(
            f"sequence {long[0]} has {lengths[long[0]]} steps, and architecture={name!r} reads at "
            f"most {network.fixed_steps}, the longest of its training data. Cut it, or use "
            "architecture='default'."
        )


def check_codes(codes: Any, width: int) -> np.ndarray:
    """Check codes to decode.

    Parameters
    ----------
    codes : array of shape (n_sequences, width)
    width : int
        Numbers in a code.

    Returns
    -------
    array of float32 of shape (n_sequences, width)

    Raises
    ------
    DataError
        If they are of another shape, or not finite numbers.
    """
    try:
        codes = np.asarray(codes, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError("codes must be an array of numbers.") from error
    if codes.ndim != 2 or codes.shape[1] != width:
        raise DataError(
            f"codes must have shape (n_sequences, {width}), as transform gives them. Got "
            f"{codes.shape}."
        )
    wrong = np.flatnonzero(~np.isfinite(codes).all(axis=1))
    if len(wrong):
        raise DataError(f"codes must be finite. The code of sequence {wrong[0]} is not.")
    return codes


def check_lengths(lengths: Any, num_codes: int, network: Network) -> np.ndarray:
    """Check lengths to decode to.

    Parameters
    ----------
    lengths : array of int of shape (num_codes,)
    num_codes : int
    network : Network

    Returns
    -------
    array of int64 of shape (num_codes,)

    Raises
    ------
    DataError
        If there is not one a code, one is no length, or the network cannot write so much.
    """
    try:
        lengths = np.asarray(lengths)
    except ValueError as error:
        raise DataError("lengths must be an array of integers.") from error
    if lengths.shape != (num_codes,):
        raise DataError(
            f"lengths must have one entry a code, shape ({num_codes},). Got {lengths.shape}."
        )
    if num_codes and (not np.issubdtype(lengths.dtype, np.integer) or lengths.min() < 0):
        raise DataError("lengths must be integers of at least 0.")
    longest = network.most_steps
    if longest is not None and lengths.max(initial=0) > longest:
        raise DataError(
            f"this architecture writes at most {longest} steps. Got the length {lengths.max()}; "
            "use architecture='default' for more."
        )
    return lengths.astype(np.int64)


def encode(scaled: Sequences, network: Network) -> np.ndarray:
    """Encode sequences.

    Parameters
    ----------
    scaled : Sequences
    network : Network

    Returns
    -------
    array of float32 of shape (n_sequences, latent_dim)
    """
    num_steps = _round_up(int(scaled.lengths.max(initial=0)), network.specification.max_steps)
    batches = ((_padded(scaled, rows, network, num_steps),) for rows in _split(len(scaled)))
    codes = list(predict(network.models.encoder, batches, batch_size=_BATCH))
    empty = np.zeros((0, network.specification.latent_dim), np.float32)
    return np.concatenate([empty, *codes]).astype(np.float32)


def decode(codes: np.ndarray, lengths: np.ndarray, schema: Schema, network: Network) -> Sequences:
    """Decode codes to as many steps as asked for.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
    lengths : array of int of shape (n_sequences,)
    schema : Schema
        Of the sequences to write.
    network : Network

    Returns
    -------
    Sequences
        Scaled: means of numeric columns, the likelier of 0 and 1, the likeliest label.
    """
    num_steps = _round_up(int(lengths.max(initial=0)), network.specification.max_steps)
    template = np.zeros((_BATCH, num_steps, 1), np.float32)
    batches = ((codes[rows], template[: len(rows)]) for rows in _split(len(codes)))
    unrolled = predict(network.models.unroll, batches, batch_size=_BATCH)
    values = [np.zeros((0, schema.num_columns), np.float32)]
    for rows, outputs in zip(_split(len(codes)), unrolled, strict=True):
        real = np.arange(num_steps) < lengths[rows][:, None]
        values.append(_to_values(outputs[real], schema))
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Sequences(np.concatenate(values), offsets, schema=schema)


def predict_lengths(codes: np.ndarray, network: Network) -> np.ndarray:
    """Predict the length of each sequence from its code.

    Parameters
    ----------
    codes : array of shape (n_sequences, latent_dim)
    network : Network

    Returns
    -------
    array of int of shape (n_sequences,)
        From 0 to twice the longest training length, or to all that the network writes.
    """
    batches = ((codes[rows],) for rows in _split(len(codes)))
    predicted = list(predict(network.length, batches, batch_size=_BATCH))
    location = np.concatenate([np.zeros((0, 2)), *predicted])[:, 0]
    longest = network.most_steps or 2 * network.specification.max_steps
    return np.clip(np.rint(location), 0, longest).astype(np.int64)


def _split(num_rows: int) -> Iterator[np.ndarray]:
    for start in range(0, num_rows, _BATCH):
        yield np.arange(start, min(num_rows, start + _BATCH))


def _round_up(num_steps: int, max_steps: int) -> int:
    """Round a number of steps up to ``max_steps``, or to its double and so on."""
    rounded = max_steps
    while rounded < num_steps:
        rounded *= 2
    return rounded


def _to_values(outputs: np.ndarray, schema: Schema) -> np.ndarray:
    values = np.empty((len(outputs), schema.num_columns), np.float32)
    start = 0
    for i, column in enumerate(schema.columns):
        block = outputs[:, start : start + column.width]
        if column.kind == "categorical":
            values[:, i] = block.argmax(axis=1) if len(block) else 0
        elif column.kind == "binary":
            values[:, i] = block[:, 0] > 0.5
        else:
            values[:, i] = block[:, 0]
        start += column.width
    return values
