"""Functions of whole sets of sequences: conversion of any input, concatenation, fingerprints."""

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from typing import Any

import numpy as np

from refold._support.arrays import offsets_from_lengths
from refold.errors import DataError, ParameterError, SchemaError
from refold.sequences._sequences import Sequences
from refold.sequences.conversion._arrow_columns import is_table
from refold.sequences.schema._column_types import ColumnTypes
from refold.sequences.schema._known_columns import union_of
from refold.sequences.schema._schema import Schema


def as_sequences(
    x: Any,
    *,
    column_types: ColumnTypes = None,
    names: Sequence[str] | None = None,
    schema: Schema | None = None,
) -> Sequences:
    """Convert any supported input to `Sequences`.

    Parameters
    ----------
    x : Sequences, list, array or table
        A list as in `Sequences.from_list`, an array of shape (n, T, F) or (n, T) as in
        `Sequences.from_array`, a table or column of lists as in `Sequences.from_arrow`.
    column_types : str, list of str or dict, optional
        Type of all columns, of each column, or of the named columns; the rest are inferred.
    names : list of str, optional
        Names of the features of a list or an array.
    schema : Schema, optional
        A schema to align the data with, such as that of a fitted model.

    Returns
    -------
    Sequences

    Raises
    ------
    DataError
        If there are no sequences, or one is invalid.
    SchemaError
        If it is a long table, which needs `Sequences.from_table`, or does not fit ``schema``.

    Examples
    --------
    >>> import numpy as np
    >>> as_sequences(np.zeros((2, 5, 3)))
    Sequences(n=2, lengths=5 to 5, 3 numeric)
    """
    sequences = _convert(x, column_types, names)
    return sequences if schema is None else sequences.align(schema)


def _convert(x: Any, column_types: ColumnTypes, names: Sequence[str] | None) -> Sequences:
    if isinstance(x, Sequences):
        if column_types is not None or names is not None:
            raise ParameterError(
                "column_types= and names= apply to conversions only, and x is a Sequences already. "
                "Leave them out."
            )
        if x.is_mapped:
            raise DataError(
                f"Got {len(x)} sequences that are mapped from a file larger than memory. Take some "
                "of them, sequences[indices], or go through them, `for block in "
                "sequences.blocks()`."
            )
        return x
    if hasattr(x, "tocoo"):
        raise DataError(
            f"Sparse data is not supported: got a {type(x).__name__} of shape {x.shape}. Expected "
            "a list of sequences, an array or a table; x.toarray() returns an array."
        )
    if is_table(x) and not _holds_arrays(x):
        return Sequences.from_arrow(x, columns=names, column_types=column_types)
    if hasattr(x, "__array__") and not isinstance(x, list | tuple):
        x = np.asanyarray(x)
        if x.ndim > 1:
            return Sequences.from_array(x, column_types=column_types, names=names)
        if x.dtype.kind in "OUT" and x.ndim == 1:
            return Sequences.from_list(x.tolist(), column_types=column_types, names=names)
        raise DataError(
            f"Got an array of shape {x.shape}. Expected (n, T, features), or (n, T) for series of "
            "one feature; put a single sequence into a list."
        )
    if isinstance(x, str | bytes | dict) or not hasattr(x, "__iter__"):
        raise DataError(
            f"Expected a list of sequences, an array or a table. Got a {type(x).__name__}; "
            "put a single sequence into a list."
        )
    return Sequences.from_list(x, column_types=column_types, names=names)


def _holds_arrays(x: Any) -> bool:
    """Return whether a column of objects, as in pandas, holds arrays of several features."""
    if hasattr(x, "columns") or str(getattr(x, "dtype", None)) != "object":
        return False
    return any(getattr(cell, "ndim", 1) > 1 for cell in x)


def concatenate(sequences: Sequence[Sequences]) -> Sequences:
    """Concatenate several sets of sequences.

    Parameters
    ----------
    sequences : list of Sequences
        Sets with the same columns. Categories are merged; a binary column becomes numeric if it is
        numeric in another set.

    Returns
    -------
    Sequences
        With their ids if these are unique, else numbered from 0.

    Raises
    ------
    DataError
        If the list is empty.
    SchemaError
        If the columns differ.

    Examples
    --------
    >>> both = concatenate([Sequences.from_list(["ab"]), Sequences.from_list(["bc"])])
    >>> both.to_list(), both.schema.columns[0].categories
    (['ab', 'bc'], ('a', 'b', 'c'))
    """
    sequences = list(sequences)
    if not sequences:
        raise DataError("Got an empty list. Expected at least one set of sequences.")
    first = sequences[0].schema
    for i, other in enumerate(sequences):
        if other.schema.names != first.names:
            raise SchemaError(
                f"Set {i} has the columns {other.schema.names}, but set 0 has {first.names}. "
                "Choose the same columns, in the same order."
            )
    by_position = zip(*(part.schema.columns for part in sequences), strict=True)
    schema = Schema(tuple(union_of(columns) for columns in by_position), first.layout)
    parts = [part.align(schema) for part in sequences]
    ids = [part.ids for part in parts]
    id_types = {array.dtype.kind for array in ids}
    joined = np.concatenate(ids) if len(id_types) == 1 else None
    if joined is not None and len(np.unique(joined)) < len(joined):
        joined = None
    lengths = np.concatenate([part.lengths for part in parts])
    values = np.concatenate([part.values for part in parts])
    return Sequences.trusted(values, offsets_from_lengths(lengths), joined, schema)


def fingerprints(sequences: Sequences) -> np.ndarray:
    """Return a hash of the values of each sequence as float32, uint64 (n,); ids are ignored."""
    hashes = []
    for block in sequences.blocks():
        with np.errstate(over="ignore"):
            values = block.values.astype(np.float32) + np.float32(0)  # -0.0 becomes 0.0
        values[np.isnan(values)] = np.nan  # all NaN get the same bits
        bounds = pairwise(block.offsets.tolist())
        hashes += [blake2b(values[i:j].tobytes(), digest_size=8).digest() for i, j in bounds]
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64)
